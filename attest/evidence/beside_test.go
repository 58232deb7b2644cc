package evidence_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// besideCase is an object, what is given beside it, and what is said of that.
type besideCase struct {
	name     string
	in       evidence.Input
	beside   []evidence.Input
	ask      evidence.Question
	problem  string // empty: verified
	standing string // what, by, in force
}

func besideCases(t *testing.T) (*evidence.Policy, time.Time, []besideCase) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one})
	same := *one.Parties
	same.Ledger = filepath.Join(testfleet.TempDir(t), "ledger.jsonl")
	sister := testfleet.New(t, testfleet.Options{Name: "sister", Parties: &same})
	stranger := testfleet.New(t, testfleet.Options{Name: "stranger"})
	now := two.Now().Add(time.Hour)

	file := func(name string, f *testfleet.Fleet) evidence.Input {
		return evidence.Input{File: name, Data: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile]}
	}
	pkg := func(name string, f *testfleet.Fleet) evidence.Input {
		return evidence.Input{File: name, Data: f.Archive}
	}
	notice := func(name, format string, epoch uint64, previous [32]byte, effective time.Time, party testfleet.Signer) evidence.Input {
		data := one.Noticed(one.NoticeOf(format, epoch, previous, func(n *bundle.Notice) {
			if n.Effective != nil {
				n.Effective = &effective
			}
		}), party, one.Parties.Operator, bundle.FormBound)
		return evidence.Input{File: name, Data: data, Proof: must(one.Parties.Log.Append(data))}
	}
	digest := func(f *testfleet.Fleet) [32]byte { return f.Account.Release.Artifact }
	tp, past := one.Parties.ThirdParty, now.Add(-time.Minute)
	end := notice("end.json", bundle.RetirementFormat, 2, digest(one), past, tp)
	later := notice("later.json", bundle.RetirementFormat, 2, digest(one), now.Add(time.Minute), tp)
	void := notice("void.json", bundle.VoidFormat, 2, digest(one), past, tp)
	void2 := notice("void2.json", bundle.VoidFormat, 3, digest(two), past, tp)
	other := notice("other.json", bundle.VoidFormat, 2, digest(sister), past, tp)
	forged := notice("forged.json", bundle.RetirementFormat, 2, digest(one), past, stranger.Parties.ThirdParty)
	unlogged := end
	unlogged.File, unlogged.Proof = "unlogged.json", nil

	aborted := func(f *testfleet.Fleet, a *ceremony.Account, name string) evidence.Input {
		signAbort(t, f, a.AbortApproval(), testfleet.Signers...)
		data := packed(t, f)
		return evidence.Input{File: name, Data: data, Logged: endLogged(one, data)}
	}
	cutFleet, cutAccount := cutShort(t, one, ceremony.KindRequest)
	cut := aborted(cutFleet, cutAccount, "cut.tar")
	given := testfleet.New(t, testfleet.Options{Name: "given-up", Parties: &same, To: testfleet.ToFleetRun})
	c := given.Config(given.Dir, testfleet.Random("given-up"))
	up := aborted(given, must(engine.Abort(t.Context(), c, "a seal was missing")), "given-up.tar")

	b1, b2, p1, p2 := file("one.json", one), file("two.json", two), pkg("one.tar", one), pkg("two.tar", two)
	list := func(x ...evidence.Input) []evidence.Input { return x }
	none := evidence.Question{} // of the type that it is
	current := evidence.Question{Current: true}
	abort := evidence.Question{Expect: evidence.TypeAbort}
	return must(evidence.ParsePolicy("policy.yaml", one.Policy)), now, []besideCase{
		{"a bundle and the next epoch's", b1, list(b2), none, "", "superseded two.json true"},
		{"a bundle and the next epoch's package", b1, list(p2), none, "", "superseded two.tar true"},
		{"a package and the next epoch's", p1, list(p2), none, "", "superseded two.tar true"},
		{"a bundle that is to be current, superseded", b1, list(b2), current, "epoch 1 is superseded by epoch 2", "superseded two.json true"},
		{"a package that is to be current, superseded", p1, list(p2), current, "epoch 1 is superseded by epoch 2", "superseded two.tar true"},
		{"the newest bundle is current", b2, list(b1), current, "", ""},
		{"the newest package is current", p2, list(p1, b1), current, "", ""},
		{"current beside nothing", b2, nil, current, "nothing was given beside it that could show whether it is current", ""},
		{"a notice is not current", end, list(b1), current, "and a bundle or a package whose keys are current was expected", ""},

		{"a retired bundle", b1, list(end), none, "epoch 1 is retired since", "retired end.json true"},
		{"a retired package is history", p1, list(end), none, "", "retired end.json true"},
		{"a retired package is not current", p1, list(end), current, "epoch 1 is retired since", "retired end.json true"},
		{"a bundle that will be retired", b1, list(later), none, "", "retired later.json false"},
		{"a bundle that will be retired is current", b1, list(later), current, "", "retired later.json false"},
		{"a void bundle", b1, list(void), none, "epoch 1 is void by epoch 2", "void void.json true"},
		{"a void package is history", p1, list(void), none, "", "void void.json true"},
		{"a void package is not current", p1, list(void), current, "epoch 1 is void by epoch 2", "void void.json true"},
		{"what would supersede it is void", b1, list(b2, void2), current, "", ""},
		{"and what is void itself", b2, list(b1, void2), none, "epoch 2 is void by epoch 3", "void void2.json true"},

		{"two artifacts of one epoch", p1, list(file("sister.json", sister)), none, "which is equivocation", ""},
		{"another artifact is void", b1, list(other), none, "names another artifact of epoch 1 than one.json has", ""},
		{"besides that contradict each other", p1, list(b2, end), none, "end.json has digest", "superseded two.json true, retired end.json true"},
		{"a forged retirement", b1, list(forged), none, "was given beside this, and is not verified: ", ""},
		{"a stranger's bundle", b1, list(file("stranger.json", stranger)), none, "was given beside this, and is not verified", ""},
		{"a retirement without its proof", p1, list(unlogged), none, "is not verified: log.included: there is no proof beside it", ""},
		{"junk", p1, list(evidence.Input{File: "junk", Data: []byte("junk\n")}), none, "beside an object stand packages, bundles and notices", ""},
		{"a statement", p1, list(evidence.Input{File: "s.json", Data: must(bundle.ParseAny("b", b1.Data)).Statements[0].Statement.Raw()}), none, "is a statement; beside an object stand", ""},
		{"beside a statement", evidence.Input{File: "s.json", Data: must(bundle.ParseAny("b", b1.Data)).Statements[0].Statement.Raw()}, list(b1), none, "nothing that was given beside it can be held against it", ""},
		{"too many", p1, list(make([]evidence.Input, 65)...), none, "at most 64 are taken", ""},

		{"too much", p1, list(b2, evidence.Input{File: "large", Data: make([]byte, evidence.MaxPackage)}), none, "have more than 67108864 bytes together", ""},

		{"closed, and an abort beside it", p1, list(cut), none, "a ceremony ends once", ""},
		{"the abort, and the close beside it", cut, list(p1), abort, "a ceremony ends once", ""},
		{"the abort, and the bundle beside it", cut, list(b1), abort, "one says that it was aborted, the other is what it released", ""},
		{"a bundle, and the abort beside it", b1, list(cut), none, "one says that it was aborted, the other is what it released", ""},
		{"an abort of the same epoch before", p1, list(up), none, "", ""},
		{"that abort, and the epoch's package", up, list(p1), abort, "", ""},
		{"the same package beside it", p1, list(p1), none, "", ""},
	}
}

// TestWhatIsGivenBesideIsConsidered: another ending, a later epoch, a retirement
// or a void changes what is said, and what can't be judged is a problem.
func TestWhatIsGivenBesideIsConsidered(t *testing.T) {
	policy, now, cases := besideCases(t)
	for _, c := range cases {
		c.in.Beside, c.ask.Now = c.beside, now
		if object := evidence.Detect(c.in.Data); c.ask.Expect == "" && !c.ask.Current {
			c.ask.Expect = object
		}
		r := must(evidence.Verify(c.in, policy, c.ask))
		said := ""
		for _, p := range r.Problems {
			said += p.Where + " " + p.What + "\n"
		}
		var standing []string
		for _, s := range r.Standing {
			standing = append(standing, fmt.Sprintf("%s %s %t", s.What, s.By, s.InForce))
		}
		if r.Verified != (c.problem == "") || !strings.Contains(said, c.problem) {
			t.Errorf("%s: verified %t, want a problem %q: %s", c.name, r.Verified, c.problem, said)
		}
		if got := strings.Join(standing, ", "); got != c.standing {
			t.Errorf("%s: standing %q, want %q", c.name, got, c.standing)
		}
		for _, s := range r.Standing {
			if !strings.Contains(string(r.JSON()), `"what": "`+s.What+`"`) {
				t.Errorf("%s: the JSON report does not say %s", c.name, s.What)
			}
		}
		if len(c.beside) > 0 && c.problem == "" && (len(r.Besides) != len(c.beside) || r.Besides[0].File != c.beside[0].File) {
			t.Errorf("%s: considered %+v", c.name, r.Besides)
		}
		// Without it, it is what it was.
		if c.in.Beside = nil; c.ask.Current {
			c.ask.Current, c.ask.Expect = false, evidence.Detect(c.in.Data)
		}
		if r := must(evidence.Verify(c.in, policy, c.ask)); len(c.beside) > 0 && c.in.File != "s.json" && c.in.File != "end.json" && !r.Verified {
			t.Errorf("%s: alone it is not verified: %+v", c.name, r.Problems)
		}
	}
}
