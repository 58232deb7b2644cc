//go:build cgo && linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
	"github.com/fleetctl/fleetctl/internal/token"
)

// TestKryoptic is a hybrid ceremony of five HSMs on the Rust software token, which has
// PKCS#11 3.2: Ed25519, points without their OCTET STRING, 150 objects by which an empty
// token describes itself, ML-DSA and ML-KEM. Keys of one role are ML-DSA-44, those of
// another agree by ML-KEM-768, through the interface of 3.2; the operator
// countersigns with a P-256 and an ML-DSA-65 key, both in a token; the third party adds
// an ML-DSA-44 signature to its statement; witnesses with ML-DSA-44 keys date all of it.
// Debian has no package of it: scripts/kryoptic builds it.
func TestKryoptic(t *testing.T) {
	module := testkryoptic.Module(t)
	r := newRig(t)
	r.more, r.before = map[string][]string{}, map[string]func(string){}
	dir := r.world()
	conf := ""
	const hsms = 5
	for i := range hsms + 1 {
		conf += fmt.Sprintf("[[slots]]\nslot = %d\ndbtype = \"sqlite\"\ndbargs = \"%s/kryoptic-%d.sql\"\n", i+1, dir, i+1)
	}
	check(t, os.WriteFile(filepath.Join(dir, "kryoptic.conf"), []byte(conf), 0o600))
	r.env = append(r.env, "KRYOPTIC_CONF="+filepath.Join(dir, "kryoptic.conf"))
	adds := r.hybrid(dir, module)
	r.planned(dir, module, hsms, "pin-of-vendor", "12345678")
	plan := r.read(dir, "plan.yaml")
	const role = "  - name: session\n    algorithm: ed25519\n"
	if !strings.Contains(plan, role) {
		t.Fatalf("no Ed25519 on kryoptic:\n%s", plan)
	}
	plan = strings.Replace(plan, role, role+"  - name: vault\n    algorithm: ml-dsa-44\n  - name: sealing\n    use: agree\n    algorithm: ml-kem-768\n", 1)
	check(t, os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(plan), 0o644))
	if out := r.run(dir, "hsm", "check", "plan.yaml", "--site", "site.yaml"); !bytes.Contains(out, []byte("5 HSMs ready for this plan")) {
		t.Errorf("hsm check says\n%s", out)
	}
	r.approved(dir)
	if out, err := r.start(dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r.live(dir)
	if n := strings.Count(r.read(dir, "ceremony/fleet-keys.json"), `"algorithm": "ml-dsa-44"`); n != hsms {
		t.Errorf("%d ML-DSA keys of %d HSMs", n, hsms)
	}
	out := flat(r.run(dir, "verify", "evidence.tar", "--policy", "policy.yaml"))
	for _, want := range []string{"VERIFIED", "classical and post-quantum signatures of auditor.example", "classical and post-quantum signatures of operator-1",
		"2 of 2 witnesses", "log log.example/fleet: its own signature", "officer olga, who signs with ssh-ed25519", "the fleet's keys of the role session: ed25519", "5 of 5 keys answered; nobody challenged"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("verify doesn't say %q:\n%s", want, out)
		}
	}
	for _, role := range []string{"vault", "sealing"} {
		if bytes.Contains(out, []byte("the role "+role+":")) {
			t.Errorf("post-quantum keys are called classical:\n%s", out)
		}
	}
	r.logsWhole(dir)
	r.agreedByMLKEM(dir, hsms)
	r.refusesPackage(dir, r.classical(r.read(dir, "operator.pub")), "the classical ceremony", "auditor.example gave no post-quantum signature beside its statement",
		"operator-1 gave its classical countersignature, and no post-quantum one that counts")
	for _, c := range lessThanBoth(adds) {
		r.refusesPackage(dir, relinked(t, filepath.Join(dir, "evidence.tar"), c.edit), c.name, c.want)
	}
}

// agreedByMLKEM holds what the token said of each key of ML-KEM to the record.
func (r *rig) agreedByMLKEM(dir string, hsms int) {
	r.t.Helper()
	a, err := folder.Read(filepath.Join(dir, "ceremony"))
	check(r.t, err)
	list := a.KeysOf(keys.Agree)
	if len(list) != hsms {
		r.t.Errorf("%d keys of ML-KEM in %d HSMs", len(list), hsms)
	}
	for _, k := range list {
		if got := k.Attempts[6:8]; got[0].Code != "CKR_KEY_TYPE_INCONSISTENT" || got[1] != (ceremony.Attempt{Name: token.TryDecapsulateInvalid, Call: token.CallDecapsulate, Code: "CKR_DEVICE_ERROR"}) {
			r.t.Errorf("%s: %+v", k.HSM, got)
		}
		if k.Intent.Algorithm != keys.MLKEM768 || len(k.Peer.Peer) != 1088 || k.Opened == nil {
			r.t.Errorf("%s: %s, %+v", k.HSM, k.Intent.Algorithm, k.Peer)
		}
	}
}

// hybrid makes the keys of a hybrid ceremony, and gives the one of the third party's
// additions. The operator's are in a token of the module, which isn't one of the fleet's.
func (r *rig) hybrid(dir, module string) *keys.MLDSA {
	r.t.Helper()
	for name, pin := range map[string]string{"op": "pin-of-op", "op-so": "12345678"} {
		check(r.t, os.WriteFile(filepath.Join(dir, "pins", name), []byte(pin+"\n"), 0o600))
	}
	pin := "file:" + filepath.Join(dir, "pins", "op")
	r.run(dir, append([]string{"hsm", "init", "--module", module, "--label", "op", "--pin", pin, "--so-pin", pin + "-so"}, r.which(dir, module)...)...)
	check(r.t, os.Remove(filepath.Join(dir, "operator.pub")))
	for id, key := range map[string][2]string{"01": {"ecdsa-p256", "operator.pub"}, "02": {"ml-dsa-65", "operator-pq.pub"}} {
		r.run(dir, "hsm", "keygen", "--module", module, "--token", "op", "--id", id, "--algorithm", key[0], "--pin", pin, "--out", key[1])
	}
	r.operator = fmt.Sprintf("pkcs11:token=op;id=%%01?module-path=%s&pin-source=%s", module, pin)
	r.more["bundle countersign"] = []string{"--pq-key", strings.Replace(r.operator, "%01", "%02", 1)}

	seed := sha256.Sum256([]byte("the third party's additions"))
	adds, err := keys.NewMLDSA(keys.MLDSA44, seed[:])
	check(r.t, err)
	file := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: adds.PKCS8()})
	check(r.t, os.WriteFile(filepath.Join(dir, "adds.pem"), file, 0o600))
	r.more["thirdparty sign"] = []string{"--pq-key", "adds.pem"}
	r.more["plan new"] = []string{"--third-party-pq", "auditor.example=" + base64.StdEncoding.EncodeToString(adds.Public().SPKI()), "--countersigner-pq", "operator-pq.pub"}
	path := filepath.Join(dir, "thirdparty.yaml")
	text := strings.NewReplacer("[ed25519, ecdsa-p256]", "[ed25519, ml-dsa-44, ml-kem-768]", "[session]", "[session, vault, sealing]").Replace(r.read(dir, "thirdparty.yaml"))
	check(r.t, os.WriteFile(path, []byte(text), 0o600))

	// Two witnesses cosign by file, as those do who have no network.
	policy, _, _ := strings.Cut(r.read(dir, "log.policy"), "\n")
	witness := func(n, name string) []string {
		return []string{"--witness-key", n + ".pem", "--name", name, "--key-type", "ml-dsa-44"}
	}
	for _, n := range []string{"w1", "w2"} {
		var said struct{ VKey string }
		check(r.t, json.Unmarshal(r.run(dir, append([]string{"log", "witness", "--format", "json"}, witness(n, "witness.example/"+n)...)...), &said))
		policy += fmt.Sprintf("\nwitness %s %s", n, said.VKey)
	}
	check(r.t, os.WriteFile(filepath.Join(dir, "log.policy"), []byte(policy+"\ngroup both all w1 w2\nquorum both\n"), 0o600))
	r.more["log append"] = []string{"--policy", "log.policy", "--cosigned", "by-w1", "--cosigned", "by-w2"}
	r.before["log append"] = func(dir string) {
		cmd := r.command(dir, "log", "append", "ceremony", "--log", "log", "--key", "log.pem", "--policy", "log.policy")
		if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != cli.ExitPending {
			r.t.Fatalf("without its witnesses: %v\n%s", err, out)
		}
		r.run(dir, "log", "prove", "--consistency", "0", "--log", "log", "--out", "to-witnesses")
		for _, n := range []string{"w1", "w2"} {
			r.run(dir, append([]string{"log", "cosign", "to-witnesses", "--state", "seen-" + n, "--policy", "log.policy", "--first", "--out", "by-" + n}, witness(n, "witness.example/"+n)...)...)
		}
	}
	return adds
}

// logsWhole has the bundle's file logged elsewhere: not before a policy says whose
// signatures it must have.
func (r *rig) logsWhole(dir string) {
	r.t.Helper()
	r.run(dir, "log", "init", "elsewhere", "--origin", "log.example/fleet", "--key", "log.pem")
	add := []string{"log", "append", "ceremony/bundle.json", "--log", "elsewhere", "--key", "log.pem", "--out", "elsewhere.proof"}
	cmd := r.command(dir, append(add, "--policy", "log.policy")...)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != cli.ExitWrong || !bytes.Contains(flat(out), []byte("nothing says whose signatures this bundle must have")) {
		r.t.Errorf("without a verifier's policy: %v\n%s", err, out)
	}
	cmd = r.command(dir, append(add, "--policy", "policy.yaml")...)
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != cli.ExitPending { // its witnesses aren't asked here
		r.t.Errorf("with one: %v\n%s", err, out)
	}
}

func (r *rig) read(dir, file string) string {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	check(r.t, err)
	return string(data)
}

// classical is the package of a ceremony by the same people, third party and classical
// key of the operator, on SoftHSM and without a post-quantum signature.
func (r *rig) classical(operator string) (archive []byte) {
	r.t.Helper()
	dir := r.world()
	c := *r
	c.more, c.before = nil, nil
	plan := strings.Replace(r.read(dir, "plan.yaml"), strings.TrimSpace(r.read(dir, "operator.pub")), strings.TrimSpace(operator), 1)
	check(r.t, os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(plan), 0o644))
	for _, gone := range []string{"plan-approvals", "policy.yaml"} {
		check(r.t, os.RemoveAll(filepath.Join(dir, gone)))
	}
	c.approved(dir)
	if out, err := c.start(dir).CombinedOutput(); err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	c.live(dir)
	return []byte(r.read(dir, "evidence.tar"))
}

// refusesPackage demands that verify refuses a package by the hybrid policy, for these reasons.
func (r *rig) refusesPackage(dir string, archive []byte, what string, reasons ...string) {
	r.t.Helper()
	check(r.t, os.WriteFile(filepath.Join(dir, "refused.tar"), archive, 0o600))
	cmd := r.command(dir, "verify", "refused.tar", "--policy", "policy.yaml")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != cli.ExitWrong {
		r.t.Errorf("%s: exit code %d", what, cmd.ProcessState.ExitCode())
	}
	for _, want := range reasons {
		if !bytes.Contains(flat(out), []byte(want)) {
			r.t.Errorf("%s: verify doesn't say %q:\n%s", what, want, out)
		}
	}
}

// less is a package in which one signature of a hybrid ceremony is missing, or another.
type less struct {
	name, want string
	edit       func(content any)
}

func lessThanBoth(adds *keys.MLDSA) []less {
	response := func(f func(*ceremony.Response)) func(any) {
		return func(x any) {
			if c, ok := x.(*ceremony.Response); ok {
				f(c)
			}
		}
	}
	counter := func(f func(*ceremony.Countersignature)) func(any) {
		return func(x any) {
			if c, ok := x.(*ceremony.Countersignature); ok {
				f(c)
			}
		}
	}
	var addition []byte
	return []less{
		{"no addition", "auditor.example: the plan names a post-quantum key of it, and no signature by that key came beside the statement", response(func(c *ceremony.Response) { c.Addition = nil })},
		{"an addition that was made for a countersignature", "it was made for fleetctl/countersignature/v1", response(func(c *ceremony.Response) {
			s, err := bundle.ParseStatement("", c.Statement)
			if err == nil {
				c.Addition, err = adds.Sign(keys.ForCountersignature, s.Message())
			}
			if err != nil {
				panic(err)
			}
		})},
		{"no post-quantum countersignature", "it has a signature by the post-quantum key of operator-1, or lacks one, against the plan", counter(func(c *ceremony.Countersignature) { c.PostQuantum = nil })},
		{"no classical countersignature", ": signature is empty", counter(func(c *ceremony.Countersignature) { c.Signature = nil })},
		{"the countersignatures in each other's place", "the countersignature of operator-1: the signature is no DER ECDSA signature", counter(func(c *ceremony.Countersignature) { c.Signature, c.PostQuantum = c.PostQuantum, c.Signature })},
		{"the addition in the place of the countersignature", "the post-quantum countersignature of operator-1: the signature has 2420 bytes, one of ml-dsa-65 has 3309", func(x any) {
			switch c := x.(type) {
			case *ceremony.Response:
				addition = c.Addition
			case *ceremony.Countersignature:
				c.PostQuantum = addition
			}
		}},
	}
}

// relinked is a package whose records are changed and follow from each other again.
func relinked(t testing.TB, archive string, edit func(content any)) []byte {
	t.Helper()
	data, err := os.ReadFile(archive)
	check(t, err)
	files, err := evidence.Unpack(archive, data)
	check(t, err)
	plan, err := ceremony.ParsePlan(ceremony.PlanFile, files[ceremony.PlanFile])
	check(t, err)
	records, err := ceremony.ParseTranscript(ceremony.TranscriptFile, files[ceremony.TranscriptFile], plan.Digest())
	check(t, err)
	prev, out := plan.Digest(), bytes.Buffer{}
	for _, r := range records.Records {
		if edit(r.Content); !r.Withheld() {
			r.Body = string(strict.EncodeLine(r.Content))
			r.Commit = sha256.Sum256(append(bytes.Clone(r.Salt), r.Body...))
		}
		r.Prev = prev
		prev = r.Hash()
		out.Write(r.Line())
	}
	files[ceremony.TranscriptFile] = out.Bytes()
	delete(files, evidence.ManifestFile)
	files[evidence.ManifestFile] = files.Manifest()
	data, err = evidence.Pack(files)
	check(t, err)
	return data
}
