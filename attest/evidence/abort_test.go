package evidence_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// abandoned is a fleet whose ceremony was aborted after its run, with an
// exception before that which nobody accepted.
func abandoned(t *testing.T, name string) (*testfleet.Fleet, *ceremony.Account) {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: name, To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random(name)))
	must(j.Append(&ceremony.Exception{Number: 1, Expected: "a seal", Happened: "none", Decided: "to end it"}))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	c := f.Config(f.Dir, testfleet.Random(name))
	c.Now = f.Now
	a := must(engine.Abort(context.Background(), c, "a seal was missing"))
	return f, a
}

func signAbort(t *testing.T, f *testfleet.Fleet, want ceremony.Approval, names ...string) {
	t.Helper()
	people := must(ceremony.PeopleOf(f.Plan))
	for _, name := range names {
		p := f.Parties.People[name]
		want.Role = p.Role
		sig := must(p.Sign(want.Namespace(), want.Text()))
		must(folder.StoreSignature(f.Dir, ceremony.ApprovalsDir, fmt.Sprintf("abort-%d", want.Head.N), people, want.Namespace(), want.Text(), sig))
	}
}

// endLogged is the proof that an aborted ceremony's package is logged as it is; nil
// where it is not yet to be logged.
func endLogged(f *testfleet.Fleet, archive []byte) []byte {
	leaf, err := evidence.PackageLeaf("aborted.tar", archive)
	if err != nil {
		return nil
	}
	return must(f.Parties.Log.Append(leaf.Marshal()))
}

// TestAnAbortIsJudgedByWhoSignedIt: signed by m officers, a witness and an
// auditor it is proven, by two people attested, if one is an officer, else not
// shown; and it never passes for a fleet's evidence.
func TestAnAbortIsJudgedByWhoSignedIt(t *testing.T) {
	f, a := abandoned(t, "abandoned")
	officers, witness, auditor := testfleet.Signers[:2], testfleet.Signers[2], testfleet.Signers[3]
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	strictly := must(evidence.ParsePolicy("policy.yaml", []byte(strings.Replace(string(f.Policy), "abort.signed: attested", "abort.signed: proven", 1))))
	judge := func(p *evidence.Policy, expect evidence.Type) *evidence.Report {
		files, _, err := closing.PackFolder(f.Dir, false)
		if err != nil {
			t.Fatal(err)
		}
		archive := must(evidence.Pack(files))
		return must(evidence.Verify(evidence.Input{File: "aborted.tar", Data: archive, Logged: endLogged(f, archive)}, p, evidence.Question{Now: f.Now(), Expect: expect}))
	}
	step := func(grade evidence.Grade, detail string, ok, strictOK bool) {
		t.Helper()
		r := judge(policy, evidence.TypeAbort)
		c := r.Claim(evidence.ClaimAbortSigned)
		if c.Grade != grade || !strings.Contains(c.Detail, detail) || r.Verified != ok || r.Object != evidence.TypeAbort {
			t.Errorf("%s, verified %t, %s: %s; %+v", r.Object, r.Verified, c.Grade, c.Detail, r.Problems)
		}
		if r := judge(strictly, evidence.TypeAbort); r.Verified != strictOK {
			t.Errorf("where m officers are demanded it is verified: %t", r.Verified)
		}
		for _, p := range []*evidence.Policy{policy, strictly} {
			r := judge(p, "")
			if r.Verified || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].What, "the ceremony was aborted: a seal was missing") {
				t.Errorf("not asked for an abort: verified %t, %+v", r.Verified, r.Problems)
			}
			if judge(p, evidence.TypeEvidence).Verified {
				t.Error("it passes for evidence of a fleet")
			}
		}
	}
	step(evidence.NotShown, "of the people whom the policy pins nobody signed it", false, false)
	signAbort(t, f, a.AbortApproval(), witness)
	step(evidence.NotShown, "no officer signed it", false, false)
	signAbort(t, f, a.AbortApproval(), auditor)
	step(evidence.NotShown, "no officer signed it", false, false)
	signAbort(t, f, a.AbortApproval(), officers[0])
	step(evidence.Attested, "aborted, 3 of 3 keys gone; signed by olga, wanda, ada; not proven: 1 of 2 officers agree", true, false)
	signAbort(t, f, a.AbortApproval(), officers[1])
	step(evidence.Proven, "signed by olga, omar, wanda, ada", true, true)
	r := judge(policy, evidence.TypeAbort)
	if c := r.Claim(evidence.ClaimPlanApproved); c.Grade != evidence.Proven || !strings.HasSuffix(c.Detail, "; exceptions not accepted: 1") {
		t.Errorf("%s: %s", c.Grade, c.Detail)
	}
	if c := r.Claim(evidence.ClaimPossession); c.Grade != evidence.NotShown || c.Detail != "an aborted ceremony can't carry it" {
		t.Errorf("%s: %s", c.Grade, c.Detail)
	}
}

// TestOnlyAnAbortIsAskedForItsSignatures: a policy may demand that aborts are
// signed and still judge every other ceremony.
func TestOnlyAnAbortIsAskedForItsSignatures(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	p := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	in := evidence.Input{File: "evidence.tar", Data: f.Archive}
	if r := must(evidence.Verify(in, p, evidence.Question{Now: f.Now()})); !r.Verified || r.Claim(evidence.ClaimAbortSigned) != nil {
		t.Errorf("verified %t, %+v", r.Verified, r.Problems)
	}
	for _, q := range []evidence.Question{{Expect: evidence.TypeAbort}, {Only: []string{evidence.ClaimAbortSigned}}} {
		q.Now = f.Now()
		if r := must(evidence.Verify(in, p, q)); r.Verified || r.Claim(evidence.ClaimAbortSigned).Grade != evidence.NotShown {
			t.Errorf("a closed ceremony passes for an aborted one: %+v", q)
		}
	}
	// One that says nothing of aborts asks for a signature of one all the same.
	silent := must(evidence.ParsePolicy("policy.yaml", []byte(strings.Replace(string(f.Policy), "  abort.signed: attested\n", "", 1))))
	if r := must(evidence.Verify(in, silent, evidence.Question{Now: f.Now(), Expect: evidence.TypeAbort})); r.Verified || r.Claim(evidence.ClaimAbortSigned).Least != evidence.Attested {
		t.Errorf("nothing of an abort is demanded: %+v", r)
	}
	// That it is logged is asked for where there is a log to ask.
	for log, want := range map[bool]bool{true: true, false: false} {
		text := string(f.Policy)
		if !log {
			head, rest, _ := strings.Cut(text, "\nlog_policy:")
			_, rest, _ = strings.Cut(rest, "\nclaims:")
			text = head + "\nclaims:" + strings.Replace(rest, "\n  log.included: proven", "", 1)
		}
		demands := must(evidence.Question{Expect: evidence.TypeAbort}.Demands(must(evidence.ParsePolicy("policy.yaml", []byte(text)))))
		if got := slices.Contains(demands, evidence.Demand{Claim: evidence.ClaimLogged, Least: evidence.Proven}); got != want {
			t.Errorf("a policy with a log %t: evidence.logged is demanded %t: %+v", log, got, demands)
		}
	}
	if _, err := evidence.Verify(in, silent, evidence.Question{Now: f.Now(), Only: []string{evidence.ClaimAbortSigned}}); err == nil {
		t.Error("asked for what the policy doesn't demand")
	}
}

// TestHostileAborts: whatever is changed, added or taken from another ceremony,
// the abort is not proven any more.
func TestHostileAborts(t *testing.T) {
	f, a := abandoned(t, "good")
	signAbort(t, f, a.AbortApproval(), testfleet.Signers...)
	other, b := abandoned(t, "other")
	signAbort(t, other, b.AbortApproval(), testfleet.Signers[:2]...)
	good, _, err := closing.PackFolder(f.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, err := closing.PackFolder(other.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	var logged []byte // if it isn't that of the package itself
	judge := func(files evidence.Files) *evidence.Report {
		files[evidence.ManifestFile] = files.Manifest()
		archive, err := evidence.Pack(files)
		if err != nil {
			return &evidence.Report{}
		}
		// Whoever made it up has it logged as well: the log knows no better.
		if logged == nil {
			logged = endLogged(f, archive)
		}
		return must(evidence.Verify(evidence.Input{File: "abort", Folder: files, Logged: logged}, policy, evidence.Question{Now: f.Now(), Expect: evidence.TypeAbort}))
	}
	if r := judge(maps.Clone(good)); !r.Verified {
		t.Fatalf("the good one: %+v", r.Problems)
	}
	sigs := func(files evidence.Files) (paths []string) {
		for _, path := range files.Paths() {
			if strings.HasPrefix(path, "approvals/abort-") {
				paths = append(paths, path)
			}
		}
		return paths
	}
	hostile := map[string]func(evidence.Files){
		"no signature": func(x evidence.Files) {
			for _, p := range sigs(x) {
				delete(x, p)
			}
		},
		"another ceremony's signatures": func(x evidence.Files) {
			for _, p := range sigs(x) {
				delete(x, p)
			}
			for _, p := range sigs(theirs) {
				x[p] = theirs[p]
			}
		},
		"another ceremony's transcript": func(x evidence.Files) { x[ceremony.TranscriptFile] = theirs[ceremony.TranscriptFile] },
		"the abort cut off": func(x evidence.Files) {
			lines := strings.SplitAfter(string(x[ceremony.TranscriptFile]), "\n")
			x[ceremony.TranscriptFile] = []byte(strings.Join(lines[:len(lines)-2], ""))
		},
		"another reason": func(x evidence.Files) {
			x[ceremony.TranscriptFile] = []byte(strings.Replace(string(x[ceremony.TranscriptFile]), "a seal was missing", "a seal was present", 1))
		},
		"a broken signature": func(x evidence.Files) {
			p := sigs(x)[1]
			x[p] = []byte(strings.Replace(string(x[p]), "A", "B", 1))
		},
		"a text without its signature":   func(x evidence.Files) { delete(x, sigs(x)[1]) },
		"a page that nothing commits to": func(x evidence.Files) { x[evidence.PageFile] = []byte("<p>all is well</p>\n") },
		"a bundle":                       func(x evidence.Files) { x[ceremony.BundleFile] = []byte("{}\n") },
		"another signature, once it was logged": func(x evidence.Files) {
			logged = endLogged(f, must(evidence.Pack(good)))
			p := sigs(x)[0]
			x[p+"-again"], x[p+"-again.sig"] = x[p], x[p+".sig"]
		},
		"a signature taken out, once it was logged": func(x evidence.Files) {
			logged = endLogged(f, must(evidence.Pack(good)))
			p := sigs(x)[0]
			delete(x, p)
			delete(x, p+".sig")
		},
		"the proof of another ceremony's abort": func(evidence.Files) { logged = endLogged(other, must(evidence.Pack(theirs))) },
		"close sign-offs":                       func(x evidence.Files) { x["signoffs/close/olga"] = []byte("x\n") },
		"a key set that isn't its own":          func(x evidence.Files) { x[ceremony.ArtifactFile] = []byte("{}\n") },
		"a request that was never made":         func(x evidence.Files) { x[ceremony.CoreFile] = []byte("{}\n") },
		"a file of nobody":                      func(x evidence.Files) { x["notes.txt"] = []byte("x\n") },
		"no plan approvals": func(x evidence.Files) {
			maps.DeleteFunc(x, func(p string, _ []byte) bool { return strings.HasPrefix(p, "plan-approvals/") })
		},
	}
	for name, change := range hostile {
		x := maps.Clone(good)
		logged = nil
		change(x)
		if r := judge(x); r.Verified {
			t.Errorf("%s: verified", name)
		}
	}
	t.Logf("%d hostile aborts", len(hostile))
}

// cutShort is a released ceremony as it stood before its first record of a kind,
// and then aborted; nobody has signed that yet.
func cutShort(t *testing.T, f *testfleet.Fleet, kind ceremony.Kind) (*testfleet.Fleet, *ceremony.Account) {
	t.Helper()
	dir := filepath.Join(testfleet.TempDir(t), "cut")
	records, _, ok := strings.Cut(string(f.Transcript()), `"kind":"`+string(kind)+`"`)
	if !ok {
		t.Fatalf("there is no record %q", kind)
	}
	for path, data := range f.Files {
		name := filepath.Base(path)
		switch filepath.Dir(path) {
		case ".":
			switch {
			case path == ceremony.TranscriptFile:
				data = []byte(records[:strings.LastIndex(records, "\n")+1])
			case path != ceremony.PlanFile && (path != ceremony.ArtifactFile || kind == ceremony.KindRelease):
				continue
			}
		case "approvals":
			if strings.HasPrefix(name, "request-") || strings.HasPrefix(name, "countersign-") {
				continue
			}
		case "signoffs/close":
			continue
		case "signoffs/release":
			if kind == ceremony.KindRelease {
				continue
			}
		}
		to := filepath.Join(dir, path)
		must(0, os.MkdirAll(filepath.Dir(to), 0o700))
		must(0, os.WriteFile(to, data, 0o600))
	}
	must(0, os.MkdirAll(filepath.Join(dir, ceremony.PrivateDir), 0o700))
	cut := *f
	cut.Dir = dir
	return &cut, must(engine.Abort(context.Background(), f.Config(dir, testfleet.Random("cut")), "nothing ever happened"))
}

// A request that was written, and that nobody was asked with, is published with the
// abort: it asks for what was released.
func TestAnAbortHasTheRequestThatWasWrittenBeforeIt(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "unasked", To: testfleet.ToFleetRun})
	j := must(engine.OpenJournal(f.Dir, testfleet.Program, f.Now, testfleet.Random("unasked")))
	must(j.Build(t.Context(), testfleet.Machine{}))
	must(j.PrepareRequest(nil, nil))
	must(0, j.Close())
	c := f.Config(f.Dir, testfleet.Random("unasked"))
	c.Now = f.Now
	a := must(engine.Abort(t.Context(), c, "a seal was missing"))
	signAbort(t, f, a.AbortApproval(), testfleet.Signers...)
	archive := packed(t, f)
	if _, ok := must(evidence.Unpack("unasked.tar", archive))[ceremony.CoreFile]; !ok {
		t.Fatal("the package has no request's core")
	}
	r := must(evidence.Verify(evidence.Input{File: "unasked.tar", Data: archive, Logged: endLogged(f, archive)},
		must(evidence.ParsePolicy("policy.yaml", f.Policy)), evidence.Question{Now: f.Now(), Expect: evidence.TypeAbort}))
	if !r.Verified {
		t.Errorf("%+v", r.Problems)
	}
}

// packed is a ceremony's folder as it is published.
func packed(t *testing.T, f *testfleet.Fleet) []byte {
	t.Helper()
	files, _, err := closing.PackFolder(f.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return must(evidence.Pack(files))
}

// TestAReleasedCeremonyCutShortIsNoAbort: a package that was released, logged
// and closed, cut before its release or request and signed as aborted, by the
// auditor alone at first, then by others too.
func TestAReleasedCeremonyCutShortIsNoAbort(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "cut"})
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	closed := endLogged(f, f.Archive)
	for _, kind := range []ceremony.Kind{ceremony.KindRequest, ceremony.KindRelease} {
		cut, a := cutShort(t, f, kind)
		for _, name := range []string{"ada", "wanda", "olga", "omar"} {
			signAbort(t, cut, a.AbortApproval(), name)
			for what, proof := range map[string][]byte{"no proof": nil, "that of the close": closed} {
				r := must(evidence.Verify(evidence.Input{File: "aborted.tar", Data: packed(t, cut), Logged: proof}, policy,
					evidence.Question{Now: f.Now(), Expect: evidence.TypeAbort, Only: []string{evidence.ClaimPlanApproved}}))
				if len(r.Problems) > 0 && proof == nil || r.Verified || r.Claim(evidence.ClaimLogged).Least != evidence.Proven || r.Claim(evidence.ClaimPlanApproved).Grade != evidence.Proven {
					t.Errorf("before its %s, signed by %s and those before, %s: verified %t\n%s", kind, name, what, r.Verified, r.JSON())
				}
				if name == "ada" && r.Claim(evidence.ClaimAbortSigned).Grade != evidence.NotShown {
					t.Errorf("the auditor alone shows that it ended so: %+v", r.Claim(evidence.ClaimAbortSigned))
				}
			}
		}
		// What keeps it from passing is the log: one that took it, beside the close,
		// is one that audit and monitor report.
		data := packed(t, cut)
		if r := must(evidence.Verify(evidence.Input{File: "aborted.tar", Data: data, Logged: endLogged(f, data)}, policy, evidence.Question{Now: f.Now(), Expect: evidence.TypeAbort})); !r.Verified {
			t.Errorf("logged as well: %s", r.JSON())
		}
	}
}
