//go:build cgo && unix

package main

import (
	"encoding/base64"
	"encoding/pem"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// rekor VERSION sets REKOR_URL, REKOR_KEY and REKOR_ORIGIN to those of a real
// server of that version.
func cmdRekor(ts *testscript.TestScript, _ bool, args []string) {
	version, err := strconv.Atoi(args[0])
	ts.Check(err)
	s, err := testrekor.Start(version)
	ts.Check(err)
	key, err := os.ReadFile(s.KeyFile)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("rekor.pub"), key, 0o644))
	ts.Setenv("REKOR_URL", s.URL)
	ts.Setenv("REKOR_ORIGIN", s.Origin)
}

// spki FILE NAME sets a variable to a PEM public key's base64.
func cmdSPKI(ts *testscript.TestScript, _ bool, args []string) {
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	if block == nil {
		ts.Fatalf("%s is no PEM", args[0])
	}
	ts.Setenv(args[1], base64.StdEncoding.EncodeToString(block.Bytes))
}
