package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// SoftHSM is where Debian's packages put SoftHSM's library.
var SoftHSM = []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"}

// SoftHSMConf is the configuration of SoftHSM in a directory of its own.
const SoftHSMConf = `directories.tokendir = %s/tokens
objectstore.backend = file
log.level = ERROR
slots.removable = false
slots.mechanisms = ALL
library.reset_on_fork = false
`

// prepare makes the directory, SoftHSM's configuration and the secrets.
func (d *demo) prepare() error {
	for _, path := range SoftHSM {
		if _, err := os.Stat(path); err == nil && d.module == "" {
			d.module = path
		}
	}
	if d.module == "" {
		return cli.Usage(strict.Errorf("", "SoftHSM is not installed, and the demo's HSMs are its tokens").WithHint("apt-get install softhsm2, or name its library with --module"))
	}
	// Whether this build has PKCS#11 at all is said before anything is made.
	if m, err := hsm.Open(d.module, hsm.Options{}); err == nil {
		m.Close()
	} else if _, lerr := os.Stat(d.module); lerr == nil && err == hsm.ErrLeftOut {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	for _, sub := range []string{"tokens", "people", "pins"} {
		if err := durable.Mkdir(sub, 0o700); err != nil {
			return err
		}
	}
	if err := durable.Create("softhsm2.conf", fmt.Appendf(nil, SoftHSMConf, d.dir), 0o600); err != nil {
		return err
	}
	return os.Setenv("SOFTHSM2_CONF", filepath.Join(d.dir, "softhsm2.conf"))
}

// pinFile makes a PIN and gives its source.
func (d *demo) pinFile(name string) (string, error) {
	path := filepath.Join(d.dir, "pins", name)
	return "file:" + path, durable.Create(path, []byte(rand.Text()[:12]+"\n"), 0o600)
}

func (d *demo) tokens() error {
	d.chapter("tokens are made")
	labels := []string{}
	for i := range d.hsms {
		labels = append(labels, fmt.Sprintf("fleet-%d", i+1))
	}
	labels = append(labels, "operator", "thirdparty")
	// Open all the while: SoftHSM reads every token that there is each time it is
	// initialised, and would do so for each one that is made.
	if m, err := hsm.Open(d.module, hsm.Options{}); err == nil {
		defer m.Close()
	}
	so, err := d.pinFile("security-officer")
	if err != nil {
		return err
	}
	for i, label := range labels {
		pin, err := d.pinFile(label)
		if err != nil {
			return err
		}
		do := d.quietly
		if i == 0 || i >= d.hsms {
			do = d.do
		}
		if _, err := do("hsm", "init", "--module", d.module, "--label", label, "--pin", pin, "--so-pin", so); err != nil {
			return err
		}
	}
	d.done("%d HSMs of the fleet, one of the operator, one of the third party", d.hsms)
	for _, k := range []struct{ token, algorithm string }{{"operator", "ecdsa-p256"}, {"thirdparty", "ed25519"}} {
		r, err := d.do("hsm", "keygen", "--module", d.module, "--token", k.token, "--id", "01", "--algorithm", k.algorithm,
			"--pin", "file:"+filepath.Join(d.dir, "pins", k.token), "--out", k.token+".pub")
		if err != nil {
			return err
		}
		d.done("%s key of the %s, never extractable: %s", get(r, "algorithm"), k.token, k.token+".pub")
	}
	return nil
}

// keyRef names a key that keygen made.
func (d *demo) keyRef(label string) string {
	u := uri.URI{Token: label, ID: []byte{1}, ModulePath: d.module, PINSource: "file:" + filepath.Join(d.dir, "pins", label)}
	return u.String()
}

// People take part in the demo.
var People = []struct{ Role, Name string }{
	{ceremony.Officer, "olga"}, {ceremony.Officer, "omar"}, {ceremony.Officer, "ozan"}, {ceremony.Witness, "wanda"}, {ceremony.Auditor, "ada"},
}

func (d *demo) plan() error {
	d.chapter("the log is made, the plan is written")
	r, err := d.do("log", "init", "log", "--origin", "log.example/fleet", "--key", "log.pem", "--policy-out", "log.policy")
	if err != nil {
		return err
	}
	origin, _, _ := strings.Cut(get(r, "vkey"), "+")
	d.done("an empty log, %s, and beside it the guard of its key", origin)
	if err := d.witness(); err != nil {
		return err
	}
	args := []string{"plan", "new", "--mode", "rehearsal", "--fleet", Fleet, "--namespace", Namespace,
		"--from-tokens", "--module", d.module, "--label-prefix", "fleet-", "--hsms", fmt.Sprint(d.hsms),
		"--pin", "file:" + filepath.Join(d.dir, "pins", "%s")}
	if d.fleet {
		for _, r := range d.roles() {
			args = append(args, "--role", r)
		}
		args = append(args, "--drill", "sessions,logins,faults,lock")
	}
	for _, p := range People {
		if err := SSHKey(filepath.Join("people", p.Name)); err != nil {
			return err
		}
		args = append(args, "--person", fmt.Sprintf("%s:%s=people/%s.pub", p.Role, p.Name, p.Name))
	}
	args = append(args, "--third-party", "auditor.example=thirdparty.pub", "--countersigner", "operator-1=operator.pub",
		"--log-policy", "log.policy", "--lockdown", demoLockdown, "--out", "plan.yaml", "--site-out", "site.yaml")
	if _, err := d.do(args...); err != nil {
		return err
	}
	if r, err = d.do("plan", "check", "plan.yaml", "--site", "site.yaml"); err != nil {
		return err
	}
	d.done("plan without a fault: %s HSMs, majority %s, %s steps; a bundle has at most %s bytes", get(r, "hsms"), get(r, "majority"), get(r, "steps"), get(r, "max_bundle"))
	if _, err := d.do("hsm", "check", "plan.yaml", "--site", "site.yaml"); err != nil {
		return err
	}
	d.done("every token can do what the plan needs")
	for _, officer := range Officers {
		if _, err := d.do("plan", "approve", "plan.yaml", "--key", officer); err != nil {
			return err
		}
	}
	d.done("2 of 3 officers approved exactly these bytes")
	_, err = d.do("policy", "new", "--plan", "plan.yaml", "--confirmed", "rehearsal: one person on one machine made every key", "--out", "policy.yaml")
	if err == nil {
		d.done("policy.yaml pins every key; a verifier needs nothing else")
	}
	return err
}

// witness makes the key of a witness, of whom the log's policy then demands that it has
// seen what devices take.
func (d *demo) witness() error {
	r, err := d.do("log", "witness", "--witness-key", "witness.pem", "--name", witnessName)
	if err != nil {
		return err
	}
	vkey := get(r, "vkey")
	d.say(d.a.UI.Style(ui.Where, "   $ sed -i 's#^quorum none#witness w "+vkey+"\\nquorum w#' log.policy"), "\n")
	policy, err := os.ReadFile("log.policy")
	if err != nil {
		return err
	}
	policy = bytes.Replace(policy, []byte("quorum none\n"), fmt.Appendf(nil, "witness w %s\nquorum w\n", vkey), 1)
	if err := durable.Replace("log.policy", policy, 0o644); err != nil {
		return err
	}
	d.done("a witness of the log; log.policy demands its cosignature")
	return nil
}

const witnessName = "witness.example/w"

// Officers are as many officers as have to agree.
var Officers = []string{"people/olga", "people/omar"}

// SignedWith adds the officers who approve an act as it happens.
func SignedWith(args ...string) []string {
	for _, officer := range Officers {
		args = append(args, "--sign-with", officer)
	}
	return args
}

// signOff has everybody say that they agree.
func (d *demo) signOff(stage string) error {
	for _, who := range append(slices.Clone(Officers), "people/wanda", "people/ada") {
		if _, err := d.do("ceremony", "sign", "ceremony", "--signoff", stage, "--verdict", "agree", "--key", who); err != nil {
			return err
		}
	}
	d.done("2 officers, the witness and the auditor agree to the %s", stage)
	return nil
}

// SSHKey makes a person's OpenSSH key pair.
func SSHKey(path string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	if err := durable.Create(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	return durable.Create(path+".pub", ssh.MarshalAuthorizedKey(line), 0o644)
}

func (d *demo) ceremony() error {
	d.chapter("the ceremony: keys are born in the HSMs")
	r, err := d.do(SignedWith("ceremony", "run", "plan.yaml", "--site", "site.yaml", "--dir", "ceremony", "--policy", "policy.yaml", "--unattended")...)
	if err != nil {
		return err
	}
	d.done("%s", get(r, "ceremony"))
	d.done("every key generated inside, read back, attacked, proven, found again")
	d.done("fleet check passed; %s records on the transcript", get(r, "records"))
	if r, err = d.do("bundle", "build", "ceremony"); err != nil {
		return err
	}
	d.done("fleet-keys.json, SHA-256 %s…", shortHex(get(r, "sha256")))
	return d.signOff("release")
}

func (d *demo) thirdParty() error {
	d.chapter("the third party checks and signs, on its own machine")
	if _, err := d.do(SignedWith("bundle", "request", "ceremony", "--out", "request.json")...); err != nil {
		return err
	}
	algorithms, roles := "ed25519, ecdsa-p256", "session"
	if d.fleet {
		algorithms, roles = algorithms+", ecdh-p256", roles+", "+sealing
	}
	if d.hybrid {
		algorithms, roles = algorithms+", ml-dsa-44", roles+", "+sessionPQ
	}
	policy := fmt.Sprintf("format: fleetctl third-party-policy v1\nmode: rehearsal\nnamespaces: [%s]\nalgorithms: [%s]\nroles: [%s]\nleast_hsms: %d\n", Namespace, algorithms, roles, d.hsms)
	policy += "threshold: 2\npeople:\n"
	for _, p := range People {
		line, err := os.ReadFile(filepath.Join("people", p.Name+".pub"))
		if err != nil {
			return err
		}
		policy += fmt.Sprintf("  - {name: %s, role: %s, key: %q}\n", p.Name, p.Role, strings.TrimSpace(string(line)))
	}
	if err := durable.Create("thirdparty.yaml", []byte(policy), 0o644); err != nil {
		return err
	}
	if _, err := d.do("thirdparty", "init", "ledger.jsonl", "--public-key", "thirdparty.pub"); err != nil {
		return err
	}
	common := []string{"request.json", "--policy", "thirdparty.yaml", "--ledger", "ledger.jsonl", "--key", d.keyRef("thirdparty")}
	r, err := d.do(append([]string{"thirdparty", "inspect"}, common...)...)
	if err != nil {
		return err
	}
	d.done("request replayed: %s keys of epoch %s; policy and ledger agree", get(r, "keys"), get(r, "epoch"))
	if _, err := d.do(append([]string{"thirdparty", "sign", "--agree", get(r, "digest"), "--out", "response.json"}, common...)...); err != nil {
		return err
	}
	d.done("epoch %s signed as Cloudflare's auditor signs, and in the ledger", get(r, "epoch"))
	_, err = d.do("bundle", "import", "ceremony", "response.json")
	if err == nil {
		d.done("verified before it was stored")
	}
	return err
}

func (d *demo) countersign() error {
	d.chapter("the operator countersigns")
	if _, err := d.do(SignedWith("bundle", "countersign", "ceremony", "--key", d.keyRef("operator"))...); err != nil {
		return err
	}
	d.done("2 officers approved that text; the operator's HSM signed it, bound to that statement")
	r, err := d.do("bundle", "assemble", "ceremony")
	if err == nil {
		d.done("bundle.json, SHA-256 %s…", shortHex(get(r, "sha256")))
	}
	return err
}

func (d *demo) log() error {
	d.chapter("the bundle is logged")
	add := []string{"log", "append", "ceremony", "--log", "log", "--key", "log.pem"}
	if err := d.pending(add...); err != nil {
		return err
	}
	d.done("it is in the log, and its witness has to see that: by file, from a machine without a network")
	if _, err := d.do("log", "prove", "--consistency", "0", "--log", "log", "--policy", "log.policy", "--out", "to-witness"); err != nil {
		return err
	}
	if _, err := d.do("log", "cosign", "to-witness", "--witness-key", "witness.pem", "--name", witnessName,
		"--state", "witnessed", "--policy", "log.policy", "--first", "--out", "by-witness"); err != nil {
		return err
	}
	_, err := d.do(append(add, "--policy", "log.policy", "--cosigned", "by-witness")...)
	if err == nil {
		d.done("bundle.json.tlog-proof, on the transcript too")
	}
	return err
}

// bundleFile is what an HSM hands to a device, its proof beside it.
const bundleFile = "ceremony/bundle.json"

// device checks the bundle as a phone does, and leaves what the phone remembers.
func (d *demo) device() error {
	d.chapter("a phone checks the fleet's bundle, offline")
	if _, err := d.do("device", "policy", "--policy", "policy.yaml", "--max-age", "8760h", "--out", "device.json"); err != nil {
		return err
	}
	d.done("device.json is what the app has compiled in")
	r, err := d.do("device", "check", bundleFile, "--policy", "device.json", "--state", "phone", "--begin")
	if err == nil {
		d.done("%s; phone and phone.guard are what it remembers", get(r, "verdict"))
	}
	return err
}

// drill runs the reference fleet on the keys, and tries to break it.
func (d *demo) drill() error {
	if !d.fleet {
		return nil
	}
	d.chapter("the fleet runs, as a reference, and is drilled")
	args := []string{"fleet", "drill", "ceremony", "--site", "site.yaml", "--policy", "policy.yaml", "--max-age", "8760h", "--out", "drill", "--logins", "40"}
	d.show(args)
	args = append(args, "--color", d.a.Color, fmt.Sprintf("--plain=%t", d.a.Plain))
	out := d.a.Stdout
	if d.a.Format == "json" { // the verifier's report is the result, and all of it
		out = d.a.Stderr
	}
	if code := d.program(context.Background(), strings.NewReader(""), out, d.a.Stderr, args); code != cli.ExitDone {
		return cli.Exit(code, cli.ErrQuiet)
	}
	d.done("drill/drill.json is the report, and on the record; drill/logs is what the nodes say")
	return nil
}

// demoLockdown is the one thing that is done by hand in the demo's plan.
const demoLockdown = "Put every HSM into a bag, seal it, read off its number"

func (d *demo) lockdown() error {
	d.chapter("the HSMs are locked down")
	_, err := d.do("ceremony", "lockdown", "ceremony", "--step", "1", "--reading", "bags 4471 to "+fmt.Sprint(4470+d.hsms))
	if err == nil {
		d.done("what was read off the bags is on the record")
	}
	return err
}

func (d *demo) evidence() error {
	d.chapter("the ceremony is closed, the evidence packed")
	if _, err := d.do("ceremony", "close", "ceremony"); err != nil {
		return err
	}
	if err := d.signOff("close"); err != nil {
		return err
	}
	r, err := d.do("evidence", "pack", "ceremony", "--out", "evidence.tar")
	if err == nil {
		d.done("evidence.tar: %s files, identity %s…", get(r, "files"), shortHex(get(r, "identity")))
	}
	return err
}

// shortHex groups the first eight bytes of a digest in hex.
func shortHex(s string) string {
	b, _ := hex.DecodeString(s)
	return words.Short(b)
}
