//go:build cgo && unix

package log

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type proofJSON struct {
	Log       string        `strict:"log"`
	VKey      string        `strict:"vkey"`
	Index     uint64        `strict:"index"`
	Size      uint64        `strict:"size"`
	Duplicate bool          `strict:"duplicate"`
	Witnesses []witnessJSON `strict:"witnesses"`
	Proof     string        `strict:"proof,optional"`
}

// Format is what the JSON says that it is.
func (*proofJSON) Format() string { return "fleetctl log proof result v1" }

func proveCmd(a *cli.App) *cobra.Command {
	var out, consistency string
	var refresh bool
	var o witnessOptions
	c := cli.Command("prove [BUNDLE|EVIDENCE]", "Write the proof that something is in a log, or renew it",
		`Prove finds a bundle, or how a package's ceremony ended, in the log and writes a
proof (C2SP tlog-proof). With --policy the witnesses are asked where the log has
no checkpoint yet that meets it. It needs no key.

--refresh writes a newer proof beside the older ones, FILE.tlog-proof-2 and so
on: witnesses cosign again, and it is written if it verifies and its quorum is
newer. The older ones stay: the oldest says since when the entry was there.

--consistency SIZE writes what a witness without a network needs: the newest
checkpoint with the proof that it continues the tree of that size, which is the
last that this witness has cosigned (0: none). It is carried to its
fleetctl log cosign, whose answer is taken by --cosigned.`,
		`  fleetctl log prove bundle.json --log log --policy log.policy --out bundle.json.tlog-proof
  fleetctl log prove --refresh bundle.json --log log --policy log.policy
  fleetctl log prove --consistency 41 --log log --out to-witness-b`,
		cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "log"); err != nil {
				return err
			}
			if consistency != "" {
				if len(args) > 0 || refresh {
					return cli.Usagef("", "--consistency is about the whole log, not about a file in it")
				}
				return witnessRequest(a, cmd, o.dir, consistency, out)
			}
			if len(args) == 0 {
				return cli.Usagef("usage: "+cmd.UseLine(), "what is to be proven is missing: a bundle or an evidence package")
			}
			leaf, beside, err := readLeaf(args[0])
			if err != nil {
				return err
			}
			policy, err := o.read()
			if err != nil {
				return err
			}
			e, err := findLeaf(a, cmd.Context(), args[0], leaf, o)
			if err != nil {
				return err
			}
			if refresh {
				return refreshProof(a, cmd, e, policy, beside, out, o)
			}
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			text, err := prove(a, cmd.Context(), e, policy, o)
			if err != nil {
				return err
			}
			return proved(a, e, text, out)
		})
	f := c.Flags()
	o.flags(c)
	f.StringVar(&out, "out", "", "the proof's new `file` (with --refresh by default the next number beside)")
	f.BoolVar(&refresh, "refresh", false, "write a newer proof beside the older ones, with newer cosignatures")
	f.StringVar(&consistency, "consistency", "", "write a witness's request from the tree of this `size` on")
	return c
}

func findLeaf(a *cli.App, ctx context.Context, file string, leaf []byte, o witnessOptions) (*publish.Entry, error) {
	l, err := publish.Open(o.dir, o.options())
	if err != nil {
		return nil, cli.Usage(err)
	}
	e, err := l.Find(ctx, leaf)
	if err == nil && e == nil {
		return nil, cli.Wrong(strict.Errorf(file, "is not in the log %s", o.dir).WithHint("add it with\nfleetctl log append %s --log %s --key KEY", file, o.dir))
	}
	return e, logFault(a, err)
}

// proved reports a proof and writes it.
func proved(a *cli.App, e *publish.Entry, proof []byte, out string) error {
	p, err := auditlog.ParseProof(out, proof)
	if err != nil {
		return err
	}
	if err := cli.WriteNew(out, proof); err != nil {
		return err
	}
	r := &proofJSON{Log: p.Checkpoint.Origin, VKey: e.VKey(), Index: e.Index, Size: p.Checkpoint.Size, Duplicate: e.Duplicate, Witnesses: []witnessJSON{}, Proof: out}
	for _, s := range p.Checkpoint.Signatures {
		if s.Name != p.Checkpoint.Origin {
			r.Witnesses = append(r.Witnesses, witnessJSON{Name: s.Name})
		}
	}
	entry := fmt.Sprintf("%d of %d", r.Index, r.Size)
	if r.Duplicate {
		entry += ", there before"
	}
	rows := [][2]string{{"log", r.VKey}, {"entry", entry}}
	for _, w := range r.Witnesses {
		rows = append(rows, [2]string{"cosigned", w.Name})
	}
	return a.Emit(r, a.UI.Fields(append(rows, [2]string{"proof", out})))
}

// refreshProof writes a proof whose witness quorum is newer than that of every proof
// beside. It replaces none: the oldest one dates the entry.
func refreshProof(a *cli.App, cmd *cobra.Command, e *publish.Entry, p *auditlog.Policy, beside, out string, o witnessOptions) error {
	if p == nil {
		return cli.Usagef("it says which witnesses to ask", "--refresh needs --policy")
	}
	r, next := e.Renew(p), ""
	for n := 1; next == ""; n++ {
		name := evidence.ProofNumber(beside, n)
		text, err := cli.ReadBeside(name)
		switch {
		case err != nil:
			return err
		case text == nil && n == 1:
			return cli.Usage(strict.Errorf(beside, "is not there: there is no proof to be renewed").WithHint("write the first one with --out %s, without --refresh", beside))
		case text == nil:
			next = name
			continue
		case n == evidence.MaxProofs:
			return cli.Usage(strict.Errorf(name, "is the last of the %d proofs that are looked for beside a file", evidence.MaxProofs).WithHint("write it elsewhere with --out"))
		}
		if err := r.Known(name, text); err != nil {
			return cli.Wrong(err)
		}
	}
	if out == "" {
		out = next
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(out), ceremony.TranscriptFile)); err == nil {
		return cli.Usage(strict.Errorf(out, "would lie in a ceremony's folder, whose transcript knows nothing of it").
			WithHint("write it elsewhere: --out fresh.tlog-proof"))
	}
	w, err := witnessing(a, e, p, o)
	if err != nil {
		return err
	}
	fresh, err := r.Prove(cmd.Context(), w)
	if err != nil {
		return logFault(a, err)
	}
	return proved(a, e, fresh, out)
}

type requestJSON struct {
	Log     string `strict:"log"`
	Old     uint64 `strict:"old"`
	Size    uint64 `strict:"size"`
	Request string `strict:"request"`
}

// Format is what the JSON says that it is.
func (*requestJSON) Format() string { return "fleetctl log request result v1" }

// witnessRequest writes an add-checkpoint request (C2SP tlog-witness).
func witnessRequest(a *cli.App, cmd *cobra.Command, dir, size, out string) error {
	if err := cli.Required(cmd, "out"); err != nil {
		return err
	}
	old, err := strict.ParseUint(size)
	if err != nil {
		return cli.Usagef("it is the size of the tree that the witness has cosigned last, 0 for none", "--consistency %v", err)
	}
	l, err := publish.Open(dir, publish.Options{})
	if err != nil {
		return cli.Usage(err)
	}
	req, err := l.Request(cmd.Context(), old)
	if err != nil {
		return logFault(a, err)
	}
	c := req.Checkpoint
	if err := cli.WriteNew(out, req.Marshal()); err != nil {
		return err
	}
	return a.Emit(&requestJSON{c.Origin, old, c.Size, out}, a.UI.Fields([][2]string{
		{"log", c.Origin}, {"from", fmt.Sprintf("%d entries to %d", old, c.Size)}, {"request", out},
		{"next", "fleetctl log cosign " + out + " --witness-key KEY --name NAME --state DIR --log-key VKEY --out FILE"},
	}))
}
