package nshield

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// state is what a module states of itself, signed by the key that its warrant names.
type state struct {
	esn        string
	kml        *publicKey // what it signs a new key's certificate with
	hknso      hash       // of its security officer's key
	moduleKeys []hash
}

// wellKnown is the module key that every module has and everybody knows.
var wellKnown = hash{0xc2, 0xbe, 0x99, 0xfe, 0x1c, 0x77, 0xf1, 0xb7, 0x5d, 0x48, 0xe2, 0xfd, 0x2d, 0xf8, 0xdf, 0xfc, 0x0c, 0x96, 0x9b, 0xcb}

// The types of what a module signs, and the attributes of its state.
const (
	certKeyGen = 2
	certState  = 4

	attrESN  = 2
	attrKML  = 3
	attrKNSO = 5
	attrKMs  = 6
	attrKLF2 = 13
)

// parseState reads a module state certificate. Only the kind of an attribute tells
// its length, so an unknown attribute is an error.
func parseState(in []byte, w *warrant) (*state, error) {
	const what = "module state certificate"
	r := &reader{in: in}
	if t, flags := r.word(), r.word(); t != certState || flags != 0 {
		return nil, fmt.Errorf("%s: it is of type %d with the flags %X, not of type %d without", what, t, flags, certState)
	}
	s := &state{}
	seen := map[uint32]bool{}
	for range r.count("attributes", 16) {
		tag := r.word()
		if seen[tag] {
			r.fail("attribute %d stands there twice", tag)
		}
		seen[tag] = true
		switch tag {
		case attrESN:
			s.esn = r.text()
		case attrKML, attrKLF2:
			r.hash()
			k := r.publicKey()
			r.word()
			if tag == attrKML {
				s.kml = k
			} else if r.err == nil && !k.equal(w.klf2) {
				r.fail("its KLF2 is not the warrant's")
			}
		case attrKNSO:
			s.hknso = r.hash()
			r.word()
		case attrKMs:
			for range r.count("module keys", 32) {
				s.moduleKeys = append(s.moduleKeys, r.hash())
				r.word()
				r.word()
			}
		default:
			r.fail("attribute %d, which isn't understood", tag)
		}
		if r.err != nil {
			break
		}
	}
	if err := r.end(what); err != nil {
		return nil, err
	}
	for _, tag := range []uint32{attrESN, attrKML, attrKNSO, attrKMs} {
		if !seen[tag] {
			return nil, fmt.Errorf("%s: attribute %d is missing", what, tag)
		}
	}
	if s.esn != w.esn {
		return nil, fmt.Errorf("%s: it is module %s's, and the warrant is %s's", what, s.esn, w.esn)
	}
	return s, nil
}

func (k *publicKey) equal(b *publicKey) bool {
	if k.kind != b.kind || k.curve != b.curve || len(k.values) != len(b.values) {
		return false
	}
	for i, v := range k.values {
		if v.Cmp(b.values[i]) != 0 {
			return false
		}
	}
	return true
}

// parseKeyGen reads a key generation certificate: the key must be of the kind
// that was generated, and have the hash that is certified.
func parseKeyGen(in []byte, k *publicKey) (*acl, error) {
	const what = "key generation certificate"
	r := &reader{in: in}
	if t, flags := r.word(), r.word(); t != certKeyGen || flags != 0 {
		return nil, fmt.Errorf("%s: it is of type %d with the flags %X, not of type %d without", what, t, flags, certKeyGen)
	}
	switch kind := r.word(); {
	case kind == 2 && k.kind == keyRSAPublic:
		flags := r.word()
		if flags > 7 {
			r.fail("generation flags %X, which aren't understood", flags)
		}
		r.word() // its size: the key says it
		if flags&1 != 0 {
			r.bignum()
		}
		if flags&2 != 0 {
			r.word()
		}
	case (kind == 45 || kind == 47) && k.kind == keyECDSAPublic:
		if c := r.word(); c != k.curve {
			r.fail("a key on curve %d was generated, and the public key is on %d", c, k.curve)
		}
	default:
		r.fail("a key of the kind %d was generated, and the public key is of the kind %d", kind, k.kind)
	}
	a := r.acl()
	hka := r.hash()
	if err := r.end(what); err != nil {
		return nil, err
	}
	h, err := k.hash()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if h != hka {
		return nil, fmt.Errorf("%s: it is of a key with the hash %x, and the public key's is %x", what, hka, h)
	}
	return a, nil
}

// world is the module key of the Security World, if the bundle binds the module to
// it.
type world struct{ hkm hash }

// bind checks the certificates that the world's security officer signed. It gives
// nil if the bundle has none.
func (b *bundle) bind(s *state) (*world, error) {
	plain, fips := b.data["CertKMaKMCbKNSO"], b.data["CertKMaKMCaKFIPSbKNSO"]
	if plain == nil && fips == nil {
		return nil, nil
	}
	if plain != nil && fips != nil {
		return nil, errors.New("world binding: two certificates, of which a world has one")
	}
	r := &reader{in: b.data["knsopub"]}
	knso := r.publicKey()
	if err := r.end("knsopub"); err != nil {
		return nil, err
	}
	if h, err := knso.hash(); err != nil || h != s.hknso {
		return nil, errors.New("world binding: knsopub is not the key of the module's security officer")
	}
	hashes := map[string]hash{}
	for _, name := range []string{"hkm", "hkmc", "hkfips", "hkre", "hkra"} {
		r := &reader{in: b.data[name]}
		if b.data[name] == nil {
			continue
		}
		if mech := r.word(); mech != mechSHA1 {
			r.fail("hash mechanism %d, which isn't read", mech)
		}
		hashes[name] = r.hash()
		if err := r.end(name); err != nil {
			return nil, err
		}
	}
	signed := func(cert []byte, prefix string, names ...string) error {
		message := append([]byte(prefix+"\x00"), s.hknso[:]...)
		for _, n := range names {
			h, has := hashes[n]
			if !has {
				return fmt.Errorf("world binding: %s is missing", n)
			}
			message = append(message, h[:]...)
		}
		return knso.verify("world binding", cert, message)
	}
	var err error
	if plain != nil {
		err = signed(plain, "Module keys: suite = "+b.suite, "hkm", "hkmc")
	} else {
		err = signed(fips, "Module setup, FIPS3; suite = "+b.suite, "hkm", "hkmc", "hkfips")
	}
	if cert := b.data["CertKREaKRAbKNSO"]; err == nil && cert != nil {
		err = signed(cert, "Card Recovery", "hkre", "hkra")
	}
	if err != nil {
		return nil, err
	}
	hkm := hashes["hkm"]
	if !slices.ContainsFunc(s.moduleKeys, func(h hash) bool { return bytes.Equal(h[:], hkm[:]) }) || hkm == wellKnown {
		return nil, errors.New("world binding: hkm is not one of the module's keys, or is the one that everybody knows")
	}
	return &world{hkm}, nil
}
