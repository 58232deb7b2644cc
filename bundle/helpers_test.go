package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Test keys follow from a name, and every signature here is deterministic
// (Ed25519; RFC 6979), so that a vector made twice is the same. RSA alone
// isn't: where a vector has an RSA key, it is one that nobody can sign with.

func seed(name string) []byte {
	h := sha256.Sum256([]byte("fleetctl test key " + name))
	return h[:]
}

func edKey(name string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed(name)) }

func edRaw(name string) [32]byte { return [32]byte(edKey(name).Public().(ed25519.PublicKey)) }

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 3072)) })

func signer(alg keys.Algorithm, name string) crypto.Signer {
	switch alg {
	case keys.P256, keys.ECDHP256:
		return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed(name)))
	case keys.P384:
		return must(ecdsa.ParseRawPrivateKey(elliptic.P384(), append(make([]byte, 16), seed(name)...)))
	case keys.RSA3072:
		return rsaKey()
	}
	return edKey(name)
}

func mldsaKey(alg keys.Algorithm, name string) *keys.MLDSA {
	return must(keys.NewMLDSA(alg, seed(name)))
}

func spki(alg keys.Algorithm, name string) []byte {
	if alg.IsMLDSA() {
		return mldsaKey(alg, name).Public().SPKI()
	}
	if alg == keys.X25519 {
		return must(x509.MarshalPKIXPublicKey(must(ecdh.X25519().NewPrivateKey(seed(name))).Public()))
	}
	return must(x509.MarshalPKIXPublicKey(signer(alg, name).Public()))
}

// fleetKey is an HSM's key: one of the given kind that needn't sign.
func fleetKey(alg keys.Algorithm, name string) []byte {
	if alg != keys.RSA3072 {
		return spki(alg, name)
	}
	n := bytes.Repeat(seed(name), 12)
	n[0] |= 0x80
	return must(keys.FromRSA(n, []byte{1, 0, 1})).SPKI()
}

func public(alg keys.Algorithm, name string) *keys.Public {
	return must(keys.ParseSPKI(spki(alg, name)))
}

// sign makes a signature as keys.Public.Verify takes it, for a countersignature where
// the algorithm has contexts.
func sign(alg keys.Algorithm, name string, msg []byte) []byte {
	if alg.IsMLDSA() {
		return must(mldsaKey(alg, name).Sign(keys.ForCountersignature, msg))
	}
	switch k := signer(alg, name).(type) {
	case *ecdsa.PrivateKey:
		opts := crypto.SHA256
		if alg == keys.P384 {
			opts = crypto.SHA384
		}
		der := must(k.Sign(nil, keys.Digest(alg, msg), opts)) // no randomness: RFC 6979
		var rs struct{ R, S *big.Int }
		must(asn1.Unmarshal(der, &rs))
		size := (k.Params().BitSize + 7) / 8
		raw := append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...)
		return must(keys.SignatureFromRaw(alg, raw))
	case *rsa.PrivateKey:
		return must(k.Sign(rand.Reader, keys.Digest(alg, msg), &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}))
	case ed25519.PrivateKey:
		return ed25519.Sign(k, msg)
	}
	panic(alg)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// fleet is a key set of like HSMs with one key a role.
func fleet(epoch uint64, previous []byte, hsms int, roles ...keys.Algorithm) *KeySet {
	s := &KeySet{
		Mode: Production, Fleet: "backup-2026a", Namespace: "example.backup.fleet_keys.v1", Epoch: epoch, Previous: previous,
		Created: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC), Majority: hsms/2 + 1,
		Ceremony: CeremonyRef{ID: "backup-2026a-1", Plan: [32]byte(seed("plan")), Transcript: [32]byte(seed("transcript"))},
	}
	for i := range hsms {
		hsm := "hsm-" + string(rune('1'+i))
		for _, alg := range roles {
			role := "role-" + string(alg)
			s.Keys = append(s.Keys, FleetKey{HSM: hsm, Role: role, Use: alg.Use(), Algorithm: alg, SPKI: fleetKey(alg, strings.Join([]string{s.Fleet, hsm, role}, "/"))})
		}
	}
	return s
}

func parsed(s *KeySet) *KeySet { return must(ParseKeySet("fleet-keys.json", s.Encode())) }

// statementAt is 2026-11-21T10:30:00Z in milliseconds.
const statementAt = 1795257000000

func signed(name string, set *KeySet) Signed {
	s := must(NewStatement(Protobuf, set.Namespace, statementAt, set.Epoch, set.Digest()))
	key := edRaw(name)
	return Signed{Key: key, Statement: must(s.Seal(key, ed25519.Sign(edKey(name), s.Message())))}
}

func countersigned(alg keys.Algorithm, name, form string, set *KeySet, statements ...Signed) Countersignature {
	msg := must(CountersignMessage(form, set, statements))
	return Countersignature{public(alg, name), form, sign(alg, name, msg)}
}

// world is one good bundle and the trust that takes it: epoch 1 of five HSMs,
// signed by the third parties tp-1 and tp-2, countersigned by operator with
// P-256, form bound.
type world struct {
	set        *KeySet
	statements []Signed
	counter    []Countersignature
	bundle     *Bundle
	trust      *Trust
}

// aRecord is the countersignature's record of every ceremony here.
var aRecord = &Head{Hash: [32]byte(seed("countersignature")), N: 77}

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func newWorld() *world { return newWorldOf(5) }

func newWorldOf(hsms int) *world {
	w := &world{set: parsed(fleet(1, nil, hsms, keys.Ed25519))}
	w.statements = []Signed{signed("tp-1", w.set), signed("tp-2", w.set)}
	w.counter = []Countersignature{countersigned(keys.P256, "operator", FormBound, w.set, w.statements...)}
	w.bundle = must(Assemble(w.set.Raw(), w.statements, w.counter, aRecord))
	w.trust = &Trust{
		Mode: Production, Namespace: w.set.Namespace, Needed: 2,
		ThirdParties: []ThirdParty{{Name: "tp-1", Key: edRaw("tp-1")}, {Name: "tp-2", Key: edRaw("tp-2")}},
		Operators:    []Operator{{Name: "operator", Key: public(keys.P256, "operator"), Form: FormBound}},
	}
	return w
}

// assemble makes another bundle of the world's artifact.
func (w *world) assemble(statements []Signed, counter ...Countersignature) []byte {
	return encodeBundle(w.set.Raw(), statements, counter, aRecord)
}

// verify is parse and verify.
func (w *world) verify(data []byte) error {
	b, err := ParseBundle("bundle.json", data)
	if err != nil {
		return err
	}
	_, err = b.Verify(w.trust, now, nil)
	return err
}

// wantError says that err mentions text.
func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v; it should mention %q", err, text)
	}
}

// swap replaces the one place where old stands.
func swap(t testing.TB, data []byte, old, new string) []byte {
	t.Helper()
	if bytes.Count(data, []byte(old)) != 1 {
		t.Fatalf("%q stands %d times in %s", old, bytes.Count(data, []byte(old)), data)
	}
	return bytes.Replace(data, []byte(old), []byte(new), 1)
}
