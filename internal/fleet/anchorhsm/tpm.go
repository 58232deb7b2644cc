//go:build cgo && unix

package anchorhsm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

// onTPM is an anchor in a TPM's own memory.
type onTPM struct {
	owner
	ctx   context.Context
	tcti  string
	index uint32
	auth  []byte
	n     *tpmdevice.NV // nil as long as there is none
}

// OnTPM is the anchor of a fleet at an index of the TPM of a TCTI, which an owner may
// define. It is written and read with what
// follows from the token's PIN, and guesses at that count as the TPM counts all of them.
func OnTPM(ctx context.Context, tcti string, index uint32, fleet [16]byte, pin []byte) (Kept, error) {
	if fleet == ([16]byte{}) || len(pin) == 0 {
		return nil, errors.New("an anchor in a TPM is of a fleet, and needs a PIN")
	}
	k := &onTPM{owner: owner{fleet: fleet}, ctx: ctx, tcti: tcti, index: index, auth: authOf(fleet, pin)}
	var err error
	k.n, err = tpmdevice.OpenNV(ctx, tcti, index, anchor.Size, k.auth)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, err
	}
	a, err := anchor.Load(k)
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	k.incarnation = a.Incarnation
	return k, nil
}

// authOf is text, since a TPM takes zeros off the end of an authorisation.
func authOf(fleet [16]byte, pin []byte) []byte {
	h := sha256.New()
	h.Write([]byte("fleetctl anchor authorisation v1\n"))
	h.Write(fleet[:])
	h.Write(pin)
	return hex.AppendEncode(nil, h.Sum(nil)[:16])
}

// Read gives what was written last.
func (k *onTPM) Read() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n == nil {
		return nil, anchor.ErrNone
	}
	data, err := k.n.Read()
	if err != nil {
		return nil, err
	}
	_, err = k.check(data)
	return data, err
}

// Write returns once the TPM says that it has the anchor. The first one defines the
// index.
func (k *onTPM) Write(data []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, err := k.check(data)
	if err != nil {
		return err
	}
	if k.n != nil {
		return k.n.Write(data)
	}
	if k.n, err = tpmdevice.DefineNV(k.ctx, k.tcti, k.index, data, k.auth); err == nil {
		k.incarnation = a.Incarnation
	}
	return err
}

// Remove takes the index out of the TPM.
func (k *onTPM) Remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.n == nil {
		return anchor.ErrNone
	}
	if err := k.n.Remove(); err != nil {
		return err
	}
	k.n, k.incarnation = nil, [16]byte{}
	return nil
}

// Kind names the index.
func (k *onTPM) Kind() string { return fmt.Sprintf("NV index %#x of a TPM", k.index) }

// Close ends the way to the TPM.
func (k *onTPM) Close() error {
	clear(k.auth)
	if k.n == nil {
		return nil
	}
	return k.n.Close()
}
