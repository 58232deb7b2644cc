package evidence_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func destroyedBy(t *testing.T, o testfleet.Options, without ...string) *testfleet.Fleet {
	t.Helper()
	g := testfleet.New(t, o).Destroying(t, nil, without...)
	if err := g.Destroy("destroyed"); err != nil {
		t.Fatal(err)
	}
	return g
}

func judgeDestroyed(t *testing.T, g *testfleet.Fleet, files evidence.Files, q evidence.Question) *evidence.Report {
	t.Helper()
	files[evidence.ManifestFile] = files.Manifest()
	p, err := evidence.ParsePolicy("policy.yaml", g.Policy)
	if err != nil {
		t.Fatal(err)
	}
	q.Now = g.Now()
	r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Folder: files}, p, q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestADestructionIsEvidenceOfNothingElse(t *testing.T) {
	g := destroyedBy(t, testfleet.Options{HSMs: 2})
	for expect, want := range map[evidence.Type]bool{evidence.TypeDestruction: true, "": false, evidence.TypeEvidence: false, evidence.TypeAbort: false, evidence.TypeNotice: false} {
		r := judgeDestroyed(t, g, maps.Clone(g.Files), evidence.Question{Expect: expect})
		if r.Verified != want || r.Object != evidence.TypeDestruction {
			t.Errorf("--expect %q: verified %v, a %s: %s", expect, r.Verified, r.Object, r.JSON())
		}
	}
}

// TestWhoeverIsAbsentIsExcusedFromADestruction: its ceremony has no release, so that every
// exception of it is one of the close.
func TestWhoeverIsAbsentIsExcusedFromADestruction(t *testing.T) {
	g := destroyedBy(t, testfleet.Options{HSMs: 1, Onlookers: []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}, Away: []string{"wim"}})
	if r := judgeDestroyed(t, g, maps.Clone(g.Files), evidence.Question{Expect: evidence.TypeDestruction}); !r.Verified {
		t.Errorf("%s", r.JSON())
	}
}

func TestKeysOfAnHSMThatWasLeftOutAreNotShownToBeDestroyed(t *testing.T) {
	g := destroyedBy(t, testfleet.Options{HSMs: 3}, "hsm-2")
	r := judgeDestroyed(t, g, maps.Clone(g.Files), evidence.Question{Expect: evidence.TypeDestruction})
	c := r.Claim(evidence.ClaimDestroyed)
	if r.Verified || c.Grade != evidence.NotShown || !strings.Contains(c.Detail, "2 of 3 keys of epoch 1 are destroyed; nothing here shows that of hsm-2 session") {
		t.Errorf("%+v", c)
	}
}

func TestNoFileOfADestructionCanBeChanged(t *testing.T) {
	g := destroyedBy(t, testfleet.Options{HSMs: 1})
	for path, data := range g.Files {
		if path == evidence.ManifestFile {
			continue
		}
		for name, changed := range map[string][]byte{"a byte": flipped(data), "nothing left": {}, "left out": nil} {
			files := maps.Clone(g.Files)
			if files[path] = changed; changed == nil {
				delete(files, path)
			}
			if r := judgeDestroyed(t, g, files, evidence.Question{Expect: evidence.TypeDestruction}); r.Verified {
				t.Errorf("%s, %s: it is verified", path, name)
			}
		}
	}
	for _, path := range []string{ceremony.BundleFile, ceremony.ArtifactFile, "signoffs/release/olga.sig", "attestations/1.json", "drills/1.json"} {
		files := maps.Clone(g.Files)
		files[path] = g.Files[ceremony.RetiredFile]
		if r := judgeDestroyed(t, g, files, evidence.Question{Expect: evidence.TypeDestruction}); r.Verified {
			t.Errorf("%s added: it is verified", path)
		}
	}
}

func TestAnotherFleetsRetirementDestroysNothing(t *testing.T) {
	g := destroyedBy(t, testfleet.Options{HSMs: 1})
	other := destroyedBy(t, testfleet.Options{Name: "another", HSMs: 1, Parties: g.Parties, Namespace: "rehearsal.example.another.fleet_keys.v1"})
	for _, pair := range [][]string{{ceremony.RetirementFile, ceremony.RetirementProofFile}, {ceremony.RetiredFile, ceremony.RetiredProofFile}} {
		files := maps.Clone(g.Files)
		for _, path := range pair {
			files[path] = other.Files[path]
		}
		if r := judgeDestroyed(t, g, files, evidence.Question{Expect: evidence.TypeDestruction}); r.Verified || r.Claim(evidence.ClaimDestroyed).Grade != evidence.NotShown {
			t.Errorf("%s: verified %v, %+v", pair[0], r.Verified, r.Claim(evidence.ClaimDestroyed))
		}
	}
}

func flipped(data []byte) []byte {
	out := slices.Clone(data)
	out[len(out)/2] ^= 1
	return out
}

func TestWitnessesOfTheRetirementDateNothingOfTheDestruction(t *testing.T) {
	g := destroyedBy(t, testfleet.Options{HSMs: 1, Witnesses: 2})
	r := judgeDestroyed(t, g, maps.Clone(g.Files), evidence.Question{Expect: evidence.TypeDestruction})
	if !r.Verified || r.Claim(evidence.ClaimWitnessed).Grade != evidence.Proven {
		t.Fatalf("%s", r.JSON())
	}
	if detail := r.Claim(evidence.ClaimPlanApproved).Detail; strings.Contains(detail, "at the latest") {
		t.Errorf("the plan was approved after the fleet was retired, and the report says: %s", detail)
	}
}

func TestAnEndBeforeTheRetirementThatItCommitsToShowsALogThatWasWrittenAnew(t *testing.T) {
	g := destroyedBy(t, testfleet.Options{HSMs: 1, Witnesses: 2})
	p, err := evidence.ParsePolicy("policy.yaml", g.Policy)
	if err != nil {
		t.Fatal(err)
	}
	leaf := must(evidence.PackageLeaf("evidence.tar", g.Archive)).Marshal()
	log := g.Parties.Log.(*testfleet.Witnesses)
	for name, c := range map[string]struct {
		proof []byte
		anew  bool
	}{
		"the log goes on":          {must(log.Copy(log.Size()).Append(leaf)), false},
		"its end was written anew": {must(log.Copy(1).Append(leaf)), true},
	} {
		r, err := evidence.Verify(evidence.Input{File: "evidence.tar", Data: g.Archive, Logged: c.proof}, p, evidence.Question{Now: g.Now(), Expect: evidence.TypeDestruction})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verified == c.anew || strings.Contains(string(r.JSON()), "the log was written anew") != c.anew {
			t.Errorf("%s: verified %v, %+v", name, r.Verified, r.Problems)
		}
	}
}
