//go:build unix

// Command releases appends the list of a release (SHA256SUMS) to a transparency log
// and writes its proof beside it: a log of one list for each version, kept as a fleet's
// log is. fleetctl log init makes the log, and its witnesses are those of the policy.
package main

import (
	"context"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
)

func main() {
	dir := flag.String("log", "", "the log's directory")
	guard := flag.String("guard", "", "the guard's directory (default: LOG.guard)")
	key := flag.String("key", "", "the log's key, as fleetctl log append takes it")
	policy := flag.String("policy", "", "log policy file: which witnesses to ask, and how many must cosign")
	flag.Parse()
	if flag.NArg() != 1 || *dir == "" || *key == "" || *policy == "" {
		fmt.Fprintln(os.Stderr, "usage: releases -log DIR -key KEY -policy FILE SHA256SUMS")
		os.Exit(cli.ExitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	done, err := run(ctx, publish.Options{Guard: *guard, Timeout: 30 * time.Second, Kind: entries}, *dir, *key, *policy, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "scripts/releases:", err)
		stop()
		os.Exit(cli.ExitFailed)
	}
	fmt.Println(done)
}

func run(ctx context.Context, o publish.Options, dir, key, policyFile, file string) (done string, err error) {
	list, err := cli.ReadFile(file)
	if err != nil {
		return "", err
	}
	version, err := versionOf(file, list)
	if err != nil {
		return "", err
	}
	text, err := cli.ReadFile(policyFile)
	if err != nil {
		return "", err
	}
	policy, err := auditlog.ParsePolicy(policyFile, text)
	if err != nil {
		return "", err
	}
	l, err := publish.Open(dir, o)
	if err != nil {
		return "", err
	}
	k, err := signer.Open(cli.New(os.Stdin, os.Stdout, os.Stderr), key)
	if err != nil {
		return "", err
	}
	defer k.Close()
	s, err := logSigner(l.Origin(), k)
	if err != nil {
		return "", err
	}
	e, err := l.Append(ctx, s, list)
	if err != nil {
		return "", err
	}
	proof, err := e.Prove(ctx, publish.Witnessing{Policy: policy, Client: witness.Client{Timeout: 10 * time.Second}})
	if err != nil {
		return "", err
	}
	if err := cli.WriteSame(file+".tlog-proof", proof); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is entry %d of %s", version, e.Index, l.Origin()), nil
}

func logSigner(origin string, k *signer.Key) (note.Signer, error) {
	pub, ok := k.Public.Ed25519()
	if !ok {
		return nil, fmt.Errorf("the log's key is %s; a log signs with ed25519", k.Public.Algorithm())
	}
	return tiled.NewSigner(origin, ed25519.PublicKey(pub), k.For(keys.ForLog))
}
