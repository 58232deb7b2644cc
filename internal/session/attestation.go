package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// If fleetctl can't ask a device for its attestation, people use the vendor's tool and
// bring the file that it wrote: they type its name at the terminal, or scripts put it into
// a folder.

// AttestationsFlag adds the flag of commands that do attestation steps.
func (s *StandIn) AttestationsFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.attestations, "attestations", "", "the `folder` with what vendors' tools gave: HSM-ROLE.json, countersigner.json; what isn't there is asked for")
}

// readEvidence reads a file that attestation pack wrote.
func readEvidence(path string) (*attest.Evidence, error) {
	data, err := cli.ReadNamed(path, attest.MaxEvidenceFile)
	if err != nil {
		return nil, err
	}
	return attest.ParseEvidence(path, data)
}

// Attestation says which tool to use and asks for the file. If the file can't be read, it
// asks again.
func (r atTerminal) Attestation(_ context.Context, q engine.AttestQuestion, wrong error) (*attest.Evidence, error) {
	if wrong != nil {
		r.Say("That is no answer: " + cli.InWords(wrong))
	}
	spki := sha256.Sum256(q.SPKI)
	rows := [][2]string{
		{"nonce", fmt.Sprintf("%x", q.Nonce)},
		{"key", fmt.Sprintf("SHA-256 of its SubjectPublicKeyInfo %x", spki)},
	}
	if q.ID != nil {
		rows = append(rows, [2]string{"CKA_ID", fmt.Sprintf("%x", q.ID)})
	}
	what := "The " + q.Role + " key of " + q.HSM
	if q.Countersigner {
		what = "The countersigner's key"
	}
	parts, command := packing(q)
	r.a.UI.Say("\n", r.a.UI.Talk.Line(what+": have the vendor's tool attest it, with this nonce where it takes one:"), inset(r.a.UI.Talk, append(rows, parts...)),
		r.a.UI.Talk.Line("Then pack what it gave:"), r.a.UI.Talk.Line(command), "\n")
	// The tool is often on another machine, which has a camera and not this screen.
	if formats.Challenged(q.Format) {
		r.a.UI.Say(r.a.UI.Talk.Line("the nonce, for a camera:"))
		if err := r.a.ShowCode(fmt.Sprintf("%x", q.Nonce)); err != nil {
			return nil, err
		}
	}
	for {
		path, err := r.Ask("attest "+q.Name(), "", "Administrator", "the file with the attestation of "+q.Name())
		if err != nil {
			return nil, err
		}
		e, err := readEvidence(path)
		if err == nil {
			return e, nil
		}
		r.Say(cli.InWords(err))
	}
}

// packing lists the files that the vendor's tool writes, and the command that packs them.
func packing(q engine.AttestQuestion) (rows [][2]string, command string) {
	command = "fleetctl attestation pack --device " + q.Format + " --out " + words.ShellWord(q.File())
	if v, err := formats.All().Find(q.Format); err == nil {
		for i, p := range v.Parts() {
			label, what := "", p.Name+": "+p.What
			if i == 0 {
				label = "parts"
			}
			if p.Optional {
				what += " (optional)"
			} else {
				command += " " + p.Name + "=FILE"
			}
			rows = append(rows, [2]string{label, what})
		}
	}
	return rows, command
}

// fromFolder takes evidence from a folder, and asks people only for what isn't there.
type fromFolder struct {
	engine.Participants
	dir string
}

func (f fromFolder) Attestation(ctx context.Context, q engine.AttestQuestion, wrong error) (*attest.Evidence, error) {
	path := filepath.Join(f.dir, q.File())
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return f.Participants.Attestation(ctx, q, wrong)
	}
	if wrong != nil {
		return nil, strict.Errorf(path, "is no answer: %s", cli.InWords(wrong)).
			WithHint("have the vendor's tool attest the key anew, with the nonce %x, and put what it gives in this file's place", q.Nonce)
	}
	return readEvidence(path)
}

// Attestation fails: if the machine stands in for people, the folder must hold the file.
func (m unattendedPeople) Attestation(_ context.Context, q engine.AttestQuestion, _ error) (*attest.Evidence, error) {
	return nil, cli.Exit(cli.ExitPending, strict.Errorf("", "the vendor's tool has to be used, with the nonce %x, and what it gives put into a folder as %s", q.Nonce, q.File()))
}
