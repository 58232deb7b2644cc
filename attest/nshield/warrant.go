package nshield

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// warrant is what Entrust certifies of a module.
type warrant struct {
	esn     string
	kind    string
	klf2    *publicKey // what the module signs its state with
	details []attest.Detail
	unknown []attest.Unknown
}

// link is one certificate of a warrant, before its signature is checked.
type link struct {
	payload, signature []byte
	body               dict
	kind               string
}

// parseWarrant reads a warrant's certificates, and gives the name of its root.
func parseWarrant(in []byte) (root string, links []link, err error) {
	v, err := parseDDDS(in, "warrant")
	if err != nil {
		return "", nil, err
	}
	list, ok := v.([]any)
	if !ok || len(list) < 2 || len(list) > 5 {
		return "", nil, errors.New("warrant: it is not the name of a root and 1 to 4 certificates")
	}
	name, ok := list[0].(symbol)
	if !ok {
		return "", nil, errors.New("warrant: it does not begin with the name of a root")
	}
	for i, c := range list[1:] {
		m, _ := c.(dict)
		payload, hasPayload := m["Payload"].([]byte)
		sig, hasSig := m["Signature"].([]byte)
		if len(m) != 2 || !hasPayload || !hasSig || len(sig) != 132 {
			return "", nil, fmt.Errorf("warrant: certificate %d is not a payload and a signature of 132 bytes", i+1)
		}
		body, err := parseDDDS(payload, fmt.Sprintf("warrant: certificate %d", i+1))
		if err != nil {
			return "", nil, err
		}
		l := link{payload: payload, signature: sig}
		l.body, _ = body.(dict)
		kind, _ := l.body["WarrantCertificateType"].(symbol)
		if l.kind = string(kind); l.kind == "" {
			return "", nil, fmt.Errorf("warrant: certificate %d does not say of which type it is", i+1)
		}
		links = append(links, l)
	}
	return string(name), links, nil
}

func (l *link) verify(k *ecdsa.PublicKey) bool {
	h := sha512.Sum512(l.payload)
	return ecdsa.Verify(k, h[:], new(big.Int).SetBytes(l.signature[:66]), new(big.Int).SetBytes(l.signature[66:]))
}

// follow checks a warrant's certificates from the root's key down. first says that
// the first one was checked already, when the root was looked for.
func follow(links []link, key *ecdsa.PublicKey, first bool) (*warrant, error) {
	for i, l := range links {
		at := fmt.Sprintf("warrant: certificate %d (%s)", i+1, strict.Clip(l.kind))
		if !(i == 0 && first) && !l.verify(key) {
			return nil, fmt.Errorf("%s: the signature does not verify", at)
		}
		if i == len(links)-1 {
			return l.module(at)
		}
		if l.kind != "Delegation" {
			return nil, fmt.Errorf("%s: it is not a delegation, but others stand below it: the chain is out of order", at)
		}
		if len(l.body) != 3 {
			return nil, fmt.Errorf("%s: it has other fields than a key and its mechanism", at)
		}
		next, err := l.key(at, "DelegateKey", "SigMech")
		if err != nil {
			return nil, err
		}
		if key, err = next.ecdsa(); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil, errors.New("warrant: no certificates")
}

func mechanism() []any {
	return []any{symbol("ECDSA"), []any{symbol("EMSA1"), symbol("SHA512")}}
}

// key reads a certificate's key and its mechanism.
func (l *link) key(at, name, mech string) (*publicKey, error) {
	if !reflect.DeepEqual(l.body[mech], any(mechanism())) {
		return nil, fmt.Errorf("%s: its key signs by another mechanism than ECDSA over SHA-512", at)
	}
	list, _ := l.body[name].([]any)
	if len(list) != 4 || !reflect.DeepEqual(list[:3], []any{symbol("ECDSA"), symbol("Public"), symbol("NISTP521")}) {
		return nil, fmt.Errorf("%s: %s is no public key on P-521", at, name)
	}
	q, _ := list[3].([]any)
	if len(q) != 2 {
		return nil, fmt.Errorf("%s: %s is no point", at, name)
	}
	x, hasX := q[0].(*big.Int)
	y, hasY := q[1].(*big.Int)
	if !hasX || !hasY {
		return nil, fmt.Errorf("%s: %s is no point", at, name)
	}
	k := &publicKey{kind: keyECDSAPublic, curve: curveP521, values: []*big.Int{x, y}}
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return k, nil
}

// module reads the last certificate.
func (l *link) module(at string) (*warrant, error) {
	if l.kind != "ModuleInformation" && l.kind != "FieldUpgradeModuleInformation" {
		return nil, fmt.Errorf("%s: it stands last, but is not a module's", at)
	}
	k, err := l.key(at, "KLF2pub", "KLF2mech")
	if err != nil {
		return nil, err
	}
	w := &warrant{kind: l.kind, klf2: k}
	for _, name := range slices.Sorted(maps.Keys(l.body)) {
		switch name {
		case "WarrantCertificateType", "KLF2pub", "KLF2mech", "ElectronicSerialNumber":
		case "PhysicalSerialNumber", "Approvals":
			w.details = append(w.details, attest.Detail{Name: name, Value: strict.Said(fmt.Sprint(l.body[name]))})
		default:
			w.unknown = append(w.unknown, attest.Unknown{Where: "warrant", What: strict.Said(name)})
		}
	}
	w.esn, _ = l.body["ElectronicSerialNumber"].(string)
	if strict.CheckToken(strings.ToLower(w.esn)) != nil || len(w.esn) > 32 {
		return nil, fmt.Errorf("%s: %q is not an electronic serial number", at, strict.Clip(w.esn))
	}
	return w, nil
}

// kwarn1 is Entrust's root KWARN-1. It is not trusted because it stands here: only
// anchors are trusted.
func kwarn1() *ecdsa.PublicKey {
	x, _ := new(big.Int).SetString("1d21dfde6d7e001c5a4f78ae8d2f799e0caf79c60d673d0da88b206a3ba52f20dce0956ce02f01af32736767c8b9feff398c29e0208527371856aa2f40fcae61d96", 16)
	y, _ := new(big.Int).SetString("1641ca5472f06257de815ae06b33e1b868c149645f55fb7c91738014d3d235e7b247649cc2f7d1075e9b4d4388661e754a7fc386913c33ddd60208bded5301a1b77", 16)
	return &ecdsa.PublicKey{Curve: elliptic.P521(), X: x, Y: y}
}
