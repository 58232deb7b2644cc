//go:build cgo && unix

package hsm

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Data is a data object on a token, found by its label. Whether a token keeps what is
// written into one is for the caller to know: some keep the value before.
type Data struct {
	t     *Token
	h     pkcs11.ObjectHandle
	label string
}

// Data finds the one data object with exactly this label, which a login lets it see.
func (t *Token) Data(label string) (*Data, error) {
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	found, err := t.data(label)
	switch {
	case err != nil:
		return nil, t.wrap(err)
	case len(found) == 0:
		return nil, t.wrap(fmt.Errorf("%w: none is labelled %q", ErrNoData, label))
	case len(found) > 1:
		return nil, t.wrap(fmt.Errorf("%d data objects are labelled %q", len(found), label))
	}
	return &Data{t, found[0], label}, nil
}

func (t *Token) data(label string) ([]pkcs11.ObjectHandle, error) {
	if err := t.needUser(); err != nil {
		return nil, err
	}
	found, err := t.find(t.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
	})
	if err != nil {
		return nil, err
	}
	var exact []pkcs11.ObjectHandle // some modules' search isn't exact
	for _, h := range found {
		if got, err := t.attribute(t.session, h, pkcs11.CKA_LABEL); err != nil {
			return nil, err
		} else if string(got) == label {
			exact = append(exact, h)
		}
	}
	return exact, nil
}

// CreateData makes a data object, private and to be rewritten. It refuses a label that
// another one has.
func (t *Token) CreateData(label string, value []byte) (*Data, error) {
	if err := token.CheckText(label); err != nil || label == "" {
		return nil, fmt.Errorf("the label of a data object: %q is none: %w", label, err)
	}
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	switch found, err := t.data(label); {
	case err != nil:
		return nil, t.wrap(err)
	case len(found) > 0:
		return nil, t.wrap(fmt.Errorf("a data object is labelled %q already", label))
	}
	h, err := t.createObject(t.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_MODIFIABLE, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label), pkcs11.NewAttribute(pkcs11.CKA_VALUE, value),
	})
	if err != nil {
		return nil, t.wrap(err)
	}
	return &Data{t, h, label}, nil
}

// Read gives the value.
func (d *Data) Read() ([]byte, error) {
	if err := d.t.use(); err != nil {
		return nil, err
	}
	defer d.t.mu.Unlock()
	value, err := d.t.attribute(d.t.session, d.h, pkcs11.CKA_VALUE)
	return value, d.wrap(err)
}

// Write gives the object another value, in its place.
func (d *Data) Write(value []byte) error {
	if err := d.t.use(); err != nil {
		return err
	}
	defer d.t.mu.Unlock()
	return d.wrap(d.t.setAttribute(d.t.session, d.h, pkcs11.NewAttribute(pkcs11.CKA_VALUE, value)))
}

// Destroy deletes the object, and checks that it is gone.
func (d *Data) Destroy() error {
	if err := d.t.use(); err != nil {
		return err
	}
	defer d.t.mu.Unlock()
	if err := d.t.destroyObject(d.t.session, d.h); err != nil {
		return d.wrap(err)
	}
	left, err := d.t.data(d.label)
	if err == nil && len(left) > 0 {
		err = errors.New("is still there, though the token said that it was destroyed")
	}
	return d.wrap(err)
}

func (d *Data) wrap(err error) error {
	if err != nil {
		err = fmt.Errorf("data object %q: %w", d.label, err)
	}
	return d.t.wrap(err)
}
