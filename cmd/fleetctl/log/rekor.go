//go:build cgo && unix

package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/rekor"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// rekorFlags say which Rekor server, and whose log it has to be.
type rekorFlags struct {
	url, key, origin, tiles, submitter string
	policy                             string // the command's own --policy: a verifier's, that pins log and submitter
	version                            int
	timeout                            time.Duration
}

func (r *rekorFlags) add(f *pflag.FlagSet) {
	f.StringVar(&r.url, "rekor", "", "log with the Rekor server at this `URL` instead")
	f.IntVar(&r.version, "rekor-version", 1, "the Rekor server's `version`: 1 or 2")
	f.StringVar(&r.key, "rekor-key", "", "the Rekor log's public key, pinned: a vkey, or a `file` with one, with PEM or with base64")
	f.StringVar(&r.origin, "rekor-origin", "", "the `name` that the Rekor log's checkpoints are signed as (default: the URL's host, or the vkey's name)")
	f.StringVar(&r.tiles, "rekor-tiles", "", "`URL` of a version 2 log's checkpoint and tiles (default: below the server's)")
	f.StringVar(&r.submitter, "submitter-key", "", "the submitter's ECDSA P-256 "+signer.Help)
	cli.Duration(f, &r.timeout, "timeout", rekor.DefaultTimeout, "how long the Rekor server may take in all, at least "+strict.FormatDuration(rekor.LeastTimeout))
}

// given says whether Rekor is asked for; a part of it without the server's
// URL is a slip.
func (r *rekorFlags) given(cmd *cobra.Command) bool {
	for _, name := range []string{"rekor", "rekor-version", "rekor-key", "rekor-origin", "rekor-tiles", "submitter-key", "timeout"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

type rekorJSON struct {
	Log       string `strict:"log"`
	Version   int    `strict:"version"`
	VKey      string `strict:"vkey"`
	Index     uint64 `strict:"index"`
	Size      uint64 `strict:"size"`
	Duplicate bool   `strict:"duplicate"`
	Submitter []byte `strict:"submitter,base64"`
	Entry     string `strict:"entry"`
}

// Format is what the JSON says that it is.
func (*rekorJSON) Format() string { return "fleetctl log rekor result v1" }

func appendRekor(a *cli.App, cmd *cobra.Command, target, out string, r *rekorFlags) error {
	if err := cli.Required(cmd, "rekor", "submitter-key"); err != nil {
		return err
	}
	for _, name := range []string{"log", "key"} {
		if cmd.Flags().Changed(name) {
			return cli.Usagef("run it once for each log", "--%s is for a log in a directory, --rekor for a server's", name)
		}
	}
	info, err := os.Stat(target)
	if err != nil {
		return cli.Usage(cli.Missing(err))
	}
	if !info.IsDir() {
		leaf, err := cli.ReadFile(target)
		if err != nil {
			return err
		}
		if _, err := bundle.ParseAny(target, leaf); err != nil {
			return cli.Wrong(err)
		}
		if out == "" {
			out = target + ".rekor.json"
		}
		return rekorAppend(a, cmd.Context(), leaf, out, out+".pending", r)
	}
	if out != "" {
		return cli.Usagef("", "--out is for a bundle's file; a ceremony keeps the entry as %s", evidence.RekorFile)
	}
	return session.WithFolder(a, target, func(j *engine.Journal) error {
		if j.Account().Close != nil {
			return cli.Usage(strict.Errorf(target, "the ceremony is closed, and its close record lists every file there may be"))
		}
		if j.Account().LogProof == nil {
			return cli.Usage(strict.Errorf(target, "the bundle is not in the log of the plan yet").WithHint("fleetctl log append %s --log LOG --key KEY", words.ShellWord(target)))
		}
		b, err := j.Account().Bundle()
		if err != nil {
			return cli.Wrong(err)
		}
		return rekorAppend(a, cmd.Context(), b.Raw(), filepath.Join(target, evidence.RekorFile), filepath.Join(target, ceremony.PrivateDir, evidence.RekorFile+".pending"), r)
	})
}

// rekorAppend logs a bundle. The envelope is on the disk before it is sent: a
// run that finishes what another began sends the very same, which the log
// knows, and not one with another signature, which it would take for new.
func rekorAppend(a *cli.App, ctx context.Context, leaf []byte, out, pending string, r *rekorFlags) error {
	if _, err := os.Lstat(out); err == nil {
		return cli.Exists(fs.ErrExist, out)
	}
	log, policy, err := r.log()
	if err != nil {
		return cli.Usage(err)
	}
	client, err := rekor.New(log, rekor.Options{URL: r.url, TilesURL: r.tiles, Timeout: r.timeout})
	if err != nil {
		return cli.Usage(err)
	}
	s, err := signer.OpenOf(a, r.submitter, keys.P256)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Public.Algorithm() != keys.P256 {
		return cli.Usagef(signer.HowToMake(keys.P256, "submitter.pem"), "the submitter's key is %s; Rekor of both versions takes %s", s.Public.Algorithm(), keys.P256)
	}
	if policy != nil && !policy.Rekor.Submits(s.Public) {
		return cli.Usagef("pin it under rekor: submitters:", "the policy pins another submitter's key than %s", words.ShellWord(r.submitter))
	}
	envelope, err := envelope(leaf, pending, s)
	if err != nil {
		return err
	}
	result, err := client.Append(ctx, leaf, envelope, s.Public)
	if err != nil {
		return err
	}
	if err := cli.WriteNew(out, result.Entry.Marshal()); err != nil {
		return err
	}
	if err := durable.Remove(pending); err != nil {
		return err
	}
	in := result.Inclusion
	entry := fmt.Sprintf("%d of a tree of %d", in.Index, in.Size)
	if result.Existed {
		entry += ", there before"
	}
	return a.Emit(&rekorJSON{Log: in.Origin, Version: log.Version(), VKey: log.VKey(), Index: in.Index, Size: in.Size, Duplicate: result.Existed, Submitter: s.Public.SPKI(), Entry: out},
		a.UI.Fields([][2]string{{"log", fmt.Sprintf("%s, Rekor v%d", in.Origin, log.Version())}, {"vkey", log.VKey()}, {"entry", entry}, {"kept as", out}}))
}

// envelope takes up the one that a run before this left, or makes it.
func envelope(leaf []byte, pending string, s *signer.Key) ([]byte, error) {
	left, err := os.ReadFile(pending)
	if err == nil {
		if err := auditlog.CheckRekorEnvelope(left, leaf, s.Public); err != nil {
			return nil, cli.Usage(strict.Errorf(pending, "was left by a run that did not finish, and is not of this bundle and key: %v", err).
				WithHint("If that run is not to be finished, remove it. What it sent may be in the log all the same."))
		}
		return left, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	signature, err := s.Sign(keys.ForRekor, auditlog.RekorMessage(leaf))
	if err != nil {
		return nil, err
	}
	envelope := auditlog.NewRekorEnvelope(leaf, signature)
	// A token may sign with another key than it shows.
	if err := auditlog.CheckRekorEnvelope(envelope, leaf, s.Public); err != nil {
		return nil, err
	}
	return envelope, cli.Exists(durable.Create(pending, envelope, 0o600), pending)
}

// log is the pinned one.
func (r *rekorFlags) log() (*auditlog.RekorLog, *evidence.Policy, error) {
	switch {
	case r.policy != "" && r.key != "":
		return nil, nil, strict.Errorf("", "--policy and --rekor-key both say what the log's key is")
	case r.policy != "":
		return r.fromPolicy()
	case r.key == "":
		return nil, nil, strict.Errorf("", "no key: whose log it is must be pinned").
			WithHint("Ask the log's operator for its public key over another channel, and give it as --rekor-key FILE, or in a policy as --policy FILE.")
	}
	key := r.key
	if data, err := cli.ReadWhole(r.key); err == nil {
		key = string(data)
	} else if _, verr := auditlog.ParseVKey(r.key); verr != nil {
		return nil, nil, cli.Missing(err)
	}
	origin := r.origin
	if v, err := auditlog.ParseVKey(strings.TrimSpace(key)); err == nil && origin == "" {
		origin = v.Name()
	}
	if u, err := url.Parse(r.url); err == nil && origin == "" {
		origin = u.Hostname()
	}
	log, err := auditlog.NewRekorLog(r.version, origin, key)
	if err != nil {
		return nil, nil, strict.Errorf("", "--rekor-key, --rekor-origin, --rekor-version: %v", err)
	}
	return log, nil, nil
}

func (r *rekorFlags) fromPolicy() (*auditlog.RekorLog, *evidence.Policy, error) {
	data, err := cli.ReadWhole(r.policy)
	if err != nil {
		return nil, nil, cli.Missing(err)
	}
	p, err := evidence.ParsePolicy(r.policy, data)
	if err != nil {
		return nil, nil, err
	}
	log, err := pinnedRekorLog(p, r.version, r.origin)
	return log, p, err
}
