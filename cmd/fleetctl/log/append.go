//go:build cgo && unix

package log

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	logTimeout     = 30 * time.Second
	witnessTimeout = 10 * time.Second
)

func appendCmd(a *cli.App) *cobra.Command {
	var key, out string
	var o witnessOptions
	var r rekorFlags
	c := cli.Command("append DIR|BUNDLE|EVIDENCE", "Append a bundle, or how a ceremony ended, to a log and keep its proof",
		`Append adds the bundle's exact bytes as an entry, waits until a checkpoint that
covers it is signed and on the disk, has the policy's witnesses cosign that, and
keeps the proof: in a ceremony's folder, recorded on its transcript, or beside
the bundle. Of an evidence package it is logged how its ceremony ended: closed
or aborted, with which head, and a digest of what people signed last, so that
they sign first; the proof is evidence.tlog-proof beside it. What is in the log
already is not added again, and a second ending of a ceremony is refused.

A ceremony's bundle is logged with every signature that its plan wants. A bundle
in a file is judged by --policy where that is a verifier's policy, which must be
given for a bundle with post-quantum signatures, and for one that follows such a
bundle in the log: an incomplete one could not be completed any more.

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
  fleetctl log append end.json --log log --key log.pem --policy policy.yaml
  fleetctl log append bundle.json --rekor https://rekor.example --rekor-key rekor.pem --submitter-key submitter.pem`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if r.given(cmd) {
				r.policy = o.policy
				return appendRekor(a, cmd, args[0], out, &r)
			}
			if err := cli.Required(cmd, "log", "key"); err != nil {
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return cli.Usage(cli.Missing(err))
			}
			if info.IsDir() {
				return session.WithFolder(a, args[0], func(j *engine.Journal) error {
					return appendCeremony(a, cmd.Context(), j, key, o)
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
				return cli.Exists(os.ErrExist, out)
			}
			policy, signers, err := o.readSigners(a)
			if err != nil {
				return err
			}
			e, err := appendLeaf(a, cmd.Context(), key, leaf, signers, o)
			if err != nil {
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
	r.add(f)
	f.StringVar(&key, "key", "", signer.Help)
	f.StringVar(&out, "out", "", "the proof's new `file` (default: BUNDLE.tlog-proof, evidence.tlog-proof, BUNDLE.rekor.json)")
	return c
}

// appendCeremony logs a ceremony's bundle and records its proof.
func appendCeremony(a *cli.App, ctx context.Context, j *engine.Journal, key string, o witnessOptions) error {
	if _, err := j.Assemble(ctx, session.Listeners(a, j.Account().Plan.Mode, &session.StandIn{})); err != nil {
		return cli.Usage(err)
	}
	proof, err := proofOf(a, ctx, j, key, o)
	if err != nil {
		return err
	}
	return session.ImportProof(a, j, ceremony.ProofFile, proof)
}

// AppendCeremony logs a ceremony's bundle, whose digest was read aloud, to the log in
// a directory, and gives its proof.
func AppendCeremony(ctx context.Context, a *cli.App, j *engine.Journal, dir, key string) ([]byte, error) {
	return proofOf(a, ctx, j, key, witnessOptions{dir: dir, timeout: witnessTimeout})
}

// proofOf appends a ceremony's bundle and has it witnessed. The plan's log policy
// decides whether the proof is good enough to be recorded; --policy says where the
// witnesses are, if the plan doesn't, and may demand more of them.
func proofOf(a *cli.App, ctx context.Context, j *engine.Journal, key string, o witnessOptions) ([]byte, error) {
	b, err := j.Account().Bundle()
	if err != nil {
		return nil, err
	}
	planned, err := auditlog.ParsePolicy("log_policy", []byte(j.Account().Plan.LogPolicy))
	if err != nil {
		return nil, err
	}
	policy, err := o.read()
	if err != nil {
		return nil, err
	}
	if policy == nil {
		policy = planned
	}
	plan := j.Account().Plan
	signers := &publish.Signers{Now: a.Now(), Trust: func(string) (*bundle.Trust, error) { return plan.Trust() }}
	e, err := appendLeaf(a, ctx, key, b.Raw(), signers, o)
	if err != nil {
		return nil, err
	}
	proof, err := prove(a, ctx, e, policy, o)
	if err != nil {
		return nil, err
	}
	in, err := e.Check(planned, ceremony.ProofFile, proof)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	if !in.Enough() {
		return nil, cli.Exit(cli.ExitPending, strict.Errorf(o.policy, "its quorum is met, the plan's is not: missing %s", strings.Join(in.Missing, ", ")).
			WithHint("the proof is recorded when the plan's log_policy is met"))
	}
	return proof, nil
}

// readLeaf reads what is logged of a file, and says where its proof belongs.
func readLeaf(path string) (leaf []byte, proof string, err error) {
	data, err := cli.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	if leaf, err = publish.Leaf(path, data); err != nil {
		return nil, "", cli.Wrong(err)
	}
	proof = path + ".tlog-proof"
	if evidence.Detect(data) == evidence.TypeEvidence {
		proof = evidence.ProofBeside(path)
	}
	return leaf, proof, nil
}

func appendLeaf(a *cli.App, ctx context.Context, key string, leaf []byte, signers *publish.Signers, o witnessOptions) (*publish.Entry, error) {
	options, p := o.options(), a.UI.Progress("the log's index is made again")
	options.Signers = signers
	options.Reading = func(done, total uint64) { p.Set(int64(done), int64(total)) }
	l, err := publish.Open(o.dir, options)
	if err != nil {
		return nil, cli.Usage(err)
	}
	kind := keys.Ed25519
	if v, err := auditlog.ParseVKey(l.VKey()); err == nil && v.Type() == auditlog.MLDSA44Cosignature {
		kind = keys.MLDSA44
	}
	done, s, err := openLogSigner(a, key, l.Origin(), kind)
	if err != nil {
		return nil, err
	}
	defer done()
	e, err := l.Append(ctx, s, leaf)
	p.Stop()
	return e, logFault(a, err)
}
