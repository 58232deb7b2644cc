package require_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// policy is a file that has a block and nothing else.
type policy struct {
	Attestation *require.Text `strict:"attestation"`
}

// parse reads a block from its YAML, as a policy's reader does.
func parse(t testing.TB, text string) (*require.Block, error) {
	t.Helper()
	return read([]byte("attestation:\n  " + strings.ReplaceAll(text, "\n", "\n  ")))
}

func read(data []byte) (*require.Block, error) {
	p := &policy{}
	n, err := strict.DecodeYAML("policy.yaml", data, strict.MaxYAML, p)
	if err != nil {
		return nil, err
	}
	return p.Attestation.Block("policy.yaml", n.Get("attestation").LineOf)
}

func must(t testing.TB, text string) *require.Block {
	t.Helper()
	b, err := parse(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const full = `least: fresh
countersigner: anchored
vendors: [IBM]
models: [swtpm]
firmware:
  - model: swtpm
    least: "1.2"
  - least: "9"
fips_boot: true
fips_level: 3
sign_only: true
understood: true
tolerates: [sha1-signature]
anchors:
  - vendor: test
    name: a root
    formats: [tpm2-certify]
    spki_sha256: 5dc25e921c7050ac6f7c33190eb3f93fbe8d01a26028b284594a291475ead285
    origin: here
    check: look
    confirmed: by two of us
`

func TestABlockSaysAllThatItsTextSays(t *testing.T) {
	b := must(t, full)
	if b.Least != attest.Fresh || b.Countersigner != attest.Anchored || len(b.Vendors) != 1 || len(b.Models) != 1 || len(b.Firmware) != 2 ||
		!b.FIPSBoot || b.LeastFIPS != 3 || !b.SignOnly || !b.Understood || len(b.Tolerates) != 1 || len(b.Anchors.All()) != 1 || b.Unconfirmed() != nil {
		t.Errorf("%+v", b)
	}
	b = must(t, strings.Replace(full, "    confirmed: by two of us\n", "", 1))
	if got := b.Unconfirmed(); !slices.Equal(got, []string{"a root"}) {
		t.Errorf("unconfirmed: %q", got)
	}
	b = must(t, "least: anchored\n")
	if b.Countersigner != 0 || len(b.Anchors.All()) != 0 {
		t.Errorf("what is left out: %+v", b)
	}
}

func TestAFaultOfABlockIsNamedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"vendors: [a]\n":                            "policy.yaml:2: attestation.least is missing",
		"least: none\n":                             `policy.yaml:2: least is "none"; it is one of module-claimed`,
		"least: best\n":                             `policy.yaml:2: least is "best"`,
		"least: fresh\nlevel: fresh\n":              "policy.yaml:3: attestation.level is not a field",
		"least: fresh\ncountersigner: never\n":      "policy.yaml:3: countersigner",
		"least: fresh\nvendors: []\n":               "policy.yaml:3: vendors has 0 names",
		"least: fresh\nvendors:\n  - a\n  - a\n":    `policy.yaml:5: vendors names "a" twice`,
		"least: fresh\nmodels: [\"a\\nb\"]\n":       "policy.yaml:3: models:",
		"least: fresh\ntolerates: [everything]\n":   `policy.yaml:3: tolerates: "everything" is none of`,
		"least: fresh\nfips_level: 5\n":             "policy.yaml:3: fips_level is 5",
		"least: fresh\nfirmware: []\n":              "policy.yaml:3: firmware has 0 entries",
		"least: fresh\nfirmware:\n  - least: new\n": `policy.yaml:4: firmware: least: "new" is no version`,
		"least: fresh\nanchors:\n  - name: a\n":     "policy.yaml:4: attestation.anchors[0].vendor is missing",
		"least: fresh\nanchors: all\n":              "policy.yaml:3: attestation.anchors is",
		"least: fresh\nfirmware:\n" + strings.Repeat("  - {model: m, least: \"1\"}\n", 2): `policy.yaml:5: firmware: the model "m" stands twice`,
		"least: fresh\nfirmware:\n" + strings.Repeat("  - {least: \"1\"}\n", 2):           "policy.yaml:5: firmware: every model stands twice",
		full + full[strings.Index(full, "  - vendor"):]:                                   `policy.yaml:23: anchor "a root": this key stands twice`,
	} {
		if _, err := parse(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
}

func FuzzBlock(f *testing.F) {
	f.Add([]byte("attestation:\n  " + strings.ReplaceAll(full, "\n", "\n  ")))
	f.Add([]byte("attestation: {least: fresh, anchors: []}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := read(data)
		if err == nil && (b.Least < attest.ModuleClaimed || b.Countersigner == attest.None || b.Anchors == nil) {
			t.Errorf("a block that demands nothing: %+v", b)
		}
	})
}

// pinned is the block with a device's root as its anchor.
func pinned(t testing.TB, d *tpmtest.Device, text string) *require.Block {
	b := must(t, text)
	b.Anchors = at.Pin(t, tpm.Format, d.Root.Certificate)
	return b
}

func TestEvidenceIsJudgedByAllThatTheBlockRequires(t *testing.T) {
	d := tpmtest.New(t)
	key := at.P256(t)
	e := d.Attested(key.Public(), tpmtest.KeyAttrs).Input.Evidence
	signs := require.Question{Format: tpm.Format, Identity: d.ID, SPKI: at.SPKI(t, key.Public()), Nonce: [32]byte(tpmtest.Nonce), At: at.At, TrustOnFirstUse: true}
	agrees, unconfirmed, operators := signs, signs, signs
	agrees.Agrees, unconfirmed.TrustOnFirstUse, operators.Countersigner = true, false, true
	for _, x := range []struct {
		text string
		q    require.Question
		want string
	}{
		{"least: fresh\nsign_only: true\nvendors: [IBM]\nmodels: [swtpm]\nfirmware: [{model: swtpm, least: \"1.2.3\"}]\n", signs, ""},
		{"least: fresh\nunderstood: true\n", signs, ""},
		{"least: fresh\n", agrees, "purpose derive: false, and true is demanded"},
		{"least: fresh\n", unconfirmed, `anchor: nobody confirmed "AK root"`},
		{"least: fresh\nvendors: [STM]\n", signs, `vendor: "IBM", and one of ["STM"] is demanded`},
		{"least: fresh\nmodels: [other]\n", signs, `hwmodel: "swtpm"`},
		{"least: fresh\nfirmware: [{least: \"2\"}]\n", signs, "swversion: 1.2.3.4, and at least 2 is demanded"},
		{"least: fresh\nfirmware: [{model: swtpm, least: \"1\"}, {least: \"2\"}]\n", signs, ""},
		{"least: fresh\nfirmware: [{model: other, least: \"1\"}]\n", signs, `swversion: of the model "swtpm", for which the policy names no least firmware`},
		{"least: fresh\nfips_boot: true\n", signs, "fipsboot: not shown"},
		{"least: fresh\nfips_level: 2\n", signs, "fipslevel: not shown"},
	} {
		v, err := pinned(t, d, x.text).Judge(e, x.q)
		if err != nil {
			t.Errorf("%q: %v", x.text, err)
			continue
		}
		if got := tell(v); !strings.Contains(got, x.want) || (got == "") != (x.want == "") {
			t.Errorf("%q: %q, want %q", x.text, got, x.want)
		}
	}
	// The countersigner's key has a level of its own.
	bare := at.Without(e, tpm.PartAKPublic)
	b := pinned(t, d, "least: fresh\ncountersigner: vendor-signed\n")
	if v, err := b.Judge(bare, operators); err != nil || len(v.Problems) > 0 {
		t.Errorf("the countersigner's: %v %v", v, err)
	}
	if v, err := b.Judge(bare, signs); err != nil || !strings.Contains(tell(v), "level: vendor-signed, and fresh is demanded") {
		t.Errorf("the fleet's: %v %v", v, err)
	}
}

func tell(v *require.Verdict) string {
	var list []string
	for _, p := range v.Problems {
		list = append(list, p.String())
	}
	return strings.Join(list, "; ")
}

func TestEvidenceOfAnotherQuestionIsRefusedWhateverTheBlockDemands(t *testing.T) {
	d, other := tpmtest.New(t), tpmtest.New(t)
	key := at.P256(t)
	asked := require.Question{Format: tpm.Format, Identity: d.ID, SPKI: at.SPKI(t, key.Public()), Nonce: [32]byte(tpmtest.Nonce), At: at.At, TrustOnFirstUse: true}
	least := "least: module-claimed\n"
	good := d.Attested(key.Public(), tpmtest.KeyAttrs).Input.Evidence
	stale := d.Attested(key.Public(), tpmtest.KeyAttrs, func(a *tpm2.TPMSAttest) { a.ExtraData.Buffer = []byte("made the day before, as it seems") }).Input.Evidence
	theirs := d.Attested(at.P256(t).Public(), tpmtest.KeyAttrs).Input.Evidence
	for want, x := range map[string]func() (*attest.Evidence, require.Question){
		"stale: the evidence answers":                 func() (*attest.Evidence, require.Question) { return stale, asked },
		"another key: the evidence is not of the key": func() (*attest.Evidence, require.Question) { return theirs, asked },
		"another device: the evidence is of " + other.ID[:8]: func() (*attest.Evidence, require.Question) {
			return other.Attested(key.Public(), tpmtest.KeyAttrs).Input.Evidence, asked
		},
		`of the format "tpm2-certify", and the plan names "luna`: func() (*attest.Evidence, require.Question) { q := asked; q.Format = "luna-pkc"; return good, q },
		"names no device, and the plan names": func() (*attest.Evidence, require.Question) {
			return at.Replaced(at.Without(at.Without(good, tpm.PartAKCerts), tpm.PartAKPublic), tpm.PartAKKey, at.SPKI(t, d.AK.Public())), asked
		},
		"signature: it does not verify": func() (*attest.Evidence, require.Question) {
			return at.Replaced(good, tpm.PartSignature, stale.Part(tpm.PartSignature)), asked
		},
		"would take any evidence": func() (*attest.Evidence, require.Question) { q := asked; q.Nonce = [32]byte{}; return good, q },
		"there is no evidence":    func() (*attest.Evidence, require.Question) { return nil, asked },
	} {
		e, q := x()
		if v, err := pinned(t, d, least).Judge(e, q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v %v", want, v, err)
		}
	}
	if v, err := pinned(t, d, least).Judge(good, asked); err != nil || len(v.Problems) > 0 || v.Claims.Level != attest.Fresh {
		t.Errorf("the good twin: %v %v", v, err)
	}
}

func TestAKeyThatWasImportedOrCanLeaveIsRefusedByName(t *testing.T) {
	d := tpmtest.New(t)
	key := at.P256(t)
	q := require.Question{Format: tpm.Format, Identity: d.ID, SPKI: at.SPKI(t, key.Public()), Nonce: [32]byte(tpmtest.Nonce), At: at.At, TrustOnFirstUse: true}
	loose, imported := tpmtest.KeyAttrs, tpmtest.KeyAttrs
	loose.FixedTPM, loose.FixedParent = false, false
	imported.SensitiveDataOrigin = false
	for want, attrs := range map[string]tpm2.TPMAObject{
		"extractable: true, and false is demanded; sensitive: false": loose,
		"local: false, and true is demanded":                         imported,
	} {
		v, err := pinned(t, d, "least: module-claimed\n").Judge(d.Attested(key.Public(), attrs).Input.Evidence, q)
		if err != nil || !strings.Contains(tell(v), want) {
			t.Errorf("want %q: %s %v", want, fmt.Sprint(v), err)
		}
	}
}
