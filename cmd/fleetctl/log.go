//go:build cgo && unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// logKey names what an entry is about: an epoch's artifact is logged once,
// however often it is signed again.
func logKey(leaf []byte) string {
	if b, err := bundle.ParseBundle("", leaf); err == nil {
		return fmt.Sprintf("bundle %s %d %x", b.KeySet.Namespace, b.KeySet.Epoch, b.KeySet.Digest())
	}
	return fmt.Sprintf("sha256 %x", sha256.Sum256(leaf))
}

type logJSON struct {
	Log       string `strict:"log"`
	VKey      string `strict:"vkey"`
	Index     uint64 `strict:"index"`
	Size      uint64 `strict:"size"`
	Duplicate bool   `strict:"duplicate"`
	Proof     string `strict:"proof,optional"`
}

func (a *app) logInitCmd() *cobra.Command {
	var origin, key, policy string
	c := command("init LOG", "Make a transparency log in a new directory",
		`Init makes an empty log (C2SP tlog-tiles) and, beside it, its guard: the last
checkpoint that the log's key signed, against which everything is checked
before it signs again. Keep the guard on other media than the log's backups. A
key file that doesn't exist is made.`,
		"  fleetctl log init log --origin log.acme.example/fleet --key log.pem --policy-out log.policy",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "origin", "key"); err != nil {
				return err
			}
			if !strings.HasPrefix(strings.ToLower(key), "pkcs11:") {
				if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
					if err := a.newKeyFile(key); err != nil {
						return err
					}
				}
			}
			s, vkey, err := a.logSigner(key, origin)
			if err != nil {
				return err
			}
			defer s()
			if err := tiled.Init(args[0], vkey.vkey, tiled.Options{}); err != nil {
				return err
			}
			text := fmt.Sprintf("log %s\nquorum none\n", vkey.vkey)
			if policy != "" {
				if err := writeNew(policy, []byte(text)); err != nil {
					return err
				}
			}
			return a.emit(&logJSON{Log: args[0], VKey: vkey.vkey}, a.ui.Fields([][2]string{
				{"log", args[0]}, {"guard", strings.TrimRight(args[0], "/") + ".guard"}, {"vkey", vkey.vkey}, {"policy", policy},
			}))
		})
	f := c.Flags()
	f.StringVar(&origin, "origin", "", "the log's `name`, such as log.acme.example/fleet")
	f.StringVar(&key, "key", "", keyHelp)
	f.StringVar(&policy, "policy-out", "", "write the log's policy, without witnesses, to this new `file`")
	return c
}

type logSigner struct {
	note.Signer
	vkey string
}

func (a *app) logSigner(ref, origin string) (close func(), s *logSigner, err error) {
	k, err := a.openKey(ref)
	if err != nil {
		return nil, nil, err
	}
	pub, ok := k.public.Ed25519()
	if !ok {
		k.close()
		return nil, nil, usagef("", "the log's key is %s; a log signs with ed25519", k.public.Algorithm())
	}
	vkey, err := tiled.VKey(origin, pub)
	if err == nil {
		var n note.Signer
		n, err = tiled.NewSigner(origin, pub, k.sign)
		s = &logSigner{n, vkey}
	}
	if err != nil {
		k.close()
		return nil, nil, err
	}
	return k.close, s, nil
}

func (a *app) logAppendCmd() *cobra.Command {
	var dir, key, out string
	var r rekorFlags
	c := command("append DIR|BUNDLE", "Append a bundle to a log and keep its proof",
		`Append adds the bundle's exact bytes as an entry, waits until a checkpoint that
covers it is signed and on the disk, and keeps the proof: in a ceremony's
folder, recorded on its transcript, or beside the bundle. A bundle that is in
the log already is not added again.

With --rekor the bundle is logged by a Rekor server instead: signed by the
submitter's key, verified under the log's pinned key, and kept as
BUNDLE.rekor.json. In a ceremony's folder that is after the log of the plan
and before the close.`,
		`  fleetctl log append ceremony --log log --key log.pem
  fleetctl log append bundle.json --log log --key log.pem
  fleetctl log append bundle.json --rekor https://rekor.example --rekor-key rekor.pem --submitter-key submitter.pem`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if r.given(cmd) {
				return a.appendRekor(cmd, args[0], out, &r)
			}
			if err := required(cmd, "log", "key"); err != nil {
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return usage(err)
			}
			if info.IsDir() {
				return a.withJournal(args[0], func(j *ceremony.Journal) error {
					b, err := j.Assemble()
					if err != nil {
						return usage(err)
					}
					_, proof, err := a.appendLeaf(cmd.Context(), dir, key, b.Raw())
					if err != nil {
						return err
					}
					return a.importProof(j, ceremony.ProofFile, proof)
				}, ceremony.ActLog)
			}
			leaf, err := readFile(args[0])
			if err != nil {
				return err
			}
			if _, err := bundle.ParseBundle(args[0], leaf); err != nil {
				return wrong(err)
			}
			if out == "" {
				out = args[0] + ".tlog-proof"
			}
			result, proof, err := a.appendLeaf(cmd.Context(), dir, key, leaf)
			if err != nil {
				return err
			}
			return a.proved(result, proof, out)
		})
	f := c.Flags()
	f.StringVar(&dir, "log", "", "the log's `directory`")
	f.StringVar(&key, "key", "", keyHelp)
	f.StringVar(&out, "out", "", "the proof's new `file` (default: BUNDLE.tlog-proof, BUNDLE.rekor.json)")
	r.add(f)
	return c
}

func (a *app) proved(result *logJSON, proof []byte, out string) error {
	if err := writeNew(out, proof); err != nil {
		return err
	}
	result.Proof = out
	entry := fmt.Sprintf("%d of %d", result.Index, result.Size)
	if result.Duplicate {
		entry += ", there before"
	}
	return a.emit(result, a.ui.Fields([][2]string{{"log", result.VKey}, {"entry", entry}, {"proof", out}}))
}

func (a *app) appendLeaf(ctx context.Context, dir, key string, leaf []byte) (*logJSON, []byte, error) {
	r, err := tiled.OpenReader(dir)
	if err != nil {
		return nil, nil, usage(err)
	}
	origin, _, _ := strings.Cut(r.VKey(), "+")
	done, s, err := a.logSigner(key, origin)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	l, err := tiled.Open(dir, s, tiled.Options{KeyOf: logKey, Timeout: 30 * time.Second})
	if err != nil {
		return nil, nil, err
	}
	at, err := l.Append(ctx, leaf)
	if err != nil {
		return nil, nil, err
	}
	return a.prove(ctx, l.Reader, at[0].Index, at[0].Duplicate, leaf)
}

// prove makes the proof of an entry that must be exactly leaf.
func (a *app) prove(ctx context.Context, r *tiled.Reader, index uint64, duplicate bool, leaf []byte) (*logJSON, []byte, error) {
	have, err := r.Entry(ctx, index)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.Equal(have, leaf) {
		return nil, nil, wrong(strict.Errorf("", "entry %d of the log is this epoch's artifact in another bundle, with other signatures", index).
			WithHint("an artifact is logged once: use the bundle that was logged"))
	}
	proof, err := r.Prove(ctx, index)
	if err != nil {
		return nil, nil, err
	}
	p, err := auditlog.ParseProof("proof", proof)
	if err != nil {
		return nil, nil, err
	}
	return &logJSON{Log: p.Checkpoint.Origin, VKey: r.VKey(), Index: index, Size: p.Checkpoint.Size, Duplicate: duplicate}, proof, nil
}

func (a *app) logProveCmd() *cobra.Command {
	var dir, out string
	c := command("prove BUNDLE", "Write the proof that a bundle is in a log",
		"Prove finds the bundle in the log and writes a proof (C2SP tlog-proof) for the\nlog's newest checkpoint. It needs no key.",
		"  fleetctl log prove bundle.json --log log --out bundle.json.tlog-proof",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "log", "out"); err != nil {
				return err
			}
			leaf, err := readFile(args[0])
			if err != nil {
				return err
			}
			r, err := tiled.OpenReader(dir)
			if err != nil {
				return usage(err)
			}
			index, found, err := r.Find(cmd.Context(), logKey, leaf)
			if err != nil {
				return err
			}
			if !found {
				return wrong(strict.Errorf(args[0], "is not in the log %s", dir).WithHint("add it with\nfleetctl log append %s --log %s --key KEY", args[0], dir))
			}
			result, proof, err := a.prove(cmd.Context(), r, index, true, leaf)
			if err != nil {
				return err
			}
			return a.proved(result, proof, out)
		})
	f := c.Flags()
	f.StringVar(&dir, "log", "", "the log's `directory`")
	f.StringVar(&out, "out", "", "the proof's new `file`")
	return c
}
