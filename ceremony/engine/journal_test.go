package engine_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A transcript cut off at any byte is readable up to its last whole record,
// and says that it was cut.
func TestATranscriptIsCutAtAnyByte(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1})
	good := f.Transcript()
	step := 13
	if os.Getenv("FLEETCTL_FULL") == "1" {
		step = 1
	}
	for n := 1; n < len(good); n += step {
		tr, err := ceremony.ParseTranscript("t", good[:n], f.Plan.Digest())
		if err != nil {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		whole := bytes.Count(good[:n], []byte("\n"))
		torn := n - bytes.LastIndexByte(good[:n], '\n') - 1
		if len(tr.Records) != whole || len(tr.Torn) != torn {
			t.Fatalf("cut to %d bytes: %d records and %d bytes, want %d and %d", n, len(tr.Records), len(tr.Torn), whole, torn)
		}
	}
	path := filepath.Join(f.Dir, ceremony.TranscriptFile)
	for n := len(good) - 100; n < len(good); n++ {
		must(0, os.WriteFile(path, good[:n], 0o600))
		whole := bytes.Count(good[:n], []byte("\n"))
		a, err := folder.Read(f.Dir)
		if good[n-1] == '\n' {
			if err != nil || a.N != whole {
				t.Errorf("cut between records: %v", err)
			}
			continue
		}
		if wantError(t, err, "is cut off after record"); a != nil {
			t.Error("an account came with the error")
		}
		if a, err := folder.ReadToLastRecord(f.Dir); err != nil || a.N != whole {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
		if _, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("x")); err == nil {
			t.Error("a torn transcript is written on")
		}
	}
}

// A run that was cut off at any record goes on, and tells of what was torn.
func TestARunGoesOnFromAnyRecord(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToFleetRun})
	path := filepath.Join(f.Dir, ceremony.TranscriptFile)
	good := must(os.ReadFile(path))
	list := bytes.SplitAfter(good, []byte("\n"))
	for n := 1; n < len(list)-1; n++ {
		head := append(bytes.Join(list[:n], nil), list[n][:len(list[n])/2]...)
		must(0, os.WriteFile(path, head, 0o600))
		a, err := engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("go on")))
		if err != nil {
			// Its token holds the key of the first life under an intent that this
			// transcript knows nothing of, or has lost it: that is for people.
			if !strings.Contains(err.Error(), "not as the ceremony left it") && !strings.Contains(err.Error(), "a person") && !strings.Contains(err.Error(), "is not empty") && !strings.Contains(err.Error(), "which this ceremony did not make") {
				t.Errorf("after record %d: %v", n, err)
			}
			must(0, os.RemoveAll(filepath.Join(f.Dir, ceremony.ApprovalsDir)))
			continue
		}
		if a.FleetCheck == nil || a.Fault != "" {
			t.Errorf("after record %d it doesn't get to its fleet check: %s", n, a.Fault)
		}
		data := must(os.ReadFile(path))
		if !bytes.HasPrefix(data, bytes.Join(list[:n], nil)) || !bytes.Contains(data, []byte(`\"torn\":`)) {
			t.Errorf("after record %d: what was torn isn't told of", n)
		}
		must(0, os.RemoveAll(filepath.Join(f.Dir, ceremony.ApprovalsDir)))
	}
}

func TestOneProcessAtACeremony(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToLogged})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("a")))
	for name, open := range map[string]func() error{
		"OpenJournal": func() error {
			_, err := engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("b"))
			return err
		},
		"Continue": func() error {
			_, err := engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("b")))
			return err
		},
		"Stop": func() error {
			_, err := engine.Abort(context.Background(), f.Config(f.Dir, testfleet.Random("b")), "x")
			return err
		},
	} {
		err := open()
		if wantError(t, err, "another fleetctl is at work on this ceremony"); t.Failed() {
			t.Log(name)
		}
	}
	must(0, j.Close())
	must(0, must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("c"))).Close())
}

func TestAFolderIsOneCeremonys(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToLogged})
	_, err := engine.Create(f.Dir, f.Plan, testfleet.Program, f.Now, testfleet.Random("x"))
	wantError(t, err, "a ceremony has begun in this folder")
	_, err = engine.Run(context.Background(), f.Config(f.Dir, testfleet.Random("x")))
	wantError(t, err, "a ceremony has begun in this folder")
	other := testfleet.Prepared(t, testfleet.Options{Name: "other"})
	dir := t.TempDir()
	must(0, os.WriteFile(filepath.Join(dir, ceremony.PlanFile), other.Plan.Raw(), 0o600))
	_, err = engine.Create(dir, f.Plan, testfleet.Program, f.Now, testfleet.Random("x"))
	wantError(t, err, "is not the plan that was given")
	if _, err := os.Stat(filepath.Join(dir, ceremony.TranscriptFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a transcript was begun: %v", err)
	}
	_, err = engine.OpenJournal(t.TempDir(), testfleet.Program, f.Now, testfleet.Random("x"))
	wantError(t, err, "holds no ceremony")
}

// A record that the rules forbid is not written.
func TestAForbiddenRecordIsNotWritten(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, To: testfleet.ToLogged})
	path := filepath.Join(f.Dir, ceremony.TranscriptFile)
	before := must(os.ReadFile(path))
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("x")))
	defer j.Close()
	for _, content := range []any{&ceremony.Release{}, &ceremony.Intake{HSM: "hsm-1"}, &ceremony.Reconvene{}, &ceremony.LogProof{}, "x", nil} {
		if r, err := j.Append(content); err == nil || r != nil {
			t.Errorf("%T was written", content)
		}
	}
	if after := must(os.ReadFile(path)); !bytes.Equal(before, after) {
		t.Error("the transcript has changed")
	}
}

// saying lets the witness choose words that no record can hold.
type saying struct{ testfleet.Machine }

func (saying) Words(context.Context) ([]string, string, error) {
	return []string{"two words", "b", "c"}, ceremony.Machine, nil
}

func TestARecordThatCouldNotBeReadBackIsNotWritten(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1})
	c := f.Config(f.Dir, testfleet.Random("words"))
	c.Participants = saying{}
	_, err := engine.Run(t.Context(), c)
	wantError(t, err, `words[0] "two words" has byte ' '`)
	if a := must(folder.Read(f.Dir)); a.N != 0 {
		t.Errorf("%d records were written", a.N)
	}
	c.Participants = testfleet.Machine{}
	must(engine.Run(t.Context(), c))
}
