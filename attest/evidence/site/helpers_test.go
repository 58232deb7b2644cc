package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// published is a fleet's package as it is published: without what is restricted.
func published(f *testfleet.Fleet) evidence.Input {
	files := maps.Clone(f.Files)
	files[ceremony.TranscriptFile] = must(ceremony.Withhold(f.Plan, files[ceremony.TranscriptFile]))
	return packed("evidence.tar", files)
}

// packed is an archive of files with a manifest that fits.
func packed(name string, files evidence.Files) evidence.Input {
	files = maps.Clone(files)
	delete(files, evidence.ManifestFile)
	files[evidence.ManifestFile] = files.Manifest()
	return evidence.Input{File: name, Data: must(evidence.Pack(files))}
}

// places are names for so many sites.
func places(n int) (list []string) {
	for i := range n {
		if i < 8 {
			list = append(list, []string{"amsterdam", "berlin", "copenhagen", "dublin", "edinburgh", "frankfurt", "geneva", "helsinki"}[i])
			continue
		}
		list = append(list, fmt.Sprintf("site-%d", i+1))
	}
	return list
}

// interrupted is a fleet whose ceremony stood still for 45 minutes, since a token went
// away, and of which somebody recorded what a stranger might make of it.
func interrupted(t testing.TB, hsms int, said string) *testfleet.Fleet {
	t.Helper()
	away := false
	f := testfleet.Prepared(t, testfleet.Options{Name: "interrupted", HSMs: hsms, Sites: places(3), Tokens: func(list []*testfleet.Token) {
		list[1].Before = func(call string) error {
			if call == "Generate" && !away {
				away = true
				return errors.New("the cable was pulled out")
			}
			return nil
		}
	}})
	if err := f.Live(); err == nil {
		t.Fatal("nothing interrupts it")
	}
	j := must(f.Journal())
	if err := errors.Join(f.Except(j, &ceremony.Exception{Expected: "nothing", Happened: said, Decided: "to go on"}), j.Close()); err != nil {
		t.Fatal(err)
	}
	f.Wait(45 * time.Minute)
	if err := f.Live(); err != nil {
		t.Fatal(err)
	}
	return f
}

// abortedFirst is the package of a ceremony that people aborted, and the fleet of the
// same parties whose ceremony came after it.
func abortedFirst(t testing.TB) (evidence.Input, *testfleet.Fleet) {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "given up", To: testfleet.ToFleetRun})
	c := f.Config(f.Dir, testfleet.Random("abort"))
	a := must(engine.Abort(context.Background(), c, "a seal was missing"))
	people, want := must(ceremony.PeopleOf(f.Plan)), a.AbortApproval()
	for _, name := range testfleet.Signers {
		p := f.Parties.People[name]
		want.Role = p.Role
		sig := must(p.Sign(want.Namespace(), want.Text()))
		must(folder.StoreSignature(f.Dir, ceremony.ApprovalsDir, fmt.Sprintf("abort-%d", want.Head.N), people, want.Namespace(), want.Text(), sig))
	}
	files, _, err := closing.PackFolder(f.Dir, true)
	if err != nil {
		t.Fatal(err)
	}
	return packed("aborted.tar", files), testfleet.New(t, testfleet.Options{Name: "after", Parties: f.Parties, Start: f.Now()})
}
