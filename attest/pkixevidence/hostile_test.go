package pkixevidence

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
)

// madeClaim is one of the generator's: its kind and number, and its DER.
type madeClaim struct {
	kind, number int
	value        []byte
}

func encode(add func(b *cryptobyte.Builder)) []byte {
	b := cryptobyte.NewBuilder(nil)
	add(b)
	return b.BytesOrPanic()
}

func utf8(s string) []byte {
	return encode(func(b *cryptobyte.Builder) {
		b.AddASN1(tags.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
	})
}

func octet(v []byte) []byte {
	return encode(func(b *cryptobyte.Builder) { b.AddASN1OctetString(v) })
}

func boolean(v bool) []byte { return encode(func(b *cryptobyte.Builder) { b.AddASN1Boolean(v) }) }

func integer(n int64) []byte { return encode(func(b *cryptobyte.Builder) { b.AddASN1Int64(n) }) }

func oids(list ...asn1.ObjectIdentifier) []byte {
	return encode(func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, o := range list {
				b.AddASN1ObjectIdentifier(o)
			}
		})
	})
}

func under(n ...int) asn1.ObjectIdentifier { return append(Verifier{}.arc(), n...) }

// device has the keys and certificates of an HSM of the tests' own.
type device struct {
	root, issuer, ak, other *attesttest.Cert
	made, second            crypto.Signer
}

func attestation(c *x509.Certificate) {
	attesttest.Leaf(c)
	c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{Verifier{}.purpose()}
}

func newDevice(t testing.TB) *device {
	d := &device{made: attesttest.P256(t), second: attesttest.P384(t)}
	d.root = attesttest.Issue(t, "root", nil, attesttest.P384(t))
	d.issuer = attesttest.Issue(t, "issuer", d.root, attesttest.P384(t))
	d.ak = attesttest.Issue(t, "attestation key", d.issuer, attesttest.P256(t), attestation)
	d.other = attesttest.Issue(t, "second attestation key", d.issuer, attesttest.P256(t), attestation)
	return d
}

// recipe makes evidence; everything in it is signed by whoever it says.
type recipe struct {
	*device
	claims   []madeClaim
	elements []int // the kinds, in order
	keys     [][]madeClaim
	signs    []*attesttest.Cert // each in its block, with its certificate
	forged   crypto.Signer      // signs in the place of the first, if set
	chain    []*attesttest.Cert
	version  int64
	implicit bool
	alter    func(der []byte) []byte
	names    func(b *cryptobyte.Builder, c *attesttest.Cert) // what names a signature's key
}

// bySPKI names a signature's key by its public key alone.
func bySPKI(b *cryptobyte.Builder, c *attesttest.Cert) {
	b.AddASN1(tags.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(c.RawSubjectPublicKeyInfo) })
}

// huge is a key too large to sign with.
type huge struct{ key *rsa.PublicKey }

func (h huge) Public() crypto.PublicKey { return h.key }

func (h huge) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return []byte("no signature"), nil
}

func good(t testing.TB, d *device) *recipe {
	made := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	return &recipe{device: d, version: 1, elements: []int{transaction, platform}, signs: []*attesttest.Cert{d.ak}, chain: []*attesttest.Cert{d.issuer},
		claims: []madeClaim{
			{transaction, 0, octet([]byte("the nonce"))},
			{transaction, 1, encode(func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(made) })},
			{transaction, 2, octet(d.ak.RawSubjectPublicKeyInfo)},
			{platform, 0, utf8("Acme")}, {platform, 2, octet([]byte("HSM-1"))}, {platform, 4, utf8("0001")}, {platform, 6, utf8("3.1.4")},
			{platform, 10, boolean(true)}, {platform, 12, integer(3)},
		},
		keys: [][]madeClaim{keyClaims(t, d.made)},
	}
}

func keyClaims(t testing.TB, k crypto.Signer) []madeClaim {
	return []madeClaim{{key, 0, utf8("key-1")}, {key, 1, octet(attesttest.SPKI(t, k.Public()))}, {key, 2, boolean(false)}, {key, 3, boolean(true)},
		{key, 4, boolean(true)}, {key, 5, boolean(true)}, {key, 7, oids(under(2, 4))}}
}

func (r *recipe) tbs() []byte {
	element := func(b *cryptobyte.Builder, kind int, claims []madeClaim) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(under(0, kind))
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, c := range claims {
					id := under(1, c.kind, c.number)
					if c.number < 0 {
						id = under(1, platform, 4)
					}
					if c.kind == kind {
						b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(id)
							b.AddBytes(c.value)
						})
					}
				}
			})
		})
	}
	return encode(func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(r.version)
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, kind := range r.elements {
					element(b, kind, r.claims)
				}
				for _, k := range r.keys {
					element(b, key, k)
				}
			})
		})
	})
}

func (r *recipe) build(t testing.TB) *attest.Evidence {
	tbs := r.tbs()
	context := func(n uint8) tags.Tag { return tags.Tag(n).ContextSpecific().Constructed() }
	der := encode(func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
				for i, s := range r.signs {
					signer := s.Key
					if i == 0 && r.forged != nil {
						signer = r.forged
					}
					h := crypto.SHA256.New()
					h.Write(tbs)
					sig, err := signer.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
					if err != nil {
						t.Fatal(err)
					}
					b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
							if r.names != nil {
								r.names(b, s)
								return
							}
							b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddBytes(s.Raw) })
						})
						b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(algorithms[0].oid) })
						b.AddASN1OctetString(sig)
					})
				}
			})
			b.AddASN1(context(0), func(b *cryptobyte.Builder) {
				certs := func(b *cryptobyte.Builder) {
					for _, c := range r.chain {
						b.AddBytes(c.Raw)
					}
				}
				if r.implicit {
					certs(b)
				} else {
					b.AddASN1(tags.SEQUENCE, certs)
				}
			})
		})
	})
	if r.alter != nil {
		der = r.alter(der)
	}
	return evidence(attest.Part{Name: PartEvidence, Data: der})
}

// set replaces a claim of the first key, or of the other elements.
func set(kind, number int, value []byte) func(*testing.T, *recipe) {
	return func(_ *testing.T, r *recipe) {
		list := r.claims
		if kind == key {
			list = r.keys[0]
		}
		i := slices.IndexFunc(list, func(c madeClaim) bool { return c.kind == kind && c.number == number })
		list[i].value = value
	}
}

// drop removes a claim of the key.
func drop(number int) func(*testing.T, *recipe) {
	return func(_ *testing.T, r *recipe) {
		r.keys[0] = slices.DeleteFunc(r.keys[0], func(c madeClaim) bool { return c.number == number })
	}
}

// add adds a claim to the key, or to another element.
func add(c madeClaim) func(*testing.T, *recipe) {
	return func(_ *testing.T, r *recipe) {
		if c.kind == key {
			r.keys[0] = append(r.keys[0], c)
		} else {
			r.claims = append(r.claims, c)
		}
	}
}

var hostile = []struct {
	name, kind string
	edit       func(t *testing.T, r *recipe)
	want       string
}{
	{"another key", attesttest.SubstitutedKey, func(t *testing.T, r *recipe) { r.keys = [][]madeClaim{keyClaims(t, r.second)} }, "spki: the evidence is of another key"},
	{"another device", attesttest.WrongIdentity, set(platform, 4, utf8("0002")), "identity: the evidence is of device 0002"},
	{"a root of the same name", attesttest.LookAlikeRoot, func(t *testing.T, r *recipe) {
		root := attesttest.Issue(t, "root", nil, attesttest.P384(t))
		issuer := attesttest.Issue(t, "issuer", root, attesttest.P384(t))
		r.signs = []*attesttest.Cert{attesttest.Issue(t, "attestation key", issuer, r.ak.Key, attestation)}
		r.chain = []*attesttest.Cert{issuer, root}
	}, "level: vendor-signed, and anchored is demanded"},
	{"the issuer signs in the place of its attestation key", attesttest.ReorderedChain, func(t *testing.T, r *recipe) {
		r.signs = []*attesttest.Cert{attesttest.Issue(t, "issuer", r.root, attesttest.P256(t))}
	}, "key usage lacks digitalSignature"},
	{"a certificate of the root's that is no authority's issues the attestation key", attesttest.ReorderedChain, func(t *testing.T, r *recipe) {
		user := attesttest.Issue(t, "user", r.root, attesttest.P256(t), attesttest.Leaf)
		r.signs = []*attesttest.Cert{attesttest.Issue(t, "attestation key", user, r.ak.Key, attestation)}
		r.chain = []*attesttest.Cert{user}
	}, "the issuer is no certification authority"},
	{"a key that is no attestation key", attesttest.BadSignature, func(t *testing.T, r *recipe) {
		r.signs = []*attesttest.Cert{attesttest.Issue(t, "server", r.issuer, r.ak.Key, attesttest.Leaf)}
	}, "its key is no attestation key"},
	{"another key's signature", attesttest.BadSignature, func(t *testing.T, r *recipe) { r.forged = attesttest.P256(t) }, "signature 1 does not verify"},
	{"no signature", attesttest.BadSignature, func(t *testing.T, r *recipe) { r.signs = nil }, "it is not signed"},
	{"a good signature beside a wrong one", attesttest.BadSignature, func(t *testing.T, r *recipe) {
		r.signs, r.forged = []*attesttest.Cert{r.other, r.ak}, attesttest.P256(t)
	}, "signature 1 does not verify"},
	{"a signature that was added", attesttest.BadSignature, func(t *testing.T, r *recipe) { r.signs = append(r.signs, r.other) }, "signed by a key that it does not name"},
	{"a signature that was taken off", attesttest.BadSignature, add(madeClaim{transaction, 2, nil}), "an attestation key that did not sign it"},
	{"one signature twice", attesttest.BadSignature, func(t *testing.T, r *recipe) { r.signs = append(r.signs, r.ak) }, "signature 2 is by a key that signed already"},
	{"an imported key", attesttest.Imported, set(key, 5, boolean(false)), "local: false, and true is demanded"},
	{"a key that came back", attesttest.Imported, set(key, 4, boolean(false)), "never-extractable: false, and true is demanded"},
	{"a key that may leave", attesttest.Exportable, set(key, 2, boolean(true)), "extractable: true, and false is demanded"},
	{"a key that may be read", attesttest.Exportable, set(key, 3, boolean(false)), "sensitive: false, and true is demanded"},
	{"no public key", attesttest.MissingField, drop(1), "the evidence shows no public key"},
	{"no origin", attesttest.MissingField, drop(5), "local: not shown, and true is demanded"},
	{"no key", attesttest.MissingField, func(t *testing.T, r *recipe) { r.keys = nil }, "it reports no key"},
	{"a claim without its value", attesttest.MissingField, set(key, 2, nil), "has no value, or one that isn't its kind's"},
	{"two answers to one question", attesttest.RepeatedField, add(madeClaim{key, 2, boolean(true)}), "stands there twice"},
	{"two platforms", attesttest.RepeatedField, func(t *testing.T, r *recipe) { r.elements = append(r.elements, platform) }, "two elements of the kind"},
	{"one key twice", attesttest.RepeatedField, func(t *testing.T, r *recipe) { r.keys = append(r.keys, r.keys[0]) }, "one key is reported twice"},
	{"two keys and no word which", attesttest.RepeatedField, func(t *testing.T, r *recipe) { r.keys = append(r.keys, keyClaims(t, r.second)) }, "it reports 2 keys: say"},
	{"bytes behind the evidence", attesttest.TrailingBytes, func(t *testing.T, r *recipe) {
		r.alter = func(der []byte) []byte { return append(der, 5, 0) }
	}, "2 bytes follow the evidence"},
	{"bytes behind a value", attesttest.TrailingBytes, set(key, 5, append(boolean(true), boolean(false)...)), "it is not DER of the draft's Evidence"},
	{"a length of four octets in a value", attesttest.LengthBomb, set(platform, 0, []byte{0x0c, 0x84, 0xff, 0xff, 0xff, 0xff}), "it is not DER of the draft's Evidence"},
	{"claims beside claims", attesttest.LengthBomb, func(t *testing.T, r *recipe) {
		for range 200 {
			r.keys[0] = append(r.keys[0], madeClaim{key, 0, utf8("x")})
		}
	}, "more than 32 claims"},
	{"certificates of one name beside each other", attesttest.LengthBomb, func(t *testing.T, r *recipe) {
		for range 9 {
			r.chain = append(r.chain, attesttest.Issue(t, "issuer", r.root, r.root.Key))
		}
	}, "the intermediate certificates are more than 8"},
	{"elements beside elements", attesttest.LengthBomb, func(t *testing.T, r *recipe) {
		for range 20 {
			r.keys = append(r.keys, r.keys[0])
		}
	}, "more than 16 elements"},
	{"signatures beside signatures", attesttest.LengthBomb, func(t *testing.T, r *recipe) {
		r.signs = []*attesttest.Cert{r.ak, r.other, r.ak, r.other}
	}, "more than 3 signatures"},
	{"issuers of one name, each on P-521", attesttest.LengthBomb, func(t *testing.T, r *recipe) {
		k, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		r.chain = nil
		for range 8 {
			r.chain = append(r.chain, attesttest.Issue(t, "issuer", nil, k))
		}
		third := attesttest.Issue(t, "third attestation key", r.issuer, attesttest.P256(t), attestation)
		r.signs = []*attesttest.Cert{r.ak, r.other, third}
	}, "more than 6 certificates that could be an issuer's"},
	{"an attestation key of 16,384 bits", attesttest.LengthBomb, func(t *testing.T, r *recipe) {
		r.signs = []*attesttest.Cert{attesttest.Issue(t, "attestation key", r.issuer, hugeKey(), attestation)}
	}, "its RSA key has more than 8192 bits"},
	{"an element without claims", attesttest.MissingField, func(t *testing.T, r *recipe) { r.keys[0] = nil }, "no claims"},
	{"a signature that names no key", attesttest.MissingField, func(t *testing.T, r *recipe) { r.names = func(*cryptobyte.Builder, *attesttest.Cert) {} }, "nothing names the key that signed"},
	{"a key identifier that isn't the certificate's", attesttest.BadSignature, func(t *testing.T, r *recipe) {
		r.names = func(b *cryptobyte.Builder, c *attesttest.Cert) {
			b.AddASN1(tags.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString([]byte("another")) })
			b.AddASN1(tags.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(c.Raw) })
		}
	}, "is not that of its certificate"},
	{"a certificate that is none", attesttest.BadSignature, func(t *testing.T, r *recipe) {
		r.names = func(b *cryptobyte.Builder, c *attesttest.Cert) {
			b.AddASN1(tags.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes([]byte{0x30, 0}) })
		}
	}, "signature 1: certificate: "},
	{"a public key that two certificates have", attesttest.BadSignature, func(t *testing.T, r *recipe) {
		r.names = bySPKI
		another := func(c *x509.Certificate) { c.SerialNumber = big.NewInt(2) }
		r.chain = append(r.chain, r.ak, attesttest.Issue(t, "attestation key", r.issuer, r.ak.Key, attestation, another))
	}, "two certificates have the key that it names"},
	{"a claim of the platform's in the key", attesttest.Other, func(t *testing.T, r *recipe) {
		r.keys[0] = append(r.keys[0], madeClaim{key, -1, nil})
	}, "understood: key: claim 1.3.6.1.5.5.999.1.1.4"},
	{"purposes that are none", attesttest.Other, set(key, 7, boolean(true)), "has no value, or one that isn't its kind's"},
	{"a serial number with other characters", attesttest.Other, set(platform, 4, utf8("0001\x00")), "has no value, or one that isn't its kind's"},
	{"a FIPS level that there isn't", attesttest.Other, set(platform, 12, integer(5)), "has no value, or one that isn't its kind's"},
	{"another nonce", attesttest.Stale, set(transaction, 0, octet([]byte("an older nonce"))), "stale: "},
	{"no nonce", attesttest.Stale, func(t *testing.T, r *recipe) { r.claims = r.claims[1:] }, "level: anchored, and fresh is demanded"},
	{"a claim that nobody knows", attesttest.Other, add(madeClaim{key, 99, boolean(true)}), "understood: key: claim"},
	{"a purpose that nobody knows", attesttest.Other, set(key, 7, oids(under(2, 4), asn1.ObjectIdentifier{1, 2, 3})), "understood: key: purpose 1.2.3"},
	{"a key that also unwraps", attesttest.Other, set(key, 7, oids(under(2, 4), under(2, 3))), "purpose unwrap: true, and false is demanded"},
	{"another version", attesttest.Other, func(t *testing.T, r *recipe) { r.version = 2 }, "version 2"},
	{"a claim of another kind of value", attesttest.Other, set(key, 2, integer(0)), "has no value, or one that isn't its kind's"},
	{"a certificate that has ended", attesttest.Other, func(t *testing.T, r *recipe) {
		r.signs = []*attesttest.Cert{attesttest.Issue(t, "attestation key", r.issuer, r.ak.Key, attestation, func(c *x509.Certificate) { c.NotAfter = attesttest.At.AddDate(0, -1, 0) })}
	}, "is valid from"},
}

func TestSamplesVerifyAndHostileVariantsAreRefused(t *testing.T) {
	s := attesttest.Suite{Verifier: Verifier{}, Device: "any HSM, draft-ietf-rats-pkix-key-attestation-08", Without: map[string]string{
		attesttest.GzipBomb: "nothing in the format is compressed",
	}}
	keys := keysOf(t, "evidence2.pem")
	for _, form := range []struct {
		name string
		data []byte
	}{{"PEM", file(t, "evidence2.pem")}, {"DER", der(t, "evidence2.pem")}} {
		s.Samples = append(s.Samples, attesttest.Sample{Name: "the working group's evidence2, first key, " + form.name, Level: attest.Fresh, Case: attesttest.Case{
			Input: attest.Input{Evidence: evidence(attest.Part{Name: PartEvidence, Data: form.data}, attest.Part{Name: PartKey, Data: keys[0]}), Anchors: workingGroup(t),
				At: attesttest.At, Nonce: []byte{0xbe, 0xef, 0xca, 0xfe, 0xba, 0xbe, 0xde, 0xad}},
			Demand: attesttest.Kept(attest.Fresh, keys[0], ""),
		}})
	}
	d := newDevice(t)
	anchors := attesttest.Pin(t, Format, d.root.Certificate)
	input := func(r *recipe, nonce string) attest.Input {
		in := attest.Input{Evidence: r.build(t), Anchors: anchors, At: attesttest.At}
		if nonce != "" {
			in.Nonce = []byte(nonce)
		}
		return in
	}
	demand := attesttest.Kept(attest.Anchored, attesttest.SPKI(t, d.made.Public()), "0001")
	demand.SignOnly, demand.Understood, demand.LeastFirmware, demand.FIPSBoot, demand.LeastFIPS = true, true, "3.1", true, 3
	for _, v := range hostile {
		r := good(t, d)
		v.edit(t, r)
		for i, c := range r.claims {
			if c.kind == transaction && c.number == 2 && c.value == nil {
				r.claims[i].value = octet(d.other.RawSubjectPublicKeyInfo)
			}
		}
		c := attesttest.Case{Input: input(r, ""), Demand: demand}
		twin := attesttest.Case{Input: input(good(t, d), ""), Demand: demand}
		if v.kind == attesttest.Stale {
			c.Input.Nonce, twin.Input.Nonce = []byte("the nonce"), []byte("the nonce")
			c.Demand.Least, twin.Demand.Least = attest.Fresh, attest.Fresh
		}
		s.Hostile = append(s.Hostile, attesttest.Hostile{Kind: v.kind, Name: v.name, Want: v.want, Case: c, Twin: twin})
	}
	attesttest.Run(t, s)
}

func TestBothWaysOfCarryingIntermediatesAreRead(t *testing.T) {
	d := newDevice(t)
	for _, implicit := range []bool{false, true} {
		r := good(t, d)
		r.implicit, r.signs = implicit, []*attesttest.Cert{d.ak, d.other}
		r.claims = append(r.claims, madeClaim{transaction, 2, octet(d.other.RawSubjectPublicKeyInfo)})
		c, err := attest.Check(Verifier{}, attest.Input{Evidence: r.build(t), Anchors: attesttest.Pin(t, Format, d.root.Certificate), At: attesttest.At})
		if err != nil || c.Level != attest.Anchored || len(c.Details) != 2 {
			t.Errorf("implicit %v: %+v, %v", implicit, c, err)
		}
	}
}

func TestAKeyMayBeNamedByItsPublicKeyAlone(t *testing.T) {
	d := newDevice(t)
	r := good(t, d)
	r.names, r.chain = bySPKI, []*attesttest.Cert{d.ak, d.issuer}
	c, err := attest.Check(Verifier{}, attest.Input{Evidence: r.build(t), Anchors: attesttest.Pin(t, Format, d.root.Certificate), At: attesttest.At})
	if err != nil || c.Level != attest.Anchored {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestCertificatesMayStandBesideTheEvidence(t *testing.T) {
	d := newDevice(t)
	r := good(t, d)
	r.chain = nil
	in := attest.Input{Evidence: r.build(t), Anchors: attesttest.Pin(t, Format, d.root.Certificate), At: attesttest.At}
	if c, err := attest.Check(Verifier{}, in); err != nil || c.Level != attest.VendorSigned {
		t.Fatalf("without them: %+v, %v", c, err)
	}
	check := func(chain []byte, want string) {
		t.Helper()
		beside := in
		beside.Evidence = attesttest.Replaced(in.Evidence, PartChain, chain)
		c, err := attest.Check(Verifier{}, beside)
		switch {
		case want == "" && (err != nil || c.Level != attest.Anchored):
			t.Errorf("got %+v, %v", c, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("got %v, want %q", err, want)
		}
	}
	// Of two issuers of one name the one that signed is found, wherever it stands.
	other := attesttest.Issue(t, "issuer", d.root, attesttest.P384(t))
	check(d.issuer.Raw, "")
	check(append(slices.Clone(other.Raw), d.issuer.Raw...), "")
	check(append(slices.Clone(d.issuer.Raw), other.Raw...), "")
	check(other.Raw, "the signature does not verify")
	check([]byte{0x30, 0}, `part "chain": `)
	// One of the name has a key that is too large to be tried.
	huge := attesttest.Issue(t, "issuer", d.root, hugeKey())
	check(append(slices.Clone(huge.Raw), d.issuer.Raw...), "")
	r.chain = slices.Repeat([]*attesttest.Cert{d.root}, 8)
	in.Evidence = r.build(t)
	check(d.issuer.Raw, "9 certificates beside the signatures")
}

func hugeKey() huge {
	n := new(big.Int).Lsh(big.NewInt(1), 16383)
	return huge{&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}}
}
