package evidence_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// forms are one key in every form that something of ours reads.
type forms struct {
	public *keys.Public
	ssh    map[string]string // by OpenSSH's type
	raw    string            // base64; of Ed25519
	spki   string            // base64
	pem    string
	log    string // vkeys
	cosign string
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func sshLine(typ string, fields any) string { return typ + " " + b64(ssh.Marshal(fields)) }

func formsOf(alg keys.Algorithm, name string) *forms {
	k := testfleet.SoftSigner(alg, name).Public
	f := &forms{public: k, spki: b64(k.SPKI()), ssh: map[string]string{}}
	f.pem = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.SPKI()}))
	origin := "log.example/" + strings.ReplaceAll(name, " ", "-")
	if raw, ok := k.Ed25519(); ok {
		f.raw = b64(raw)
		f.ssh["ssh-ed25519"] = sshLine("ssh-ed25519", struct{ Type, Point string }{"ssh-ed25519", string(raw)})
		f.ssh[sktest.Ed25519] = sshLine(sktest.Ed25519, struct{ Type, Point, App string }{sktest.Ed25519, string(raw), "ssh:"})
		f.log = must(auditlog.NewVerifier(origin, auditlog.Ed25519, raw)).String()
		f.cosign = must(auditlog.NewVerifier(origin, auditlog.Ed25519Cosignature, raw)).String()
		return f
	}
	point := string(k.SPKI()[len(k.SPKI())-65:])
	f.ssh["ecdsa-sha2-nistp256"] = sshLine("ecdsa-sha2-nistp256", struct{ Type, Curve, Point string }{"ecdsa-sha2-nistp256", "nistp256", point})
	f.ssh[sktest.P256] = sshLine(sktest.P256, struct{ Type, Curve, Point, App string }{sktest.P256, "nistp256", point, "ssh:other"})
	f.log = must(auditlog.NewVerifier(origin, auditlog.ECDSA, k.SPKI())).String()
	return f
}

func TestAKeyIsOneKeyInEveryForm(t *testing.T) {
	seen := map[keys.Point]string{}
	for _, alg := range []keys.Algorithm{keys.Ed25519, keys.P256} {
		for _, name := range []string{"one", "two"} {
			f := formsOf(alg, name)
			want := f.public.Point()
			if other, ok := seen[want]; ok {
				t.Errorf("%s %s has the point of %s", alg, name, other)
			}
			seen[want] = name
			points := map[string]keys.Point{
				"PEM": must(auditlog.ParsePublicKey(f.pem)).Point(), "SPKI": must(auditlog.ParsePublicKey(f.spki)).Point(),
				"vkey of a log": must(auditlog.ParseVKey(f.log)).Point(),
			}
			if raw, ok := f.public.Ed25519(); ok {
				points["raw"], points["vkey of a witness"] = keys.Ed25519Point([32]byte(raw)), must(auditlog.ParseVKey(f.cosign)).Point()
			}
			for typ, line := range f.ssh {
				points[typ] = must(sshsig.ParsePublicKey(line + " a comment")).Points()[0]
			}
			for form, p := range points {
				if p != want {
					t.Errorf("%s %s as %s has the point %x, want %x", alg, name, form, p, want)
				}
			}
		}
	}
	// P-384 has no FIDO2 form; its OpenSSH key and its SPKI are one key too.
	seed := sha256.Sum256([]byte("a key of P-384"))
	priv := must(ecdsa.ParseRawPrivateKey(elliptic.P384(), append(make([]byte, 16), seed[:]...)))
	line := string(ssh.MarshalAuthorizedKey(must(ssh.NewPublicKey(priv.Public()))))
	if got := must(sshsig.ParsePublicKey(strings.TrimSpace(line))).Points()[0]; got != must(keys.FromECDSA(&priv.PublicKey)).Point() {
		t.Error("two points of one P-384 key")
	}
}

// slots are places for a key in a policy that uses them all.
var slots = []string{"olga", "omar", "wanda", "tp", "op", "log", "cosigner", "rekor log", "submitter"}

// slotted is a policy that has the given keys; a slot that it lacks has a key of
// its own.
func slotted(of map[string]*forms, typ map[string]string, more string) []byte {
	key := func(slot string, alg keys.Algorithm) *forms {
		if f := of[slot]; f != nil {
			return f
		}
		return formsOf(alg, slot)
	}
	person := func(slot, role string) string {
		f := key(slot, keys.Ed25519)
		kind := typ[slot]
		if kind == "" {
			kind = "ssh-ed25519"
			if f.raw == "" {
				kind = "ecdsa-sha2-nistp256"
			}
		}
		return fmt.Sprintf("  - {name: %s, role: %s, key: %q, confirmed: \"x\"}\n", slot, role, f.ssh[kind])
	}
	op, log := key("op", keys.P256), key("log", keys.Ed25519)
	return []byte("format: fleetctl policy v1\nmode: rehearsal\nnamespaces: [" + testfleet.Namespace + "]\nthreshold: 2\npeople:\n" +
		person("olga", "officer") + person("omar", "officer") + person("wanda", "witness") +
		"third_parties_needed: 1\nthird_parties:\n  - {name: tp, key: \"" + key("tp", keys.Ed25519).raw + "\", confirmed: \"x\"}\n" +
		fmt.Sprintf("operators:\n  - {name: op, algorithm: %s, key: %q, form: bound, confirmed: \"x\"}\n", op.public.Algorithm(), op.spki) +
		"log_policy: |\n  log " + log.log + "\n  witness cosigner " + key("cosigner", keys.Ed25519).cosign + "\n  quorum cosigner\nlog_confirmed: \"x\"\n" +
		fmt.Sprintf("rekor:\n  logs:\n    - {name: rekor, version: 2, origin: rekor.example, key: %q, confirmed: \"x\"}\n", key("rekor log", keys.P256).spki) +
		fmt.Sprintf("  submitters:\n    - {name: submitter, key: %q, confirmed: \"x\"}\n", key("submitter", keys.P256).pem) +
		more + "claims: {statement.signed: proven, countersigned: proven}\n")
}

func TestOneKeyHasOnePartInAPolicy(t *testing.T) {
	if _, err := evidence.ParsePolicy("p", slotted(nil, nil, "")); err != nil {
		t.Fatal(err)
	}
	ed := map[string]bool{"olga": true, "omar": true, "wanda": true, "tp": true, "op": true, "log": true, "cosigner": true}
	p256 := map[string]bool{"olga": true, "omar": true, "wanda": true, "op": true, "log": true, "rekor log": true, "submitter": true}
	tried := 0
	for i, a := range slots {
		for _, b := range slots[:i] {
			for alg, fits := range map[keys.Algorithm]map[string]bool{keys.Ed25519: ed, keys.P256: p256} {
				if !fits[a] || !fits[b] {
					continue
				}
				k := formsOf(alg, "shared")
				device := map[keys.Algorithm]string{keys.Ed25519: sktest.Ed25519, keys.P256: sktest.P256}[alg]
				for _, typ := range []map[string]string{nil, {a: device}, {b: device}} {
					tried++
					_, err := evidence.ParsePolicy("p", slotted(map[string]*forms{a: k, b: k}, typ, ""))
					oneLog := strings.HasSuffix(a, "log") && strings.HasSuffix(b, "log")
					if oneLog && err != nil || !oneLog && (err == nil || !strings.Contains(err.Error(), "the key of") && !strings.Contains(err.Error(), "the same key")) {
						t.Errorf("%s and %s have one %s key, %v: %v", a, b, alg, typ, err)
					}
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("%d pairs", tried)
	}
}

func judge(t *testing.T, f *testfleet.Fleet, policy string) *evidence.Report {
	t.Helper()
	p, err := evidence.ParsePolicy("policy.yaml", []byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	return must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, p, evidence.Question{Now: f.Now()}))
}

func wantProblem(t *testing.T, r *evidence.Report, want string) {
	t.Helper()
	for _, p := range r.Problems {
		if strings.Contains(p.What, want) && !r.Verified {
			return
		}
	}
	t.Errorf("verified %t, %+v, want a problem that says %q", r.Verified, r.Problems, want)
}

// A package and a policy that each know everybody once can still give one person
// two voices: where they call one person by two names.
func TestPlanAndPolicyTogetherGiveNobodyTwoVoices(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "names", Others: 1, Needed: 1})
	good := string(f.Policy)
	if r := judge(t, f, good); !r.Verified {
		t.Fatalf("%+v", r.Problems)
	}
	name := func(of string) string { return "- name: " + of + "\n" }
	swap := func(a, b string) string {
		return strings.NewReplacer(name(a), name(b), name(b), name(a)).Replace(good)
	}
	wantProblem(t, judge(t, f, swap("olga", "omar")), `person "olga" of the plan has the key that the policy pins for "omar", and the policy pins another for "olga": one of them would have two voices`)
	wantProblem(t, judge(t, f, swap("auditor.example", "auditor-2.example")), `third party "auditor.example" of the plan has the key that the policy pins for "auditor-2.example"`)
	// What the plan's olga signs counts for the policy's boss; that is no second voice.
	if r := judge(t, f, strings.Replace(good, name("olga"), name("boss"), 1)); !r.Verified {
		t.Errorf("renamed: %+v", r.Problems)
	}
	// A key that is the plan's officer's and the policy's third party's.
	line := f.Parties.People["ozan"].Key()
	raw, _ := line.Ed25519()
	other := strings.Replace(good, line.String(), formsOf(keys.Ed25519, "another ozan").ssh["ssh-ed25519"], 1)
	other = strings.Replace(other, "third_parties:\n", "third_parties:\n  - name: more\n    key: "+b64(raw)+"\n    confirmed: \"x\"\n", 1)
	wantProblem(t, judge(t, f, other), `person "ozan" of the plan has the key of third party "more" of the policy`)
}

// Keys of a token follow from its name, so that a test can have them sign
// elsewhere too: here as the third party of the same fleet, and as an officer.
func TestAFleetsKeyIsNobodysElse(t *testing.T) {
	const name = "shared"
	f := testfleet.New(t, testfleet.Options{Name: name})
	k := f.Account.Keys[0]
	token := fmt.Sprintf("%s-1 %x", name, k.Intent.ID)
	if string(testfleet.SoftSigner(keys.Ed25519, token).Public.SPKI()) != string(k.Outcome.PublicKey) {
		t.Fatal("the token's key doesn't follow from its name")
	}
	if r := judge(t, f, string(f.Policy)); !r.Verified {
		t.Fatalf("%+v", r.Problems)
	}
	for part, change := range map[string]func(*testfleet.Parties){
		"third party": func(p *testfleet.Parties) { p.ThirdParty = testfleet.SoftSigner(keys.Ed25519, token) },
		"operator":    func(p *testfleet.Parties) { p.Operator = testfleet.SoftSigner(keys.Ed25519, token) },
		"person": func(p *testfleet.Parties) {
			p.People = map[string]*testfleet.Person{}
			for _, who := range []struct{ name, role string }{{"olga", ceremony.Officer}, {"omar", ceremony.Officer}, {"ozan", ceremony.Officer}, {"wanda", ceremony.Witness}, {"ada", ceremony.Auditor}} {
				p.People[who.name] = testfleet.NewPerson(name+" "+who.name, who.role)
			}
			p.People["omar"] = testfleet.NewPerson(token, ceremony.Officer)
		},
	} {
		parties := testfleet.SoftParties(name, testfleet.TempDir(t))
		change(parties)
		f := testfleet.New(t, testfleet.Options{Name: name, Parties: parties, Unwary: true})
		r := judge(t, f, string(f.Policy))
		wantProblem(t, r, `fleet key "hsm-1/session" has the key of `+part)
		// The bundle alone shows it to whoever pins third party and operator.
		if part != "person" {
			p := must(evidence.ParsePolicy("policy.yaml", f.Policy))
			r = must(evidence.Verify(evidence.Input{File: "bundle.json", Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]}, p, evidence.Question{Now: f.Now()}))
			wantProblem(t, r, `fleet key "hsm-1/session" has the key of `+part)
		}
	}
}
