//go:build cgo && unix

package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const logTimeout = 30 * time.Second

func (a *app) logAppendCmd() *cobra.Command {
	var key, out string
	var o witnessOptions
	var r rekorFlags
	c := command("append DIR|BUNDLE|EVIDENCE", "Append a bundle, or how a ceremony ended, to a log and keep its proof",
		`Append adds the bundle's exact bytes as an entry, waits until a checkpoint that
covers it is signed and on the disk, has the policy's witnesses cosign that, and
keeps the proof: in a ceremony's folder, recorded on its transcript, or beside
the bundle. Of an evidence package it is logged how its ceremony ended: closed
or aborted, with which head, and a digest of what people signed last, so that
they sign first; the proof is evidence.tlog-proof beside it. What is in the log
already is not added again, and a second ending of a ceremony is refused.

Where the policy demands a quorum of witnesses and too few have cosigned, the
entry is logged, no proof is kept, and the exit code is 3: the same command, run
later, finishes it. Witnesses without a network take part by file, see
fleetctl log prove --consistency and fleetctl log cosign.

With --rekor the bundle is logged by a Rekor server instead: signed by the
submitter's key, verified under the log's pinned key, and kept as
BUNDLE.rekor.json. In a ceremony's folder that is after the log of the plan
and before the close. --policy is then a verifier's, that pins both.`,
		`  fleetctl log append ceremony --log log --key log.pem
  fleetctl log append bundle.json --log log --key log.pem --policy log.policy
  fleetctl log append evidence.tar --log log --key log.pem --policy log.policy
  fleetctl log append bundle.json --rekor https://rekor.example --rekor-key rekor.pem --submitter-key submitter.pem`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if r.given(cmd) {
				r.policy = o.policy
				return a.appendRekor(cmd, args[0], out, &r)
			}
			if err := required(cmd, "log", "key"); err != nil {
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return usage(missing(err))
			}
			if info.IsDir() {
				return a.withJournal(args[0], func(j *ceremony.Journal) error {
					return a.appendCeremony(cmd.Context(), j, key, o)
				}, ceremony.ActLog)
			}
			leaf, proof, err := readLeaf(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				out = proof
			}
			if _, err := os.Lstat(out); err == nil {
				return exists(os.ErrExist, out)
			}
			policy, err := o.read()
			if err != nil {
				return err
			}
			e, err := a.appendLeaf(cmd.Context(), key, leaf, o)
			if err != nil {
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
	r.add(f)
	f.StringVar(&key, "key", "", keyHelp)
	f.StringVar(&out, "out", "", "the proof's new `file` (default: BUNDLE.tlog-proof, evidence.tlog-proof, BUNDLE.rekor.json)")
	return c
}

// appendCeremony logs a ceremony's bundle. The plan's log policy decides
// whether the proof is good enough to be recorded; --policy says where the
// witnesses are, if the plan doesn't, and may demand more of them.
func (a *app) appendCeremony(ctx context.Context, j *ceremony.Journal, key string, o witnessOptions) error {
	b, err := j.Assemble(ctx, a.readers(j.Account().Plan.Mode, &standIn{}))
	if err != nil {
		return usage(err)
	}
	planned, err := auditlog.ParsePolicy("log_policy", []byte(j.Account().Plan.LogPolicy))
	if err != nil {
		return err
	}
	policy, err := o.read()
	if err != nil {
		return err
	}
	if policy == nil {
		policy = planned
	}
	e, err := a.appendLeaf(ctx, key, b.Raw(), o)
	if err != nil {
		return err
	}
	proof, err := a.proveWitnessed(ctx, e, policy, o, false)
	if err != nil {
		return err
	}
	in, err := judgeProof(planned, ceremony.ProofFile, proof, e.leaf)
	if err != nil {
		return wrong(err)
	}
	if in.Demanded && !in.Quorum {
		return &exitError{exitPending, strict.Errorf(o.policy, "its quorum is met, the plan's is not: missing %s", strings.Join(in.Missing, ", ")).
			WithHint("the proof is recorded when the plan's log_policy is met")}
	}
	return a.importProof(j, ceremony.ProofFile, proof)
}

// readLeaf reads what is logged of a file, and says where its proof belongs.
func readLeaf(path string) (leaf []byte, proof string, err error) {
	data, err := readFile(path)
	if err != nil {
		return nil, "", err
	}
	if evidence.Detect(data) != evidence.TypeEvidence {
		_, err := bundle.ParseAny(path, data)
		return data, path + ".tlog-proof", wrong(err)
	}
	l, err := evidence.PackageLeaf(path, data)
	if err != nil {
		return nil, "", wrong(err)
	}
	return l.Marshal(), evidenceProof(path), nil
}

// logged is an entry of a log, whose bytes are exactly leaf.
type logged struct {
	r         *tiled.Reader
	index     uint64
	duplicate bool
	leaf      []byte
}

func (a *app) appendLeaf(ctx context.Context, key string, leaf []byte, o witnessOptions) (*logged, error) {
	r, err := tiled.OpenReader(o.dir)
	if err != nil {
		return nil, usage(err)
	}
	origin, _, _ := strings.Cut(r.VKey(), "+")
	done, s, err := a.logSigner(key, origin)
	if err != nil {
		return nil, err
	}
	defer done()
	options, p := o.tiled(), a.ui.Progress("the log's index is made again")
	options.Reading = func(done, total uint64) { p.Set(int64(done), int64(total)) }
	l, err := tiled.Open(o.dir, s, options)
	if err != nil {
		return nil, err
	}
	at, err := l.Append(ctx, leaf)
	p.Stop()
	if err != nil {
		return nil, err
	}
	return entryOf(ctx, l.Reader, at[0].Index, at[0].Duplicate, leaf)
}

// entryOf demands that an entry is exactly leaf.
func entryOf(ctx context.Context, r *tiled.Reader, index uint64, duplicate bool, leaf []byte) (*logged, error) {
	have, err := r.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	if string(have) != string(leaf) {
		return nil, wrong(otherEntry(index, have, leaf))
	}
	return &logged{r, index, duplicate, leaf}, nil
}

// artifactOf is the digest of the artifact that an entry is a bundle of; nil
// where it is none.
func artifactOf(entry []byte) *[32]byte {
	b, err := bundle.ParseAny("", entry)
	if err != nil {
		return nil
	}
	d := b.About().Digest
	return &d
}

// otherEntry says what an entry is that stands where leaf would be a second
// one about the same.
func otherEntry(index uint64, have, leaf []byte) error {
	old, _ := evidence.ParseLeaf("", have)
	l, _ := evidence.ParseLeaf("", leaf)
	switch a := artifactOf(have); {
	case l != nil && a != nil:
		return strict.Errorf("", "entry %d of the log is the bundle that the ceremony %s released; this package says that it was aborted", index, l.Ceremony).
			WithHint("what was released was not aborted. Keep both: one of them is not what happened")
	case old != nil && l == nil:
		return strict.Errorf("", "entry %d of the log says that the ceremony %s was aborted; this is a bundle that it released", index, old.Ceremony).
			WithHint("what was aborted released nothing. Keep both: one of them is not what happened")
	case l == nil && a != nil && *a != *artifactOf(leaf):
		return strict.Errorf("", "entry %d of the log is another artifact that the same ceremony released", index).
			WithHint("a ceremony releases one artifact. Keep both bundles: together they are the proof")
	case l == nil:
		return strict.Errorf("", "entry %d of the log is this epoch's artifact in another bundle, with other signatures", index).
			WithHint("an artifact is logged once: use the bundle that was logged")
	case old.Ending == l.Ending && old.Head == l.Head:
		return strict.Errorf("", "entry %d of the log is this ending of %s, with other signatures", index, l.Ceremony).
			WithHint("an ending is logged once: use the package that was logged, which holds what had been signed by then")
	}
	return strict.Errorf("", "entry %d of the log says that the ceremony %s ended %s with %x; this package says %s with %x", index, l.Ceremony, old.Ending, old.Head, l.Ending, l.Head).
		WithHint("a ceremony ends once. Keep both packages: one of them is not what happened")
}
