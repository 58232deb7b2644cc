package signer

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sshkey"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// personHelp is the help of a flag that takes a person's key.
const personHelp = "an OpenSSH `key` to sign with: a private key file, or agent:FILE.pub for the key in ssh-agent with that public half"

// openPerson opens a person's key.
func openPerson(a *cli.App, ref string) (sshsig.Signer, func(), error) {
	if pub, ok := strings.CutPrefix(ref, agentRef); ok {
		agent, key, err := dialAgent(pub)
		if err != nil {
			return nil, nil, err
		}
		s, err := agent.Signer(key)
		if err != nil {
			agent.Close()
			return nil, nil, err
		}
		return s, func() { agent.Close() }, nil
	}
	f, err := sshkey.Open(ref, func() ([]byte, error) { return a.UI.ReadPIN("Passphrase of " + ref + ":") })
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	return f, f.Close, nil
}

// Approver has officers of a rehearsal approve at this terminal, with the keys given. In
// production each officer signs with `ceremony sign`, which shows what is signed and asks.
func Approver(a *cli.App, keys []string) engine.Approver {
	if len(keys) == 0 {
		return nil
	}
	return func(_ context.Context, dir string, people *ceremony.People, want ceremony.Approval, _ []string) error {
		if want.Mode != ceremony.Rehearsal {
			return SignWithRefused(dir, want.Act)
		}
		want.Role = ceremony.Officer
		a.ShowText(want.Text())
		for _, ref := range keys {
			if err := Approve(a, dir, people, want, ref); err != nil {
				return err
			}
		}
		return nil
	}
}

// SignWithRefused is the error about --sign-with in production, which says how officers
// sign there.
func SignWithRefused(dir, act string) error {
	return cli.Usagef("each officer approves with\nfleetctl ceremony sign "+dir+" --approve "+act+" --key KEY", "--sign-with is for rehearsals")
}

// Approve has the key of ref sign the approval of an act, and stores the signature.
func Approve(a *cli.App, dir string, people *ceremony.People, want ceremony.Approval, ref string) error {
	s, done, err := openPerson(a, ref)
	if err != nil {
		return err
	}
	defer done()
	if name, role, ok := people.RoleOf(s.Key()); ok && role != want.Role {
		return cli.Usagef("", "%s is the key of %s, %s; officers approve acts", ref, name, role)
	}
	sig, err := s.Sign(want.Namespace(), want.Text())
	if err != nil {
		return err
	}
	kept, err := folder.StoreSignature(dir, ceremony.ApprovalsDir, folder.ApprovalName(want), people, want.Namespace(), want.Text(), sig)
	if err != nil {
		return err
	}
	a.UI.Say(a.UI.Talk.Step(ui.Done, fmt.Sprintf("%s approves %s", kept.Name, want.Act), fmt.Sprintf("after record %d", want.Head.N)))
	return nil
}

// SignedJSON says what was signed, for programs.
type SignedJSON struct {
	What   string `strict:"what"`
	Name   string `strict:"name"`
	Folder string `strict:"folder"`
	// Again says that the same text was signed before; that signature is kept.
	Again    bool   `strict:"again,optional"`
	Replaces string `strict:"replaces,optional"` // the new path of the signature that was replaced
}

// Format is what the JSON says that it is.
func (*SignedJSON) Format() string { return "fleetctl signature result v1" }

// TellSigned shows what was signed and where it is kept.
func TellSigned(a *cli.App, what string, k *folder.Stored, folder string) error {
	rows := [][2]string{{"signed", what}, {"by", k.Name}, {"kept in", folder}}
	switch {
	case k.Again:
		rows = append(rows, [2]string{"again", "the same was signed before: that signature stays"})
	case k.Aside != "":
		rows = append(rows, [2]string{"replaces", "what was signed before, which is now " + k.Aside})
	}
	return a.Emit(&SignedJSON{What: what, Name: k.Name, Folder: folder, Again: k.Again, Replaces: k.Aside}, a.UI.Fields(rows))
}

// SignatoryFlags adds the flags for the two ways to sign: with a key here, or with a
// signature made elsewhere.
func SignatoryFlags(c *cobra.Command, key, signature *string) {
	c.Flags().StringVar(key, "key", "", personHelp)
	c.Flags().StringVar(signature, "signature", "", "a signature `file` made elsewhere with ssh-keygen -Y sign")
}

// Signatory is a person who signs, with a key here or a signature that was made elsewhere.
type Signatory struct {
	Key  *sshsig.Key
	made *sshsig.Signature
	by   sshsig.Signer
	Done func()
}

// OpenSignatory opens the one of the two that was given.
func OpenSignatory(a *cli.App, key, signature string) (*Signatory, error) {
	if (key == "") == (signature == "") {
		return nil, cli.Usagef("", "give either --key or --signature")
	}
	if signature != "" {
		data, err := cli.ReadFile(signature)
		if err != nil {
			return nil, err
		}
		sig, err := sshsig.Parse(signature, data)
		if err != nil {
			return nil, cli.Wrong(err)
		}
		return &Signatory{Key: sig.Key(), made: sig, Done: func() {}}, nil
	}
	s, done, err := openPerson(a, key)
	if err != nil {
		return nil, err
	}
	return &Signatory{Key: s.Key(), by: s, Done: done}, nil
}

// AskAndSign returns the signature over a text that has been shown. The key's owner must
// first consent by typing the words of consent.
func AskAndSign(a *cli.App, v *Signatory, mode, namespace string, text []byte, consent string) (*sshsig.Signature, error) {
	if v.made != nil {
		return v.made, nil
	}
	if a.UI.Asks() {
		a.UI.About("sign consent", consent)
		if err := a.UI.Consent("Sign this?", consent); err != nil {
			return nil, err
		}
	} else if mode != ceremony.Rehearsal {
		return nil, cli.Usagef("", "in production nobody signs without being asked, and there is no terminal to ask at")
	}
	return v.by.Sign(namespace, text)
}
