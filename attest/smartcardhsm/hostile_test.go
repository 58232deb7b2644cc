package smartcardhsm

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
)

// hostile are variants of good evidence. Each is signed by the keys that its
// certificates name, unless a wrong signature is the point.
var hostile = []struct {
	name, kind string
	edit       func(r *recipe)
	want       string // of the error, or of the problem that the judgement names
}{
	{"another key's request", attesttest.SubstitutedKey, func(r *recipe) { r.made = newSigner(curves()[1], "other") }, "spki: the evidence is of another key"},
	{"a key that did not sign its own request", attesttest.SubstitutedKey, func(r *recipe) { r.signsInner = newSigner(curves()[1], "other") }, "the new key's signature over its request does not verify"},
	{"another device", attesttest.WrongIdentity, func(r *recipe) { r.names[0] = "TESTHSM000200000" }, "identity: the evidence is of device TESTHSM0002"},
	{"a request for another device", attesttest.WrongIdentity, func(r *recipe) { r.requestFor = "TESTHSM000200000" }, "names device TESTHSM000200000"},
	{"a root of the same name", attesttest.LookAlikeRoot, func(r *recipe) { r.root = newSigner(curves()[0], "look-alike") }, "has the name of the pinned"},
	{"a root's key on a curve of its own generator", attesttest.LookAlikeRoot, func(r *recipe) {
		r.rootKey = bytes.Replace(r.root.object(true), r.root.curve.gx.Bytes(), r.root.x.Bytes(), 1)
	}, "domain parameters are not those of a curve"},
	{"the issuer before the device", attesttest.ReorderedChain, func(r *recipe) { r.order = [3]int{1, 0, 2} }, "the chain is out of order"},
	{"a device that issues devices", attesttest.ReorderedChain, func(r *recipe) { r.roles[1] = 0x00 }, "or a device signed it"},
	{"another device's signature around the request", attesttest.BadSignature, func(r *recipe) { r.signsOuter = newSigner(curves()[0], "other") }, "device's signature over the request does not verify"},
	{"a certificate that its issuer did not sign", attesttest.BadSignature, func(r *recipe) { r.signsDevice = newSigner(curves()[0], "other") }, "certificate 0 (TESTHSM000100000): the signature does not verify"},
	{"a request that no device signed around, as for an imported key", attesttest.Imported, func(r *recipe) {
		r.after = func(request, chain []byte) ([]byte, []byte) {
			f, _, _ := next(request)
			inner, _, _ := next(f.value)
			return inner.whole, chain
		}
	}, "starts with 7F21, not with 67"},
	{"good evidence where the key must not be able to leave", attesttest.Exportable, nil, "extractable: not shown; sensitive: not shown; never-extractable: not shown"},
	{"no name for the key", attesttest.MissingField, func(r *recipe) { r.fields = func(f [][]byte) [][]byte { return f[:3] } }, "data object 5F20 is missing"},
	{"no role", attesttest.MissingField, func(r *recipe) {
		r.body = func(f [][]byte) [][]byte { return slices.Delete(f, 4, 5) }
	}, "has 5F25 where 7F4C belongs"},
	{"two keys", attesttest.RepeatedField, func(r *recipe) {
		r.fields = func(f [][]byte) [][]byte { return slices.Insert(f, 3, newSigner(curves()[1], "second").object(true)) }
	}, "data object 7F49 stands there twice"},
	{"bytes behind the request", attesttest.TrailingBytes, func(r *recipe) {
		r.after = func(request, chain []byte) ([]byte, []byte) { return append(request, 0), chain }
	}, "request: 1 bytes follow its end"},
	{"bytes behind the chain", attesttest.TrailingBytes, func(r *recipe) {
		r.after = func(request, chain []byte) ([]byte, []byte) { return request, append(chain, 0x30, 0) }
	}, "certificate 4: starts with 30"},
	{"a length that reaches beyond the file", attesttest.LengthBomb, func(r *recipe) {
		r.fields = func(f [][]byte) [][]byte { return append(f[:3:3], []byte{0x5f, 0x20, 0x82, 0xff, 0xff}) }
	}, "has the length 65535, but 0 bytes are there"},
	{"a length of four octets", attesttest.LengthBomb, func(r *recipe) {
		r.fields = func(f [][]byte) [][]byte { return append(f[:3:3], []byte{0x5f, 0x20, 0x84, 0xff, 0xff, 0xff, 0xff}) }
	}, "certificates need at most 2"},
	{"a length written longer than needed", attesttest.LengthBomb, func(r *recipe) {
		r.fields = func(f [][]byte) [][]byte {
			return append(f[:3:3], append([]byte{0x5f, 0x20, 0x81, 0x08}, "TESTHSM1"...))
		}
	}, "isn't written in the shortest way"},
	{"a point beside its curve", attesttest.Other, func(r *recipe) {
		k := r.made.object(true)
		k[len(k)-4] ^= 1
		r.key = k
	}, "its point is not on"},
	{"a certificate that has ended", attesttest.Other, func(r *recipe) { r.until = [6]byte{2, 6, 0, 8, 0, 1} }, "not at 2026-09-24"},
	{"an extension of the request that nobody understands", attesttest.Other, func(r *recipe) {
		r.fields = func(f [][]byte) [][]byte { return append(f, tlv(tagExtensions, tlv(0x73, tlv(6, []byte{1, 2, 3})))) }
	}, "understood: request: extension 73050603010203"},
	{"extensions without end", attesttest.LengthBomb, func(r *recipe) {
		r.fields = func(f [][]byte) [][]byte {
			return append(f, tlv(tagExtensions, bytes.Repeat(tlv(0x73, nil), 100)))
		}
	}, "more than 8 extensions"},
	{"certificates without end", attesttest.LengthBomb, func(r *recipe) {
		r.after = func(request, chain []byte) ([]byte, []byte) { return request, append(chain, chain...) }
	}, "more than 4 certificates"},
	{"another profile", attesttest.Other, func(r *recipe) {
		r.body = func(f [][]byte) [][]byte { f[0] = tlv(tagProfile, []byte{1}); return f }
	}, "profile 01; 00 is the one that is defined"},
	{"a request of another profile", attesttest.Other, func(r *recipe) {
		r.fields = func(f [][]byte) [][]byte { f[0] = tlv(tagProfile, []byte{1}); return f }
	}, "request: profile 01"},
	{"a name of other characters", attesttest.Other, func(r *recipe) { r.names[0] = "TEST\x00HSM0100000" }, "has other characters than letters and digits"},
	{"a name without a number", attesttest.Other, func(r *recipe) { r.names[0] = "TEST001" }, "has not between 8 and 16 characters"},
	{"a month that no year has", attesttest.Other, func(r *recipe) { r.until = [6]byte{3, 1, 1, 3, 0, 1} }, "a date that doesn't exist"},
	{"a date of letters", attesttest.Other, func(r *recipe) { r.until = [6]byte{3, 1, 'A', 3, 0, 1} }, "is not a date of six digits"},
	{"a date of five digits", attesttest.Other, func(r *recipe) {
		r.body = func(f [][]byte) [][]byte { f[5] = tlv(tagFrom, []byte{2, 6, 0, 1, 1}); return f }
	}, "is not a date of six digits"},
	{"a key that signs over SHA-1", attesttest.Other, func(r *recipe) {
		r.key = bytes.Replace(r.made.object(true), append(bytes.Clone(idTA), 2, 3), append(bytes.Clone(idTA), 2, 1), 1)
	}, "algorithm id-TA 2.1 isn't one that this program verifies"},
	{"a key without its curve", attesttest.Other, func(r *recipe) { r.key = r.made.object(false) }, "names no curve"},
	{"a short RSA key", attesttest.Other, func(r *recipe) {
		r.key = tlv(tagKey, tlv(6, idTA, []byte{1, 2}), tlv(0x81, bytes.Repeat([]byte{0xff}, 64)), tlv(0x82, []byte{1, 0, 1}))
	}, "isn't of 1024 to 4096 bits"},
	{"an RSA key with the exponent 2", attesttest.Other, func(r *recipe) {
		r.key = tlv(tagKey, tlv(6, idTA, []byte{1, 2}), tlv(0x81, bytes.Repeat([]byte{0xff}, 256)), tlv(0x82, []byte{2}))
	}, "its exponent 02 is not an odd number"},
	{"a certificate's extension that nobody understands", attesttest.Other, func(r *recipe) {
		r.body = func(f [][]byte) [][]byte { return append(f, tlv(tagExtensions, tlv(0x73, tlv(6, []byte{1, 2, 3})))) }
	}, "understood: certificate of TESTHSM000100000"},
}

// demand is what this format can meet.
func demand(t *testing.T) attest.Demand {
	t.Helper()
	spki, err := good().made.spki()
	if err != nil {
		t.Fatal(err)
	}
	return attest.Demand{Least: attest.Anchored, SPKI: spki, Identity: "TESTHSM0001", Local: true, Understood: true, TrustOnFirstUse: true, Vendors: []string{"CardContact"}}
}

func (r *recipe) input(t *testing.T) attest.Input {
	t.Helper()
	request, chain := r.build()
	return attest.Input{Evidence: evidence(request, chain), Anchors: pin(t, "TESTSRCA00001", &good().root.key), At: ceremony}
}

func suite(t *testing.T) attesttest.Suite {
	s := attesttest.Suite{Verifier: Verifier{}, Device: "SmartCard-HSM, Nitrokey HSM 2", Without: map[string]string{
		attesttest.GzipBomb: "nothing in the format is compressed",
		attesttest.Stale:    "the format has no room for a nonce",
	}}
	chain := file(t, "testdata/ef2f02.bin")
	for name, f := range map[string]string{"P-256": "ce03-p256", "RSA-2048": "ce04-rsa2048", "secp256k1": "ce01-secp256k1"} {
		request := file(t, "testdata/"+f+".bin")
		r, err := parseRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		s.Samples = append(s.Samples, attesttest.Sample{Name: "Nitrokey HSM 2, firmware 4.1, " + name, Level: attest.Anchored, Case: attesttest.Case{
			Input:  attest.Input{Evidence: evidence(request, chain), Anchors: shipped(t), At: ceremony},
			Demand: attest.Demand{Least: attest.Anchored, SPKI: r.spki, Identity: "DENK0404144", Local: true, Understood: true, TrustOnFirstUse: true},
		}})
	}
	slices.SortFunc(s.Samples, func(a, b attesttest.Sample) int { return strings.Compare(a.Name, b.Name) })
	twin := attesttest.Case{Input: good().input(t), Demand: demand(t)}
	for _, v := range hostile {
		r, d := good(), twin.Demand
		if v.edit != nil {
			v.edit(r)
		} else {
			d.NotExtractable, d.Sensitive, d.NeverExtractable = true, true, true
		}
		s.Hostile = append(s.Hostile, attesttest.Hostile{Kind: v.kind, Name: v.name, Want: v.want, Twin: twin, Case: attesttest.Case{Input: r.input(t), Demand: d}})
	}
	return s
}

func TestSamplesVerifyAndHostileVariantsAreRefused(t *testing.T) { attesttest.Run(t, suite(t)) }

func TestAnAnchorCountsAsLongAsItsFileSays(t *testing.T) {
	in := good().input(t)
	root := *in.Anchors.For(Format)[0]
	for end, want := range map[time.Time]string{ceremony: "", ceremony.Add(-time.Second): "is pinned until"} {
		root.NotAfter = &end
		anchors, err := attest.NewAnchors(root)
		if err != nil {
			t.Fatal(err)
		}
		in.Anchors = anchors
		c, err := attest.Check(Verifier{}, in)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && !c.Until.Equal(end) {
			t.Errorf("until %v: %+v, %v", end, c, err)
		}
	}
}

func FuzzEvidence(f *testing.F) {
	request, chain := good().build()
	f.Add(request, chain)
	f.Add(file(f, "testdata/ce04-rsa2048.bin"), file(f, "testdata/ef2f02.bin"))
	f.Add(file(f, "testdata/ce01-secp256k1.bin"), root)
	anchors := shipped(f)
	f.Fuzz(func(t *testing.T, request, chain []byte) {
		if r, err := parseRequest(request); (r == nil) == (err == nil) {
			t.Errorf("a request and an error, or neither: %v, %v", r, err)
		}
		if list, err := parseCertificates(chain); err != nil && list != nil {
			t.Errorf("certificates beside the error %v", err)
		}
		c, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(request, chain), Anchors: anchors, At: ceremony})
		if err == nil && c.Level == attest.Anchored && !bytes.Contains(file(t, "testdata/ef2f02.bin"), chain) {
			t.Errorf("another chain than the real one stands under the real root: %x", chain)
		}
	})
}
