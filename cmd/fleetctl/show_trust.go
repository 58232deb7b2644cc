package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func explainPolicy(file string, data []byte, s *shown) error {
	p, err := evidence.ParsePolicy(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.title = p.Mode, words.Short(p.Digest[:])
	s.Next = "fleetctl verify FILE --policy " + words.ShellWord(file)
	s.fact("namespaces", strings.Join(p.Namespaces, ", "))
	s.fact("keys", p.TellPinned())
	for _, name := range p.Unpinned() {
		s.fact("unconfirmed", name)
	}
	for _, allowed := range p.Allows() {
		s.fact("allowed", allowed)
	}
	t := s.table("claims demanded", "claim", "at least")
	for _, d := range p.Demands {
		t.row(d.Claim, d.Least.String())
	}
	root, err := strict.ParseYAML(file, data, strict.MaxYAML)
	if err != nil {
		return err
	}
	pinnedTable(root, s)
	if log := root.Get("log_policy"); log != nil {
		return logPolicyTable("log_policy", []byte(log.Text), s)
	}
	return nil
}

// pinnedTable lists every pinned key with how it was confirmed.
func pinnedTable(root *strict.Node, s *shown) {
	text := func(n *strict.Node, field, none string) string {
		if v := n.Get(field); v != nil && v.Text != "" {
			return v.Text
		}
		return none
	}
	t := s.table("pinned keys", "who", "as", "key", "confirmed")
	rekor := root.Get("rekor")
	if rekor == nil {
		rekor = &strict.Node{}
	}
	for _, list := range []struct {
		n  *strict.Node
		as string
	}{
		{root.Get("people"), ""}, {root.Get("third_parties"), "third party"}, {root.Get("operators"), "operator"},
		{rekor.Get("logs"), "Rekor log"}, {rekor.Get("submitters"), "submitter to Rekor"},
	} {
		n := list.n
		if n == nil {
			continue
		}
		for _, item := range n.Items {
			as := list.as
			if as == "" {
				as = text(item, "role", "")
			}
			key := strings.TrimSuffix(strings.TrimSpace(text(item, "key", "")), "\n-----END PUBLIC KEY-----")
			t.row(text(item, "name", ""), as, "…"+key[max(0, len(key)-12):], text(item, "confirmed", "NEVER"))
		}
	}
}

func explainPartyPolicy(file string, data []byte, s *shown) error {
	p, err := thirdparty.ParsePolicy(file, data)
	if err != nil {
		return err
	}
	s.Mode = p.Mode
	s.Next = "fleetctl thirdparty inspect REQUEST --policy " + words.ShellWord(file) + " --ledger LEDGER --key KEY"
	var algorithms []string
	for _, a := range p.Algorithms {
		algorithms = append(algorithms, string(a))
	}
	s.fact("signs for", strings.Join(p.Namespaces, ", "))
	s.fact("algorithms", strings.Join(algorithms, ", "))
	s.fact("roles", strings.Join(p.Roles, ", "))
	s.fact("HSMs", fmt.Sprintf("at least %d", p.LeastHSMs))
	s.fact("officers", fmt.Sprintf("%d must have approved", p.Threshold))
	if len(p.Others) > 0 {
		s.fact("a gap rests on", fmt.Sprintf("the word of %d of the other third parties, and consent", p.OthersNeeded))
		t := s.table("other third parties, as pinned", "name", "key")
		for _, x := range p.Others {
			t.row(x.Name, base64.StdEncoding.EncodeToString(x.Key[:]))
		}
	}
	t := s.table("the operator's people, as pinned", "name", "role", "key")
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return strict.Errorf(file, "person %q: key %v", x.Name, err)
		}
		t.row(x.Name, x.Role, k.Type()+" "+k.Fingerprint())
	}
	return nil
}

func isLogPolicy(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return strings.HasPrefix(line, "log ") || strings.HasPrefix(line, "witness ")
		}
	}
	return false
}

func explainLogPolicy(file string, data []byte, s *shown) error {
	s.Next = "fleetctl verify BUNDLE --policy POLICY, with this under log_policy:"
	return logPolicyTable(file, data, s)
}

func logPolicyTable(file string, data []byte, s *shown) error {
	if len(data) == 0 {
		return nil
	}
	p, err := auditlog.ParsePolicy(file, data)
	if err != nil {
		return err
	}
	t := s.table("logs and witnesses", "as", "name", "vkey")
	for _, l := range p.Logs() {
		t.row("log", l.Key.Name(), l.Key.String())
	}
	for _, w := range p.Witnesses() {
		t.row("witness", w.Name, w.Key.String())
	}
	return nil
}

func explainProof(file string, data []byte, s *shown) error {
	p, err := auditlog.ParseProof(file, data)
	if err != nil {
		return err
	}
	s.title = p.Checkpoint.Origin
	s.Next = "fleetctl verify BUNDLE --policy POLICY --proof " + words.ShellWord(file)
	if of, ok := strings.CutSuffix(file, ".tlog-proof"); ok {
		s.Next = "fleetctl verify " + words.ShellWord(of) + " --policy POLICY"
	}
	s.fact("entry", fmt.Sprintf("%d, counted from 0", p.Index))
	s.fact("path", words.Count(int64(len(p.Hashes)), "hash", "hashes")+" from the leaf to the root")
	checkpointFacts(p.Checkpoint, s)
	return nil
}

func isCheckpoint(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 4096)], []byte("\n\n— "))
}

func explainCheckpoint(file string, data []byte, s *shown) error {
	c, err := auditlog.ParseCheckpoint(file, data)
	if err != nil {
		return err
	}
	s.title = c.Origin
	s.Next = "fleetctl verify BUNDLE --policy POLICY, with a proof that carries it"
	checkpointFacts(c, s)
	return nil
}

func checkpointFacts(c *auditlog.Checkpoint, s *shown) {
	s.fact("log", c.Origin)
	s.fact("size", words.Count(int64(c.Size), "entry", "entries"))
	s.fact("root", fmt.Sprintf("%x", c.Root))
	signatureTable(s.table("signature lines", "key hash", "bytes", "name"), c.Signatures)
}

// sshActs are the namespaces of our signatures (docs/SPEC.md).
var sshActs = map[string]string{
	"fleetctl-plan": "approves a plan", "fleetctl-session": "opens, resumes, reconvenes or aborts a session",
	"fleetctl-exception": "accepts an exception", "fleetctl-request": "lets a request leave the room",
	"fleetctl-countersign": "releases a countersignature", "fleetctl-signoff": "signs off",
}

func explainSSHSignature(file string, data []byte, s *shown) error {
	sig, err := sshsig.Parse(file, data)
	if err != nil {
		return err
	}
	namespace := sig.Namespace()
	act, rehearsal := strings.CutSuffix(namespace, "-rehearsal")
	what, known := sshActs[act]
	switch {
	case !known:
		what = "no act of ours"
	case rehearsal:
		s.Mode = "rehearsal"
	default:
		s.Mode = "production"
	}
	s.title = namespace
	s.fact("act", what)
	s.fact("key", sig.Key().Type()+" "+sig.Key().Fingerprint()+", by its own word")
	s.Next = fmt.Sprintf("ssh-keygen -Y verify -f ALLOWED_SIGNERS -I NAME -n %s -s %s < TEXT", words.ShellWord(namespace), words.ShellWord(file))
	return nil
}

func explainApproval(file string, data []byte, s *shown) error {
	p, err := ceremony.ParseApproval(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.title = p.Mode, p.Act
	signedText(s, file, p.Ceremony, p.Plan, p.Head, p.Role, p.Namespace())
	s.fact("act", p.Act)
	if p.Subject != [32]byte{} {
		s.fact("subject", fmt.Sprintf("%x", p.Subject))
	}
	return nil
}

func explainSignoff(file string, data []byte, s *shown) error {
	p, err := ceremony.ParseSignoff(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.title = p.Mode, p.Stage
	signedText(s, file, p.Ceremony, p.Plan, p.Head, p.Role, p.Namespace())
	s.fact("artifact", fmt.Sprintf("%x", p.Artifact))
	s.fact("verdict", p.Verdict)
	if len(p.Exceptions) > 0 {
		s.fact("exceptions", fmt.Sprint(p.Exceptions))
	}
	return nil
}

// signedText is what every text has that a person signs.
func signedText(s *shown, file, id string, plan [32]byte, head ceremony.Head, role, namespace string) {
	s.fact("ceremony", id)
	s.fact("plan", fmt.Sprintf("%x", plan))
	s.fact("head", fmt.Sprintf("record %d, %x", head.N, head.Hash))
	s.fact("role", role)
	s.Next = fmt.Sprintf("ssh-keygen -Y verify -f ALLOWED_SIGNERS -I NAME -n %s -s %s < %s", namespace, words.ShellWord(file+".sig"), words.ShellWord(file))
}

// explainPEM opens nothing: what begins so may be a private key.
func explainPEM(file string, _ []byte, _ *shown) error {
	return strict.Errorf(file, "is a PEM file, perhaps a private key: it is not opened").
		WithHint("openssl pkey -in FILE -pubout gives the public half of one")
}

func isPublicKey(data []byte) bool {
	return len(data) < 4096 && (publicKey(data) != nil || openSSHKey(data) != nil)
}

func publicKey(data []byte) *keys.Public {
	der, err := strict.ParseBase64(strings.TrimSuffix(string(data), "\n"))
	if err != nil {
		return nil
	}
	k, err := keys.ParseSPKI(der)
	if err != nil {
		return nil
	}
	return k
}

func openSSHKey(data []byte) *sshsig.Key {
	k, err := sshsig.ParsePublicKey(strings.TrimSuffix(string(data), "\n"))
	if err != nil {
		return nil
	}
	return k
}

func explainPublicKey(_ string, data []byte, s *shown) error {
	s.Next = "confirm it with its owner over another channel, then pin it in a policy"
	if k := openSSHKey(data); k != nil {
		s.fact("key", k.Type()+" "+k.Fingerprint())
		return nil
	}
	k := publicKey(data)
	s.fact("key", string(k.Algorithm()))
	s.fact("SPKI", hexWords(k.Fingerprint()))
	if raw, ok := k.Ed25519(); ok {
		s.fact("raw", fmt.Sprintf("%x", []byte(raw)))
	}
	return nil
}
