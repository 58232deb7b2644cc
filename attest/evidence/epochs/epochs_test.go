package epochs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/epochs"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// namespace2 is another one of the same operator's.
const namespace2 = "rehearsal.example.sessions.fleet_keys.v1"

// pool are the objects that the cases draw chains from, by file name.
type pool struct {
	policies map[string][]byte
	objects  map[string]evidence.Input
	now      time.Time // after everything
	ends     time.Time // after the retirement is in force
}

func (p *pool) pkg(name string, f *testfleet.Fleet) {
	p.objects[name] = evidence.Input{Data: f.Archive}
}

func (p *pool) file(name string, data, proof []byte) {
	p.objects[name] = evidence.Input{Data: data, Proof: proof}
}

// newPool makes four epochs of one operator, and what does not fit to them. The same third
// party signs an epoch twice only where its ledger was lost: it is the worst case.
func newPool(t testing.TB) *pool {
	t.Helper()
	p := &pool{policies: map[string][]byte{}, objects: map[string]evidence.Input{}}
	make := func(o testfleet.Options) *testfleet.Fleet {
		if o.HSMs == 0 {
			o.HSMs = 1
		}
		return testfleet.New(t, o)
	}
	lost := func(f *testfleet.Fleet) *testfleet.Parties {
		same := *f.Parties
		same.Ledger = filepath.Join(testfleet.TempDir(t), "ledger.jsonl")
		return &same
	}
	one := make(testfleet.Options{Name: "chain one"})
	two := make(testfleet.Options{Name: "chain two", After: one})
	three := make(testfleet.Options{Name: "chain three", After: two})
	notice := func(name, format string, epoch uint64, previous [32]byte, by *testfleet.Fleet, change ...func(*bundle.Notice)) []byte {
		data := by.Noticed(by.NoticeOf(format, epoch, previous, change...), one.Parties.ThirdParty, one.Parties.Operator, bundle.FormBound)
		p.file(name, data, must(one.Parties.Log.Append(data)))
		return data
	}
	digest := func(f *testfleet.Fleet) [32]byte { return f.Account.Release.Artifact }
	void := notice("void-3.json", bundle.VoidFormat, 4, digest(three), three)
	five := make(testfleet.Options{Name: "chain five", After: three, Notice: void, Unwary: true})
	end := notice("end-6.json", bundle.RetirementFormat, 6, digest(five), five)
	notice("after-the-end.json", bundle.VoidFormat, 7, must(bundle.ParseAny("end", end)).About().Digest, five)
	notice("void-2-unseen.json", bundle.VoidFormat, 3, digest(two), two)
	notice("void-2-early.json", bundle.VoidFormat, 3, digest(two), two, func(n *bundle.Notice) { n.Created = one.Now().AddDate(0, -1, 0) })
	for name, f := range map[string]*testfleet.Fleet{"one.tar": one, "two.tar": two, "three.tar": three, "five.tar": five} {
		p.pkg(name, f)
	}
	p.file("one.json", one.Files[ceremony.BundleFile], one.Files[ceremony.ProofFile])
	p.file("two.json", two.Files[ceremony.BundleFile], two.Files[ceremony.ProofFile])
	p.file("two-logged-late.json", one.Files[ceremony.BundleFile], must(one.Parties.Log.Append(one.Files[ceremony.BundleFile])))

	sister := make(testfleet.Options{Name: "chain sister", Parties: lost(one)})
	p.pkg("one-again.tar", sister)
	p.pkg("two-of-another.tar", make(testfleet.Options{Name: "chain niece", After: sister}))
	// The tokens' keys follow from the fleet's name: these are those of epoch 1.
	early := two
	early.Parties = lost(one)
	p.pkg("three-with-old-keys.tar", make(testfleet.Options{Name: "chain one", After: early, Unwary: true}))
	p.pkg("elsewhere.tar", make(testfleet.Options{Name: "chain elsewhere", Parties: lost(one), Namespace: namespace2}))
	p.pkg("stranger.tar", make(testfleet.Options{Name: "chain stranger"}))
	up := make(testfleet.Options{Name: "chain given up", Parties: lost(one), To: testfleet.ToFleetRun})
	p.aborted(t, "given-up.tar", up, one)
	broken := slices.Clone(two.Archive)
	broken[len(broken)/2] ^= 1
	p.objects["broken.tar"] = evidence.Input{Data: broken}
	p.objects["note.json"] = evidence.Input{Data: []byte("{\"format\": \"a note\"}\n")}
	p.objects["statement.json"] = evidence.Input{Data: one.Response.Raw()}

	p.now, p.ends = five.Now(), five.Now().Add(48*time.Hour)
	// What destroyed them was begun with the same notice, and logged again.
	gone := five.Destroying(t, nil)
	if err := gone.Destroy("chain destroyed"); err != nil {
		t.Fatal(err)
	}
	p.pkg("destroyed.tar", gone)
	text := string(one.Policy)
	p.policies["policy.yaml"] = []byte(strings.Replace(text, "  - "+testfleet.Namespace+"\n", "  - "+testfleet.Namespace+"\n  - "+namespace2+"\n", 1))
	_, claims, _ := strings.Cut(text, "\nclaims:")
	p.policies["bundles.yaml"] = []byte(strings.Replace(text, claims, "\n  statement.signed: proven\n  countersigned: proven\n  log.included: proven\n", 1))
	p.policies["unpinned.yaml"] = regexp.MustCompile(`(?m)^.*confirmed: .*\n`).ReplaceAll(one.Policy, nil)
	return p
}

// aborted adds the package of a ceremony that was given up, signed and logged.
func (p *pool) aborted(t testing.TB, name string, f, by *testfleet.Fleet) {
	t.Helper()
	a := must(engine.Abort(t.Context(), f.Config(f.Dir, testfleet.Random(name)), "a seal was missing"))
	people := must(ceremony.NewPeople(f.Plan.People, f.Plan.Threshold))
	if err := f.Approve(t.Context(), f.Dir, people, a.AbortApproval(), nil); err != nil {
		t.Fatal(err)
	}
	files := must(evidence.ReadFolder(f.Dir))
	files[evidence.ManifestFile] = files.Manifest()
	data := must(evidence.Pack(files))
	p.objects[name] = evidence.Input{Data: data, Logged: must(by.Parties.Log.Append(must(evidence.PackageLeaf(name, data)).Marshal()))}
}

// judge judges a chain of the pool's objects.
func judge(policy []byte, q epochs.Question, list []evidence.Input) (*epochs.Report, error) {
	c, err := epochs.New(must(evidence.ParsePolicy("policy.yaml", policy)), q)
	if err != nil {
		return nil, err
	}
	for _, in := range list {
		if err := c.Take(in); err != nil {
			return nil, err
		}
	}
	return c.Conclude(), nil
}

// tells are a report's rows and problems, as words can be found in them.
func tells(r *epochs.Report) string {
	var b strings.Builder
	for _, e := range r.Epochs {
		fmt.Fprintf(&b, "%s %s\n", e.Name(), e.Text())
	}
	for _, x := range r.Problems {
		fmt.Fprintf(&b, "%s %t %s: %s\n", x.Kind, x.Alarm, x.Where, x.What)
	}
	for _, name := range r.Policy.Unpinned() {
		fmt.Fprintf(&b, "unpinned %s\n", name)
	}
	return b.String()
}

func (p *pool) judge(t testing.TB, c *chainCase) *epochs.Report {
	t.Helper()
	var list []evidence.Input
	for _, name := range strings.Fields(c.files) {
		in, ok := p.objects[name]
		if !ok {
			t.Fatalf("%s: there is no %s", c.name, name)
		}
		in.File = name
		list = append(list, in)
	}
	return must(judge(p.policies[c.policy], c.question(p), list))
}

func (c *chainCase) question(p *pool) epochs.Question {
	q := epochs.Question{Now: p.now, From: c.from, Current: c.current}
	if c.late {
		q.Now = p.ends
	}
	return q
}

// chainCase is a chain and what is said of it.
type chainCase struct {
	name, kind string // as SPEC has them
	policy     string
	files      string
	from       uint64
	current    bool
	late       bool   // judged when the retirement is in force
	want       string // a problem; empty: verified
	alarm      bool
	rows       []string
}

func (c *chainCase) line(p *pool) string {
	expect, verdict := "-", "verified"
	if c.current {
		expect = "current"
	}
	if c.want != "" {
		verdict = "not verified"
	}
	return strings.Join([]string{c.name, strict.FormatTime(c.question(p).Now), c.policy, fmt.Sprint(max(c.from, 1)), expect, c.files, verdict, c.want}, "\t") + "\n"
}

// TestAChainIsJudgedEpochByEpochAndAsAWhole judges each case in its order and in the
// reverse one: in what order files come changes nothing.
func TestAChainIsJudgedEpochByEpochAndAsAWhole(t *testing.T) {
	p := newPool(t)
	for _, c := range chainCases {
		r := p.judge(t, &c)
		said := tells(r)
		if r.Verified != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s: verified %t, want a problem %q:\n%s", c.name, r.Verified, c.want, said)
		}
		if alarm := slices.ContainsFunc(r.Problems, func(x epochs.Problem) bool { return x.Alarm }); alarm != c.alarm {
			t.Errorf("%s: alarm is %t:\n%s", c.name, alarm, said)
		}
		for _, row := range c.rows {
			if !strings.Contains(said, row) {
				t.Errorf("%s: want the row %q in\n%s", c.name, row, said)
			}
		}
		if c.policy == "unpinned.yaml" {
			q := c.question(p)
			q.TrustOnFirstUse = true
			var list []evidence.Input
			for _, name := range strings.Fields(c.files) {
				list = append(list, evidence.Input{File: name, Data: p.objects[name].Data})
			}
			if r := must(judge(p.policies[c.policy], q, list)); !r.Verified {
				t.Errorf("%s: on first use it is not verified either:\n%s", c.name, tells(r))
			}
		}
		names := strings.Fields(c.files)
		slices.Reverse(names)
		back := c
		back.files = strings.Join(names, " ")
		if again := p.judge(t, &back); string(again.JSON()) != string(r.JSON()) {
			t.Errorf("%s: the reverse order gives another report:\n%s", c.name, tells(again))
		}
	}
}
