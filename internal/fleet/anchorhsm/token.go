// Package anchorhsm keeps a node's anchor in its HSM: in a data object of a token that
// is known to keep what is written, or in a TPM's own memory. Tokens that are known not
// to, or of which nothing is known, are refused by name.
//
// One node has one anchor for each fleet and incarnation. What it stops, and what it
// doesn't, package anchor says: kryoptic keeps its objects in a file of the host, so
// that whoever puts back that file with the node's disk puts back the anchor too.
package anchorhsm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/hsm"
)

// ErrUnfit is the error of an HSM that can't keep an anchor: a fleet on it runs without.
var ErrUnfit = errors.New("keeps no anchor")

// Kept is an anchor in an HSM.
type Kept interface {
	anchor.Keeper
	// Remove takes the anchor out of the HSM: at the end of a drill, or once its member
	// was removed from the fleet. A node without an anchor doesn't start.
	Remove() error
	// Kind says where the anchor is, for a report.
	Kind() string
	Close() error
}

// fit says of a token's module whether its data objects can keep an anchor: nil, or an
// ErrUnfit with the reason.
func fit(m *hsm.Module) error {
	about := m.Description()
	unfit := func(why string) error {
		return fmt.Errorf("the token of the module %s %w: %s", about, ErrUnfit, why)
	}
	switch {
	case strings.Contains(about, "Kryoptic"):
		return nil
	case strings.Contains(about, "SoftHSM"):
		return unfit("SoftHSM takes no new value for a data object, and never syncs what it writes")
	case strings.Contains(about, "NSS"):
		return unfit("NSS keeps no data objects of a key store")
	case m.IsTPM2():
		return unfit("tpm2-pkcs11 stores the value that a data object had before; the anchor can be in the TPM's own memory instead: name the TPM in the site file")
	}
	return unfit("nobody has shown that its data objects keep what is written when the node is killed; kryoptic and TPMs are known to")
}

// owner is whose anchor is kept: a fleet's, and an incarnation's once there is one.
type owner struct {
	mu                 sync.Mutex // one call at a time
	fleet, incarnation [16]byte
}

// check refuses what is no anchor, and one of another fleet or incarnation.
func (o *owner) check(data []byte) (*anchor.Anchor, error) {
	a, err := anchor.Parse(data)
	switch {
	case err != nil:
		return nil, err
	case a.Fleet != o.fleet:
		return nil, fmt.Errorf("the anchor is of fleet %x, and the one of %x is kept here", a.Fleet, o.fleet)
	case o.incarnation != [16]byte{} && a.Incarnation != o.incarnation:
		return nil, fmt.Errorf("the anchor is of the incarnation %x, and the one of %x is kept here: a member that is replaced has its anchor removed first", a.Incarnation, o.incarnation)
	}
	return a, nil
}

// onToken is an anchor in a data object, whose label names fleet and incarnation.
type onToken struct {
	owner
	t     *hsm.Token
	about string
	d     *hsm.Data // nil as long as there is none
}

// OnToken is the anchor of a fleet on a token, to which somebody has logged in. There
// may be none yet. Its Close leaves the token open.
func OnToken(m *hsm.Module, t *hsm.Token, fleet [16]byte) (Kept, error) {
	if err := fit(m); err != nil {
		return nil, err
	}
	if fleet == ([16]byte{}) {
		return nil, errors.New("an anchor is of a fleet, and this is none")
	}
	k := &onToken{owner: owner{fleet: fleet}, t: t, about: m.Description()}
	return k, k.find()
}

func (k *onToken) prefix() string {
	return "fleetctl anchor v1 " + hex.EncodeToString(k.fleet[:]) + " "
}

// find looks for the fleet's one anchor on the token.
func (k *onToken) find() error {
	objects, err := k.t.Objects()
	if err != nil {
		return err
	}
	var labels []string
	for _, o := range objects {
		if o.Class == "data" && strings.HasPrefix(o.Label, k.prefix()) {
			labels = append(labels, o.Label)
		}
	}
	switch {
	case len(labels) == 0:
		return nil
	case len(labels) > 1:
		return fmt.Errorf("the token has %d anchors of this fleet, and a node has one: remove those of members that were removed from the fleet: %q", len(labels), labels)
	}
	id, err := hex.DecodeString(labels[0][len(k.prefix()):])
	if err != nil || copy(k.incarnation[:], id) != len(id) || len(id) != len(k.incarnation) {
		return fmt.Errorf("the token has a data object labelled %q, which names no incarnation", labels[0])
	}
	k.d, err = k.t.Data(labels[0])
	return err
}

// Read gives what was written last.
func (k *onToken) Read() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.d == nil {
		return nil, anchor.ErrNone
	}
	data, err := k.d.Read()
	if err != nil {
		return nil, err
	}
	_, err = k.check(data)
	return data, err
}

// Write returns once the token says that it has the anchor. The first one makes the
// object.
func (k *onToken) Write(data []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, err := k.check(data)
	if err != nil {
		return err
	}
	if k.d != nil {
		return k.d.Write(data)
	}
	d, err := k.t.CreateData(k.prefix()+hex.EncodeToString(a.Incarnation[:]), data)
	if err != nil {
		return err
	}
	k.d, k.incarnation = d, a.Incarnation
	got, err := d.Read()
	if err == nil && !bytes.Equal(got, data) {
		err = errors.New("the token gives another anchor than it was given")
	}
	return err
}

// Remove deletes the object.
func (k *onToken) Remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.d == nil {
		return anchor.ErrNone
	}
	if err := k.d.Destroy(); err != nil {
		return err
	}
	k.d, k.incarnation = nil, [16]byte{}
	return nil
}

// Kind names the module.
func (k *onToken) Kind() string { return "a data object of a token of " + k.about }

// Close does nothing: the token is the caller's.
func (k *onToken) Close() error { return nil }
