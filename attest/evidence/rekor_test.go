package evidence_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// rekorFleet is a fleet whose package holds an entry of a Rekor log. The log
// is in memory, so that a test can have it sign what no honest log would.
type rekorFleet struct {
	*testfleet.Fleet
	log    *testrekor.Log
	policy []byte
}

func newRekorFleet(t testing.TB, version int) *rekorFleet {
	t.Helper()
	r := &rekorFleet{log: testrekor.New(version, "rekor.test")}
	r.Fleet = testfleet.New(t, testfleet.Options{Name: "rekor", Beside: func(bundle []byte) map[string][]byte {
		return map[string][]byte{evidence.RekorFile: r.log.Append(bundle, testrekor.Submitter("ops")).File()}
	}})
	r.policy = testrekor.Pins(r.Policy, r.log, "ops", "")
	return r
}

func (r *rekorFleet) verify(t testing.TB, policy []byte, in evidence.Input, at time.Time) *evidence.Report {
	t.Helper()
	p, err := evidence.ParsePolicy("policy.yaml", policy)
	if err != nil {
		t.Fatal(err)
	}
	q := evidence.Question{Now: at}
	if in.Rekor != nil || in.Proof != nil {
		q.Expect = evidence.TypeBundle
	}
	report, err := evidence.Verify(in, p, q)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// beside is the bundle with what lies beside it.
func (r *rekorFleet) beside(entry []byte) evidence.Input {
	return evidence.Input{File: "bundle.json", Data: r.Files[ceremony.BundleFile], Proof: r.Files[ceremony.ProofFile], Rekor: entry}
}

func TestRekorEntryInAPackage(t *testing.T) {
	for _, version := range []int{1, 2} {
		r := newRekorFleet(t, version)
		archive := evidence.Input{File: "evidence.tar", Data: r.Archive}
		good := r.verify(t, r.policy, archive, r.Now())
		if c := good.Claim(evidence.ClaimRekor); !good.Verified || c.Grade != evidence.Proven || !strings.Contains(c.Detail, "submitted by ops") {
			t.Fatalf("v%d: %+v %+v", version, good.Problems, good.Claims)
		}
		// Nobody asks for it: verified, and said why it isn't shown.
		if rep := r.verify(t, r.Policy, archive, r.Now()); !rep.Verified || rep.Claim(evidence.ClaimRekor).Grade != evidence.NotShown {
			t.Errorf("v%d, not pinned: %+v", version, rep.Problems)
		}
		other := testrekor.New(version, "rekor.other")
		bundle := r.Files[ceremony.BundleFile]
		for name, entry := range map[string][]byte{
			"of another bundle":    r.log.Append([]byte("another"), testrekor.Submitter("ops")).File(),
			"of another log":       other.Append(bundle, testrekor.Submitter("ops")).File(),
			"of another submitter": r.log.Append(bundle, testrekor.Submitter("stranger")).File(),
			"no entry":             []byte("{}\n"),
			"the bundle":           bundle,
		} {
			// Sealed with a fitting manifest: unbound at least. Beside a
			// bundle nothing binds it.
			tampered := must(sealed(with(r.Files, evidence.RekorFile, entry)))
			if rep := r.verify(t, r.policy, evidence.Input{File: "evidence.tar", Data: tampered}, r.Now()); rep.Verified || rep.Claim(evidence.ClaimRekor).Grade == evidence.Proven {
				t.Errorf("v%d: verified with an entry %s in the package", version, name)
			}
			if rep := r.verify(t, r.policy, r.beside(entry), r.Now()); rep.Verified || len(rep.Problems) != 1 || !strings.HasPrefix(rep.Problems[0].Where, "bundle.json.rekor.json") {
				t.Errorf("v%d: with an entry %s beside the bundle: %+v", version, name, rep.Problems)
			}
			if rep := r.verify(t, r.Policy, r.beside(entry), r.Now()); rep.Verified != strings.HasPrefix(name, "of another log") && rep.Verified != strings.HasPrefix(name, "of another submitter") {
				t.Errorf("v%d: with an entry %s beside the bundle, where no log is pinned: %+v", version, name, rep.Problems)
			}
		}
		dropped := must(sealed(with(r.Files, evidence.RekorFile, nil)))
		if rep := r.verify(t, r.policy, evidence.Input{File: "evidence.tar", Data: dropped}, r.Now()); rep.Verified || len(rep.Problems) == 0 {
			t.Errorf("v%d: verified with the entry dropped", version)
		}
		short := r.verify(t, r.policy, r.beside(nil), r.Now())
		if short.Verified || len(short.Problems) != 0 || !strings.Contains(short.Claim(evidence.ClaimRekor).Detail, "no Rekor entry") {
			t.Errorf("v%d: without an entry: %+v", version, short.Problems)
		}
	}
}

func TestRekorSubmittersWindow(t *testing.T) {
	r := newRekorFleet(t, 1)
	for window, grade := range map[string]evidence.Grade{
		"not_before: 2026-01-01T00:00:00Z":        evidence.Proven,
		"not_after: 2026-01-01T00:00:00Z":         evidence.NotShown, // the log's own word about the time isn't a witness's
		"compromised_after: 2026-11-21T10:30:00Z": evidence.NotShown,
	} {
		rep := r.verify(t, testrekor.Pins(r.Policy, r.log, "ops", "      window: {"+window+"}\n"), r.beside(r.Files[evidence.RekorFile]), r.Now().AddDate(0, 1, 0))
		c := rep.Claim(evidence.ClaimRekor)
		if c.Grade != grade || len(rep.Problems) > 0 || grade == evidence.NotShown && !strings.Contains(c.Detail, "window does not cover") {
			t.Errorf("%s: %+v %+v", window, c, rep.Problems)
		}
	}
}

func TestRekorPinsAreChecked(t *testing.T) {
	r := newRekorFleet(t, 1)
	good := string(r.policy)
	log := good[strings.Index(good, "    - name: rekor-1"):strings.Index(good, "  submitters:\n")]
	submitter := good[strings.Index(good, "    - name: ops"):strings.Index(good, "\n\nclaims:")]
	p384 := "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE50yME5C2mcrEB+0TaWyciYH0bPYlaPOPir4VBq16oFMIoXuXGR0GblF5hbCqIm8GBw2K9cVz9fI5lPr0IRgD8MSrdwfFJW/gzq14zuippnlcMRhS8Z9bMU1hpK1vsgGx"
	for name, c := range map[string]struct{ old, new, says string }{
		"no log":               {log, "    []\n", "pins no log"},
		"no submitter":         {submitter, "    []", "pins no submitter"},
		"version 3":            {"version: 1", "version: 3", "known are 1 and 2"},
		"version 2":            {"      origin: rekor.test", "      origin: rekor.test - x", "is no number"},
		"no version":           {"      version: 1\n", "", "version is missing"},
		"no origin":            {"      origin: rekor.test\n", "", "origin is missing"},
		"another kind of key":  {testrekor.SubmitterKey("ops"), base64.StdEncoding.EncodeToString(testrekor.New(2, "x").SPKI()), "takes ecdsa-p256"},
		"no key":               {testrekor.SubmitterKey("ops"), "abcd", "is no DER public key"},
		"P-384":                {testrekor.SubmitterKey("ops"), p384, "takes ecdsa-p256"},
		"a log twice":          {log, log + strings.Replace(log, "rekor-1", "rekor-2", 1), "has the key of another"},
		"a submitter twice":    {submitter, submitter + "\n" + strings.Replace(submitter, "ops", "ops-2", 1), "has the key of another"},
		"an unknown field":     {"  submitters:\n", "  sumbitters: []\n  submitters:\n", "is not a field"},
		"demanded, not pinned": {good[strings.Index(good, "rekor:\n"):strings.Index(good, "\nclaims:")], "", "rekor pins no log"},
		"log key spoilt":       {"BEGIN PUBLIC KEY", "BEGIN PUBLIC CAY", "is no"},
	} {
		if !strings.Contains(good, c.old) {
			t.Errorf("%s: changes nothing", name)
			continue
		}
		p, err := evidence.ParsePolicy("policy.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || p != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
			continue
		}
		if list, ok := err.(strict.Errors); !ok || list[0].Line == 0 {
			t.Errorf("%s: says no line: %v", name, err)
		}
	}
	unconfirmed := must(evidence.ParsePolicy("p", bytes.ReplaceAll(r.policy, []byte("      confirmed: by telephone\n"), nil)))
	if got := strings.Join(unconfirmed.Unpinned(), ", "); got != "Rekor log rekor-1, submitter ops" {
		t.Errorf("unpinned: %s", got)
	}
}
