//go:build cgo && unix

package main

import (
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// drilled DIR OUT [failed|other] writes the report of a drill that nobody ran: of the
// ceremony in DIR, which went well, failed, or was another's.
func cmdDrilled(ts *testscript.TestScript, _ bool, args []string) {
	a, err := folder.Read(ts.MkAbs(args[0]))
	ts.Check(err)
	r := testfleet.DrillReport(a, time.Now())
	switch {
	case len(args) < 3:
	case args[2] == "failed":
		r.Outcome, r.Faults = report.Failed, []string{"node hsm-2 hung"}
		r.Anchors[1].Removed, r.Anchors[1].Reason = time.Time{}, "the node hung"
	case args[2] == "other":
		r.Ceremony = "another"
	}
	data, err := r.Encode()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), data, 0o600))
}
