package session

import (
	"crypto/sha256"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/signer"
)

// ownDigest is the SHA-256 of the running program's file.
func ownDigest() (sum [32]byte, err error) {
	path, err := os.Executable()
	if err != nil {
		return sum, err
	}
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [32]byte(h.Sum(nil)), err
}

// Program is the one that runs here.
func Program() (ceremony.Program, error) {
	binary, err := ownDigest()
	return ceremony.Program{Version: cli.Version, Binary: binary}, err
}

// SignWithFlag adds the flag for the keys with which a rehearsal's officers approve at this
// terminal.
func SignWithFlag(c *cobra.Command, keys *[]string) {
	c.Flags().StringArrayVar(keys, "sign-with", nil, "in a rehearsal: an officer's OpenSSH `key` to approve with, here and now")
}

// Config is the engine's configuration for running, resuming and aborting a ceremony.
func Config(a *cli.App, dir, site string, keys []string) (engine.Config, error) {
	binary, err := ownDigest()
	return engine.Config{
		Dir: dir, Tokens: newTokens(a), Observer: &Screen{a: a, binary: binary}, Approve: signer.Approver(a, keys), Attest: NewAttester(nil),
		Now: a.Now, Random: a.Random, Version: cli.Version, Binary: binary,
		Site: func(p *ceremony.Plan) (*engine.Site, error) { return cli.ReadSite(site, p) },
	}, err
}
