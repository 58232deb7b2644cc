package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// vector is a case of testdata/vectors: exact bytes, and what reading them says
// ("ok", or words of the error).
type vector struct {
	name, want string
	data       []byte
}

// formats are the kinds of vectors here: the part that a file has in a case, its name,
// what reads it, and the cases.
var formats = map[string]struct {
	file string
	read func(file string, data []byte) error
	list func(t *testing.T) []vector
}{
	"keyset":   {"fleet-keys.json", func(f string, d []byte) error { _, err := ParseKeySet(f, d); return err }, keySetVectors},
	"core":     {"request-core.json", func(f string, d []byte) error { _, err := ParseCore(f, d); return err }, coreVectors},
	"request":  {"request.json", func(f string, d []byte) error { _, err := ParseRequest(f, d); return err }, requestVectors},
	"response": {"response.json", func(f string, d []byte) error { _, err := ParseResponse(f, d); return err }, responseVectors},
}

// TestVectors makes every vector anew, reads it, and compares it with what lies in
// testdata/vectors: a change of any format, or of any error, shows as a changed file.
func TestVectors(t *testing.T) {
	for kind, f := range formats {
		set := testvectors.NewSet(kind)
		for _, v := range f.list(t) {
			set.Add(t, v.asCase(t, f.read(f.file, v.data)), testvectors.Part{Part: kind, Name: f.file, Data: v.data})
		}
		set.Check(t)
	}
	statements(t)
}

// asCase is the vector as a case, with what came of reading it.
func (v vector) asCase(t *testing.T, err error) testvectors.Case {
	c := testvectors.Case{Name: v.name, What: strings.ReplaceAll(v.name, "-", " "), Verdict: testvectors.Accept}
	got := "ok"
	if err != nil {
		got = strings.ReplaceAll(err.Error(), "\n", " | ")
		c.Verdict, c.Reason = testvectors.Reject, got
	}
	if v.want == "ok" && got != "ok" || !strings.Contains(got, v.want) {
		t.Errorf("%s: got %q, expected %q", v.name, got, v.want)
	}
	return c
}

func keySetVectors(t *testing.T) []vector {
	good := fleet(1, nil, 3, keys.Ed25519, keys.P256, keys.P384, keys.X25519, keys.RSA3072)
	list := []vector{{"good", "ok", good.Encode()}}
	with := func(name, want string, change func(*KeySet)) {
		s := *fleet(1, nil, 3, keys.Ed25519, keys.X25519)
		change(&s)
		list = append(list, vector{name, want, s.Encode()})
	}
	text := func(name, want, old, new string) {
		list = append(list, vector{name, want, swap(t, fleet(1, nil, 1, keys.Ed25519).Encode(), old, new)})
	}
	with("good-epoch-2", "ok", func(s *KeySet) { s.Epoch, s.Previous = 2, seed("previous") })
	with("good-rehearsal", "ok", func(s *KeySet) { s.Mode, s.Namespace = Rehearsal, "rehearsal.example.ns" })
	with("majority-all", "ok", func(s *KeySet) { s.Majority = 3 })
	with("majority-half", "majority is 1; of 3 HSMs it is at least 2 and at most 3", func(s *KeySet) { s.Majority = 1 })
	with("majority-more-than-all", "majority is 4", func(s *KeySet) { s.Majority = 4 })
	with("mode-unknown", `mode is "test"`, func(s *KeySet) { s.Mode = "test" })
	with("rehearsal-without-prefix", "namespace is \"example.backup", func(s *KeySet) { s.Mode = Rehearsal })
	with("production-with-prefix", "it begins with \"rehearsal.\" in a rehearsal and only there", func(s *KeySet) { s.Namespace = "rehearsal.example.ns" })
	with("epoch-0", "epoch is 0", func(s *KeySet) { s.Epoch = 0 })
	with("epoch-1-with-previous", "nothing comes before epoch 1", func(s *KeySet) { s.Previous = seed("previous") })
	with("epoch-2-without-previous", "previous has 0 bytes", func(s *KeySet) { s.Epoch = 2 })
	with("previous-short", "previous has 31 bytes", func(s *KeySet) { s.Epoch, s.Previous = 2, seed("previous")[:31] })
	with("no-keys", "keys is empty", func(s *KeySet) { s.Keys = nil })
	with("slot-twice", "keys[1] is for hsm hsm-1 and role role-ed25519, as is keys[0]", func(s *KeySet) { s.Keys[1].Role = s.Keys[0].Role })
	with("public-key-twice", "keys[2] has the same public key as keys[0]", func(s *KeySet) { s.Keys[2].SPKI = s.Keys[0].SPKI })
	with("role-missing", "hsm hsm-3 has no key for role role-x25519", func(s *KeySet) { s.Keys = s.Keys[:5] })
	with("algorithm-unknown", `keys[0].algorithm is "dsa"`, func(s *KeySet) { s.Keys[0].Algorithm = "dsa" })
	with("algorithm-of-another-kind", "keys[0].algorithm is x25519, but the key is of kind ed25519", func(s *KeySet) { s.Keys[0].Algorithm = keys.X25519 })
	with("good-ecdh-p256", "ok", func(s *KeySet) {
		for i := range s.Keys {
			if k := &s.Keys[i]; k.Algorithm == keys.X25519 {
				k.Algorithm, k.SPKI = keys.ECDHP256, fleetKey(keys.ECDHP256, k.HSM)
			}
		}
	})
	with("use-unknown", `keys[0].use is "wrap"; that of a key of kind ed25519 is sign`, func(s *KeySet) { s.Keys[0].Use = "wrap" })
	with("use-agree-of-a-key-that-signs", `keys[0].use is "agree"; that of a key of kind ed25519 is sign`, func(s *KeySet) { s.Keys[0].Use = UseAgree })
	with("use-sign-of-a-key-that-agrees", `keys[1].use is "sign"; that of a key of kind x25519 is agree`, func(s *KeySet) { s.Keys[1].Use = UseSign })
	with("use-differs-in-a-role", "the key of hsm hsm-3 for role role-x25519 is there to sign, that of another HSM to agree", func(s *KeySet) {
		s.Keys[5].Use, s.Keys[5].Algorithm, s.Keys[5].SPKI = UseSign, keys.P256, fleetKey(keys.P256, "hsm-3")
	})
	text("use-missing", "use", `"use": "sign",`, "")
	text("use-empty", "use", `"use": "sign"`, `"use": ""`)
	with("key-small-order", "small order", func(s *KeySet) { s.Keys[0].SPKI = withPoint(spki(keys.Ed25519, "x"), smallOrder) })
	with("key-mixed-order", "torsion part", func(s *KeySet) { s.Keys[0].SPKI = withPoint(spki(keys.Ed25519, "x"), mixedOrder) })
	with("good-ml-dsa", "ok", func(s *KeySet) { // of each parameter set, an HSM each
		for i, alg := range []keys.Algorithm{keys.MLDSA44, keys.MLDSA65, keys.MLDSA87} {
			s.Keys[2*i].Algorithm, s.Keys[2*i].SPKI = alg, spki(alg, s.Keys[2*i].HSM)
		}
	})
	with("ml-dsa-key-of-zeros", "is a key of ml-dsa-44 with a t1 of small numbers: anyone can sign for it", func(s *KeySet) {
		s.Keys[0].Algorithm, s.Keys[0].SPKI = keys.MLDSA44, spki(keys.MLDSA44, "x")
		clear(s.Keys[0].SPKI[22+32:])
	})
	with("ml-dsa-key-of-ones", "is a key of ml-dsa-44 with a t1 of small numbers: anyone can sign for it", func(s *KeySet) {
		s.Keys[0].Algorithm, s.Keys[0].SPKI = keys.MLDSA44, spki(keys.MLDSA44, "x")
		copy(s.Keys[0].SPKI[22:], bytes.Repeat([]byte{0xff}, 1312)) // 1023 everywhere, which is -1
	})
	with("ml-dsa-key-of-another-set", "keys[0].algorithm is ml-dsa-44, but the key is of kind ml-dsa-65", func(s *KeySet) { s.Keys[0].Algorithm, s.Keys[0].SPKI = keys.MLDSA44, spki(keys.MLDSA65, "x") })
	with("ml-dsa-key-cut", "has 1311 bytes, a key of ml-dsa-44 has 1312", func(s *KeySet) {
		s.Keys[0].Algorithm, s.Keys[0].SPKI = keys.MLDSA44, spki(keys.MLDSA44, "x")[:1333]
	})
	with("key-no-spki", "is no DER public key", func(s *KeySet) { s.Keys[0].SPKI = s.Keys[0].SPKI[1:] })
	with("x25519-low-order", "low order", func(s *KeySet) { s.Keys[1].SPKI = withPoint(s.Keys[1].SPKI, make([]byte, 32)) })
	with("hsm-no-token", "keys[0].hsm", func(s *KeySet) { s.Keys[0].HSM = "hsm 1" })
	with("two-faults", "epoch is 0; the first is 1 | ", func(s *KeySet) { s.Epoch, s.Majority = 0, 0 })
	text("format-other", `format is "fleetctl fleet-keys v2", not "fleetctl fleet-keys v1"`, "fleet-keys v1", "fleet-keys v2")
	text("format-not-first", `does not begin with the field "format"`, "{\n  \"format\": \"fleetctl fleet-keys v1\",\n  \"mode\": \"production\",", "{\n  \"mode\": \"production\",\n  \"format\": \"fleetctl fleet-keys v1\",")
	text("previous-zeros", "nothing comes before epoch 1", `"previous": ""`, `"previous": "`+strings.Repeat("0", 64)+`"`)
	with("previous-zeros-later", "32 zero bytes", func(s *KeySet) { s.Epoch, s.Previous = 2, make([]byte, 32) })
	text("created-with-offset", "created", "10:00:00Z", "10:00:00+00:00")
	text("plan-upper-case", "ceremony.plan", `"plan": "`, `"plan": "A`)
	list = append(list,
		vector{"two-line-feeds", "at most one line feed after it", append(good.Encode(), '\n')},
		vector{"space-before", "at most one line feed after it", append([]byte(" "), good.Encode()...)},
		vector{"no-line-feed", "ok", bytes.TrimSpace(good.Encode())},
		vector{"empty", "ends in the middle", []byte{}}, vector{"list", "is not one JSON object", []byte("[]")}, vector{"null", "is not one JSON object", []byte("null\n")})
	return list
}

// smallOrder is the point of order 2; mixedOrder is a good key plus that point:
// (x,y) + (0,-1) = (-x,-y).
var smallOrder = must(hex.DecodeString("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"))

var mixedOrder = func() []byte {
	key := edRaw("tp-1")
	return plusTorsion(key[:])
}()

// plusTorsion adds the point of order 2.
func plusTorsion(point []byte) []byte {
	out := make([]byte, 32)
	borrow := 0
	for i := range out { // p - y, little-endian; the top bit is x's sign, which turns around
		p, y := int(smallOrder[i]), int(point[i])
		if i == 0 {
			p++ // smallOrder is p-1
		}
		if i == 31 {
			y &= 0x7f
		}
		v := p - y - borrow
		borrow = 0
		if v < 0 {
			v, borrow = v+256, 1
		}
		out[i] = byte(v)
	}
	out[31] |= ^point[31] & 0x80
	return out
}

func withPoint(spki, raw []byte) []byte { return append(bytes.Clone(spki[:len(spki)-32]), raw...) }

func statementVectors(t *testing.T) []vector {
	good := signed("tp-1", newWorld().set).Statement.Raw()
	suite2 := must(NewStatement(Bincode, "example.ns", statementAt, 3, [32]byte(seed("digest"))))
	key := edRaw("tp-1")
	return []vector{
		{"good", "ok", good},
		{"good-bincode", "ok", suite2.Encode([64]byte(ed25519.Sign(edKey("tp-1"), suite2.Message())))},
		{"good-without-message", "ok", swap(t, good, `,"serialized_message":"`+hex.EncodeToString(signed("tp-1", newWorld().set).Statement.Message())+`"`, "")},
		{"good-message-null", "ok", swap(t, good, `"serialized_message":"`+hex.EncodeToString(signed("tp-1", newWorld().set).Statement.Message())+`"`, `"serialized_message":null`)},
		{"good-without-a-hint", "ok", swap(t, good, fmt.Sprintf(`"key_id":%d,`, key[31]), "")},
		{"good-ciphersuite-alone", "ok", swap(t, good, `"version":1,`, "")},
		{"good-white-space", "ok", swap(t, good, `"version":1,`, "\"version\" : 1 ,\n")},
		{"message-of-another-epoch", "serialized_message is not what the other fields give", swap(t, good, `"epoch":1`, `"epoch":2`)},
		{"neither-version-nor-ciphersuite", "both missing", swap(t, good, `"version":1,"ciphersuite":1,`, "")},
		{"version-disagrees", "version is 2 but ciphersuite is 1", swap(t, good, `"version":1`, `"version":2`)},
		{"ciphersuite-3", "ciphersuite", swap(t, good, `"version":1,"ciphersuite":1,`, `"version":3,"ciphersuite":3,`)},
		{"trailing", "has more after its end", append(bytes.Clone(good), "{}"...)},
		{"epoch-twice", `has "epoch" twice`, swap(t, good, `"epoch":1`, `"epoch":1,"epoch":1`)},
		{"epoch-0", "epoch", swap(t, good, `"epoch":1`, `"epoch":0`)},
		{"epoch-of-54-bits", "epoch", swap(t, good, `"epoch":1`, `"epoch":9007199254740992`)},
		{"epoch-as-a-float", "epoch", swap(t, good, `"epoch":1`, `"epoch":1.0`)},
		{"timestamp-of-54-bits", "timestamp", swap(t, good, fmt.Sprintf(`"timestamp":%d`, uint64(statementAt)), `"timestamp":9007199254740992`)},
		{"namespace-no-token", "namespace", swap(t, good, `"namespace":"example.backup`, `"namespace":"example backup`)},
		{"member-unknown", "is not a field of this format", swap(t, good, `"version":1`, `"note":"x","version":1`)},
		{"member-in-another-case", "Epoch", swap(t, good, `"epoch":1`, `"Epoch":1`)},
		{"digest-in-upper-case", "digest", upper(t, good, "digest")},
		{"signature-of-63-bytes", "signature", shorter(t, good, "signature")},
		{"key-id-256", "key_id", swap(t, good, fmt.Sprintf(`"key_id":%d`, key[31]), `"key_id":256`)},
		{"half-a-surrogate", "surrogate", swap(t, good, `"namespace":"`, `"namespace":"\ud800`)},
		{"byte-order-mark", "", append([]byte("\xef\xbb\xbf"), good...)},
		{"too-large", "4097 bytes", append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxStatement+1-len(good))...)},
	}
}

// shorter leaves the first byte of a member's hex out.
func shorter(t *testing.T, data []byte, member string) []byte {
	_, rest, _ := strings.Cut(string(data), `"`+member+`":"`)
	return swap(t, data, `"`+member+`":"`+rest[:2], `"`+member+`":"`)
}

// upper writes the hex of a member in upper case.
func upper(t *testing.T, data []byte, member string) []byte {
	_, rest, _ := strings.Cut(string(data), `"`+member+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return swap(t, data, `"`+member+`":"`+value, `"`+member+`":"`+strings.ToUpper(value))
}

func bundleVectors(t *testing.T) []vector {
	w := newWorld()
	list := []vector{
		{"good", "ok", w.bundle.Raw()},
		{"good-signature-form", "ok", w.assemble(w.statements[:1], countersigned(keys.P384, "operator", FormSignature, w.set, w.statements[0]))},
		{"good-nobody-signed", "ok", w.assemble(nil)},
	}
	raw := func(name, want string, change func(*bundleFile)) {
		var f bundleFile
		if err := strict.DecodeJSON(name, w.bundle.Raw(), MaxBundle, &f); err != nil {
			t.Fatal(err)
		}
		change(&f)
		list = append(list, vector{name, want, strict.EncodeJSON(&f)})
	}
	other := func(change func(*KeySet)) signedFile {
		s := *w.set
		change(&s)
		s.raw = nil
		x := signed("tp-1", &s)
		return signedFile{Key: x.Key, JSON: x.Statement.Raw()}
	}
	first := slices.IndexFunc(w.bundle.Statements, func(s Signed) bool { return s.Key == edRaw("tp-1") })
	raw("unsorted", "statements[1].key comes before", func(f *bundleFile) { slices.Reverse(f.Statements) })
	raw("statement-twice", "statements[1].key is that of the statement before", func(f *bundleFile) { f.Statements[1] = f.Statements[0] })
	raw("other-namespace", "is about namespace", func(f *bundleFile) { f.Statements[first] = other(func(s *KeySet) { s.Namespace = "example.other" }) })
	raw("other-epoch", "is about epoch 2, the artifact is epoch 1", func(f *bundleFile) { f.Statements[first] = other(func(s *KeySet) { s.Epoch = 2 }) })
	raw("other-digest", "is about digest", func(f *bundleFile) { f.Statements[first] = other(func(s *KeySet) { s.Majority = 5 }) })
	raw("key-id-of-another-key", "key_id is", func(f *bundleFile) {
		hint := fmt.Sprintf(`"key_id":%d,`, f.Statements[0].Key[31])
		f.Statements[0].JSON = swap(t, f.Statements[0].JSON, hint, `"key_id":1,`)
	})
	raw("statement-key-small-order", "statements[0]: key is an Ed25519 key of small order", func(f *bundleFile) { f.Statements[0].Key = [32]byte{1} })
	raw("statement-key-mixed-order", "torsion part", func(f *bundleFile) { f.Statements[0].Key = [32]byte(mixedOrder) })
	raw("statement-malformed", "statements[0].json:1", func(f *bundleFile) { f.Statements[0].JSON = f.Statements[0].JSON[1:] })
	raw("artifact-malformed", "artifact:1", func(f *bundleFile) { f.Artifact = []byte("{}") })
	raw("form-unknown", `form is "both"`, func(f *bundleFile) { f.Countersignatures[0].Form = "both" })
	raw("form-signature-of-two", "exactly one statement; there are 2", func(f *bundleFile) { f.Countersignatures[0].Form = FormSignature })
	raw("countersigned-twice", "countersignatures[1].key has countersigned already", func(f *bundleFile) { f.Countersignatures = append(f.Countersignatures, f.Countersignatures[0]) })
	raw("countersigner-x25519", "which can't sign", func(f *bundleFile) { f.Countersignatures[0].Key = spki(keys.X25519, "operator") })
	raw("countersigner-no-key", "countersignatures[0].key is no DER", func(f *bundleFile) { f.Countersignatures[0].Key = []byte("key") })
	raw("countersignature-too-long", "has 73 bytes", func(f *bundleFile) { f.Countersignatures[0].Signature = make([]byte, 73) })
	pq := mldsaKey(keys.MLDSA44, "tp-1 pq")
	with := added(w.statements[0], pq, keys.ForThirdParty).Addition.file()
	raw("good-addition", "ok", func(f *bundleFile) { f.Statements[0].Addition = with })
	raw("addition-by-a-classical-key", "a third party adds a signature of ML-DSA", func(f *bundleFile) {
		f.Statements[0].Addition = &additionFile{spki(keys.P256, "tp-1 pq"), with.Signature}
	})
	raw("addition-too-short", "addition's signature has 2419 bytes; one of ml-dsa-44 has 2420", func(f *bundleFile) {
		f.Statements[0].Addition = &additionFile{with.Key, with.Signature[1:]}
	})
	raw("addition-key-twice", "statements[1].addition has the key of another statement's", func(f *bundleFile) {
		f.Statements[0].Addition, f.Statements[1].Addition = with, with
	})
	raw("transcript-missing", "transcript is missing", func(f *bundleFile) { f.Transcript = nil })
	raw("transcript-record-zero", "transcript names no record", func(f *bundleFile) { f.Transcript = &Head{Hash: aRecord.Hash} })
	raw("transcript-without-a-hash", "transcript names no record", func(f *bundleFile) { f.Transcript = &Head{N: 1} })
	raw("too-large", "65536 bytes", func(f *bundleFile) {})
	big := &list[len(list)-1]
	big.data = swap(t, big.data, "{\n  \"format\"", "{"+strings.Repeat(" ", MaxBundle+1-len(big.data))+"\n  \"format\"")
	list = append(list, vector{"largest", "ok", swap(t, big.data, "{ ", "{")})
	return list
}

func verifyVectors(t *testing.T) []vector {
	w := newWorld()
	rehearsal := fleet(1, nil, 5, keys.Ed25519)
	rehearsal.Mode, rehearsal.Namespace = Rehearsal, RehearsalPrefix+rehearsal.Namespace
	elsewhere := fleet(1, nil, 5, keys.Ed25519)
	elsewhere.Namespace = "example.elsewhere"
	whole := func(set *KeySet) []byte {
		st := []Signed{signed("tp-1", set), signed("tp-2", set)}
		return encodeBundle(set.Raw(), st, []Countersignature{countersigned(keys.P256, "operator", FormBound, set, st...)}, aRecord)
	}
	forged := func(s Signed) Signed { // signed by somebody else
		st := *s.Statement
		st.raw, st.Signature = nil, [64]byte(ed25519.Sign(edKey("forger"), st.Message()))
		return Signed{Key: s.Key, Statement: &st}
	}
	three := append(slices.Clone(w.statements), signed("tp-3", w.set))
	bad := []Signed{w.statements[0], forged(w.statements[1])}
	one := w.statements[:1]
	counter := w.counter[0]
	return []vector{
		{"good", "ok", w.bundle.Raw()},
		{"good-with-a-key-not-pinned", "ok", w.assemble(three, countersigned(keys.P256, "operator", FormBound, w.set, three...))},
		{"good-with-a-forgery-by-a-key-not-pinned", "ok", w.assemble(w.statements, counter, Countersignature{public(keys.P384, "stranger"), FormBound, counter.Signature})},
		{"one-bad-among-good", "by third party tp-2: the signature does not verify", w.assemble(bad, countersigned(keys.P256, "operator", FormBound, w.set, bad...))},
		{"countersignature-over-other-statements", "by operator operator: the signature does not verify", w.assemble(w.statements, countersigned(keys.P256, "operator", FormBound, w.set, one...))},
		{"countersignature-over-another-epoch", "by operator operator: the signature does not verify", w.assemble(w.statements, countersigned(keys.P256, "operator", FormBound, parsed(fleet(2, seed("previous"), 5, keys.Ed25519)), w.statements...))},
		{"countersignature-by-another-key", "by operator operator: the signature does not verify", w.assemble(w.statements, Countersignature{counter.Key, FormBound, sign(keys.P256, "forger", CountersignText(w.set, w.statements))})},
		{"countersignature-in-another-form", "has form signature; bound is pinned", w.assemble(one, countersigned(keys.P256, "operator", FormSignature, w.set, one...))},
		{"statement-missing", "1 of the 2 pinned third parties needed have signed", w.assemble(one, countersigned(keys.P256, "operator", FormBound, w.set, one...))},
		{"not-countersigned", "no pinned operator has countersigned", w.assemble(w.statements)},
		{"countersigned-by-a-stranger", "no pinned operator has countersigned", w.assemble(w.statements, countersigned(keys.P256, "stranger", FormBound, w.set, w.statements...))},
		{"nobody-signed", "0 of the 2 pinned third parties needed have signed; no pinned operator has countersigned", w.assemble(nil)},
		{"rehearsal", "is a rehearsal bundle (fleet backup-2026a, namespace rehearsal.example.backup.fleet_keys.v1); a production one is wanted", whole(parsed(rehearsal))},
		{"other-namespace", "is of namespace example.elsewhere; example.backup.fleet_keys.v1 is pinned", whole(parsed(elsewhere))},
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
