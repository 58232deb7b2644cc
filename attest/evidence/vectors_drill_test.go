package evidence_test

import (
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func init() { vectors = append(vectors, drillVectors...) }

// drillVectors have the report of a drill that is what it says, or isn't: whoever runs
// the ceremony's machine has made everything fit that needs no key.
var drillVectors = []vector{
	{"drilled", "nothing: a fleet that was drilled, at the second time with success", "", "", func(t *testing.T) made {
		return plainly(t, drilledTwice(t), nil)
	}},
	{"drilled-with-the-next-epoch", "nothing: a fleet whose next epoch went live in the drill", "", "", func(t *testing.T) made {
		return plainly(t, drilledAndFollowed(t), nil)
	}},
	forgedDrill("drilled-before-another-epoch", "the report of a drill whose next epoch follows another artifact than this ceremony's", "another epoch before"),
	forgedDrill("drilled-as-another-fleet", "the report of a drill of another fleet", "another fleet"),
	forgedDrill("drilled-with-another-key", "a report by which a node used a key that is none of the ceremony's", "another key"),
	forgedDrill("drilled-without-a-node", "a report that has a node for two of the three HSMs", "a node taken out"),
	forgedDrill("drilled-without-a-figure", "a report by which devices opened sessions, and that doesn't say how long one took", "a figure taken out"),
	forgedDrill("drilled-key-after-the-lock", "a report that says that the drill passed, and that a key was released after a lock", "a key after the lock"),
	forgedDrill("drilled-without-a-guess", "a report whose stages passed, and by whose counts no guess was sent and no node led", "nothing happened"),
	forgedDrill("drilled-while-a-node-never-led", "a report by which every node led, and one node led in no term", "a node that never led"),
	forgedDrill("drilled-without-another-leader", "a report by which three leaders were killed, and two nodes led once each", "no leader after the killed"),
	forgedDrill("drilled-and-failed", "a report of a drill that failed, where its record says that it passed", "failed, recorded as fine"),
	forgedDrill("drilled-before-it-was-logged", "a drill that began a day before there was a bundle to answer with", "before the bundle"),
	forgedDrill("drill-report-left-out", "the report of a drill is left out of the package", "no report"),
	forgedDrill("drill-report-of-no-record", "a second report, of a drill that no record tells of", "a report of no drill"),
}

// forgedDrill is one of the drill's forgeries as a vector.
func forgedDrill(name, kind, forgery string) vector {
	v := vector{name: name, kind: kind}
	v.want = drillWants[forgery]
	v.make = func(t *testing.T) made {
		f := drilled(t, testfleet.Options{Name: "vector " + name})
		files := with(drillForgeries(f)[forgery].files, evidence.ManifestFile, nil)
		return made{archive: must(sealed(files)), policy: f.Policy, now: f.Now()}
	}
	return v
}

// drillWants are what a verifier says of the drill's forgeries.
var drillWants = map[string]string{
	"another epoch before": "its next epoch follows the artifact",
	"another fleet":        "is of the fleet other-fleet", "another key": "used a sealing key that is not the ceremony's", "a node taken out": "has 2 nodes, the plan has 3 HSMs",
	"a key after the lock": "says that the drill passed, and it did not: 1 keys were released after a lock",
	"nothing happened":     "stage logins passed without a login or without a history", "a node that never led": "node hsm-3 never led",
	"no leader after the killed": "and tests that passed killed 3 leaders",
	"failed, recorded as fine":   "does not say what record", "before the bundle": "had nothing to answer with",
	"a figure taken out": "stage sessions passed without the figure session-median",
	"no report":          "is missing: record", "a report of no drill": "is the report of a drill that no record names",
}
