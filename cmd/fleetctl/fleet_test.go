//go:build cgo && unix

package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// fleetSites writes site files of reference fleets, with ports that nobody else has.
type fleetSites struct{ t *testing.T }

// fleetsite FILE N writes the site file of a fleet on the tokens fleet-1 to fleet-N of
// the folder that the script is in.
func (f fleetSites) write(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	port := await.Ports(f.t, 2*n)
	s := &site.Site{}
	for i := range n {
		token := fmt.Sprintf("fleet-%d", i+1)
		s.Nodes = append(s.Nodes, site.Node{
			HSM: fmt.Sprintf("hsm-%d", i+1), Module: modulePath(), Token: token, PIN: "file:" + ts.MkAbs("pins/"+token),
			Address: fmt.Sprintf("127.0.0.1:%d", port+i), Peers: fmt.Sprintf("127.0.0.1:%d", port+n+i), Dir: ts.MkAbs("nodes/" + token), Anchor: site.Nowhere,
		})
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), s.Encode(), 0o600))
}
