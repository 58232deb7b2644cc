package phone

import (
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/fleet/session"
)

// Refused is a node to which a device has said nothing, and why.
type Refused struct {
	Node
	Why *bundle.Refusal
}

// Alarm says that the node is of an older epoch than the device has seen: its operator
// forgot it, or somebody has put it back.
func (r *Refused) Alarm() bool { return r.Why.Reason == bundle.ReasonEpoch }

func (r *Refused) String() string {
	return r.HSM + " is refused (" + string(r.Why.Reason) + "): " + r.Why.Error()
}

// alone says of a refusal that it is of this one node: anybody could answer so at its
// address, and the others may be what they should be. Each of them is judged by itself.
// What is wrong with the device, or with the fleet as its signers have it, is wrong at
// every node: a state that is lost, a clock, a fleet that is retired, signers that
// equivocate.
func alone(r *bundle.Refusal) bool {
	return slices.Contains([]bundle.Reason{
		bundle.ReasonMalformed, bundle.ReasonLog, bundle.ReasonWitnesses, bundle.ReasonAge, bundle.ReasonNamespace, bundle.ReasonSignatures,
		bundle.ReasonFleet, bundle.ReasonVoid, bundle.ReasonEpoch, device.ReasonPinned,
		session.ReasonTLS, session.ReasonALPN, session.ReasonCertificate, session.ReasonAnswer, session.ReasonNode, session.ReasonPostQuantum,
	}, r.Reason)
}

// Nobody is the error of a device that no node has answered. Where Err is nil, all of them
// are refused.
type Nobody struct {
	Refused []Refused
	Err     error // of the nodes that are left
}

func (e *Nobody) Error() string {
	said := []string{"every node is refused"}
	if e.Err != nil {
		said[0] = "nobody answers: " + e.Err.Error()
	}
	for _, r := range e.Refused {
		said = append(said, r.String())
	}
	return strings.Join(said, "; ")
}

// Unwrap gives what the nodes that are left have said, or why all of them are refused.
func (e *Nobody) Unwrap() (list []error) {
	if e.Err != nil {
		return []error{e.Err}
	}
	for _, r := range e.Refused {
		list = append(list, r.Why)
	}
	return list
}
