package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// forkedLog is a fleet whose log, with the same key, has another tree to show.
func forkedLog(t testing.TB, name string) (f *testfleet.Fleet, other testfleet.Log) {
	t.Helper()
	f = testfleet.Prepared(t, testfleet.Options{Name: name})
	must(f.Parties.Log.Append([]byte("an entry before")))
	if err := f.Live(); err != nil {
		t.Fatal(err)
	}
	other = testfleet.SoftParties(name, testfleet.TempDir(t)).Log
	must(other.Append([]byte("another entry before")))
	return f, other
}

// A log that signs two trees is caught where both are given, though each proof
// verifies by itself; and an end is no older than the proof that it commits to.
func TestProofsThatCantBeOfOneLogAreWrong(t *testing.T) {
	f, other := forkedLog(t, "forked")
	_, early := forkedLog(t, "forked")
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	leaf := must(evidence.PackageLeaf("e", f.Archive)).Marshal()
	again := evidence.Input{File: "again", Data: must(other.Append(f.Files[ceremony.BundleFile]))}
	for _, c := range []struct {
		name   string
		logged []byte
		proofs []evidence.Input
		want   []string
	}{
		{"the end after the bundle", must(f.Parties.Log.Append(leaf)), nil, nil},
		{"the bundle in another tree too", nil, []evidence.Input{again}, []string{"signed two trees of 7 entries"}},
		{"the end in another tree", must(early.Append(leaf)), nil, []string{"signed two trees of 7 entries", "is entry 6", "commits to a proof of a tree of 7 entries"}},
	} {
		r := must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive, Logged: c.logged, Proofs: c.proofs}, policy, evidence.Question{Now: f.Now()}))
		if r.Verified != (c.want == nil) {
			t.Errorf("%s: verified is %t: %s", c.name, r.Verified, says(r))
		}
		for _, want := range c.want {
			if !strings.Contains(says(r), want) {
				t.Errorf("%s: want %q: %s", c.name, want, says(r))
			}
		}
	}
}
