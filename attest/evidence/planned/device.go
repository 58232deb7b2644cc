package planned

import (
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// DevicePolicy is what of a verifier's policy an app pins, for one of its
// namespaces. Keys that nobody compared with their owners are refused, but where
// firstUse says that this will do: the device's policy then names them.
func DevicePolicy(p *evidence.Policy, namespace string, age time.Duration, pins device.Pins, firstUse bool) (*device.Policy, error) {
	switch {
	case namespace == "" && len(p.Namespaces) > 1:
		return nil, strict.Errorf(p.File, "pins %d namespaces, and a device's policy is for one: %s", len(p.Namespaces), strings.Join(p.Namespaces, ", ")).
			WithHint("Name one of them: --namespace.")
	case namespace == "":
		namespace = p.Namespaces[0]
	case !slices.Contains(p.Namespaces, namespace):
		return nil, strict.Errorf(p.File, "does not pin the namespace %s", namespace)
	}
	t := p.Trust(namespace)
	var unconfirmed []string
	for _, name := range p.Unpinned() {
		if strings.HasPrefix(name, "third party ") || strings.HasPrefix(name, "operator ") || name == "log" {
			unconfirmed = append(unconfirmed, name) // the others are nothing to a device
		}
	}
	if len(unconfirmed) > 0 && !firstUse {
		return nil, strict.Errorf(p.File, "has keys that nobody compared with their owners: %s", strings.Join(unconfirmed, ", ")).
			WithHint("Compare each over another channel and write how beside it, under confirmed:; or say --trust-on-first-use.")
	}
	d, err := device.NewPolicy(t, p.Log, age, pins, unconfirmed)
	if err != nil {
		return nil, strict.Errorf(p.File, "can't be a device's: %v", err)
	}
	return d, nil
}
