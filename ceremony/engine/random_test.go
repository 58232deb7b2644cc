package engine_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// aFewSeconds is how many seeds come to every kind of record, and take that long.
const aFewSeconds = 12

// Whatever the engine is called to do, in whatever order, with tokens, people and
// clocks that misbehave: what it has written replays. A seed that fails is replayed by
// FLEETCTL_SEED=N; FLEETCTL_SEEDS=N runs the first N.
func TestNothingTheEngineWritesIsRefusedByReplay(t *testing.T) {
	seeds := []uint64{}
	most := aFewSeconds
	if n, err := strconv.Atoi(os.Getenv("FLEETCTL_SEEDS")); err == nil {
		most = n
	}
	for n := range most {
		seeds = append(seeds, uint64(n+1))
	}
	if n, err := strconv.ParseUint(os.Getenv("FLEETCTL_SEED"), 10, 64); err == nil {
		seeds = []uint64{n}
	}
	kinds, states := map[ceremony.Kind]int{}, 0
	for _, seed := range seeds {
		d := newDriver(t, seed)
		if err := d.drive(70); err != nil {
			t.Errorf("%v\nafter %s\nto see it again: FLEETCTL_SEED=%d go test ./ceremony/engine -run %s", err, strings.Join(d.did, "\n      "), seed, t.Name())
			continue
		}
		states += d.states
		for k, n := range d.kinds {
			kinds[k] += n
		}
	}
	t.Logf("%d seeds, %d states replayed; records: %v", len(seeds), states, kinds)
	if len(seeds) >= aFewSeconds && len(kinds) != len(everyKind) {
		t.Errorf("only %d kinds of record were written, of %d: the driver doesn't come far enough: %v", len(kinds), len(everyKind), kinds)
	}
}

func TestARecordThatReplayRefusesIsNoticed(t *testing.T) {
	d := newDriver(t, 1)
	_, _ = engine.Run(t.Context(), d.f.Config(d.f.Dir, d))
	if err := d.replays(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(d.f.Dir, ceremony.TranscriptFile)
	good := must(os.ReadFile(path))
	last := good[bytes.LastIndexByte(good[:len(good)-1], '\n')+1:]
	for name, bad := range map[string][]byte{
		"a record twice": slices.Concat(good, last), "half a record": good[:len(good)-9], "a record lost": good[:len(good)-len(last)],
	} {
		must(0, os.WriteFile(path, bad, 0o644))
		if err := d.replays(); err == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
}

var everyKind = []ceremony.Kind{
	ceremony.KindOpen, ceremony.KindReading, ceremony.KindChallenge, ceremony.KindIntake, ceremony.KindUnlock, ceremony.KindInventory,
	ceremony.KindIntent, ceremony.KindOutcome, ceremony.KindAttributes, ceremony.KindNegativeTest, ceremony.KindPossession, ceremony.KindFound,
	ceremony.KindAgreementPeer, ceremony.KindAgreementOpened,
	ceremony.KindAttestation, ceremony.KindFleetCheck, ceremony.KindRelease, ceremony.KindRequest, ceremony.KindResponse, ceremony.KindRefusal, ceremony.KindCountersignature,
	ceremony.KindLogProof, ceremony.KindLockdown, ceremony.KindException, ceremony.KindAdjourn, ceremony.KindReconvene, ceremony.KindResume,
	ceremony.KindAbort, ceremony.KindClose,
}

// driver calls the engine at random.
type driver struct {
	*rand.Rand
	t      *testing.T
	f      *testfleet.Fleet
	now    time.Time
	did    []string
	before []byte // the whole records that were there
	torn   bool   // a crash left half a record
	kinds  map[ceremony.Kind]int
	states int
	live   *ceremony.Account // as the engine had it when it was done
	sample []any             // records of a ceremony that went well
	scalar []byte            // of the peer that was drawn last
}

func newDriver(t *testing.T, seed uint64) *driver {
	d := &driver{Rand: rand.New(rand.NewPCG(seed, 1)), t: t, kinds: map[ceremony.Kind]int{}}
	o := testfleet.Options{HSMs: 1 + d.IntN(2)}
	o.Attested = seed%3 == 0
	if d.one(2) {
		o.Roles = withAgreement(keys.Ed25519)
		if o.Attested { // TPMs have no Ed25519
			o.Roles = withAgreement(keys.P256)
		}
	}
	if d.one(2) {
		o.Others, o.Needed = 1, 1
	}
	if d.one(2) {
		o.Lockdown = []string{"Bag the HSMs", "login-refused hsm-1"}
	}
	d.f = testfleet.Prepared(t, o)
	if o.Attested {
		d.spoilDevices()
	}
	d.now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for _, r := range must(ceremony.ParseTranscript("t", goodTranscript(t), must(ceremony.ParsePlan("p", goodPlan(t))).Digest())).Records {
		d.sample = append(d.sample, r.Content)
	}
	return d
}

// withAgreement are a role that signs and one that agrees.
func withAgreement(signs keys.Algorithm) []draft.Role {
	return []draft.Role{{Name: "session", Algorithm: signs}, {Name: "sealing", Algorithm: keys.ECDHP256}}
}

var good *testfleet.Fleet

func goodFleet(t *testing.T) *testfleet.Fleet {
	if good == nil {
		good = testfleet.New(t, testfleet.Options{HSMs: 1, Roles: withAgreement(keys.Ed25519), Lockdown: []string{"Bag the HSMs"}})
	}
	return good
}

func goodTranscript(t *testing.T) []byte { return goodFleet(t).Transcript() }
func goodPlan(t *testing.T) []byte       { return goodFleet(t).Files[ceremony.PlanFile] }

// one says yes once in n times.
func (d *driver) one(n int) bool { return d.IntN(n) == 0 }

func (d *driver) clock() time.Time {
	d.now = d.now.Add(time.Duration(d.IntN(5000)) * time.Millisecond)
	return d.now
}

// drive does so many things, and replays after each.
func (d *driver) drive(steps int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	for range steps {
		what, do := d.choose()
		d.did, d.live = append(d.did, what), nil
		if err := do(); err != nil && len(err.Error()) < 300 {
			d.did[len(d.did)-1] += ": " + err.Error()
		}
		if err := d.replays(); err != nil {
			return err
		}
	}
	if a, err := folder.ReadToLastRecord(d.f.Dir); err == nil && a.N > 0 {
		for _, r := range must(ceremony.ParseTranscript("t", d.before, d.f.Plan.Digest())).Records {
			d.kinds[r.Kind]++
		}
	}
	return nil
}

// replays says how the folder isn't what the rules take: its records, and what
// people signed.
func (d *driver) replays() error {
	path := filepath.Join(d.f.Dir, ceremony.TranscriptFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && d.before == nil {
		return nil
	}
	if err != nil {
		return err
	}
	d.states++
	a, t, err := folder.ReadTorn(d.f.Dir)
	switch {
	case err != nil:
		return fmt.Errorf("what was written doesn't replay: %w", err)
	case len(t.Torn) > 0 && !d.torn:
		return fmt.Errorf("half a record was written after record %d", a.N)
	case !bytes.HasPrefix(data, d.before):
		return fmt.Errorf("records that were there are there no more")
	}
	for intent, o := range a.Attestations {
		if file, err := os.ReadFile(filepath.Join(d.f.Dir, ceremony.AttestationFile(intent))); err != nil || sha256.Sum256(file) != o.Evidence {
			return fmt.Errorf("the evidence of record %d is not on the disk: %v", o.N, err)
		}
	}
	changed := len(data) != len(d.before)
	d.before, d.torn = data[:len(data)-len(t.Torn)], len(t.Torn) > 0
	if d.live != nil && !reflect.DeepEqual(standing(d.live), standing(a)) {
		return fmt.Errorf("the engine stands at\n%+v\nreplay at\n%+v", standing(d.live), standing(a))
	}
	if !changed && !d.one(4) {
		return nil
	}
	if err := a.CheckSigned(func(dir string) ([]ceremony.Signing, error) { return folder.ReadSignings(d.f.Dir, dir) }); err != nil {
		return fmt.Errorf("what people signed: %w", err)
	}
	_, err = folder.ReadMissing(d.f.Dir, a)
	return err
}

// standing is where a ceremony stands.
func standing(a *ceremony.Account) any {
	return struct {
		Head                         [32]byte
		N, Step                      int
		Next                         ceremony.Kind
		Fault, Act                   string
		Adjourned, Opened            bool
		Last, Checked, Freed, Signed time.Time
		Needs                        []ceremony.Approval
	}{a.Head, a.N, a.StepNumber(), a.NextKind(), a.Fault, a.DueAct(), a.Adjourned, a.Opened(), a.Time, a.FleetCheckTime, a.ReleaseTime, a.CounterTime, a.Needs}
}

// choose takes what would be next more often than anything else.
func (d *driver) choose() (string, func() error) {
	a, err := folder.ReadToLastRecord(d.f.Dir)
	if err != nil || a.N == 0 {
		return "run", d.run
	}
	if d.one(25) && !d.torn {
		return "tear the transcript", d.tear
	}
	if d.one(20) {
		d.now = d.now.Add(time.Duration(d.IntN(180)-60) * time.Second)
		return "set the clock", func() error { return nil }
	}
	s, _ := a.Next()
	running := slices.Contains([]ceremony.Act{ceremony.ActOpen, ceremony.ActIntake, ceremony.ActUnlock, ceremony.ActGenerate, ceremony.ActAttest, ceremony.ActFleetCheck}, s.Act)
	switch n := d.IntN(20); {
	case n == 0:
		return "explain the clock", func() error {
			e := ceremony.Exception{Expected: "x", Happened: d.text(), Decided: "z"}
			wall := d.clock().Truncate(time.Second).Add(time.Duration(d.IntN(400)-200) * time.Second)
			d.live, err = engine.ExplainClock(d.f.Dir, testfleet.Program, d.clock, d, e, wall)
			return err
		}
	case n == 1 && d.one(4):
		return "abort", func() error { d.live, err = engine.Abort(d.t.Context(), d.config(), d.text()); return err }
	case n < 4 || d.torn || a.Fault != "" || running && n < 15:
		if d.one(4) {
			return "run", d.run
		}
		return "resume", func() error { d.live, err = engine.Resume(d.t.Context(), d.config()); return err }
	}
	name, do := d.journalAct(a, s)
	return name, func() error {
		j, err := engine.OpenJournal(d.f.Dir, testfleet.Program, d.clock, d)
		if err != nil {
			return err
		}
		defer j.Close()
		d.live = j.Account()
		return do(j)
	}
}

func (d *driver) run() (err error) {
	d.live, err = engine.Run(d.t.Context(), d.config())
	return err
}

// tear leaves what a power cut leaves of a record.
func (d *driver) tear() error {
	path := filepath.Join(d.f.Dir, ceremony.TranscriptFile)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	half := []byte(`{"n":`)
	if d.one(2) {
		half = d.before[:1+d.IntN(bytes.IndexByte(d.before, '\n')-1)]
	}
	d.torn = true
	_, err = f.Write(half)
	return err
}
