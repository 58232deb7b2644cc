//go:build cgo && linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/testtpm"
	"github.com/fleetctl/fleetctl/internal/testwitness"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

const liveHSMs = 7 // of the ceremony of many

// liveFleet is a production ceremony on TPMs behind tpm2-pkcs11.
type liveFleet struct {
	officers
	store  *testtpm.Store
	names  []string // attestation identities
	anchor string   // of the authority that enrolled them, on one line
	tokens []testtpm.Token
	asked  int // so many HSMs fleetctl asks itself; of the others people bring what a tool gave
	roles  []string
	// without is the claim that people type they go on without; none where it is empty.
	without string
}

const livePIN = "pin-of-vendor"

var anchorOnALine = regexp.MustCompile(`(?m)^- (\{vendor: .*\})$`)

// newLiveFleet makes TPMs with a token in each, and has an authority enrol them.
func newLiveFleet(t *testing.T, hsms, asked int, roles ...string) *liveFleet {
	r := newRig(t)
	dir := r.world()
	l := &liveFleet{officers: officers{r, t, dir}, asked: asked, roles: roles}
	maker := testtpm.NewMaker(t, dir)
	for i := range hsms {
		name := fmt.Sprintf("hsm-%d", i+1)
		l.tokens = append(l.tokens, testtpm.Token{TPM: maker.Start(name), Label: "vendor-" + name[4:], UserPIN: livePIN, SOPIN: "12345678"})
		check(t, os.WriteFile(filepath.Join(dir, "pins", l.tokens[i].Label), []byte(livePIN+"\n"), 0o600))
	}
	l.store = testtpm.NewStore(t, dir, l.tokens...)
	r.env = append(r.env, l.store.Env...)
	makersFile(t, dir, maker)
	l.authority()
	for _, token := range l.tokens {
		l.names = append(l.names, r.enrolled(dir, token.TPM))
	}
	l.unplanned()
	l.witnessed()
	l.planned()
	return l
}

// unplanned takes away the rehearsal's plan and what rests on it.
func (l *liveFleet) unplanned() {
	for _, gone := range []string{"plan.yaml", "site.yaml", "policy.yaml", "plan-approvals"} {
		check(l.t, os.RemoveAll(filepath.Join(l.dir, gone)))
	}
}

// authority makes the one that enrols TPMs, and the anchor by which it is pinned.
func (l *liveFleet) authority() {
	l.t.Helper()
	out := l.rig.run(l.dir, "attestation", "tpm", "authority", "--operator", "Example Ltd", "--key", "authority.pem", "--out", "authority.crt")
	m := anchorOnALine.FindSubmatch(out)
	if m == nil {
		l.t.Fatalf("no anchor:\n%s", out)
	}
	l.anchor = strings.Replace(string(m[1]), `"WHO, WHEN"`, "a test", 1)
}

// witnessed has the log's policy demand two witnesses: torchwood's and ours.
func (l *liveFleet) witnessed() {
	l.t.Helper()
	vkey := l.logKey()
	line := testwitness.Litewitness(l.t, "log.example/fleet", vkey, "witness.example/lite")
	l.logPolicy(line + l.ourWitness() + "group both all lite ours\nquorum both\n")
}

// logKey is the log's, as its policy has it.
func (l *liveFleet) logKey() string {
	policy, err := os.ReadFile(filepath.Join(l.dir, "log.policy"))
	check(l.t, err)
	return strings.Fields(string(policy))[1] // log VKEY
}

func (l *liveFleet) logPolicy(witnesses string) {
	check(l.t, os.WriteFile(filepath.Join(l.dir, "log.policy"), []byte("log "+l.logKey()+"\n"+witnesses), 0o600))
}

// ourWitness starts one, and gives its line of a policy.
func (l *liveFleet) ourWitness() string {
	l.t.Helper()
	var ours struct {
		VKey string `json:"vkey"`
	}
	check(l.t, json.Unmarshal(l.rig.run(l.dir, "log", "witness", "--witness-key", "witness.pem", "--name", "witness.example/ours", "--format", "json"), &ours))
	cmd := l.command(l.dir, "log", "witness", "--witness-key", "witness.pem", "--name", "witness.example/ours", "--state", "seen", "--policy", "log.policy", "--first", "--listen", "127.0.0.1:0", "--format", "json")
	out, err := cmd.StdoutPipe()
	check(l.t, err)
	await.Start(l.t, cmd)
	var said struct {
		Listen string `json:"listen"`
	}
	check(l.t, json.NewDecoder(out).Decode(&said))
	return fmt.Sprintf("witness ours %s %s\n", ours.VKey, said.Listen)
}

// changed replaces texts in a file; each must be there.
func (l *liveFleet) changed(file string, pairs ...string) {
	l.t.Helper()
	path := filepath.Join(l.dir, file)
	data, err := os.ReadFile(path)
	check(l.t, err)
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(data, []byte(pairs[i])) {
			l.t.Fatalf("%s has no %q:\n%s", file, pairs[i], data)
		}
		data = bytes.ReplaceAll(data, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	check(l.t, os.WriteFile(path, data, 0o600))
}

// planNew is the command that makes a production plan of a module's tokens.
func (l *liveFleet) planNew(module, prefix string, hsms int, out, siteOut string) []string {
	args := []string{"plan", "new", "--mode", "production", "--fleet", "backup", "--namespace", strings.TrimPrefix(demo.Namespace, "rehearsal."),
		"--from-tokens", "--module", module, "--label-prefix", prefix, "--hsms", fmt.Sprint(hsms), "--pin", "file:" + l.dir + "/pins/%s",
		"--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=operator.pub",
		"--log-policy", "log.policy", "--out", out, "--site-out", siteOut}
	for _, role := range l.roles {
		args = append(args, "--role", role)
	}
	for _, p := range demo.People {
		args = append(args, "--person", fmt.Sprintf("%s:%s=people/%s.pub", p.Role, p.Name, p.Name))
	}
	return args
}

// planNamed writes a plan and a site file whose HSMs are named by their identities.
func (l *liveFleet) planNamed(module, prefix string) {
	l.t.Helper()
	args := l.planNew(module, prefix, len(l.names), "plan.yaml", "site.yaml")
	for i, name := range l.names {
		args = append(args, "--device", fmt.Sprintf("hsm-%d=tpm2-certify:%s", i+1, name))
	}
	l.rig.run(l.dir, args...)
	l.changed("plan.yaml", "    site: lab\n", "    site: lab\n    tolerates: [relax-extractable, relax-sensitive]\n")
}

// planned writes the plan, which names each TPM, the site file, and the policy as
// policy new writes it.
func (l *liveFleet) planned() {
	l.t.Helper()
	l.planNamed(l.store.Module, "vendor-")
	for i := range l.tokens[:l.asked] {
		name := fmt.Sprintf("hsm-%d", i+1)
		l.changed("site.yaml", "  - name: "+name+"\n", fmt.Sprintf("  - name: %s\n    tpm: {tcti: %q, store: %s, ak_certificates: %s/%s-ak.pem, ek_certificates: %s/maker.pem}\n",
			name, l.tokens[i].TPM.TCTI, l.store.File, l.dir, name, l.dir))
	}
}

// policies are as policy new writes them, and with what their people add.
func (l *liveFleet) policies() {
	l.t.Helper()
	l.rig.run(l.dir, "policy", "new", "--plan", "plan.yaml", "--confirmed", "a test", "--out", "drafted.yaml")
	const tolerates, anchors = "# tolerates: [relax-extractable, relax-sensitive]\n", "  anchors: []\n"
	for file, lines := range map[string][]string{
		"policy.yaml":         {tolerates, tolerates[2:], anchors, "  anchors: [" + l.anchor + "]\n"},
		"without-anchor.yaml": {tolerates, tolerates[2:]}, "without-tolerates.yaml": {anchors, "  anchors: [" + l.anchor + "]\n"},
	} {
		draft, err := os.ReadFile(filepath.Join(l.dir, "drafted.yaml"))
		check(l.t, err)
		check(l.t, os.WriteFile(filepath.Join(l.dir, file), draft, 0o600))
		l.changed(file, lines...)
	}
	check(l.t, os.WriteFile(filepath.Join(l.dir, "thirdparty.yaml"), l.thirdParty(), 0o600))
}

// thirdParty is the third party's policy, with an anchor of its own.
func (l *liveFleet) thirdParty() []byte {
	l.t.Helper()
	text, err := thirdpartyPolicy(l.dir, len(l.names))
	check(l.t, err)
	text = strings.NewReplacer("mode: rehearsal", "mode: production", "[rehearsal.", "[", "ecdsa-p256]", "ecdsa-p256, ecdh-p256]", "[session]", "[session, sealing]").Replace(text)
	return []byte(text + "tolerates: [relax-extractable, relax-sensitive]\nattestation:\n  least: fresh\n  anchors: [" + l.anchor + "]\n")
}

// refused runs what must fail with these words.
func (l *liveFleet) refused(want string, args ...string) {
	l.t.Helper()
	out, err := l.command(l.dir, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(flat(out)), want) {
		l.t.Errorf("fleetctl %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
	}
}

// forecast is what can be told before anything is made: the policy is in reach with
// both lines that people add, without either it isn't, and no fleet of SoftHSM's is.
func (l *liveFleet) forecast() {
	l.t.Helper()
	l.rig.run(l.dir, "plan", "check", "plan.yaml", "--policy", "policy.yaml")
	l.refused("the policy pins no anchor for tpm2-certify", "plan", "check", "plan.yaml", "--policy", "without-anchor.yaml")
	l.refused("relax-sensitive in hsm-7, and the policy doesn't", "plan", "check", "plan.yaml", "--policy", "without-tolerates.yaml")
	l.rig.run(l.dir, l.planNew(modulePath(), "fleet-", rigHSMs, "soft.yaml", "soft-site.yaml")...)
	l.refused("the plan names no attestation under hsms:", "plan", "check", "soft.yaml", "--policy", "policy.yaml")
}

// keysMade runs the ceremony until every key is made, attested and compared; once it
// is open people do what they do.
func (l *liveFleet) keysMade(people func(*keyboard)) {
	for _, who := range []string{"olga", "omar"} {
		l.at(cli.ExitDone, func(k *keyboard) { k.types("to agree, or", "approve the plan\n") }, "plan", "approve", "plan.yaml", "--key", "people/"+who)
	}
	run := []string{"ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "policy.yaml"}
	l.at(cli.ExitPending, func(k *keyboard) {
		if l.without != "" {
			k.types("go on without "+l.without, "go on without "+l.without+"\n")
		}
		k.types("three words of your own choosing", "alpha beta gamma\n", "the time on the wall", wall()+"\n")
		k.confirms()
		for i := range l.names {
			k.types(fmt.Sprintf("number on the seal of hsm-%d", i+1), fmt.Sprintf("447%d\n", i), "read again", fmt.Sprintf("447%d\n", i))
		}
	}, run...)
	l.sign("--approve", "open")
	l.at(cli.ExitDone, people, run...)
}

// brought is how people bring the last HSM's attestation, after two that are none.
func (l *liveFleet) brought(k *keyboard) {
	l.t.Helper()
	const asks = "the file with the attestation of hsm-7 session"
	k.types(asks, "")
	a, err := folder.ReadToLastRecord(filepath.Join(l.dir, "ceremony"))
	check(l.t, err)
	w, ok := a.NextAttestation()
	if !ok || w.HSM != "hsm-7" {
		l.t.Fatalf("it is %s's turn", w.Name())
	}
	q := tpmdevice.Question{ID: w.Key.Intent.ID, SPKI: w.SPKI, Identity: w.Wants.Identity, Nonce: attest.Nonce([32]byte{}, sha256.Sum256(w.SPKI), w.Wants.Identity)}
	l.collected("stale.json", q)
	k.types("", "stale.json\n", "stale: the evidence answers the nonce", "", asks, "ceremony/"+ceremony.AttestationFile(a.Keys[liveHSMs-2].N)+"\n", "That is no answer", "", asks, "")
	q.Nonce = w.Nonce
	l.collected("fresh.json", q)
	k.types("", "fresh.json\n")
}

// collected has the last HSM's TPM attest a key, as a tool of its vendor's would.
func (l *liveFleet) collected(file string, q tpmdevice.Question) {
	l.t.Helper()
	for _, v := range l.store.Env { // which the module reads in this process
		name, value, _ := strings.Cut(v, "=")
		l.t.Setenv(name, value)
	}
	m, err := hsm.Open(l.store.Module, hsm.Options{})
	check(l.t, err)
	defer m.Close()
	last := l.tokens[liveHSMs-1]
	token, err := m.Token(hsm.Selector{Label: last.Label})
	check(l.t, err)
	defer token.Close()
	check(l.t, token.Login([]byte(livePIN)))
	s := tpmdevice.Source{TCTI: last.TPM.TCTI, Store: l.store.File, Label: last.Label}
	s.AK, err = os.ReadFile(filepath.Join(l.dir, "hsm-7-ak.pem"))
	check(l.t, err)
	s.EK, err = os.ReadFile(filepath.Join(l.dir, "maker.pem"))
	check(l.t, err)
	e, err := tpmdevice.Collect(context.Background(), s, token, []byte(livePIN), q)
	check(l.t, err)
	check(l.t, os.WriteFile(filepath.Join(l.dir, file), e.Encode(), 0o600))
}

// approved runs what waits for officers, has them approve it, and runs it again.
func (l *liveFleet) approved(act string, args ...string) {
	l.t.Helper()
	cmd := l.command(l.dir, args...)
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != cli.ExitPending {
		l.t.Fatalf("fleetctl %s: exit code %d, want %d\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), cli.ExitPending, out)
	}
	l.sign("--approve", act)
	l.rig.run(l.dir, args...)
}

// closed takes the ceremony to its end, with the evidence in the log.
func (l *liveFleet) closed() {
	v := workVars(l.dir)
	l.at(cli.ExitDone, (*keyboard).confirms, "bundle", "build", "ceremony")
	l.sign("--signoff", "release", "--verdict", "agree")
	l.rig.run(l.dir, "thirdparty", "init", "ledger.jsonl", "--public-key", "thirdparty.pub")
	l.approved("request", "bundle", "request", "ceremony", "--out", "request.json")
	l.rig.run(l.dir, "thirdparty", "sign", "request.json", "--policy", "thirdparty.yaml", "--ledger", "ledger.jsonl", "--key", v["PARTY"],
		"--agree", digestOf(filepath.Join(l.dir, "ceremony", "fleet-keys.json")), "--out", "response.json")
	l.rig.run(l.dir, "bundle", "import", "ceremony", "response.json")
	l.approved("countersign", "bundle", "countersign", "ceremony", "--key", v["OPERATOR"])
	l.at(cli.ExitDone, (*keyboard).confirms, "bundle", "assemble", "ceremony")
	l.rig.run(l.dir, "log", "append", "ceremony", "--log", "log", "--key", "log.pem", "--policy", "log.policy")
	l.rig.run(l.dir, "ceremony", "close", "ceremony")
	l.sign("--signoff", "close", "--verdict", "agree")
	l.rig.run(l.dir, "evidence", "pack", "ceremony", "--out", "evidence.tar")
	l.rig.run(l.dir, "log", "append", "evidence.tar", "--log", "log", "--key", "log.pem", "--policy", "log.policy")
}

// TestALiveProductionCeremonyOnTPMsIsVerified: seven TPMs behind tpm2-pkcs11, a
// third party, two witnesses, everything logged. The policy is the one that policy
// new writes and two lines that its people add knowingly.
func TestALiveProductionCeremonyOnTPMsIsVerified(t *testing.T) {
	testwitness.Need(t)
	l := newLiveFleet(t, liveHSMs, liveHSMs-1, "session=ecdsa-p256")
	l.policies()
	l.forecast()
	l.keysMade(func(k *keyboard) {
		for range liveHSMs {
			k.confirms()
		}
		l.brought(k)
		k.confirms()
	})
	l.closed()
	out := l.rig.run(l.dir, "verify", "evidence.tar", "--policy", "policy.yaml")
	for _, want := range []string{"VERIFIED", "16 claims demanded, 16 shown", "attested key.attested 7 keys: fresh;", "2 of 2 witnesses", "each known by its attestation"} {
		if !strings.Contains(string(flat(out)), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	l.refused("key.attested hsm-1 session: level: vendor-signed, and fresh is demanded", "verify", "evidence.tar", "--policy", "without-anchor.yaml")
	l.refused("relax-sensitive in hsm-7 succeeded; the plan tolerates it, the policy does not", "verify", "evidence.tar", "--policy", "without-tolerates.yaml")
	l.refused("key.attested the plan names no attestation of its HSMs: is not shown, the policy wants attested", "verify", filepath.Join(aLife(t, "packed"), "evidence.tar"), "--policy", "policy.yaml")
	a, err := folder.Read(filepath.Join(l.dir, "ceremony"))
	check(t, err)
	first, second := ceremony.AttestationFile(a.Keys[0].N), ceremony.AttestationFile(a.Keys[1].N)
	l.tampered(first+" is missing: record 81 names its digest", func(dir string) error { return os.Remove(filepath.Join(dir, first)) })
	l.tampered(first+" is not the evidence whose digest record 81", func(dir string) error { return os.Rename(filepath.Join(dir, second), filepath.Join(dir, first)) })
	l.tampered("of hsm-7 session: tpm2-certify: stale", func(dir string) error {
		stale, err := os.ReadFile(filepath.Join(l.dir, "stale.json"))
		check(t, err)
		return os.WriteFile(filepath.Join(dir, ceremony.AttestationFile(a.Keys[6].N)), stale, 0o600)
	})
}

// tampered verifies a copy of the ceremony in which a file was changed.
func (l *liveFleet) tampered(want string, change func(dir string) error) {
	l.t.Helper()
	dir := filepath.Join(l.t.TempDir(), "ceremony")
	check(l.t, copyTree(filepath.Join(l.dir, "ceremony"), dir))
	check(l.t, change(dir))
	l.refused(want, "verify", dir, "--policy", "policy.yaml")
}
