package securosys

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/attesttest"
)

// maker has the keys of a device of the tests' own.
type maker struct {
	root, device, leaf, other *rsa.PrivateKey
	made, second              *ecdsa.PrivateKey
}

var keys = sync.OnceValue(func() *maker {
	t := &testing.T{}
	return &maker{attesttest.RSA(t, 2048), attesttest.RSA(t, 2048), attesttest.RSA(t, 2048), attesttest.RSA(t, 2048), attesttest.P256(t), attesttest.P256(t)}
})

// recipe makes evidence; what it says is signed by whom it says.
type recipe struct {
	*maker
	key        *ecdsa.PrivateKey
	creation   string
	values     map[string]string // of elements and attributes
	text       func(xml string) string
	named      string
	rootKey    *rsa.PrivateKey
	signs      *rsa.PrivateKey // the statement
	signsLeaf  *rsa.PrivateKey // the attestation key's certificate
	alterLeaf  func(*x509.Certificate)
	order      []int
	pss        bool
	afterwards func(e *attest.Evidence)
}

func good() *recipe {
	m := keys()
	return &recipe{maker: m, key: m.made, creation: "generated", named: "PRIMUS HSM KEY (SN: 4711)", rootKey: m.root, signs: m.leaf, signsLeaf: m.device,
		alterLeaf: func(*x509.Certificate) {}, values: map[string]string{}, order: []int{0, 1, 2}}
}

func (r *recipe) xml(t testing.TB) string {
	value := func(name, otherwise string) string {
		if v, ok := r.values[name]; ok {
			return v
		}
		return otherwise
	}
	var b strings.Builder
	b.WriteString(declaration + "\n<private_key creation=\"" + r.creation + "\">\n")
	for _, f := range [][2]string{{"label", "key-1"}, {"create_time", "2026-11-21T09:00:00Z"}, {"attest_time", "2026-11-21T09:30:00Z"}, {"key_use_count", "0"},
		{"algorithm", "EC"}, {"algorithm_oid", "1.2.840.10045.2.1"}, {"public_key", base64.StdEncoding.EncodeToString(attesttest.SPKI(t, r.key.Public()))}} {
		if v := value(f[0], f[1]); v != "-" {
			b.WriteString("\t<" + f[0] + ">" + v + "</" + f[0] + ">\n")
		}
	}
	b.WriteString("\t<attributes>\n")
	for _, name := range known {
		yes := slices.Contains([]string{"sign", "sensitive", "always_sensitive", "never_extractable", "destroyable", "unique"}, name)
		if v := value(name, map[bool]string{true: "true", false: "false"}[yes]); v != "-" {
			b.WriteString("\t\t<" + name + ">" + v + "</" + name + ">\n")
		}
	}
	b.WriteString("\t</attributes>\n</private_key>\n")
	if r.text != nil {
		return r.text(b.String())
	}
	return b.String()
}

func (r *recipe) build(t testing.TB) *attest.Evidence {
	root := attesttest.Issue(t, "PRIMUS_HSM_ROOTKEY", nil, r.rootKey)
	device := attesttest.Issue(t, r.named, root, r.device)
	leaf := attesttest.Issue(t, "attestation-key", device, r.leaf, attesttest.Leaf, r.alterLeaf)
	if r.signsLeaf != r.device {
		// crypto/x509 signs for no parent whose key is another: the same name, of another.
		leaf = attesttest.Issue(t, "attestation-key", attesttest.Issue(t, r.named, nil, r.signsLeaf), r.leaf, attesttest.Leaf)
	}
	certs := []*x509.Certificate{leaf.Certificate, device.Certificate, root.Certificate}
	var chain []byte
	for _, i := range r.order {
		chain = append(chain, certs[i].Raw...)
	}
	xml := []byte(r.xml(t))
	e := evidence(xml, sign(t, r.signs, r.pss, xml), chain)
	if r.afterwards != nil {
		r.afterwards(e)
	}
	return e
}

func replace(old, new string) func(*recipe) {
	return func(r *recipe) { r.text = func(xml string) string { return strings.Replace(xml, old, new, 1) } }
}

func set(name, value string) func(*recipe) { return func(r *recipe) { r.values[name] = value } }

var hostile = []struct {
	name, kind string
	edit       func(r *recipe)
	want       string
}{
	{"another key", attesttest.SubstitutedKey, func(r *recipe) { r.key = r.second }, "spki: the evidence is of another key"},
	{"another device", attesttest.WrongIdentity, func(r *recipe) { r.named = "PRIMUS HSM KEY (SN: 4712)" }, "identity: the evidence is of device 4712"},
	{"a certificate that names no device", attesttest.WrongIdentity, func(r *recipe) { r.named = "PRIMUS HSM KEY (SN: 4711) (SN: 4712)" }, "names no device"},
	{"a root of the same name", attesttest.LookAlikeRoot, func(r *recipe) { r.rootKey = r.other }, "has the name of the pinned"},
	{"the device before its attestation key", attesttest.ReorderedChain, func(r *recipe) { r.order = []int{1, 0, 2} }, "out of order, or belongs to something else"},
	{"a chain of the attestation key alone", attesttest.ReorderedChain, func(r *recipe) { r.order = []int{0} }, "the device's are needed"},
	{"another key's signature", attesttest.BadSignature, func(r *recipe) { r.signs = r.other }, "signature over the statement does not verify"},
	{"another device's attestation key", attesttest.BadSignature, func(r *recipe) { r.signsLeaf = r.other }, "chain: certificate 0 (CN=attestation-key) under"},
	{"an imported key", attesttest.Imported, func(r *recipe) { r.creation = "imported" }, "local: false, and true is demanded"},
	{"an unwrapped key", attesttest.Imported, func(r *recipe) { r.creation = "unwrapped" }, "local: false, and true is demanded"},
	{"a key that may leave", attesttest.Exportable, func(r *recipe) { r.values["extractable"], r.values["never_extractable"] = "true", "false" }, "extractable: true, and false is demanded; never-extractable: false"},
	{"a key that could leave once", attesttest.Exportable, set("never_extractable", "false"), "never-extractable: false, and true is demanded"},
	{"a key that is extractable and never was", attesttest.Exportable, set("extractable", "true"), "contradicts itself"},
	{"a key that may be read", attesttest.Exportable, func(r *recipe) { r.values["sensitive"], r.values["always_sensitive"] = "false", "false" }, "sensitive: false, and true is demanded"},
	{"no word on leaving", attesttest.MissingField, set("extractable", "-"), "extractable: not shown"},
	{"no public key", attesttest.MissingField, set("public_key", "-"), "<public_key> is missing"},
	{"no origin", attesttest.MissingField, replace(` creation="generated"`, ""), "it has creation alone"},
	{"two public keys", attesttest.RepeatedField, replace("\t<attributes>", "\t<public_key>AA==</public_key>\n\t<attributes>"), "<public_key> stands there twice"},
	{"two answers", attesttest.RepeatedField, replace("<extractable>false</extractable>", "<extractable>false</extractable><extractable>true</extractable>"), "attribute <extractable> stands there twice"},
	{"two origins", attesttest.RepeatedField, replace(`creation="generated"`, `creation="generated" creation="imported"`), "stands twice"},
	{"two groups of attributes", attesttest.RepeatedField, replace("</attributes>", "</attributes><attributes><sign>true</sign></attributes>"), "<attributes> stands there twice"},
	{"a comment inside a value", attesttest.Other, replace("<extractable>false", "<extractable>false<!-- -->"), "a comment in <extractable>"},
	{"a comment between elements", attesttest.Other, replace("\t<attributes>", "<!-- a --><attributes>"), "a comment, which isn't read"},
	{"an entity", attesttest.Other, replace("key-1", "key&#45;1"), "an entity in <label>"},
	{"a document type with entities", attesttest.Other, replace("<private_key ", "<!DOCTYPE x [<!ENTITY a \"b\">]>\n<private_key "), "a document type or an entity's declaration"},
	{"a CDATA section", attesttest.Other, replace("key-1", "<![CDATA[key-1]]>"), "a CDATA section in <label>"},
	{"a processing instruction", attesttest.Other, replace("\t<attributes>", "<?x y?><attributes>"), "a processing instruction"},
	{"a namespace", attesttest.Other, replace("<attributes>", `<attributes xmlns="urn:x">`), "has a namespace"},
	{"a prefixed element", attesttest.Other, replace("<extractable>false</extractable>", "<x:extractable>false</x:extractable>"), "has a namespace"},
	{"an empty element", attesttest.Other, replace("<extractable>false</extractable>", "<extractable/>"), "an empty element"},
	{"an attribute beside a value", attesttest.Other, replace("<label>", `<label lang="en">`), "<label> has attributes"},
	{"text beside the attributes", attesttest.Other, replace("\t<attributes>", "\t<attributes>x"), "holds text beside elements"},
	{"a value with a space", attesttest.Other, set("extractable", " false"), "neither true nor false"},
	{"bytes behind the statement", attesttest.TrailingBytes, replace("</private_key>\n", "</private_key>\n<private_key creation=\"generated\"></private_key>"), "follows the end of the statement"},
	{"bytes behind the chain", attesttest.TrailingBytes, func(r *recipe) {
		r.afterwards = func(e *attest.Evidence) { e.Parts[2].Data = append(e.Parts[2].Data, 0) }
	}, "chain: not 1 to 8 certificates"},
	{"elements inside elements", attesttest.LengthBomb, replace("key-1", strings.Repeat("<a>", 500)+strings.Repeat("</a>", 500)), "more than 8 inside each other"},
	{"elements beside elements", attesttest.LengthBomb, replace("\t<attributes>", strings.Repeat("<a></a>", 500)+"<attributes>"), "more than 128 elements"},
	{"a statement of a megabyte", attesttest.LengthBomb, set("label", strings.Repeat("a", 200<<10)), "at most 32768 are read"},
	{"an attribute that nobody knows", attesttest.Other, replace("</attributes>", "<exportable_by_vendor>true</exportable_by_vendor></attributes>"), "understood: xml: attributes/exportable_by_vendor"},
	{"another kind of object", attesttest.Other, func(r *recipe) {
		r.text = func(xml string) string { return strings.ReplaceAll(xml, "private_key", "secret_key") }
	}, "its root is <secret_key>"},
	{"a statement made before its key", attesttest.Other, set("attest_time", "2026-11-21T08:00:00Z"), "is before <create_time>"},
	{"another algorithm than the key's", attesttest.Other, set("algorithm", "RSA"), "is a key for EC"},
	{"text that is not UTF-8", attesttest.Other, set("label", "a\xff"), "it is not UTF-8"},
	{"a control character", attesttest.Other, set("label", "a\x0b"), "the control character 0B"},
	{"an element that another one ends", attesttest.Other, replace("</label>", "</lable>"), "<label> is ended by </lable"},
	{"a name of large letters", attesttest.Other, replace("<label>", "<Label>"), "without a name of small letters"},
	{"elements inside an answer", attesttest.Other, replace("<extractable>false", "<extractable><a></a>"), "attribute <extractable> holds elements"},
	{"elements inside a text", attesttest.Other, replace("<label>key-1", "<label><a></a>"), "holds elements where it should hold text"},
	{"text where the attributes belong", attesttest.MissingField, func(r *recipe) {
		r.text = func(xml string) string {
			a, b, _ := strings.Cut(xml, "<attributes>")
			_, b, _ = strings.Cut(b, "</attributes>")
			return a + b
		}
	}, "<attributes> is missing"},
	{"an empty label", attesttest.MissingField, set("label", ""), "<label> is empty"},
	{"a key that was always sensitive and isn't", attesttest.Other, set("sensitive", "false"), "contradicts itself"},
	{"a time that is none", attesttest.Other, set("create_time", "2026-11-31T09:00:00Z"), "is not a time like"},
	{"a count that is none", attesttest.Other, set("key_use_count", "-1"), "<key_use_count>"},
	{"a key's size that isn't the key's", attesttest.Other, replace("<algorithm>", "<key_size>384</key_size><algorithm>"), "and <public_key> has 256 bits"},
	{"a label with characters that don't show", attesttest.Other, set("label", "a\u200bb"), "<label>: "},
	{"a public key in another base64", attesttest.Other, replace("</public_key>", "\n</public_key>"), "<public_key>: "},
	{"a public key that is none", attesttest.Other, set("public_key", "AAAA"), "<public_key>: "},
	{"an attribute with an entity", attesttest.Other, replace("<label>", `<label a="&quot;">`), "or an entity, which isn't read"},
	{"a leaf that is an authority", attesttest.Other, func(r *recipe) {
		r.alterLeaf = func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }
	}, "not an attestation key's"},
}

func (r *recipe) input(t *testing.T) attest.Input {
	t.Helper()
	// The pinned root is the good one's, whatever the recipe's own.
	pinned := attesttest.Issue(t, "PRIMUS_HSM_ROOTKEY", nil, keys().root)
	return attest.Input{Evidence: r.build(t), Anchors: attesttest.Pin(t, Format, pinned.Certificate), At: attesttest.At}
}

func TestSamplesVerifyAndHostileVariantsAreRefused(t *testing.T) {
	s := attesttest.Suite{Verifier: Verifier{}, Device: "Securosys Primus", Without: map[string]string{
		attesttest.GzipBomb: "nothing in the format is compressed",
		attesttest.Stale:    "the format has no room for a nonce",
	}}
	sample, anchors := realSample(t)
	csr, err := x509.ParseCertificateRequest(pemBytes(t, sample.CSR))
	if err != nil {
		t.Fatal(err)
	}
	s.Samples = []attesttest.Sample{{Name: "Primus HSM 18386101, RSA-4096", Level: attest.Anchored, Case: attesttest.Case{
		Input:  attest.Input{Evidence: sample.evidence(), Anchors: anchors, At: attesttest.At},
		Demand: attesttest.Kept(attest.Anchored, csr.RawSubjectPublicKeyInfo, "18386101"),
	}}}
	twin := attesttest.Case{Input: good().input(t), Demand: attesttest.Kept(attest.Anchored, attesttest.SPKI(t, keys().made.Public()), "4711")}
	twin.Demand.Vendors = []string{"Securosys"}
	for _, v := range hostile {
		r := good()
		v.edit(r)
		s.Hostile = append(s.Hostile, attesttest.Hostile{Kind: v.kind, Name: v.name, Want: v.want, Twin: twin, Case: attesttest.Case{Input: r.input(t), Demand: twin.Demand}})
	}
	attesttest.Run(t, s)
}

func TestASignatureWithPSSVerifies(t *testing.T) {
	r := good()
	r.pss = true
	if c, err := attest.Check(Verifier{}, r.input(t)); err != nil || c.Level != attest.Anchored {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestAnAttestationKeyThatIsNotRSAIsRefused(t *testing.T) {
	m := keys()
	root := attesttest.Issue(t, "PRIMUS_HSM_ROOTKEY", nil, m.root)
	device := attesttest.Issue(t, "PRIMUS HSM KEY (SN: 4711)", root, m.device)
	leaf := attesttest.Issue(t, "attestation-key", device, m.made, attesttest.Leaf)
	in := good().input(t)
	in.Evidence = attesttest.Replaced(in.Evidence, PartChain, attesttest.DER(leaf.Certificate, device.Certificate))
	if _, err := attest.Check(Verifier{}, in); err == nil || !strings.Contains(err.Error(), "one for ECDSA, and Primus signs with RSA") {
		t.Errorf("got %v", err)
	}
}
