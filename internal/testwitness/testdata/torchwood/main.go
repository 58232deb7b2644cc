// Command torchwood-peer POLICY PROOF LEAF verifies a tlog-proof by torchwood.
package main

import (
	"fmt"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var data [3][]byte
	for i, path := range args {
		var err error
		if data[i], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	policy, err := torchwood.ParsePolicy(data[0])
	if err != nil {
		return err
	}
	return torchwood.VerifyProof(policy, tlog.RecordHash(data[2]), data[1])
}
