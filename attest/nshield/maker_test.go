package nshield

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
)

// sym, str, data and number write DDDS; list and dictionary what is made of it.
func sym(s string) []byte { return append([]byte{0xc4, byte(len(s))}, s...) }

func str(s string) []byte { return append([]byte{0x20 | byte(len(s))}, s...) }

func data(b []byte) []byte {
	return append([]byte{0xd5, byte(len(b) >> 8), byte(len(b))}, b...)
}

func number(x *big.Int) []byte {
	b := x.FillBytes(make([]byte, 66))
	return append([]byte{0xf4, 0xc5, byte(len(b))}, b...)
}

func list(items ...[]byte) []byte {
	return append([]byte{0x90 | byte(len(items))}, bytes.Join(items, nil)...)
}

func dictionary(items ...[]byte) []byte {
	return append([]byte{0xb0 | byte(len(items)/2)}, bytes.Join(items, nil)...)
}

// words, numbers and strings write nCore's marshalling.
func words(list ...uint32) (b []byte) {
	for _, w := range list {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

func bignum(x *big.Int) []byte {
	b := x.FillBytes(make([]byte, (x.BitLen()+31)/32*4))
	slices.Reverse(b)
	return append(words(uint32(len(b))), b...)
}

func text(s string) []byte {
	b := append([]byte(s), 0)
	return append(words(uint32(len(b))), append(b, make([]byte, -len(b)&3)...)...)
}

func public(k *ecdsa.PrivateKey) []byte {
	curve := uint32(curveP256)
	if k.Curve == elliptic.P521() {
		curve = curveP521
	}
	return append(words(keyECDSAPublic, curve, 0), append(bignum(k.X), bignum(k.Y)...)...)
}

func sign(t testing.TB, k *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	h := sha512.Sum512(message)
	r, s, err := ecdsa.Sign(rand.Reader, k, h[:])
	if err != nil {
		t.Fatal(err)
	}
	return append(words(mechECDSA), append(bignum(r), bignum(s)...)...)
}

func hashOf(t testing.TB, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	h, err := (&publicKey{kind: keyECDSAPublic, curve: curveP256, values: []*big.Int{k.X, k.Y}}).hash()
	if err != nil {
		t.Fatal(err)
	}
	return h[:]
}

// module has the keys of an HSM and a world of the tests' own.
type module struct{ root, delegate, klf2, kml, knso, made, other, other521 *ecdsa.PrivateKey }

func newModule(t testing.TB) *module {
	p521 := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return &module{p521(), p521(), p521(), attesttest.P256(t), attesttest.P256(t), attesttest.P256(t), attesttest.P256(t), p521()}
}

func (m *module) anchors(t testing.TB) *attest.Anchors {
	return pinKey(t, "KWARN-1", m.root.Public().(*ecdsa.PublicKey))
}

func pinKey(t testing.TB, name string, k *ecdsa.PublicKey) *attest.Anchors {
	t.Helper()
	spki := attesttest.SPKI(t, k)
	a, err := attest.NewAnchors(attest.Anchor{Vendor: "entrust", Name: name, Formats: []string{Format}, SPKI: sha256.Sum256(spki), Key: spki})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var hkm, hkmc, token = bytes.Repeat([]byte{1}, 20), bytes.Repeat([]byte{2}, 20), bytes.Repeat([]byte{3}, 20)

// recipe makes a bundle; what it says is signed by whom it says.
type recipe struct {
	*module
	key                                   *ecdsa.PrivateKey
	signsFirst, signsLast                 *ecdsa.PrivateKey
	signsState, signsKey, signsWorld, hka *ecdsa.PrivateKey
	esn, stateESN                         string
	kinds                                 [2]string
	swap                                  bool
	groups                                [][]byte
	attributes                            func([][]byte) [][]byte
	genKind, genCurve                     uint32
	mech                                  string
	delegation, information               [][]byte // further words in the two certificates
	fips                                  bool
	behind                                map[string][]byte // what stands behind a member's data
	members                               func(m map[string]string)
	text                                  func(string) string
}

func good(m *module) *recipe {
	return &recipe{module: m, key: m.made, signsFirst: m.root, signsLast: m.delegate, signsState: m.klf2, signsKey: m.kml, signsWorld: m.knso, hka: m.made,
		esn: "1111-2222-3333", stateESN: "1111-2222-3333", kinds: [2]string{"Delegation", "ModuleInformation"}, genKind: 47, genCurve: curveP256, mech: "SHA512", behind: map[string][]byte{},
		groups: [][]byte{permissions(0x9 | 0x2000 | 0x1000), working(blobNonKm0|blobKm|blobKt|blobToken, hkm)}}
}

// permissions is a group of one operation's flags.
func permissions(perms uint32) []byte { return words(0, 0, 1, actOp, perms) }

// working is a group of one blob under a card set.
func working(flags uint32, km []byte) []byte {
	b := words(0, 0, 1, actBlob, flags)
	if flags&blobKm != 0 {
		b = append(b, km...)
	}
	if flags&blobKt != 0 {
		b = append(b, token...)
	}
	if flags&blobToken != 0 {
		b = append(b, words(3, 1, 1, 0)...)
	}
	return b
}

func (r *recipe) warrant(t testing.TB) []byte {
	mech := list(sym("ECDSA"), list(sym("EMSA1"), sym(r.mech)))
	pub := func(k *ecdsa.PrivateKey) []byte {
		return list(sym("ECDSA"), sym("Public"), sym("NISTP521"), list(number(k.X), number(k.Y)))
	}
	certificate := func(signer *ecdsa.PrivateKey, payload []byte) []byte {
		h := sha512.Sum512(payload)
		a, b, err := ecdsa.Sign(rand.Reader, signer, h[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := append(a.FillBytes(make([]byte, 66)), b.FillBytes(make([]byte, 66))...)
		return dictionary(sym("Payload"), data(payload), sym("Signature"), data(sig))
	}
	first := certificate(r.signsFirst, dictionary(append([][]byte{sym("WarrantCertificateType"), sym(r.kinds[0]), sym("DelegateKey"), pub(r.delegate), sym("SigMech"), mech}, r.delegation...)...))
	last := certificate(r.signsLast, dictionary(append([][]byte{sym("WarrantCertificateType"), sym(r.kinds[1]), sym("KLF2pub"), pub(r.klf2), sym("KLF2mech"), mech,
		sym("ElectronicSerialNumber"), str(r.esn)}, r.information...)...))
	if r.swap {
		first, last = last, first
	}
	return list(sym("KWARN-1"), first, last)
}

func (r *recipe) build(t testing.TB) *attest.Evidence {
	zero := make([]byte, 20)
	attributes := [][]byte{
		append(words(attrESN), text(r.stateESN)...),
		append(append(append(words(attrKML), zero...), public(r.kml)...), words(mechECDSA)...),
		append(append(words(attrKNSO), hashOf(t, r.knso)...), words(0)...),
		append(append(append(append(words(attrKMs, 2), wellKnown[:]...), words(0, 0)...), hkm...), words(0, 0)...),
	}
	if r.attributes != nil {
		attributes = r.attributes(attributes)
	}
	state := append(words(certState, 0, uint32(len(attributes))), bytes.Join(attributes, nil)...)
	gen := append(words(certKeyGen, 0, r.genKind, r.genCurve, uint32(len(r.groups))), bytes.Join(r.groups, nil)...)
	gen = append(gen, hashOf(t, r.hka)...)
	binding := append([]byte("Module keys: suite = DLf3072s256mAEScSP800131Ar1\x00"), bytes.Join([][]byte{hashOf(t, r.knso), hkm, hkmc}, nil)...)
	long := func(h []byte) []byte { return append(words(mechSHA1), h...) }
	state, gen = append(state, r.behind["modstatemsg"]...), append(gen, r.behind["kcmsg"]...)
	m := map[string]string{"root": "KWARN-1", "ciphersuite": "DLf3072s256mAEScSP800131Ar1"}
	for name, b := range map[string][]byte{
		"warrant": append(r.warrant(t), r.behind["warrant"]...), "modstatemsg": state, "modstatesig": sign(t, r.signsState, state),
		"kcmsg": gen, "kcsig": append(sign(t, r.signsKey, gen), r.behind["kcsig"]...), "pubkeydata": append(public(r.key), r.behind["pubkeydata"]...),
		"knsopub": public(r.knso), "hkm": long(hkm), "hkmc": long(hkmc), "CertKMaKMCbKNSO": sign(t, r.signsWorld, binding),
	} {
		m[name] = base64.URLEncoding.EncodeToString(b)
	}
	if r.fips {
		fips := bytes.Repeat([]byte{4}, 20)
		body := append([]byte("Module setup, FIPS3; suite = DLf3072s256mAEScSP800131Ar1\x00"), bytes.Join([][]byte{hashOf(t, r.knso), hkm, hkmc, fips}, nil)...)
		delete(m, "CertKMaKMCbKNSO")
		m["CertKMaKMCaKFIPSbKNSO"] = base64.URLEncoding.EncodeToString(sign(t, r.signsWorld, body))
		m["hkfips"] = base64.URLEncoding.EncodeToString(long(fips))
	}
	if r.members != nil {
		r.members(m)
	}
	var fields [][]byte
	for _, k := range slices.Sorted(maps.Keys(m)) {
		name, _ := json.Marshal(k)
		value, _ := json.Marshal(m[k])
		fields = append(fields, append(append(name, ':'), value...))
	}
	out := "{" + string(bytes.Join(fields, []byte(","))) + "}"
	if r.text != nil {
		out = r.text(out)
	}
	return evidence([]byte(out))
}

func evidence(b []byte) *attest.Evidence {
	return &attest.Evidence{Format: Format, Parts: []attest.Part{{Name: PartBundle, Data: b}}}
}
