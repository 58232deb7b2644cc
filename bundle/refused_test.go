package bundle

import (
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// TestRefusedByName holds what has to be refused, as far as one bundle or one
// device can refuse it. The third party's part is in bundle/thirdparty, a
// history's in bundle/history.
func TestRefusedByName(t *testing.T) {
	w := newRequestWorld()
	another := parsed(fleet(1, nil, 3, keys.Ed25519)) // of the same namespace and epoch
	counter := func(set *KeySet, st ...Signed) Countersignature {
		return countersigned(keys.P256, "operator", FormBound, set, st...)
	}
	relabelled := signed("tp-2", w.set)
	relabelled.Key = edRaw("tp-1") // the right signature, by the wrong party
	bad := signed("tp-2", w.set)
	broken := *bad.Statement
	broken.Signature[0] ^= 1
	broken.raw = nil
	bad.Statement = &broken
	rehearsed := fleet(1, nil, 5, keys.Ed25519)
	rehearsed.Mode, rehearsed.Namespace = Rehearsal, RehearsalPrefix+rehearsed.Namespace
	rehearsal := parsed(rehearsed)
	elsewhere := fleet(1, nil, 5, keys.Ed25519)
	elsewhere.Namespace = "another.fleet_keys.v1"
	foreign := parsed(elsewhere)
	signatureForm := countersigned(keys.P256, "operator", FormSignature, w.set, w.statements[0])

	whole := func(set *KeySet) []byte {
		st := []Signed{signed("tp-1", set), signed("tp-2", set)}
		return encodeBundle(set.Raw(), st, []Countersignature{counter(set, st...)}, aRecord)
	}
	for name, c := range map[string]struct {
		bundle []byte
		trust  func(*Trust)
		want   string
	}{
		"key outside its window": {w.bundle.Raw(), func(x *Trust) { x.ThirdParties[0].Window.CompromisedAfter = new(now.Add(-time.Hour)) }, "is short: 1 of the 2"},
		"wrong namespace":        {whole(foreign), nil, "is of namespace another.fleet_keys.v1; example.backup.fleet_keys.v1 is pinned"},
		"right signature by the wrong party": {w.assemble([]Signed{relabelled, w.statements[1]}, counter(w.set, relabelled, w.statements[1])), nil,
			"key_id is"},
		"one bad signature among good ones": {w.assemble([]Signed{w.statements[0], bad}, counter(w.set, w.statements[0], bad)), nil,
			"by third party tp-2: the signature"},
		"countersignature over another statement": {w.assemble(w.statements, counter(another, signed("tp-1", another), signed("tp-2", another))), nil,
			"countersignatures[0] by operator operator"},
		"signature form where bound is pinned": {w.assemble(w.statements[:1], signatureForm), func(x *Trust) { x.Needed = 1 }, "has form signature; bound is pinned"},
		"statement swapped between bundles": {w.assemble([]Signed{signed("tp-1", another), signed("tp-2", w.set)}, counter(w.set, w.statements...)), nil,
			"is about digest"},
		"rehearsal statement in production": {w.assemble([]Signed{signed("tp-1", rehearsal), signed("tp-2", w.set)}, counter(w.set, w.statements...)), nil,
			"is about namespace rehearsal.example"},
		"rehearsal bundle in production": {whole(rehearsal), nil, "is a rehearsal bundle"},
	} {
		t.Run(name, func(t *testing.T) {
			trust := *w.trust
			trust.ThirdParties = append([]ThirdParty{}, w.trust.ThirdParties...)
			if c.trust != nil {
				c.trust(&trust)
			}
			b, err := ParseBundle("bundle.json", c.bundle)
			if err == nil {
				_, err = b.Verify(&trust, now, nil)
			}
			wantError(t, err, c.want)
		})
	}
	for name, key := range map[string][32]byte{
		"small-order key": {1}, "mixed-order key": [32]byte(mixedOrder), "key that is no point": {2}, "key not canonical": {0xee, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "key not canonical" {
				for i := range key {
					key[i] = 0xff
				}
				key[0], key[31] = 0xee, 0x7f
			}
			trust := *w.trust
			trust.ThirdParties = []ThirdParty{{Name: "tp-1", Key: key}, w.trust.ThirdParties[1]}
			if err := trust.Check(); err == nil {
				t.Error("it can be pinned")
			}
			forged := w.statements[0]
			forged.Key = key
			if _, err := ParseBundle("b", w.assemble([]Signed{forged}, counter(w.set, forged))); err == nil {
				t.Error("it is taken in a bundle")
			}
			if _, err := keys.ParseSPKI(append([]byte{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}, key[:]...)); err == nil {
				t.Error("it is taken as a fleet's key")
			}
		})
	}
	other := another.Digest()
	seen := DeviceState{Fleet: w.set.Fleet, Epoch: 2, Digest: other, Keys: Held{2, other}, Witnessed: now}
	for name, s := range map[string]DeviceState{"replayed older epoch": seen, "equivocation": {Fleet: w.set.Fleet, Epoch: 1, Digest: other, Keys: Held{1, other}, Witnessed: now}} {
		t.Run(name, func(t *testing.T) {
			_, err := Check(w.bundle.Raw(), logged(w.bundle.Raw(), now, now), w.trust, logPolicy(t, both), &s, now, time.Hour)
			wantError(t, err, map[string]string{"replayed older epoch": "epoch 2 was seen already", "equivocation": "the signers equivocate"}[name])
		})
	}
}
