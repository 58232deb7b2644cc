//go:build cgo && unix

package hsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/token"
)

// Objects are all objects on the token, sorted. It fails if nobody is logged in, since the
// token then hides private objects.
func (t *Token) Objects() ([]token.Object, error) {
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	if err := t.needUser(); err != nil {
		return nil, t.wrap(err)
	}
	return t.stored()
}

// PublicObjects are the objects that the token shows without a login, sorted. If there are
// none, the token may still hold private objects: see [Token.Objects].
func (t *Token) PublicObjects() ([]token.Object, error) {
	if err := t.use(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	return t.stored()
}

// stored are the objects that this session can see.
func (t *Token) stored() ([]token.Object, error) {
	handles, err := t.find(t.session, nil)
	if err != nil {
		return nil, t.wrap(err)
	}
	list := make([]token.Object, 0, len(handles))
	for _, h := range handles {
		o, err := t.object(h)
		if err != nil {
			return nil, t.wrap(err)
		}
		if o.Class != aboutToken {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b token.Object) int {
		return strings.Compare(a.Class+"\x00"+string(a.ID)+"\x00"+a.Label, b.Class+"\x00"+string(b.ID)+"\x00"+b.Label)
	})
	return list, nil
}

func (t *Token) object(h pkcs11.ObjectHandle) (o token.Object, err error) {
	class, err := t.number(h, pkcs11.CKA_CLASS)
	if err != nil {
		return o, err
	}
	o.Class = className(class)
	// Data objects have no ID, and some objects no label.
	if o.ID, err = t.optional(h, pkcs11.CKA_ID); err != nil {
		return o, err
	}
	label, err := t.optional(h, pkcs11.CKA_LABEL)
	o.Label = cleanText(string(label))
	return o, err
}

// aboutToken is the class of objects by which a token describes itself.
const aboutToken = "about the token"

func className(class uint) string {
	switch class {
	case pkcs11.CKO_HW_FEATURE, pkcs11.CKO_MECHANISM, ckoProfile, ckoValidation:
		// Nobody can create or delete these, and they hold no key. kryoptic has 150 of
		// them on an empty token.
		return aboutToken
	case pkcs11.CKO_PRIVATE_KEY:
		return "private"
	case pkcs11.CKO_PUBLIC_KEY:
		return "public"
	case pkcs11.CKO_SECRET_KEY:
		return "secret"
	case pkcs11.CKO_CERTIFICATE:
		return "certificate"
	case pkcs11.CKO_DATA:
		return "data"
	}
	return "other"
}

func (t *Token) optional(h pkcs11.ObjectHandle, typ uint) ([]byte, error) {
	value, err := t.attribute(t.session, h, typ)
	switch Code(err) {
	case "CKR_ATTRIBUTE_TYPE_INVALID", token.Unavailable:
		return nil, nil
	}
	return value, err
}

// number reads a CK_ULONG.
func (t *Token) number(h pkcs11.ObjectHandle, typ uint) (uint, error) {
	value, err := t.attribute(t.session, h, typ)
	if err != nil {
		return 0, err
	}
	n, ok := ulong(value)
	if !ok {
		return 0, fmt.Errorf("%s has %d bytes, a number has %d", attributeName(typ), len(value), strconv.IntSize/8)
	}
	return n, nil
}

func ulong(b []byte) (uint, bool) {
	switch {
	case len(b) != strconv.IntSize/8:
		return 0, false
	case len(b) == 8:
		return uint(binary.NativeEndian.Uint64(b)), true
	}
	return uint(binary.NativeEndian.Uint32(b)), true
}

const (
	privateHalf = "private"
	publicHalf  = "public"
)

var classes = map[string]uint{privateHalf: pkcs11.CKO_PRIVATE_KEY, publicHalf: pkcs11.CKO_PUBLIC_KEY}

// halves finds the private or public keys with exactly this CKA_ID. It reads the CKA_ID of
// each back, since some modules' search isn't exact.
func (t *Token) halves(half string, id []byte) ([]pkcs11.ObjectHandle, error) {
	if len(id) == 0 { // matches every key in some modules, none in others
		return nil, fmt.Errorf("%w: a key is named by its CKA_ID, and this one is empty", ErrNoKey)
	}
	found, err := t.find(t.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, classes[half]),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
	})
	if err != nil {
		return nil, err
	}
	var exact []pkcs11.ObjectHandle
	for _, h := range found {
		got, err := t.attribute(t.session, h, pkcs11.CKA_ID)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(got, id) {
			exact = append(exact, h)
		}
	}
	return exact, nil
}

// half finds the one private or public key with this CKA_ID.
func (t *Token) half(half string, id []byte) (pkcs11.ObjectHandle, error) {
	found, err := t.halves(half, id)
	switch {
	case err != nil:
		return 0, err
	case len(found) > 1:
		return 0, keyErr(ErrManyKeys, half, id)
	case len(found) == 1:
		return found[0], nil
	}
	if err := t.needUser(); err != nil {
		return 0, keyErr(err, half, id)
	}
	return 0, keyErr(ErrNoKey, half, id)
}

// Destroy deletes the private and the public key with exactly this CKA_ID, and checks that
// they are gone. It also deletes half a pair, which a crash may leave. If there are two
// keys with this CKA_ID, it deletes neither.
func (t *Token) Destroy(id []byte) error {
	if err := t.use(); err != nil {
		return err
	}
	defer t.mu.Unlock()
	return t.wrap(t.destroy(id))
}

// DestroyUnnamed deletes the private and public keys without a CKA_ID, and objects whose
// class can't be read, and returns how many. A token that stores an object in several
// writes may leave such objects after a power cut.
func (t *Token) DestroyUnnamed() (n int, err error) {
	if err := t.use(); err != nil {
		return 0, err
	}
	defer t.mu.Unlock()
	if err := t.needUser(); err != nil {
		return 0, t.wrap(err)
	}
	all, err := t.find(t.session, nil)
	if err != nil {
		return 0, t.wrap(err)
	}
	for _, h := range all {
		o, err := t.object(h)
		switch {
		case err != nil && !t.unfinished(h):
			return n, t.wrap(err)
		case err != nil:
			o.Class = "half-made"
		case classes[o.Class] == 0 || len(o.ID) > 0:
			continue
		}
		if err := t.destroyObject(t.session, h); err != nil {
			return n, t.wrap(fmt.Errorf("a %s key without CKA_ID: %w", o.Class, err))
		}
		n++
	}
	return n, nil
}

// unfinished says whether a token can't read an object that it finds: SoftHSM returns
// CKR_ATTRIBUTE_VALUE_INVALID for every attribute of an object that was not completely
// written. Several answers must agree, since such objects are deleted.
func (t *Token) unfinished(h pkcs11.ObjectHandle) bool {
	for _, typ := range []uint{pkcs11.CKA_CLASS, pkcs11.CKA_ID, pkcs11.CKA_KEY_TYPE, pkcs11.CKA_CLASS} {
		if _, err := t.attribute(t.session, h, typ); Code(err) != "CKR_ATTRIBUTE_VALUE_INVALID" {
			return false
		}
	}
	return true
}

func (t *Token) destroy(id []byte) error {
	if err := t.needUser(); err != nil {
		return err
	}
	// The private half first, in case only one can be deleted.
	var doomed []pkcs11.ObjectHandle
	for _, half := range []string{privateHalf, publicHalf} {
		found, err := t.halves(half, id)
		if err != nil {
			return err
		}
		if len(found) > 1 {
			return keyErr(ErrManyKeys, half, id)
		}
		doomed = append(doomed, found...)
	}
	if len(doomed) == 0 {
		return keyErr(ErrNoKey, "private or public", id)
	}
	for _, h := range doomed {
		if err := t.destroyObject(t.session, h); err != nil {
			return keyErr(err, "private or public", id)
		}
	}
	for _, half := range []string{privateHalf, publicHalf} {
		left, err := t.halves(half, id)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return keyErr(errors.New("is still there, though the token said that it was destroyed"), half, id)
		}
	}
	return nil
}
