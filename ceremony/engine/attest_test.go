package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// attestations are the files of evidence on the disk.
func attestations(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	return must(folder.ReadAttestations(dir))
}

func asideOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, _ := os.ReadDir(filepath.Join(dir, ceremony.PrivateDir, "set-aside"))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Every key, and the countersigner's, is attested with a nonce of its own, and what
// the device gave is on the disk with the digest that the record has.
func TestEveryKeyIsAttestedBeforeTheFleetCheck(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 3, Attested: true, To: testfleet.ToFleetRun})
	a := f.Account
	if a.FleetCheck == nil || a.Fault != "" {
		t.Fatalf("no fleet check: %s", a.Fault)
	}
	if got := a.FleetCheck.Checks[len(a.FleetCheck.Checks)-1]; got != "attested" {
		t.Errorf("the last check of the matrix is %q", got)
	}
	steps := a.AttestationSteps()
	if len(steps) != 4 || len(f.Attester.Asked) != 4 {
		t.Fatalf("%d steps, %d questions", len(steps), len(f.Attester.Asked))
	}
	files, nonces := attestations(t, f.Dir), map[[32]byte]bool{}
	if err := a.CheckAttestations(files); err != nil || len(files) != 4 {
		t.Errorf("%d files: %v", len(files), err)
	}
	for _, s := range steps {
		if s.Record == nil || s.Record.Level != attest.Fresh.String() || len(s.Record.Problems) > 0 || s.Record.By != ceremony.Collected && s.Key != nil || s.Record.N > a.FleetCheckN {
			t.Errorf("%s: %+v", s.Name(), s.Record)
		}
		nonces[s.Nonce] = true
		// Anybody can judge the file, by what plan and records say alone.
		e := must(attest.ParseEvidence(s.File, files[s.File]))
		v, err := f.Attester.Block.Judge(e, require.Question{Format: s.Wants.Format, Identity: s.Wants.Identity, SPKI: s.SPKI, Nonce: s.Nonce, Countersigner: s.Key == nil, At: s.Record.Time})
		if err != nil || len(v.Problems) > 0 {
			t.Errorf("%s: %v %+v", s.Name(), err, v)
		}
	}
	if len(nonces) != 4 {
		t.Errorf("%d nonces", len(nonces))
	}
}

// spoiled are answers that must never come onto the record, and how each is told.
func spoiled(f *testfleet.Fleet) map[string]func(q engine.AttestQuestion, e *attest.Evidence) *attest.Evidence {
	return map[string]func(engine.AttestQuestion, *attest.Evidence) *attest.Evidence{
		"another device": func(q engine.AttestQuestion, _ *attest.Evidence) *attest.Evidence {
			q.HSM = "hsm-1"
			return f.Attester.Evidence(q)
		},
		"another key": func(q engine.AttestQuestion, _ *attest.Evidence) *attest.Evidence {
			q.SPKI = testfleet.SoftSigner("ecdsa-p256", "another").Public.SPKI()
			return f.Attester.Evidence(q)
		},
		"stale": func(q engine.AttestQuestion, _ *attest.Evidence) *attest.Evidence {
			q.Nonce[0] ^= 1
			return f.Attester.Evidence(q)
		},
		"of the format": func(_ engine.AttestQuestion, e *attest.Evidence) *attest.Evidence {
			return &attest.Evidence{Format: "yubihsm2", Parts: e.Parts}
		},
		"attest": func(_ engine.AttestQuestion, e *attest.Evidence) *attest.Evidence {
			bad := &attest.Evidence{Format: e.Format}
			for _, p := range e.Parts {
				bad.Parts = append(bad.Parts, attest.Part{Name: p.Name, Data: append(bytes.Clone(p.Data), 0)})
			}
			return bad
		},
	}
}

// A device that gives the wrong answer stops the ceremony where it stands: nothing
// of the answer is kept, and resumed it is asked anew.
func TestAnAnswerThatIsNoneIsNeverRecorded(t *testing.T) {
	for _, want := range []string{"another device", "another key", "stale", "of the format", "attest"} {
		f := testfleet.Prepared(t, testfleet.Options{HSMs: 2, Attested: true})
		spoil := spoiled(f)[want]
		f.Attester.OnEvidence = func(q engine.AttestQuestion, e *attest.Evidence) (*attest.Evidence, error) {
			if q.HSM == "hsm-2" {
				return spoil(q, e), nil
			}
			return e, nil
		}
		a, err := run(t, f, context.Background())
		wantError(t, err, "hsm-2 session: its attestation: ")
		wantError(t, err, want)
		if len(a.Attestations) != 1 || a.Fault != "" || a.Abort != nil || len(attestations(t, f.Dir)) != 1 {
			t.Errorf("%s: %d are on the record, fault %q, %d files", want, len(a.Attestations), a.Fault, len(attestations(t, f.Dir)))
		}
		f.Attester.OnEvidence = nil
		a = resume(t, f)
		if err := a.CheckAttestations(attestations(t, f.Dir)); err != nil || len(a.Attestations) != 3 {
			t.Errorf("%s, resumed: %d, %v", want, len(a.Attestations), err)
		}
	}
}

// People who bring the wrong file are told by name and asked again.
func TestPeopleWhoBringTheWrongFileAreAskedAgain(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 2, Attested: true})
	f.Attester.ByHand["hsm-2"] = true
	var waits []string
	for name := range spoiled(f) {
		waits = append(waits, name)
	}
	all := strings.Join(waits, " ")
	f.Attester.OnEvidence = func(q engine.AttestQuestion, e *attest.Evidence) (*attest.Evidence, error) {
		if q.HSM != "hsm-2" || len(waits) == 0 {
			return e, nil
		}
		next := waits[0]
		waits = waits[1:]
		return spoiled(f)[next](q, e), nil
	}
	a, err := run(t, f, context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Attester.Wrong) != 5 {
		t.Fatalf("people were told %q after %s", f.Attester.Wrong, all)
	}
	told := strings.Join(f.Attester.Wrong, "\n")
	for name := range spoiled(f) {
		if !strings.Contains(told, name) {
			t.Errorf("nobody was told %q:\n%s", name, told)
		}
	}
	for _, s := range a.AttestationSteps() {
		want := ceremony.Collected
		if s.HSM == "hsm-2" || s.Key == nil {
			want = ceremony.Imported
		}
		if s.Record.By != want {
			t.Errorf("%s came by %q, not %q", s.Name(), s.Record.By, want)
		}
	}
}

// One piece of evidence can't stand for two keys, whoever judges it well.
func TestTheSameEvidenceIsTakenOnce(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1, Attested: true})
	first := (*attest.Evidence)(nil)
	c := f.Config(f.Dir, testfleet.Random("run"))
	c.Attest = credulous{f.Attester}
	f.Attester.OnEvidence = func(_ engine.AttestQuestion, e *attest.Evidence) (*attest.Evidence, error) {
		if first == nil {
			first = e
		}
		if len(f.Attester.Asked) > 2 {
			return nil, errors.New("enough")
		}
		return first, nil
	}
	_, err := engine.Run(context.Background(), c)
	wantError(t, err, "countersigner: its attestation: enough")
	if len(f.Attester.Wrong) != 1 || !strings.Contains(f.Attester.Wrong[0], "its evidence is that of record ") {
		t.Errorf("people were told %q", f.Attester.Wrong)
	}
}

// credulous finds everything as the plan says.
type credulous struct{ *testfleet.Attester }

func (credulous) Judge(_ *attest.Evidence, q engine.AttestQuestion, _ time.Time) (*engine.AttestVerdict, error) {
	return &engine.AttestVerdict{Identity: q.Identity, Level: attest.VendorSigned}, nil
}

// A kill at any point of the steps of attestation, and between a file and its record,
// loses nothing: resumed, the ceremony has each key's evidence once, and what no
// record tells of is out of the way and was not read.
func TestAKillAtAnyPointOfAnAttestationIsResumed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 2, Attested: true, To: testfleet.ToFleetRun})
	transcript := must(os.ReadFile(filepath.Join(f.Dir, ceremony.TranscriptFile)))
	lines := bytes.SplitAfter(bytes.TrimSuffix(transcript, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	first := 0
	for _, o := range f.Account.Attestations {
		if first == 0 || o.N < first {
			first = o.N
		}
	}
	whole, kills := f.Dir, 0
	for n := first - 1; n <= first+len(f.Account.Attestations)-1; n++ {
		for _, left := range []string{"nothing", "its file", "half a record", "its file, changed"} {
			kills++
			dir := filepath.Join(testfleet.TempDir(t), "ceremony")
			must(0, os.CopyFS(dir, os.DirFS(whole)))
			for path := range attestations(t, dir) {
				must(0, os.Remove(filepath.Join(dir, path)))
			}
			data := bytes.Join(lines[:n], nil)
			for _, o := range f.Account.Attestations {
				path := ceremony.AttestationFile(o.Intent)
				data := must(os.ReadFile(filepath.Join(whole, path)))
				switch {
				case o.N <= n, o.N == n+1 && left == "its file":
				case o.N == n+1 && left == "its file, changed":
					data = []byte("not even evidence")
				default:
					continue
				}
				must(0, os.WriteFile(filepath.Join(dir, path), data, 0o644))
			}
			if left == "half a record" && n < len(lines) {
				data = append(data, lines[n][:len(lines[n])/2]...)
			}
			must(0, os.WriteFile(filepath.Join(dir, ceremony.TranscriptFile), data, 0o644))
			f.Dir = dir
			a := resume(t, f)
			if err := a.CheckAttestations(attestations(t, dir)); err != nil || len(a.Attestations) != 3 {
				t.Errorf("after record %d, left %s: %d attestations, %v", n, left, len(a.Attestations), err)
			}
			aside, want := len(asideOf(t, dir)), 0
			if strings.HasPrefix(left, "its file") && n < first+2 {
				want = 1
			}
			if aside != want {
				t.Errorf("after record %d, left %s: %d files are set aside, not %d", n, left, aside, want)
			}
		}
	}
	if kills != 16 {
		t.Errorf("%d kills", kills)
	}
}

// What the operator's policy doesn't find shown holds up the release until an
// exception names that very record.
func TestAnAttestationWithProblemsHoldsUpTheRelease(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 2, Attested: true})
	f.Attester.Block.Vendors = []string{"ACME"}
	a, err := run(t, f, context.Background())
	if err != nil {
		t.Fatal(err)
	}
	records := []int{}
	for _, o := range a.Unexcused() {
		records = append(records, o.N)
	}
	if len(records) != 3 || a.Fault != "" {
		t.Fatalf("problems of %v, fault %q", records, a.Fault)
	}
	j := must(f.Journal())
	defer j.Close()
	build := func(want string) {
		t.Helper()
		_, err := j.Build(context.Background(), testfleet.Machine{})
		wantError(t, err, want)
		if _, err := os.Stat(filepath.Join(f.Dir, ceremony.ArtifactFile)); err == nil {
			t.Error("the key set was written")
		}
	}
	build(fmt.Sprintf("the attestation of record %d, device %s, has problems, and no exception is about them: vendor", records[0], f.Plan.HSMs[0].Attestation.Identity))
	must(0, f.Except(j, &ceremony.Exception{Expected: "all", Happened: "some", Decided: "to go on"}))
	must(0, f.Except(j, &ceremony.Exception{Expected: "all", Happened: "some", Decided: "to go on", Attestations: records[:2]}))
	build(fmt.Sprintf("the attestation of record %d", records[2]))
	must(0, f.Except(j, &ceremony.Exception{Expected: "all", Happened: "some", Decided: "to go on", Attestations: records[2:]}))
	must(j.Build(context.Background(), testfleet.Machine{}))
	must(0, f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, testfleet.Signers...))
	r := must(j.Request(context.Background(), nil, nil, f.Approve))
	carried := 0
	for _, file := range r.Files {
		if strings.HasPrefix(file.Path, ceremony.AttestationsDir+"/") {
			carried++
		}
	}
	if carried != 3 {
		t.Errorf("the request carries %d attestations", carried)
	}
}

// Evidence that is gone or changed on the disk stops the release, and not first a
// verifier.
func TestEvidenceThatIsGoneStopsTheRelease(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 2, Attested: true, To: testfleet.ToFleetRun})
	path := filepath.Join(f.Dir, f.Account.AttestationSteps()[0].File)
	data := must(os.ReadFile(path))
	for want, change := range map[string]func() error{
		"is missing":                       func() error { return os.Remove(path) },
		"is not the evidence whose digest": func() error { return os.WriteFile(path, append(bytes.Clone(data), '\n'), 0o644) },
	} {
		must(0, change())
		j := must(f.Journal())
		_, err := j.Build(context.Background(), testfleet.Machine{})
		wantError(t, err, want)
		must(0, j.Close())
	}
}

// A plan that names devices isn't begun where nothing can judge them.
func TestAPlanThatNamesDevicesIsNotBegunWithoutAJudge(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1, Attested: true})
	c := f.Config(f.Dir, testfleet.Random("run"))
	c.Attest = nil
	_, err := engine.Run(context.Background(), c)
	wantError(t, err, "no means to judge attestations")
	if n := keyCount(f); n != 0 || len(f.Tokens[0].Calls) > 0 {
		t.Errorf("%d keys, %v", n, f.Tokens[0].Calls)
	}
}

// However long or strange a device's words are, the record holds them as one line,
// and tells where there were more.
func TestADevicesStrangeWordsAreRecordedAsOneLine(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1, Attested: true})
	c := f.Config(f.Dir, testfleet.Random("run"))
	c.Attest = talker{f.Attester}
	a, err := engine.Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	o := a.AttestationSteps()[0].Record
	if len(o.Problems) != ceremony.MaxProblems || o.Problems[ceremony.MaxProblems-1] != "and 37 problems more" || !strings.HasPrefix(o.Problems[0], `a\n\u202eb`) || len(o.Anchor) > ceremony.MaxToldText {
		t.Errorf("%d problems, the first %.40q, the last %q; anchor %q", len(o.Problems), o.Problems[0], o.Problems[len(o.Problems)-1], o.Anchor)
	}
}

type talker struct{ *testfleet.Attester }

func (talker) Judge(_ *attest.Evidence, q engine.AttestQuestion, _ time.Time) (*engine.AttestVerdict, error) {
	v := &engine.AttestVerdict{Identity: q.Identity, Level: attest.Anchored, Anchor: strings.Repeat("ü", 200), Firmware: "1\x00"}
	for range 100 {
		v.Problems = append(v.Problems, "a\n\u202eb"+strings.Repeat("x", 600))
	}
	return v, nil
}
