package ceremony

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Token is what the engine needs of an HSM's token.
type Token interface {
	Info() (token.Info, error)
	// Login is one try, and none where the next wrong one locks the token:
	// LoginFinal is one even then.
	Login(pin []byte) error
	LoginFinal(pin []byte) error
	Objects() ([]token.Object, error)
	Generate(token.KeySpec) (token.Generated, error)
	Attributes(id []byte) (private, public []token.Reading, err error)
	Attack(id []byte) ([]token.Attempt, error)
	// AttackRelaxed attacks once more a key that Attack could make weaker, by the
	// attempts named, and sets that back.
	AttackRelaxed(id []byte, names []string) (token.Relaxed, error)
	Sign(algorithm string, id, message []byte) ([]byte, error)
	Destroy(id []byte) error
	// DestroyUnnamed destroys the halves of keys that have no CKA_ID and says
	// how many there were: what a generation that was cut short can leave.
	DestroyUnnamed() (int, error)
	Close() error
}

// PIN is one as it came. The engine wipes it.
type PIN struct {
	Secret []byte // nil where the device asks for it
	Method string
	Final  bool // people agreed to a try that locks the token if it is wrong
}

// Module says which library a token was reached through.
type Module struct {
	Library string
	Digest  [32]byte
}

// Bench is where the HSMs stand: it reaches their tokens and their PINs.
type Bench interface {
	// Open finds the one token with the plan's serial and the site's label.
	Open(ctx context.Context, site *SiteHSM, serial string) (Token, Module, error)
	// PIN gets a PIN for one try. about is what the token said of itself just
	// now; failed is what it answered to the try before, nil at the first. Where
	// no person can be asked again, failed comes back as the error.
	PIN(ctx context.Context, site *SiteHSM, about token.Info, failed error) (PIN, error)
	// Probe looks at the token from a new process, which knows only where the
	// token is, the PIN and the key's CKA_ID.
	Probe(ctx context.Context, site *SiteHSM, serial string, algorithm string, id, pin []byte) (spki []byte, objects []token.Object, err error)
	// Code is the token's return code in an error, empty where it has none.
	Code(error) string
}

// Observer is told what happens, when it has happened and is on the disk.
type Observer interface {
	Step(plan *Plan, number, of int, s Step)
	Done(text string, r *Record)
}

// Config is what a run needs.
type Config struct {
	Dir      string
	Plan     *Plan // nil to resume: the folder has it
	Site     func(*Plan) (*Site, error)
	Bench    Bench
	Observer Observer
	Approve  Approver
	Now      func() time.Time
	Random   io.Reader
	Version  string
	Binary   [32]byte // SHA-256 of the running program
	// PlanApprovals are the officers' signatures over the plan, kept with the
	// ceremony when it begins.
	PlanApprovals []Signing
	Room          Room
	// Wall is what people read off another clock, for an abort after this
	// computer's was set; else nil.
	Wall *time.Time
}

// Room is the people present, as the engine hears them. What they type wrongly
// they are asked again; an error means that the ceremony pauses. by is a role,
// or in a rehearsal the machine that stands in for everybody.
type Room interface {
	// Words are three that the witness chooses on the spot.
	Words(ctx context.Context) (words []string, by string, err error)
	// Clock is the time on the wall, no more than a few minutes from now's.
	Clock(ctx context.Context, now func() time.Time) (wall time.Time, by string, err error)
	// Seal is the number on an HSM's seal, typed by two people.
	Seal(ctx context.Context, hsm string) (number, by, confirmed string, err error)
	// Challenge has a digest's words read aloud and those at the positions
	// typed from another screen.
	Challenge(ctx context.Context, q Question) (tries int, by string, err error)
}

// Question is what a Challenge is about.
type Question struct {
	What      string // of the challenges' names
	Step      Step
	Subject   [32]byte
	Positions []int
}

const byMachine = "machine"

// ceremonyIDRandom is the random part of a ceremony's id, in bytes.
const ceremonyIDRandom = 4

func ceremonyID(p *Plan, at time.Time, random []byte) string {
	return fmt.Sprintf("%.80s.%d.%s.%x", p.Fleet, p.Epoch, at.UTC().Format("20060102"), random)
}

// Run takes a ceremony from its first record to the passed fleet check. Before
// the first HSM is unlocked it can be run again and goes on where it was; after
// that an interrupted ceremony is resumed. A check that fails destroys every
// key made so far and ends the ceremony on the record; any other error leaves
// it where it stands.
func Run(ctx context.Context, c Config) (*Account, error) {
	j, err := c.begin()
	if err != nil {
		return nil, err
	}
	defer j.Close()
	r, err := c.runner(j)
	if err != nil {
		return j.account, err
	}
	defer r.closeTokens()
	if err := j.planApproved(); err != nil {
		return j.account, err
	}
	return j.account, r.goOn(ctx)
}

// begin makes the folder, or opens one whose ceremony has unlocked nothing yet.
func (c Config) begin() (*Journal, error) {
	if _, err := os.Stat(filepath.Join(c.Dir, TranscriptFile)); err != nil {
		j, err := Create(c.Dir, c.Plan, c.Now, c.Random)
		if err != nil {
			return nil, err
		}
		return c.approved(j)
	}
	if err := c.dropFirst(); err != nil {
		return nil, err
	}
	j, err := OpenJournal(c.Dir, c.Now, c.Random)
	if err != nil {
		return nil, err
	}
	if j.account.Plan.Digest() != c.Plan.Digest() {
		j.Close()
		return nil, strict.Errorf(c.Dir, "is the folder of another plan's ceremony").WithHint("a ceremony has a folder of its own")
	}
	if j.account.opened || j.account.Ended() {
		j.Close()
		return nil, strict.Errorf(c.Dir, "a ceremony has begun in this folder").
			WithHint("see where it stands, then go on:\nfleetctl ceremony status %s\nfleetctl ceremony resume %s --site SITE", c.Dir, c.Dir)
	}
	return c.approved(j)
}

// approved keeps the officers' approvals of the plan with the ceremony.
func (c Config) approved(j *Journal) (*Journal, error) {
	if err := j.keepPlanApprovals(c.PlanApprovals); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

// dropFirst keeps a torn first record aside: nothing was done that it could tell
// of, so that the ceremony can begin once more in its folder.
func (c Config) dropFirst() error {
	j, torn, err := openTorn(c.Dir, c)
	if err != nil {
		return err
	}
	defer j.Close()
	if j.account.N > 0 {
		return nil
	}
	return j.dropTorn(torn)
}

func (c Config) runner(j *Journal) (*runner, error) {
	site, err := c.Site(j.account.Plan)
	if err != nil {
		return nil, err
	}
	return &runner{Config: c, plan: j.account.Plan, site: site, journal: j, tokens: map[string]*openToken{}}, nil
}

type runner struct {
	Config
	plan    *Plan
	site    *Site
	journal *Journal
	tokens  map[string]*openToken
}

// goOn does step after step until the fleet check is passed.
func (r *runner) goOn(ctx context.Context) error {
	a := r.journal.account
	for {
		s, ok := a.Next()
		if !ok || s.Act == ActRelease {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped before %s: %w", s.describe(), ctx.Err())
		}
		r.Observer.Step(r.plan, a.StepNumber(), len(a.Steps), s)
		if err := r.do(ctx, s); err != nil {
			// What can't be recorded isn't done: with a journal that can't be
			// written, keys would be destroyed and nobody told.
			if a.Fault != "" && r.journal.broken == nil {
				return r.abort(ctx, s, err, 0)
			}
			return err
		}
	}
}

func (r *runner) do(ctx context.Context, s Step) error {
	switch s.Act {
	case ActOpen:
		return r.open(ctx)
	case ActIntake:
		return r.intake(ctx, s)
	case ActUnlock:
		return r.takeStock(ctx, s)
	case ActGenerate:
		return r.generate(ctx, s)
	case ActFleetCheck:
		return r.fleetCheck(ctx)
	}
	return fmt.Errorf("the engine has no act %q", s.Act)
}

// record appends, then says so. A check that failed is on the transcript by
// then, and comes back as the error.
func (r *runner) record(done string, content any) error {
	before := r.journal.account.Fault
	rec, err := r.journal.Append(content)
	if err != nil {
		return err
	}
	// After a failed check tokens are still unlocked, so that keys can be
	// destroyed: those records fail nothing.
	if fault := r.journal.account.Fault; fault != before {
		return fmt.Errorf("%s", fault)
	}
	if slept := r.journal.watch.slept(r.Now()); slept > 0 {
		done += fmt.Sprintf("; before that this computer slept for %s", slept.Round(time.Second))
	}
	if done != "" {
		r.Observer.Done(done, rec)
	}
	return nil
}

// abort ends the ceremony after a failed check, unless a key is out of reach:
// as long as it may be destroyed later, the last word isn't said.
func (r *runner) abort(ctx context.Context, s Step, cause error, torn int) error {
	if err := r.journal.clockStands(&Abort{}); err != nil {
		return fmt.Errorf("%w; nothing was destroyed, since %w", cause, err)
	}
	keys := r.destroyAll(ctx)
	for _, k := range keys {
		if k.State != Destroyed && k.State != Absent {
			return fmt.Errorf("%w; the key of %s %s is %s: resume ends the ceremony once its HSM can be reached again, abort at once", cause, k.HSM, k.Role, k.State)
		}
	}
	if _, err := r.journal.Append(&Abort{Reason: s.describe() + ": " + r.reason(cause), Keys: keys, Torn: torn}); err != nil {
		return fmt.Errorf("%w (and the abort could not be recorded: %v)", cause, err)
	}
	return fmt.Errorf("%w; the ceremony is aborted, record %d says so", cause, r.journal.account.N)
}

func (r *runner) open(ctx context.Context) error {
	a, p := r.journal.account, r.plan
	if a.Open == nil {
		id := make([]byte, ceremonyIDRandom)
		if _, err := io.ReadFull(r.Random, id); err != nil {
			return err
		}
		chosen, by, err := r.Room.Words(ctx)
		if err != nil {
			return err
		}
		err = r.record("opened", &Open{
			Ceremony: ceremonyID(p, r.Now(), id),
			Mode:     p.Mode, Fleet: p.Fleet, Namespace: p.Namespace, Epoch: p.Epoch,
			Version: r.Version, Binary: r.Binary, Words: chosen, ChosenBy: by,
		})
		if err != nil {
			return err
		}
	}
	if a.pos == 1 {
		wall, by, err := r.Room.Clock(ctx, r.Now)
		if err != nil {
			return err
		}
		if err := r.record("clock read", &Reading{What: ReadClock, Value: strict.FormatTime(wall), By: by}); err != nil {
			return err
		}
	}
	return r.challenge(ctx, "the plan's digest was read aloud and confirmed")
}

func (r *runner) fleetCheck(ctx context.Context) error {
	a := r.journal.account
	if a.FleetCheck == nil {
		if err := r.lookAgain(ctx); err != nil {
			return err
		}
		if err := r.record("fleet check passed: every HSM, every check", a.Matrix()); err != nil {
			return err
		}
	}
	return r.challenge(ctx, "the matrix was read aloud and confirmed")
}

// lookAgain demands that every token still holds its keys and nothing else: one
// that was swapped since for another with its serial, or emptied, would not. It
// may only be the wrong device in the slot: nothing is destroyed for it.
func (r *runner) lookAgain(ctx context.Context) error {
	for _, h := range r.plan.HSMs {
		t, err := r.unlocked(ctx, h.Name)
		if err != nil {
			return err
		}
		objects, err := t.Objects()
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if err := r.journal.account.judgeInventory(h.Name, objectsOf(objects)); err != nil {
			return fmt.Errorf("%s: the token is not as the ceremony left it: %w: find the one that was checked, or abort", h.Name, err)
		}
	}
	return nil
}
