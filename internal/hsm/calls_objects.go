//go:build cgo && unix

package hsm

import (
	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// find returns every object that matches. It always ends the search: an open one blocks
// the session.
func (c *calls) find(h pkcs11.SessionHandle, template []*pkcs11.Attribute) (all []pkcs11.ObjectHandle, err error) {
	err = c.call("C_FindObjectsInit", session(h), "", func() uint { return code(c.lib.ctx.FindObjectsInit(h, template)) })
	if err != nil {
		return nil, err
	}
	for {
		var some []pkcs11.ObjectHandle
		some, err = get(c, "C_FindObjects", session(h), "", func() ([]pkcs11.ObjectHandle, uint) {
			some, _, e := c.lib.ctx.FindObjects(h, 64)
			return some, code(e)
		})
		if err != nil || len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	final := c.call("C_FindObjectsFinal", session(h), "", func() uint { return code(c.lib.ctx.FindObjectsFinal(h)) })
	if err == nil {
		err = final
	}
	if err != nil {
		return nil, err
	}
	return all, nil
}

// attribute reads one attribute. In a call for several, one that the token doesn't know
// would hide the others.
func (c *calls) attribute(h pkcs11.SessionHandle, o pkcs11.ObjectHandle, typ uint) ([]byte, error) {
	type answer struct {
		value []byte
		ok    bool
	}
	a, err := get(c, "C_GetAttributeValue", session(h), attributeName(typ), func() (a answer, rv uint) {
		a.value, a.ok, rv = c.lib.own.get(uint(h), uint(o), typ)
		return a, rv
	})
	switch {
	case err != nil:
		return nil, err
	case !a.ok:
		return nil, &Error{Call: "C_GetAttributeValue", Code: token.Unavailable}
	}
	return a.value, nil
}

func (c *calls) setAttribute(h pkcs11.SessionHandle, o pkcs11.ObjectHandle, a *pkcs11.Attribute) error {
	return c.call("C_SetAttributeValue", session(h), attributeName(a.Type), func() uint {
		return code(c.lib.ctx.SetAttributeValue(h, o, []*pkcs11.Attribute{a}))
	})
}

func (c *calls) copyObject(h pkcs11.SessionHandle, o pkcs11.ObjectHandle, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	return get(c, "C_CopyObject", session(h), "", func() (pkcs11.ObjectHandle, uint) {
		dup, e := c.lib.ctx.CopyObject(h, o, template)
		return dup, code(e)
	})
}

func (c *calls) createObject(h pkcs11.SessionHandle, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	return get(c, "C_CreateObject", session(h), "", func() (pkcs11.ObjectHandle, uint) {
		o, e := c.lib.ctx.CreateObject(h, template)
		return o, code(e)
	})
}

func (c *calls) destroyObject(h pkcs11.SessionHandle, o pkcs11.ObjectHandle) error {
	return c.call("C_DestroyObject", session(h), "", func() uint { return code(c.lib.ctx.DestroyObject(h, o)) })
}

func (c *calls) generateKey(h pkcs11.SessionHandle, m uint, template []*pkcs11.Attribute) (pkcs11.ObjectHandle, error) {
	return get(c, "C_GenerateKey", session(h), mechanismName(m), func() (pkcs11.ObjectHandle, uint) {
		key, e := c.lib.ctx.GenerateKey(h, mechanism(m), template)
		return key, code(e)
	})
}

func (c *calls) generateKeyPair(h pkcs11.SessionHandle, m uint, public, private []*pkcs11.Attribute) error {
	_, err := ask(c, patient*c.deadline, "C_GenerateKeyPair", session(h), mechanismName(m), func() (struct{}, uint) {
		_, _, e := c.lib.ctx.GenerateKeyPair(h, mechanism(m), public, private)
		return struct{}{}, code(e)
	})
	return err
}

// sign returns the signature, of at most size bytes.
func (c *calls) sign(h pkcs11.SessionHandle, m *pkcs11.Mechanism, key pkcs11.ObjectHandle, data []byte, size int) ([]byte, error) {
	about := mechanismName(m.Mechanism)
	err := c.call("C_SignInit", session(h), about, func() uint {
		return code(c.lib.ctx.SignInit(h, []*pkcs11.Mechanism{m}, key))
	})
	if err != nil {
		return nil, err
	}
	return c.finish(h, about, data, size)
}

// finish is C_Sign, after C_SignInit.
func (c *calls) finish(h pkcs11.SessionHandle, about string, data []byte, size int) ([]byte, error) {
	return get(c, "C_Sign", session(h), about, func() ([]byte, uint) {
		sig := make([]byte, size)
		n, rv := c.lib.own.sign(uint(h), data, sig)
		if rv != 0 {
			return nil, rv
		}
		return sig[:min(n, uint(size))], rv
	})
}

// signFor is sign with ML-DSA, which takes what the signature is for as its context.
func (c *calls) signFor(h pkcs11.SessionHandle, m uint, as keys.Context, key pkcs11.ObjectHandle, data []byte, size int) ([]byte, error) {
	err := c.call("C_SignInit", session(h), mechanismName(m), func() uint {
		return c.lib.own.signInit(uint(h), m, []byte(as.FIPS204()), uint(key))
	})
	if err != nil {
		return nil, err
	}
	return c.finish(h, mechanismName(m), data, size)
}

// agree has a key agree with a peer and returns the secret. It destroys the secret's
// object, which is one of the session.
func (c *calls) agree(h pkcs11.SessionHandle, a algorithm, key pkcs11.ObjectHandle, point []byte) ([]byte, error) {
	o, err := c.secretObject(h, a, key, point)
	if err != nil {
		return nil, err
	}
	secret, err := c.attribute(h, o, pkcs11.CKA_VALUE)
	if e := c.destroyObject(h, o); err == nil && e != nil {
		clear(secret)
		return nil, e
	}
	return secret, err
}

// secretObject is what a key agrees on with a peer, as an object of the session.
func (c *calls) secretObject(h pkcs11.SessionHandle, a algorithm, key pkcs11.ObjectHandle, point []byte) (pkcs11.ObjectHandle, error) {
	if m := a.opens; m != 0 {
		return get(c, token.CallDecapsulate, session(h), mechanismName(m), func() (pkcs11.ObjectHandle, uint) {
			o, rv := c.lib.own.decapsulate(uint(h), m, uint(key), point)
			return pkcs11.ObjectHandle(o), rv
		})
	}
	m := a.derive
	return get(c, token.CallDerive, session(h), mechanismName(m), func() (pkcs11.ObjectHandle, uint) {
		how := pkcs11.NewMechanism(m, pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, point))
		o, e := c.lib.ctx.DeriveKey(h, []*pkcs11.Mechanism{how}, key, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
			pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
			pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32),
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
			pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false),
			pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
		})
		return o, code(e)
	})
}

func (c *calls) tryExport(h pkcs11.SessionHandle, o pkcs11.ObjectHandle, typ uint) error {
	return c.call("C_GetAttributeValue", session(h), attributeName(typ), func() uint {
		return c.lib.own.tryExport(uint(h), uint(o), typ)
	})
}

func (c *calls) tryWrap(h pkcs11.SessionHandle, m uint, withIV bool, wrapping, o pkcs11.ObjectHandle) error {
	return c.call("C_WrapKey", session(h), mechanismName(m), func() uint {
		return c.lib.own.tryWrap(uint(h), m, withIV, uint(wrapping), uint(o))
	})
}
