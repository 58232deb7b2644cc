//go:build cgo && linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/cmd/fleetctl/demo"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/testtpm"
	"github.com/fleetctl/fleetctl/internal/testwitness"
)

const liveHSMs = 7

// liveFleet is a production ceremony on TPMs behind tpm2-pkcs11.
type liveFleet struct {
	officers
	store  *testtpm.Store
	names  []string // attestation identities
	anchor string   // of the authority that enrolled them, on one line
}

const livePIN = "pin-of-vendor"

var anchorOnALine = regexp.MustCompile(`(?m)^- (\{vendor: .*\})$`)

// newLiveFleet makes TPMs with a token in each, and has an authority enrol them.
func newLiveFleet(t *testing.T) *liveFleet {
	r := newRig(t)
	dir := r.world()
	l := &liveFleet{officers: officers{r, t, dir}}
	maker := testtpm.NewMaker(t, dir)
	var tokens []testtpm.Token
	for i := range liveHSMs {
		name := fmt.Sprintf("hsm-%d", i+1)
		tokens = append(tokens, testtpm.Token{TPM: maker.Start(name), Label: "vendor-" + name[4:], UserPIN: livePIN, SOPIN: "12345678"})
		check(t, os.WriteFile(filepath.Join(dir, "pins", tokens[i].Label), []byte(livePIN+"\n"), 0o600))
	}
	l.store = testtpm.NewStore(t, dir, tokens...)
	r.env = append(r.env, l.store.Env...)
	makersFile(t, dir, maker)
	out := r.run(dir, "attestation", "tpm", "authority", "--operator", "Example Ltd", "--key", "authority.pem", "--out", "authority.crt")
	m := anchorOnALine.FindSubmatch(out)
	if m == nil {
		t.Fatalf("no anchor:\n%s", out)
	}
	l.anchor = strings.Replace(string(m[1]), `"WHO, WHEN"`, "a test", 1)
	for _, token := range tokens {
		l.names = append(l.names, r.enrolled(dir, token.TPM))
	}
	for _, gone := range []string{"plan.yaml", "site.yaml", "policy.yaml", "plan-approvals"} {
		check(t, os.RemoveAll(filepath.Join(dir, gone)))
	}
	l.witnessed()
	l.planned(tokens)
	return l
}

// witnessed has the log's policy demand two witnesses: torchwood's and ours.
func (l *liveFleet) witnessed() {
	l.t.Helper()
	file := filepath.Join(l.dir, "log.policy")
	policy, err := os.ReadFile(file)
	check(l.t, err)
	vkey := strings.Fields(string(policy))[1] // log VKEY
	line := testwitness.Litewitness(l.t, "log.example/fleet", vkey, "witness.example/lite")
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
	check(l.t, os.WriteFile(file, fmt.Appendf(nil, "log %s\n%switness ours %s %s\ngroup both all lite ours\nquorum both\n", vkey, line, ours.VKey, said.Listen), 0o600))
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

// planned writes the plan, which names each TPM, the site file, and the policy as
// policy new writes it.
func (l *liveFleet) planned(tokens []testtpm.Token) {
	l.t.Helper()
	args := []string{"plan", "new", "--mode", "production", "--fleet", "backup", "--namespace", strings.TrimPrefix(demo.Namespace, "rehearsal."),
		"--from-tokens", "--module", l.store.Module, "--label-prefix", "vendor-", "--hsms", fmt.Sprint(liveHSMs), "--pin", "file:" + l.dir + "/pins/%s",
		"--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=operator.pub",
		"--log-policy", "log.policy", "--role", "session=ecdsa-p256", "--out", "plan.yaml", "--site-out", "site.yaml"}
	for _, p := range demo.People {
		args = append(args, "--person", fmt.Sprintf("%s:%s=people/%s.pub", p.Role, p.Name, p.Name))
	}
	l.rig.run(l.dir, args...)
	for i := range tokens {
		name := fmt.Sprintf("hsm-%d", i+1)
		l.changed("plan.yaml", "  - name: "+name+"\n", "  - name: "+name+"\n    attestation: {format: tpm2-certify, identity: \""+l.names[i]+"\"}\n    tolerates: [relax-extractable, relax-sensitive]\n")
		l.changed("site.yaml", "  - name: "+name+"\n", fmt.Sprintf("  - name: %s\n    attestation: {tcti: %q, store: %s, ak_certificates: %s/%s-ak.pem, ek_certificates: %s/maker.pem}\n",
			name, tokens[i].TPM.TCTI, l.store.File, l.dir, name, l.dir))
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
	text, err := thirdpartyPolicy(l.dir, liveHSMs)
	check(l.t, err)
	text = strings.NewReplacer("mode: rehearsal", "mode: production", "[rehearsal.", "[").Replace(text)
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

// keysMade runs the ceremony until every key is made, attested and compared.
func (l *liveFleet) keysMade() {
	for _, who := range []string{"olga", "omar"} {
		l.at(cli.ExitDone, func(k *keyboard) { k.types("to agree, or", "approve the plan\n") }, "plan", "approve", "plan.yaml", "--key", "people/"+who)
	}
	run := []string{"ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "policy.yaml"}
	l.at(cli.ExitPending, func(k *keyboard) {
		k.types("three words of your own choosing", "alpha beta gamma\n", "the time on the wall", wall()+"\n")
		k.confirms()
		for i := range liveHSMs {
			k.types(fmt.Sprintf("number on the seal of hsm-%d", i+1), fmt.Sprintf("447%d\n", i), "read again", fmt.Sprintf("447%d\n", i))
		}
	}, run...)
	l.sign("--approve", "open")
	l.at(cli.ExitDone, func(k *keyboard) {
		for range liveHSMs + 1 { // each key, the fleet
			k.confirms()
		}
	}, run...)
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

func TestALiveProductionCeremonyOnTPMsIsVerified(t *testing.T) {
	l := newLiveFleet(t)
	l.policies()
	l.keysMade()
	l.closed()
	out, err := l.command(l.dir, "verify", "evidence.tar", "--policy", "policy.yaml").CombinedOutput()
	t.Logf("%s\n%v", out, err)
}
