package nshield

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
)

func sample(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/key_pkcs11_test2.partial.att")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shipped are the anchors that come with the program.
func shipped(t testing.TB) *attest.Anchors {
	t.Helper()
	a, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEntrustsExampleVerifiesAndSaysWhatItDoesNotShow(t *testing.T) {
	in := attest.Input{Evidence: evidence(sample(t)), Anchors: shipped(t), At: attesttest.At}
	c, err := attest.Check(Verifier{}, in)
	if err != nil {
		t.Fatal(err)
	}
	if c.Platform.Identity != "8938-1075-88BB" || c.Key.Local != attest.True || c.Key.Sensitive != attest.True || !slices.Equal(c.Quirks, []string{attest.QuirkFieldUpgrade}) || len(c.Unknown) != 0 {
		t.Errorf("got %+v", c)
	}
	// The example has no world binding, and its key is written down under a module key.
	if c.Key.Extractable != attest.NotShown || !slices.Contains(c.Details, attest.Detail{Name: "world binding", Value: "not given"}) {
		t.Errorf("got %+v", c)
	}
	in.Anchors = nil
	if c, err := attest.Check(Verifier{}, in); err != nil || c.Level != attest.VendorSigned || !strings.Contains(c.NoAnchor, "KWARN-1 is not pinned") {
		t.Errorf("without an anchor: %+v, %v", c, err)
	}
}

func TestTheKeyHashIsNCores(t *testing.T) {
	// Of the documented example: the public key and the hash that its module signed.
	b, err := parseBundle(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	h, err := (&reader{in: b.data["pubkeydata"]}).publicKey().hash()
	if got := hex.EncodeToString(h[:]); err != nil || got != "523bbe0a73105e86757d83c75785e3dd76699da0" {
		t.Errorf("got %s, %v", got, err)
	}
}

func encode(b []byte) string { return base64.URLEncoding.EncodeToString(b) }

func groups(list ...[]byte) func(*recipe) { return func(r *recipe) { r.groups = list } }

// certified puts a group under a key's certificate.
func certified(group []byte, by []byte) []byte {
	g := bytes.Clone(group)
	g[0] |= groupCertifier
	return append(g, by...)
}

var kept = "extractable: true, and false is demanded; never-extractable: false, and true is demanded"

func hostile(t *testing.T, m *module) []variant {
	nso := hashOf(t, m.knso)
	return []variant{
		{"another key", attesttest.SubstitutedKey, func(r *recipe) { r.key, r.hka = m.other, m.other }, "spki: the evidence is of another key"},
		{"a public key that was not certified", attesttest.SubstitutedKey, func(r *recipe) { r.key = m.other }, "it is of a key with the hash"},
		{"another module", attesttest.WrongIdentity, func(r *recipe) { r.esn, r.stateESN = "9999-2222-3333", "9999-2222-3333" }, "identity: the evidence is of device 9999-2222-3333"},
		{"another module's state", attesttest.WrongIdentity, func(r *recipe) { r.stateESN = "9999-2222-3333" }, "it is module 9999-2222-3333's"},
		{"a root of the same name", attesttest.LookAlikeRoot, func(r *recipe) { r.signsFirst = m.other521 }, "warrant: certificate 1 (Delegation): the signature does not verify"},
		{"the module before the delegation", attesttest.ReorderedChain, func(r *recipe) { r.swap, r.signsLast, r.signsFirst = true, m.root, m.delegate }, "the chain is out of order"},
		{"a module that delegates", attesttest.ReorderedChain, func(r *recipe) { r.kinds = [2]string{"ModuleInformation", "ModuleInformation"} }, "it is not a delegation"},
		{"another key's signature over the module's state", attesttest.BadSignature, func(r *recipe) { r.signsState = m.other521 }, "module state certificate: the signature does not verify"},
		{"another key's signature over the key", attesttest.BadSignature, func(r *recipe) { r.signsKey = m.other }, "key generation certificate: the signature does not verify"},
		{"a world that its officer did not sign", attesttest.BadSignature, func(r *recipe) { r.signsWorld = m.other }, "world binding: the signature does not verify"},
		{"another officer's world", attesttest.BadSignature, func(r *recipe) {
			r.members = func(x map[string]string) { x["knsopub"] = encode(public(m.other)) }
		}, "knsopub is not the key of the module's security officer"},
		{"a warrant that the root's delegate did not sign", attesttest.BadSignature, func(r *recipe) { r.signsLast = m.other521 }, "warrant: certificate 2 (ModuleInformation): the signature does not verify"},
		{"a state certificate where a generation certificate belongs, as for an imported key", attesttest.Imported, func(r *recipe) {
			r.members = func(x map[string]string) { x["kcmsg"], x["kcsig"] = x["modstatemsg"], x["modstatesig"] }
			r.kml = m.klf2
		}, "it is of type 4"},
		{"a key that may be read", attesttest.Exportable, groups(permissions(0x1004)), "sensitive: false; extractable: true; never-extractable: false"},
		{"a list that may be widened", attesttest.Exportable, groups(permissions(0x1040)), "sensitive: false; extractable: true; never-extractable: false"},
		{"a key in an archive", attesttest.Exportable, groups(words(0, 0, 1, actArchive, 0, 0)), kept},
		{"a key that the Administrator Card Set recovers", attesttest.Exportable, groups(certified(working(blobKmOnly|blobKm, hkm), nso)), kept},
		{"a key for other keys", attesttest.Exportable, groups(permissions(0x1400)), "the ACL allows UseAsBlobKey"},
		{"a blob under the module key that everybody knows", attesttest.Exportable, groups(working(blobKmOnly|blobKm, wellKnown[:])), "everybody knows"},
		{"a blob under another world's module key", attesttest.Exportable, groups(working(blobKmOnly|blobKm, hkmc)), "which is not the world's"},
		{"a blob under any module key", attesttest.Exportable, groups(working(blobKmOnly, nil)), "under any module key"},
		{"a blob under nothing", attesttest.Exportable, groups(working(blobKm, hkm)), "under neither a module key nor a token"},
		{"a blob under a token alone", attesttest.Exportable, groups(working(blobKm|blobKt|blobToken|blobNullKm, hkm)), "a token without a module key"},
		{"a derivation that isn't known", attesttest.Exportable, groups(words(0, 0, 1, actDerive, 0, 0, 12, 0)), "derivation by mechanism 12"},
		{"no world binding", attesttest.MissingField, func(r *recipe) {
			r.members = func(x map[string]string) { delete(x, "CertKMaKMCbKNSO") }
		}, "extractable: not shown; never-extractable: not shown"},
		{"no warrant", attesttest.MissingField, func(r *recipe) {
			r.members = func(x map[string]string) { delete(x, "warrant") }
		}, "warrant is missing"},
		{"a state without module keys", attesttest.MissingField, func(r *recipe) {
			r.attributes = func(a [][]byte) [][]byte { return a[:3] }
		}, "attribute 6 is missing"},
		{"two serial numbers in the state", attesttest.RepeatedField, func(r *recipe) {
			r.attributes = func(a [][]byte) [][]byte { return append(a, a[0]) }
		}, "attribute 2 stands there twice"},
		{"two warrants", attesttest.RepeatedField, func(r *recipe) {
			r.text = func(s string) string { return strings.Replace(s, "{", `{"warrant":"kA==",`, 1) }
		}, "warrant"},
		{"bytes behind the generation certificate", attesttest.TrailingBytes, func(r *recipe) { r.behind["kcmsg"] = []byte{0} }, "key generation certificate: 1 bytes follow its end"},
		{"bytes behind the state certificate", attesttest.TrailingBytes, func(r *recipe) { r.behind["modstatemsg"] = []byte{0} }, "module state certificate: 1 bytes follow its end"},
		{"bytes behind the warrant", attesttest.TrailingBytes, func(r *recipe) { r.behind["warrant"] = []byte{0} }, "warrant: 1 bytes follow its end"},
		{"bytes behind the public key", attesttest.TrailingBytes, func(r *recipe) { r.behind["pubkeydata"] = []byte{0, 0, 0, 0} }, "pubkeydata: 4 bytes follow its end"},
		{"bytes behind a signature", attesttest.TrailingBytes, func(r *recipe) { r.behind["kcsig"] = []byte{0} }, "key generation certificate: 1 bytes follow its end"},
		{"four thousand million permission groups", attesttest.LengthBomb, func(r *recipe) {
			r.groups = [][]byte{words(0, 0, 0xffffffff)}
		}, "4294967295 actions"},
		{"lists inside lists", attesttest.LengthBomb, func(r *recipe) {
			r.members = func(x map[string]string) { x["warrant"] = encode(bytes.Repeat([]byte{0x91}, 20<<9)) }
		}, "more than 8 inside each other"},
		{"lists beside lists", attesttest.LengthBomb, func(r *recipe) {
			r.members = func(x map[string]string) { x["warrant"] = encode(bytes.Repeat([]byte{0x9f}, 20<<9)) }
		}, "inside each other"},
		{"an action that isn't known", attesttest.Other, groups(words(0, 0, 1, 77, 0)), "an action of the kind 77, which isn't understood"},
		{"a group's flag that isn't known", attesttest.Other, groups(words(0x10, 0, 1, actOp, 0x1000)), "flags 10, which aren't understood"},
		{"an operation that isn't known", attesttest.Other, groups(permissions(0x11000)), "operations 10000, which aren't understood"},
		{"a use limit that isn't known", attesttest.Other, groups(words(0, 1, 9, 0, 1, actOp, 0x1000)), "use limit of the kind 9"},
		{"an attribute of the module that isn't known", attesttest.Other, func(r *recipe) {
			r.attributes = func(a [][]byte) [][]byte { return append(a, words(99, 0)) }
		}, "attribute 99, which isn't understood"},
		{"a key of another kind than the one generated", attesttest.Other, func(r *recipe) { r.genKind = 40 }, "a key of the kind 40 was generated"},
		{"a member of the bundle that nobody knows", attesttest.Other, func(r *recipe) {
			r.members = func(x map[string]string) { x["exportable"] = "AA==" }
		}, "understood: bundle: exportable"},
		{"a blob under a token of any kind", attesttest.Exportable, groups(working(blobKm|blobKt, hkm)), "under a token of any kind"},
		{"a blob's flag that isn't known", attesttest.Other, groups(words(0, 0, 1, actBlob, 0x80)), "a blob with the flags 80"},
		{"a blob's file with a flag that isn't known", attesttest.Other, groups(append(append(words(0, 0, 1, actBlob, blobKmOnly|blobKm|blobFile), hkm...), words(8)...)), "a blob's file with the flags 8"},
		{"an archive's flag that isn't known", attesttest.Other, groups(words(0, 0, 1, actArchive, 4, 0)), "an archive with the flags 4"},
		{"a derivation with parameters", attesttest.Other, groups(words(0, 0, 1, actDerive, 1, 0, publicHalf, 0)), "a derivation with parameters"},
		{"a group under a hash that isn't read", attesttest.Other, groups(append(words(groupCertLong, 0, 0, 99), make([]byte, 24)...)), "a key's hash by mechanism 99"},
		{"another curve than the public key's", attesttest.Other, func(r *recipe) { r.genCurve = curveP521 }, "a key on curve 6 was generated"},
		{"a warrant of another root", attesttest.WrongIdentity, func(r *recipe) {
			r.members = func(x map[string]string) { x["root"] = "KWARN-2" }
		}, `the bundle names the root "KWARN-2", but its warrant names "KWARN-1"`},
		{"two world bindings", attesttest.RepeatedField, func(r *recipe) {
			r.members = func(x map[string]string) { x["CertKMaKMCaKFIPSbKNSO"] = x["CertKMaKMCbKNSO"] }
		}, "two certificates, of which a world has one"},
		{"a world binding without its module key", attesttest.MissingField, func(r *recipe) {
			r.members = func(x map[string]string) { delete(x, "hkm") }
		}, "world binding: hkm is missing"},
		{"a world's module key that the module does not have", attesttest.Other, func(r *recipe) {
			r.attributes = func(a [][]byte) [][]byte {
				a[3] = append(append(words(attrKMs, 1), wellKnown[:]...), words(0, 0)...)
				return a
			}
		}, "hkm is not one of the module's keys"},
		{"a suite's name that ends early", attesttest.Other, func(r *recipe) {
			r.members = func(x map[string]string) { x["ciphersuite"] += "\x00" }
		}, "is not a name"},
		{"a member that is not base64url", attesttest.Other, func(r *recipe) {
			r.members = func(x map[string]string) { x["kcsig"] += "\n" }
		}, "kcsig is not base64url"},
		{"a delegation with further words", attesttest.Other, func(r *recipe) { r.delegation = [][]byte{sym("Until"), str("2030")} }, "it has other fields than a key and its mechanism"},
		{"a module's certificate with further words", attesttest.Other, func(r *recipe) { r.information = [][]byte{sym("Revoked"), {1}} }, "understood: warrant: Revoked"},
		{"a module's certificate with two serial numbers", attesttest.RepeatedField, func(r *recipe) {
			r.information = [][]byte{sym("ElectronicSerialNumber"), str("1111-2222-3333")}
		}, `"ElectronicSerialNumber" stands there twice`},
		{"a warrant given to the module after it was sold", attesttest.Other, func(r *recipe) { r.kinds[1] = "FieldUpgradeModuleInformation" }, "field-upgrade-warrant"},
		{"a card's certificate", attesttest.Other, func(r *recipe) { r.kinds[1] = "SmartcardInformation" }, "it stands last, but is not a module's"},
		{"a mechanism of another hash", attesttest.Other, func(r *recipe) { r.mech = "SHA1" }, "another mechanism than ECDSA over SHA-512"},
		{"a state with another key for warrants", attesttest.Other, func(r *recipe) {
			r.attributes = func(a [][]byte) [][]byte {
				return append(a, append(append(append(words(attrKLF2), make([]byte, 20)...), public(m.other521)...), words(mechECDSA)...))
			}
		}, "its KLF2 is not the warrant's"},
	}
}

type variant struct {
	name, kind string
	edit       func(*recipe)
	want       string
}

func TestSamplesVerifyAndHostileVariantsAreRefused(t *testing.T) {
	s := attesttest.Suite{Verifier: Verifier{}, Device: "Entrust nShield", Without: map[string]string{
		attesttest.GzipBomb: "nothing in the format is compressed",
		attesttest.Stale:    "the format has no room for a nonce",
	}}
	b, err := parseBundle(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	spki, err := (&reader{in: b.data["pubkeydata"]}).publicKey().spki()
	if err != nil {
		t.Fatal(err)
	}
	s.Samples = []attesttest.Sample{{Name: "Entrust's documented example, softcard, P-256, without its world binding", Level: attest.Anchored, Case: attesttest.Case{
		Input:  attest.Input{Evidence: evidence(sample(t)), Anchors: shipped(t), At: attesttest.At},
		Demand: attest.Demand{Least: attest.Anchored, SPKI: spki, Identity: "8938-1075-88BB", Local: true, Sensitive: true, Understood: true, TrustOnFirstUse: true, Tolerates: []string{attest.QuirkFieldUpgrade}},
	}}}
	m := newModule(t)
	demand := attesttest.Kept(attest.Anchored, attesttest.SPKI(t, m.made.Public().(*ecdsa.PublicKey)), "1111-2222-3333")
	demand.Understood = true
	build := func(r *recipe) attesttest.Case {
		return attesttest.Case{Input: attest.Input{Evidence: r.build(t), Anchors: m.anchors(t), At: attesttest.At}, Demand: demand}
	}
	twin := build(good(m))
	for _, v := range hostile(t, m) {
		one := *m // an edit may change the module's keys
		r := good(&one)
		v.edit(r)
		s.Hostile = append(s.Hostile, attesttest.Hostile{Kind: v.kind, Name: v.name, Want: v.want, Case: build(r), Twin: twin})
	}
	attesttest.Run(t, s)
}

func TestListsThatAreUnderstoodAreTaken(t *testing.T) {
	m := newModule(t)
	nso, other := hashOf(t, m.knso), hashOf(t, m.other)
	serial := append(words(groupSerial, 0, 1, actOp, 0x1000), text("1111-2222-3333")...)
	file := append(append(words(0, 0, 1, actBlob, blobKmOnly|blobKm|blobFile), hkm...), append(words(3, 1), make([]byte, 20)...)...)
	limits := append(words(0, 2, 3, 60, 6), append(make([]byte, 20), words(5, 1, actOp, 0x1000)...)...)
	mech := append(append(words(groupCertMech, 0, 1, actOp, 0x1000), other...), words(0)...)
	long := append(append(words(groupCertLong, 0, 1, actOp, 0x1000, mechSHA1), other...), words(0)...)
	for name, c := range map[string]struct {
		groups     [][]byte
		leaves     attest.Answer
		protection string
	}{
		"a key that is never written down":   {[][]byte{permissions(0x1000)}, attest.False, "never: it ends with the module's power"},
		"a group for one module":             {[][]byte{serial}, attest.False, "never: it ends with the module's power"},
		"a blob with its file":               {[][]byte{file}, attest.False, "under the world's module key, with the protection of: module; every module of the world can use it"},
		"use limits":                         {[][]byte{limits}, attest.False, "never: it ends with the module's power"},
		"the public half derived":            {[][]byte{words(0, 0, 1, actDerive2, 0, 0, publicHalf, 0)}, attest.False, "never: it ends with the module's power"},
		"another key's certificate":          {[][]byte{mech, long}, attest.False, "never: it ends with the module's power"},
		"the security officer's certificate": {[][]byte{certified(permissions(0x1000), nso)}, attest.True, "never: it ends with the module's power"},
		"an archive with a file and a key":   {[][]byte{append(append(words(0, 0, 1, actArchive, 3, 0), other...), words(0)...)}, attest.True, "never: it ends with the module's power"},
		"a softcard's blob and a card set's": {[][]byte{working(blobKm|blobKt|blobToken, hkm)}, attest.False, "under the world's module key, with the protection of: card set; every module of the world can use it"},
	} {
		r := good(m)
		r.groups = c.groups
		got, err := attest.Check(Verifier{}, attest.Input{Evidence: r.build(t), Anchors: m.anchors(t), At: attesttest.At})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Key.Extractable != c.leaves || !slices.Contains(got.Details, attest.Detail{Name: "written down", Value: c.protection}) {
			t.Errorf("%s: extractable %v, details %v", name, got.Key.Extractable, got.Details)
		}
	}
}

func TestAFIPSWorldsBindingIsChecked(t *testing.T) {
	m := newModule(t)
	r := good(m)
	r.fips = true
	in := attest.Input{Evidence: r.build(t), Anchors: m.anchors(t), At: attesttest.At}
	if c, err := attest.Check(Verifier{}, in); err != nil || c.Key.Extractable != attest.False {
		t.Errorf("got %+v, %v", c, err)
	}
	r.members = func(x map[string]string) { x["hkfips"] = x["hkm"] }
	in.Evidence = r.build(t)
	if _, err := attest.Check(Verifier{}, in); err == nil || !strings.Contains(err.Error(), "world binding: the signature does not verify") {
		t.Errorf("with another hash: %v", err)
	}
}

func TestAnAnchorCountsAsLongAsItsFileSays(t *testing.T) {
	root := *shipped(t).For(Format)[0]
	for end, want := range map[time.Time]string{attesttest.At: "", attesttest.At.Add(-time.Second): "is pinned until"} {
		root.NotAfter = &end
		anchors, err := attest.NewAnchors(root)
		if err != nil {
			t.Fatal(err)
		}
		c, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(sample(t)), Anchors: anchors, At: attesttest.At})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && !c.Until.Equal(end) {
			t.Errorf("until %v: %+v, %v", end, c, err)
		}
	}
}

func FuzzBundle(f *testing.F) {
	f.Add(sample(f))
	anchors := shipped(f)
	f.Add(good(newModule(f)).build(f).Parts[0].Data)
	want, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(sample(f)), Anchors: anchors, At: attesttest.At})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(b), Anchors: anchors, At: attesttest.At})
		if err == nil && (c.Platform.Identity != want.Platform.Identity || !bytes.Equal(c.Key.SPKI, want.Key.SPKI)) {
			t.Errorf("another module or key than the example's stands under Entrust's root: %+v", c)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	in := attest.Input{Evidence: evidence(sample(b)), Anchors: shipped(b), At: attesttest.At}
	for b.Loop() {
		if _, err := attest.Check(Verifier{}, in); err != nil {
			b.Fatal(err)
		}
	}
}
