//go:build cgo && unix

package tpmdevice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-tpm/tpm2"
)

// NV is an index in a TPM's own memory, which a value of its own authorises: it is
// proved to the TPM and never sent. The owner alone defines and removes indices; an
// owner's password is not taken.
//
// Real TPMs bear a limited number of writes: see the maker's data sheet.
type NV struct {
	d     *device
	index tpm2.TPMHandle
	auth  []byte
	size  uint16

	name    tpm2.TPM2BName
	session tpm2.Session // stays open: a write takes no public-key operation
	end     func() error
}

// The indices that an owner may define (TCG Registry of Reserved TPM 2.0 Handles).
const (
	FirstNV uint32 = 0x01800000
	LastNV  uint32 = 0x01bfffff
)

// OpenNV opens an index of a size, on the TPM of a TCTI; the error is fs.ErrNotExist
// where it isn't defined. The NV keeps auth, which the caller doesn't clear before it
// is closed.
func OpenNV(ctx context.Context, tcti string, index uint32, size uint16, auth []byte) (*NV, error) {
	n, err := newNV(ctx, tcti, index, size, auth)
	if err != nil {
		return nil, err
	}
	if err = n.look(); err == nil {
		err = n.begin()
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// DefineNV defines an index that isn't there yet, with its first value.
func DefineNV(ctx context.Context, tcti string, index uint32, value, auth []byte) (*NV, error) {
	n, err := newNV(ctx, tcti, index, uint16(len(value)), auth)
	if err != nil {
		return nil, err
	}
	if err := n.define(value); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func newNV(ctx context.Context, tcti string, index uint32, size uint16, auth []byte) (*NV, error) {
	if index < FirstNV || index > LastNV {
		return nil, fmt.Errorf("NV index %#x is none of an owner's, which are %#x to %#x", index, FirstNV, LastNV)
	}
	d, err := open(ctx, tcti)
	if err != nil {
		return nil, err
	}
	return &NV{d: d, index: tpm2.TPMHandle(index), auth: auth, size: size}, nil
}

func (n *NV) wrap(err error) error {
	if err != nil {
		err = fmt.Errorf("NV index %#x of the TPM: %w", n.index, err)
	}
	return err
}

// attributes are those of the index: read and written by its own authorisation alone,
// guesses at which count as all wrong ones do.
func (n *NV) attributes() tpm2.TPMANV {
	return tpm2.TPMANV{AuthWrite: true, AuthRead: true, NT: tpm2.TPMNTOrdinary}
}

// look reads what the index is, which must be what was defined here.
func (n *NV) look() error {
	r, err := tpm2.NVReadPublic{NVIndex: n.index}.Execute(n.d)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return n.wrap(fs.ErrNotExist)
	}
	if err != nil {
		return n.wrap(err)
	}
	public, err := r.NVPublic.Contents()
	if err != nil {
		return n.wrap(err)
	}
	got, want := public.Attributes, n.attributes()
	got.Written = false
	if got != want || public.DataSize != n.size || public.NameAlg != tpm2.TPMAlgSHA256 {
		return n.wrap(fmt.Errorf("is somebody else's: it has %d bytes and other attributes", public.DataSize))
	}
	n.name = r.NVName
	return nil
}

// begin opens the session, salted by a key of the TPM's that decrypts.
func (n *NV) begin() error {
	salt, err := primary(n.d, tpm2.ECCEKTemplate)
	if err != nil {
		return err
	}
	n.session, n.end, err = tpm2.HMACSession(n.d, tpm2.TPMAlgSHA256, 16, tpm2.Auth(n.auth), tpm2.Salted(salt.handle, *salt.public))
	return n.wrap(errors.Join(err, flush(n.d, salt)))
}

func (n *NV) define(value []byte) (err error) {
	salt, err := primary(n.d, tpm2.ECCEKTemplate)
	if err != nil {
		return err
	}
	_, err = tpm2.NVDefineSpace{
		// The owner has no password; what is encrypted is the index's.
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Salted(salt.handle, *salt.public), tpm2.AESEncryption(128, tpm2.EncryptIn))},
		Auth:       tpm2.TPM2BAuth{Buffer: n.auth},
		PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{NVIndex: n.index, NameAlg: tpm2.TPMAlgSHA256, Attributes: n.attributes(), DataSize: n.size}),
	}.Execute(n.d)
	if err = errors.Join(err, flush(n.d, salt)); err != nil {
		return n.wrap(ownerError(err))
	}
	if err := errors.Join(n.look(), n.begin(), n.Write(value)); err != nil {
		return err
	}
	return n.look() // its name says now that it is written
}

func ownerError(err error) error {
	switch {
	case errors.Is(err, tpm2.TPMRCNVDefined):
		return fmt.Errorf("is defined already: %w", err)
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail):
		return fmt.Errorf("the TPM's owner hierarchy has a password, and this program takes one that has none: %w", err)
	}
	return err
}

func (n *NV) handles() (tpm2.AuthHandle, tpm2.NamedHandle) {
	return tpm2.AuthHandle{Handle: n.index, Name: n.name, Auth: n.session}, tpm2.NamedHandle{Handle: n.index, Name: n.name}
}

// Read gives the value.
func (n *NV) Read() ([]byte, error) {
	auth, index := n.handles()
	r, err := tpm2.NVRead{AuthHandle: auth, NVIndex: index, Size: n.size}.Execute(n.d)
	if err != nil {
		return nil, n.wrap(err)
	}
	return r.Data.Buffer, nil
}

// Write returns once the TPM says that it has the value.
func (n *NV) Write(value []byte) error {
	if len(value) != int(n.size) {
		return n.wrap(fmt.Errorf("takes %d bytes, and not %d", n.size, len(value)))
	}
	auth, index := n.handles()
	_, err := tpm2.NVWrite{AuthHandle: auth, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: value}}.Execute(n.d)
	return n.wrap(err)
}

// Remove takes the index out of the TPM, and closes it.
func (n *NV) Remove() error {
	_, err := tpm2.NVUndefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: n.index, Name: n.name},
	}.Execute(n.d)
	if err != nil {
		return n.wrap(ownerError(err))
	}
	if err := n.look(); !errors.Is(err, fs.ErrNotExist) {
		return n.wrap(errors.Join(errors.New("is still there, though the TPM said that it was removed"), err))
	}
	return n.Close()
}

// Close ends the session and the way to the TPM.
func (n *NV) Close() error {
	var err error
	if n.end != nil {
		err = n.end()
		n.end = nil
	}
	if n.d != nil {
		err = errors.Join(err, n.d.Close())
		n.d = nil
	}
	return err
}
