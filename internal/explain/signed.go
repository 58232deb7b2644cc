package explain

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// sshActs say what a signature in each SSHSIG namespace does (docs/SPEC.md).
func sshActs() map[string]string {
	return map[string]string{
		"fleetctl-plan": "approves a plan", "fleetctl-session": "opens, resumes, reconvenes or aborts a session",
		"fleetctl-exception": "accepts an exception", "fleetctl-request": "lets a request leave the room",
		"fleetctl-countersign": "releases a countersignature", "fleetctl-signoff": "signs off",
	}
}

// SSHSignature explains a person's signature.
func SSHSignature(file string, data []byte, s *Shown) error {
	sig, err := sshsig.Parse(file, data)
	if err != nil {
		return err
	}
	namespace := sig.Namespace()
	act, rehearsal := strings.CutSuffix(namespace, "-rehearsal")
	what, known := sshActs()[act]
	switch {
	case !known:
		what = "no act of ours"
	case rehearsal:
		s.Mode = "rehearsal"
	default:
		s.Mode = "production"
	}
	s.Title = namespace
	s.Fact("act", what)
	s.Fact("key", sig.Key().Type()+" "+sig.Key().Fingerprint()+", by its own word")
	s.Next = fmt.Sprintf("ssh-keygen -Y verify -f ALLOWED_SIGNERS -I NAME -n %s -s %s < TEXT", words.ShellWord(namespace), words.ShellWord(file))
	return nil
}

// Approval explains the approval of an act.
func Approval(file string, data []byte, s *Shown) error {
	p, err := ceremony.ParseApproval(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.Title = p.Mode, p.Act
	signedText(s, file, p.Ceremony, p.Plan, p.Head, p.Role, p.Namespace())
	s.Fact("act", p.Act)
	if p.Subject != [32]byte{} {
		s.Fact("subject", fmt.Sprintf("%x", p.Subject))
	}
	return nil
}

// Signoff explains a verdict on a stage.
func Signoff(file string, data []byte, s *Shown) error {
	p, err := ceremony.ParseSignoff(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.Title = p.Mode, p.Stage
	signedText(s, file, p.Ceremony, p.Plan, p.Head, p.Role, p.Namespace())
	s.Fact("artifact", fmt.Sprintf("%x", p.Artifact))
	s.Fact("verdict", p.Verdict)
	if len(p.Exceptions) > 0 {
		s.Fact("exceptions", fmt.Sprint(p.Exceptions))
	}
	return nil
}

// signedText adds the facts of every text that a person signs.
func signedText(s *Shown, file, id string, plan [32]byte, head ceremony.Head, role, namespace string) {
	s.Fact("ceremony", id)
	s.Fact("plan", fmt.Sprintf("%x", plan))
	s.Fact("head", fmt.Sprintf("record %d, %x", head.N, head.Hash))
	s.Fact("role", role)
	s.Next = fmt.Sprintf("ssh-keygen -Y verify -f ALLOWED_SIGNERS -I NAME -n %s -s %s < %s", namespace, words.ShellWord(file+".sig"), words.ShellWord(file))
}

// PEM refuses to show a PEM file, which may be a private key.
func PEM(file string, _ []byte, _ *Shown) error {
	return strict.Errorf(file, "is a PEM file, perhaps a private key: it is not opened").
		WithHint("openssl pkey -in FILE -pubout gives the public half of one")
}

// IsPublicKey says whether data is a public key.
func IsPublicKey(data []byte) bool {
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

// PublicKey explains a public key.
func PublicKey(_ string, data []byte, s *Shown) error {
	s.Next = "confirm it with its owner over another channel, then pin it in a policy"
	if k := openSSHKey(data); k != nil {
		s.Fact("key", k.Type()+" "+k.Fingerprint())
		return nil
	}
	k := publicKey(data)
	s.Fact("key", string(k.Algorithm()))
	s.Fact("SPKI", hexWords(k.Fingerprint()))
	if raw, ok := k.Ed25519(); ok {
		s.Fact("raw", fmt.Sprintf("%x", []byte(raw)))
	}
	return nil
}
