// Package testfleet runs whole rehearsals for tests: tokens, keys, plan,
// ceremony, third party, countersignature, log, evidence, through the library
// calls that the commands make.
//
// [New] runs on tokens in memory: fast, the same bytes for the same options,
// every private key in the test's hands, and tokens that can be told to
// misbehave as no real one would. It shows what verifiers and engine do, and
// nothing about PKCS#11. [SoftHSM] runs on real tokens of SoftHSM, with the
// embedded log; whoever uses it calls [Main] from TestMain.
package testfleet

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Options say what fleet; the zero value is 3 HSMs with one Ed25519 key each.
type Options struct {
	Name        string // distinguishes fleets: everything that is random follows from it
	HSMs        int
	Sites       []string // of the HSMs in turn; all are in the lab where it is empty
	Roles       []draft.Role
	Form        string // of the countersignature
	Ciphersuite uint32
	// Others is how many third parties there are beside the first one; Needed of
	// all must sign before the countersignature, all where it is 0.
	Others, Needed int
	// Absent are the third parties that don't answer, Late those that answer
	// after the countersignature, by name.
	Absent, Late []string
	// Witnesses is how many witnesses the log has, all of them needed; they cosign
	// by the fleet's clock, unless the test sets theirs: see Parties.Log.
	Witnesses int
	// Onlookers are witnesses and auditors beside wanda and ada, who sign what those
	// sign, but for the Away, who sign nothing and of whom exceptions say so.
	Onlookers []ceremony.Person
	Away      []string
	// Drill names the stages that the plan demands of a drill; empty: the plan has none.
	// Drilled, if set, changes the report that is recorded.
	Drill   []string
	Drilled func(*report.Report)
	// Lockdown is what is done once the bundle is logged; the machine does it.
	Lockdown []string
	// Parties are another fleet's: the same third party, operator, log, people.
	Parties *Parties
	// After is the fleet of the epoch before.
	After *Fleet
	// Notice is the bundle of a notice between that one's epoch and this one's.
	Notice    []byte
	Namespace string // empty: Namespace
	// Tokens lets a test put its hands on the tokens in memory before the run.
	Tokens func([]*Token)
	// Start is the first record's time.
	Start time.Time
	// Beside gives more of the package's files, once there is a bundle.
	Beside func(bundle []byte) map[string][]byte
	// Tolerates is what the plan lets succeed in its first HSM, and the policies
	// take.
	Tolerates []string
	// Attested names the HSMs, and the countersigner's, by what stand-ins attest.
	Attested bool
	// Devices lets a test put its hands on the stand-ins before the run.
	Devices func(*Attester)
	// Challenger is an auditor who challenges the keys that agree; the machine draws
	// where it is empty.
	Challenger string
	Agreement  string // the plan's word for how its HSMs' keys agree
	// PostQuantum is of which kind the keys are by which third parties and operator sign
	// beside the others; they sign once where it is empty. The witnesses, two unless
	// Witnesses says how many, have ML-DSA-44 keys then.
	PostQuantum keys.Algorithm
	// Unwary third parties sign what they are sent, without a look, and people
	// close what would not verify.
	Unwary bool
	// Served, if set, makes of a statement what a live service serves, and the answer
	// is taken in as that.
	Served func(statement []byte) []byte
	// To ends the life early.
	To Stage
}

// Stage is how far a fleet's life is taken.
type Stage int

// The stages; the zero value is the whole life.
const (
	ToEnd      Stage = iota
	ToRequest        // asked, not answered
	ToLogged         // everything but the close
	ToFleetRun       // the ceremony's run alone
)

// Signer is a private key of a party.
type Signer struct {
	Public *keys.Public
	SignAs func(as keys.Context, message []byte) ([]byte, error)
}

// Sign signs as the operator does. For an ML-DSA key alone it matters.
func (s Signer) Sign(message []byte) ([]byte, error) {
	return s.SignAs(keys.ForCountersignature, message)
}

// Parties sign a fleet's epochs.
type Parties struct {
	ThirdParty, Operator Signer
	PostQuantum          map[string]Signer // of third parties and operator, by name, where they have one
	Others               []Auditor         // third parties beside the first
	Log                  Log
	Ledger               string // the third party's
	// People take part in the ceremonies; nil until the first is prepared.
	People map[string]*Person
}

// Log takes a leaf and gives its proof.
type Log interface {
	VKey() string
	Append(leaf []byte) (proof []byte, err error)
}

// Fleet is a fleet and all that its life has left.
type Fleet struct {
	Dir     string // of the ceremony
	Plan    *ceremony.Plan
	Site    *engine.Site
	Policy  []byte // pins the plan's keys, each confirmed
	Parties *Parties
	Tokens  []*Token // in memory; nil on SoftHSM
	// Attester stands in for devices; nil where the plan names none.
	Attester *Attester
	Bench    engine.Tokens

	Request  *bundle.Request
	Response *bundle.Response
	Files    evidence.Files // the package's, MANIFEST among them
	Archive  []byte
	Account  *ceremony.Account

	// Anyway lets a ceremony be closed whose evidence will not verify.
	Anyway func(wrong error) error

	// Ended is why its keys may be destroyed, of a fleet that [Fleet.Destroying] made.
	Ended *engine.Ended

	clock *clock
	o     Options
}

// Now is a time after everything in the fleet's life.
func (f *Fleet) Now() time.Time { return f.clock.at.Add(time.Hour) }

// Transcript is the transcript's bytes.
func (f *Fleet) Transcript() []byte { return f.Files[ceremony.TranscriptFile] }

// clock goes on by a second with each look: no two records have one time.
type clock struct{ at time.Time }

func (c *clock) now() time.Time {
	c.at = c.at.Add(time.Second)
	return c.at
}

// random is a stream that follows from a name.
type random struct {
	seed string
	n    uint64
	left []byte
}

// Random is a stream of bytes that follows from a name.
func Random(name string) io.Reader { return &random{seed: name} }

func (r *random) Read(p []byte) (int, error) {
	for len(r.left) < len(p) {
		sum := sha256.Sum256(fmt.Appendf(nil, "testfleet %s %d", r.seed, r.n))
		r.left, r.n = append(r.left, sum[:]...), r.n+1
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// New runs a rehearsal on tokens in memory.
func New(t testing.TB, o Options) *Fleet {
	t.Helper()
	o = o.withDefaults()
	f := &Fleet{Dir: filepath.Join(TempDir(t), "ceremony"), Parties: o.Parties, clock: &clock{o.Start}, o: o}
	if o.Unwary {
		f.Anyway = func(error) error { return nil }
	}
	if f.Parties == nil {
		f.Parties = SoftParties(o.Name, filepath.Dir(f.Dir))
	}
	if o.PostQuantum != "" && o.Witnesses == 0 {
		o.Witnesses = 2
		f.o = o
	}
	if o.Witnesses > 0 && (f.Parties.PostQuantum == nil || o.PostQuantum == "") {
		w := &Witnesses{softLog: f.Parties.Log.(*softLog), At: func(int) time.Time { return f.clock.at }}
		for i := range o.Witnesses {
			w.all = append(w.all, newCosigner(fmt.Sprintf("w%d.%s", i+1, strings.ReplaceAll(o.Name, " ", "-")), o.PostQuantum != ""))
		}
		f.Parties.Log = w
	}
	if w, ok := f.Parties.Log.(*Witnesses); ok && o.After != nil { // witnesses have the time of the newest fleet
		w.At = func(int) time.Time { return f.clock.at }
	}
	b := &Bench{}
	var hsms []ceremony.PlanHSM
	var sites []engine.SiteHSM
	for i := range o.HSMs {
		tok := newToken(fmt.Sprintf("%s-%d", o.Name, i+1))
		b.Tokens = append(b.Tokens, tok)
		hsms = append(hsms, ceremony.PlanHSM{Name: fmt.Sprintf("hsm-%d", i+1), Site: o.site(i), Serial: tok.About.Serial, Agreement: o.Agreement})
		sites = append(sites, engine.SiteHSM{Name: hsms[i].Name, Module: "/nowhere/memory.so", Token: tok.About.Label, PIN: "file:/nowhere/pin", TPM: o.tpm()})
	}
	f.Tokens, f.Bench = b.Tokens, b
	if o.Attested {
		f.attested(t, hsms)
		if o.Devices != nil {
			o.Devices(f.Attester)
		}
	}
	if o.Tokens != nil {
		o.Tokens(b.Tokens)
	}
	f.must(t, f.prepare(o, hsms, sites))
	f.must(t, f.live(o, Random(o.Name+" run")))
	return f
}

// Prepared is a fleet with plan, site and policy whose ceremony hasn't begun.
func Prepared(t testing.TB, o Options) *Fleet {
	t.Helper()
	o.To = -1
	return New(t, o)
}

func (f *Fleet) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the test's fleet: %v", err)
	}
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "test-fleet"
	}
	if o.HSMs == 0 {
		o.HSMs = 3
	}
	if o.Roles == nil && o.Attested {
		o.Roles = attestable
	}
	if o.Roles == nil && len(o.Drill) > 0 {
		o.Roles = drillable
	}
	if o.Roles == nil {
		o.Roles = []draft.Role{{Name: "session", Algorithm: keys.Ed25519}}
	}
	if o.Form == "" {
		o.Form = bundle.FormBound
	}
	if o.Ciphersuite == 0 {
		o.Ciphersuite = 1
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	}
	if o.After != nil {
		o.Parties, o.Start = o.After.Parties, o.After.Now()
	}
	if o.Namespace == "" {
		o.Namespace = Namespace
	}
	return o
}

// Namespace is that of fleets here, unless they are given another.
const Namespace = "rehearsal.example.backup.fleet_keys.v1"

// prepare writes plan, site and policy.
func (f *Fleet) prepare(o Options, hsms []ceremony.PlanHSM, sites []engine.SiteHSM) error {
	if _, ok := f.Parties.ThirdParty.Public.Ed25519(); !ok {
		return fmt.Errorf("a third party's key is Ed25519")
	}
	for n := len(f.Parties.Others) + 2; n <= o.Others+1; n++ {
		name := fmt.Sprintf("auditor-%d.example", n)
		f.Parties.Others = append(f.Parties.Others, Auditor{name, SoftSigner(keys.Ed25519, o.Name+" "+name), filepath.Join(filepath.Dir(f.Parties.Ledger), name+".jsonl")})
	}
	op := f.Parties.Operator.Public
	hsms[0].Tolerates = o.Tolerates
	d := &draft.Plan{
		Mode: ceremony.Rehearsal, Fleet: "backup-test", Namespace: o.Namespace, Epoch: 1,
		Majority: o.HSMs/2 + 1, HSMs: hsms, Roles: o.Roles, Threshold: 2,
		Needed:        o.Needed,
		Countersigner: &ceremony.Countersigner{Name: "operator-1", Algorithm: op.Algorithm(), Key: op.SPKI(), Form: o.Form},
		LogPolicy:     logPolicy(f.Parties.Log),
		Drill:         planDrill(o.Drill),
		Lockdown:      o.Lockdown,
	}
	if f.Attester != nil {
		d.Countersigner.Attestation = f.Attester.device("")
	}
	for _, p := range f.Parties.Auditors() {
		d.ThirdParties = append(d.ThirdParties, ceremony.ThirdParty{Name: p.Name, Key: p.Key(), Ciphersuite: o.Ciphersuite, PostQuantum: f.postQuantum(o, p.Name)})
	}
	d.Countersigner.PostQuantum = f.postQuantum(o, d.Countersigner.Name)
	before, err := o.before()
	if err != nil {
		return err
	}
	if before != nil {
		d.Epoch, d.Previous = before.Epoch+1, before.Digest
	}
	if f.Parties.People == nil {
		f.Parties.People = map[string]*Person{}
	}
	for _, p := range slices.Concat(everybody, o.Onlookers) {
		if f.Parties.People[p.Name] == nil {
			f.Parties.People[p.Name] = NewPerson(o.Name+" "+p.Name, p.Role)
		}
		p.Key = f.Parties.People[p.Name].Key().String()
		d.People = append(d.People, p)
	}
	text, err := d.Write()
	if err != nil {
		return err
	}
	if f.Plan, err = ceremony.ParsePlan(ceremony.PlanFile, text); err != nil {
		return err
	}
	site, err := (&engine.Site{HSMs: sites}).Write()
	if err != nil {
		return err
	}
	if f.Site, err = engine.ParseSite("site.yaml", site, f.Plan); err != nil {
		return err
	}
	var pinned []attest.Anchor
	if f.Attester != nil {
		pinned = f.Attester.Block.Anchors.All()
	}
	f.Policy, err = planned.NewPolicy(f.Plan, "made by the test", o.Tolerates, pinned...)
	return err
}

// Config is what a run of this fleet's ceremony takes.
func (f *Fleet) Config(dir string, rnd io.Reader) engine.Config {
	c := engine.Config{
		Dir: dir, Plan: f.Plan, Site: func(*ceremony.Plan) (*engine.Site, error) { return f.Site, nil },
		Tokens: f.Bench, Observer: quiet{}, Approve: f.Approve, Now: f.clock.now, Random: rnd,
		Version: Program.Version, Binary: Program.Binary, Participants: f.participants(),
		PlanApprovals: f.planApprovals(), Ended: f.Ended,
	}
	if f.Attester != nil {
		c.Attest, c.Participants = f.Attester, withHand{x: f.Attester}
	}
	return c
}

// Live takes a fleet that was prepared through its whole life, or on with the one that
// an error ended while its ceremony ran.
func (f *Fleet) Live() error { return f.live(Options{}, Random("lived")) }

// live is a fleet's life, as the commands lead it.
func (f *Fleet) live(o Options, rnd io.Reader) (err error) {
	if o.To < 0 {
		return nil
	}
	run := engine.Run
	if _, err := os.Stat(filepath.Join(f.Dir, ceremony.TranscriptFile)); err == nil {
		run = engine.Resume
	}
	if f.Account, err = run(context.Background(), f.Config(f.Dir, rnd)); err != nil || o.To == ToFleetRun {
		return err
	}
	j, err := engine.OpenJournal(f.Dir, Program, f.clock.now, rnd)
	if err != nil {
		return err
	}
	defer j.Close()
	f.Account = j.Account()
	if err := f.sign(o, j); err != nil || o.To == ToRequest {
		return err
	}
	for _, name := range o.Late {
		if _, err := f.answer(j, name); err != nil {
			return err
		}
	}
	b, err := j.Assemble(context.Background(), Machine{})
	if err != nil {
		return err
	}
	proof, err := f.Parties.Log.Append(b.Raw())
	if err != nil {
		return err
	}
	if _, err := j.ImportProof("proof", proof); err != nil || o.To == ToLogged {
		return err
	}
	if o.Beside != nil {
		for path, data := range o.Beside(b.Raw()) {
			if err := os.WriteFile(filepath.Join(f.Dir, path), data, 0o644); err != nil {
				return err
			}
		}
	}
	return f.End(j)
}

// End closes what is logged, and packs it.
func (f *Fleet) End(j *engine.Journal) (err error) {
	if err := f.drill(j); err != nil {
		return err
	}
	if err := f.lockDown(j); err != nil {
		return err
	}
	if err := f.excuse(j); err != nil {
		return err
	}
	if _, err := closing.Close(j, f.Anyway); err != nil {
		return err
	}
	if err := f.SignOff(f.Dir, j.Account(), ceremony.StageClose, ceremony.Agree, f.signers()...); err != nil {
		return err
	}
	if f.Files, f.Account, err = closing.PackFolder(f.Dir, false); err != nil {
		return err
	}
	f.Archive, err = evidence.Pack(f.Files)
	return err
}

// lockDown reads the same off everything; a login that is to be refused is left
// to tests of that.
func (f *Fleet) lockDown(j *engine.Journal) error {
	for {
		if _, _, hsm, ok := j.Account().NextLockdown(); !ok || hsm != "" {
			return nil
		}
		if _, err := j.Lockdown("read off by the test", "machine", "machine"); err != nil {
			return err
		}
	}
}

func (f *Fleet) sign(o Options, j *engine.Journal) (err error) {
	if _, err = j.Build(context.Background(), Machine{}); err != nil {
		return err
	}
	predecessor, previous, err := o.predecessor()
	if err != nil {
		return err
	}
	if err := f.excuse(j); err != nil {
		return err
	}
	if err := f.SignOff(f.Dir, j.Account(), ceremony.StageRelease, ceremony.Agree, f.signers()...); err != nil {
		return err
	}
	if f.Request, err = j.Request(context.Background(), predecessor, previous, f.Approve); err != nil || o.To == ToRequest {
		return err
	}
	for _, p := range f.Parties.Auditors() {
		if slices.Contains(o.Absent, p.Name) || slices.Contains(o.Late, p.Name) {
			continue
		}
		r, err := f.answer(j, p.Name)
		if err != nil {
			return err
		}
		if f.Response == nil {
			f.Response = r
		}
	}
	return j.Countersign(context.Background(), f.Approve, f.Parties.Operator.Public, f.Parties.Operator.Sign, f.Beside()...)
}
