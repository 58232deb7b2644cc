//go:build cgo && unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/ceremony"
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

func (a *app) logProveCmd() *cobra.Command {
	var out, consistency string
	var refresh bool
	var o witnessOptions
	c := command("prove [BUNDLE|EVIDENCE]", "Write the proof that something is in a log, or renew it",
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
			if err := required(cmd, "log"); err != nil {
				return err
			}
			if consistency != "" {
				if len(args) > 0 || refresh {
					return usagef("", "--consistency is about the whole log, not about a file in it")
				}
				return a.witnessRequest(cmd, o.dir, consistency, out)
			}
			if len(args) == 0 {
				return usagef("usage: "+cmd.UseLine(), "what is to be proven is missing: a bundle or an evidence package")
			}
			leaf, beside, err := readLeaf(args[0])
			if err != nil {
				return err
			}
			policy, err := o.read()
			if err != nil {
				return err
			}
			e, err := a.findLeaf(cmd.Context(), args[0], leaf, o)
			if err != nil {
				return err
			}
			if refresh {
				return a.refresh(cmd, e, policy, beside, out, o)
			}
			if err := required(cmd, "out"); err != nil {
				return err
			}
			text, err := a.proveWitnessed(cmd.Context(), e, policy, o, false)
			if err != nil {
				return err
			}
			return a.proved(e, text, out, writeNew)
		})
	f := c.Flags()
	o.flags(c)
	f.StringVar(&out, "out", "", "the proof's new `file` (with --refresh by default the next number beside)")
	f.BoolVar(&refresh, "refresh", false, "write a newer proof beside the older ones, with newer cosignatures")
	f.StringVar(&consistency, "consistency", "", "write a witness's request from the tree of this `size` on")
	return c
}

func (a *app) findLeaf(ctx context.Context, file string, leaf []byte, o witnessOptions) (*logged, error) {
	r, err := tiled.OpenReader(o.dir)
	if err != nil {
		return nil, usage(err)
	}
	index, found, err := r.Find(ctx, logKeys, leaf)
	if err != nil && !errors.Is(err, tiled.ErrNoCheckpoint) {
		return nil, err
	}
	if !found {
		return nil, wrong(strict.Errorf(file, "is not in the log %s", o.dir).WithHint("add it with\nfleetctl log append %s --log %s --key KEY", file, o.dir))
	}
	return entryOf(ctx, r, index, true, leaf)
}

// proved reports a proof and writes it.
func (a *app) proved(e *logged, proof []byte, out string, write func(string, []byte) error) error {
	p, err := auditlog.ParseProof(out, proof)
	if err != nil {
		return err
	}
	if err := write(out, proof); err != nil {
		return err
	}
	r := &proofJSON{Log: p.Checkpoint.Origin, VKey: e.r.VKey(), Index: e.index, Size: p.Checkpoint.Size, Duplicate: e.duplicate, Witnesses: []witnessJSON{}, Proof: out}
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
	return a.emit(r, a.ui.Fields(append(rows, [2]string{"proof", out})))
}

// refresh writes a proof whose witness quorum is newer than that of every proof
// beside. It replaces none: the oldest one dates the entry.
func (a *app) refresh(cmd *cobra.Command, e *logged, p *auditlog.Policy, beside, out string, o witnessOptions) error {
	if p == nil {
		return usagef("it says which witnesses to ask", "--refresh needs --policy")
	}
	var old *auditlog.Inclusion
	path, next := "", ""
	for n := 1; next == ""; n++ {
		name := proofNumber(beside, n)
		text, err := readBeside(name)
		switch {
		case err != nil:
			return err
		case text == nil && n == 1:
			return usage(strict.Errorf(beside, "is not there: there is no proof to be renewed").WithHint("write the first one with --out %s, without --refresh", beside))
		case text == nil:
			next = name
			continue
		case n == maxProofs:
			return usage(strict.Errorf(name, "is the last of the %d proofs that are looked for beside a file", maxProofs).WithHint("write it elsewhere with --out"))
		}
		in, err := judgeProof(p, name, text, e.leaf)
		if err != nil {
			return wrong(err)
		}
		if old == nil || !in.NewestQuorumTime.Before(old.NewestQuorumTime) {
			old, path = in, name
		}
	}
	if out == "" {
		out = next
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(out), ceremony.TranscriptFile)); err == nil {
		return usage(strict.Errorf(out, "would lie in a ceremony's folder, whose transcript knows nothing of it").
			WithHint("write it elsewhere: --out fresh.tlog-proof"))
	}
	fresh, err := a.proveWitnessed(cmd.Context(), e, p, o, true)
	if err != nil {
		return err
	}
	in, err := judgeProof(p, "the new proof", fresh, e.leaf)
	if err != nil {
		return err
	}
	if in.Size < old.Size || !in.Quorum || !in.NewestQuorumTime.After(old.NewestQuorumTime) {
		return &exitError{exitPending, strict.Errorf(path, "is the newest: the new proof's quorum (%s, size %d) is not newer than its own (%s, size %d)",
			quorumTime(in), in.Size, quorumTime(old), old.Size).WithHint("run it again later")}
	}
	return a.proved(e, fresh, out, writeNew)
}

func judgeProof(policy *auditlog.Policy, file string, text, leaf []byte) (*auditlog.Inclusion, error) {
	p, err := auditlog.ParseProof(file, text)
	if err != nil {
		return nil, err
	}
	return policy.Verify(leaf, p)
}

func quorumTime(in *auditlog.Inclusion) string {
	if !in.Quorum {
		return "none"
	}
	return in.NewestQuorumTime.Format(time.RFC3339)
}

type requestJSON struct {
	Log     string `strict:"log"`
	Old     uint64 `strict:"old"`
	Size    uint64 `strict:"size"`
	Request string `strict:"request"`
}

// witnessRequest writes an add-checkpoint request (C2SP tlog-witness).
func (a *app) witnessRequest(cmd *cobra.Command, dir, size, out string) error {
	if err := required(cmd, "out"); err != nil {
		return err
	}
	old, err := strict.ParseUint(size)
	if err != nil {
		return usagef("it is the size of the tree that the witness has cosigned last, 0 for none", "--consistency %v", err)
	}
	r, err := tiled.OpenReader(dir)
	if err != nil {
		return usage(err)
	}
	c, err := r.Checkpoint()
	if errors.Is(err, tiled.ErrNoCheckpoint) {
		return wrong(err)
	}
	if err != nil {
		return err
	}
	if old > c.Size {
		return wrong(strict.Errorf(dir, "has %d entries under its checkpoint, fewer than the %d that are said to be cosigned", c.Size, old).
			WithHint("If a witness has cosigned so many, this directory is older than the log: stop, and find the newest copy."))
	}
	req := &auditlog.Request{Old: old, Checkpoint: c}
	if req.Hashes, err = r.Consistency(cmd.Context(), old, c.Size); err != nil {
		return err
	}
	if err := writeNew(out, req.Marshal()); err != nil {
		return err
	}
	return a.emit(&requestJSON{c.Origin, old, c.Size, out}, a.ui.Fields([][2]string{
		{"log", c.Origin}, {"from", fmt.Sprintf("%d entries to %d", old, c.Size)}, {"request", out},
		{"next", "fleetctl log cosign " + out + " --witness-key KEY --name NAME --state DIR --log-key VKEY --out FILE"},
	}))
}
