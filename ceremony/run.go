package ceremony

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	Login(pin []byte) error
	Objects() ([]token.Object, error)
	Generate(token.KeySpec) (token.Generated, error)
	Attributes(id []byte) (private, public []token.Reading, err error)
	Attack(id []byte) ([]token.Attempt, error)
	Sign(algorithm string, id, message []byte) ([]byte, error)
	Destroy(id []byte) error
	Close() error
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
	// PIN gets the PIN; the engine wipes it. It is nil where the device asks.
	PIN(ctx context.Context, site *SiteHSM) (pin []byte, method string, err error)
	// Probe looks at the token from a new process, which knows only where the
	// token is, the PIN and the key's CKA_ID.
	Probe(ctx context.Context, site *SiteHSM, serial string, algorithm string, id, pin []byte) (spki []byte, objects []token.Object, err error)
	// Code is the token's return code in an error, empty where it has none.
	Code(error) string
}

// Observer is told what happens, when it has happened and is on the disk.
type Observer interface {
	Step(plan *Plan, number, of int, s Step)
	Done(text string, record int)
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
	// Words are the witness's three. None lets the machine draw them, which
	// only a rehearsal may.
	Words []string
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
	if err := c.Plan.ReadyToRun(); err != nil {
		return nil, err
	}
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
	if j.account.Open == nil {
		if err := r.open(); err != nil {
			return j.account, err
		}
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
		return j, j.keepPlanApprovals(c.PlanApprovals)
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
	return j, j.keepPlanApprovals(c.PlanApprovals)
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
		if !ok || a.FleetCheck != nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted before %s: %w", s.describe(), ctx.Err())
		}
		r.Observer.Step(r.plan, a.StepNumber(), len(a.Steps), s)
		if err := r.do(ctx, s); err != nil {
			if a.Fault != "" {
				return r.abort(ctx, s, err)
			}
			return err
		}
	}
}

func (r *runner) do(ctx context.Context, s Step) error {
	switch s.Act {
	case ActIntake:
		return r.intake(ctx, s)
	case ActUnlock:
		return r.takeStock(ctx, s)
	case ActGenerate:
		return r.generate(ctx, s)
	case ActFleetCheck:
		return r.record("fleet check passed: every HSM, every check", r.journal.account.Matrix())
	}
	return fmt.Errorf("the engine has no act %q", s.Act)
}

// record appends, then says so. A check that failed is on the transcript by
// then, and comes back as the error.
func (r *runner) record(done string, content any) error {
	rec, err := r.journal.Append(content)
	if err != nil {
		return err
	}
	if fault := r.journal.account.Fault; fault != "" {
		return fmt.Errorf("%s", fault)
	}
	if done != "" {
		r.Observer.Done(done, rec.N)
	}
	return nil
}

// abort ends the ceremony after a failed check.
func (r *runner) abort(ctx context.Context, s Step, cause error) error {
	keys := r.destroyAll(ctx)
	if _, err := r.journal.Append(&Abort{Reason: s.describe() + ": " + r.reason(cause), Keys: keys}); err != nil {
		return fmt.Errorf("%w (and the abort could not be recorded: %v)", cause, err)
	}
	return fmt.Errorf("%w; the ceremony is aborted, record %d says so", cause, r.journal.account.N)
}

func (r *runner) open() error {
	p := r.plan
	id := make([]byte, ceremonyIDRandom)
	if _, err := io.ReadFull(r.Random, id); err != nil {
		return err
	}
	chosenBy, chosen := Witness, r.Words
	if len(chosen) == 0 {
		if p.Mode != Rehearsal {
			return fmt.Errorf("the witness has to choose three words")
		}
		h := sha256.New()
		if _, err := io.CopyN(h, r.Random, 32); err != nil {
			return err
		}
		sum := hex.EncodeToString(h.Sum(nil))
		chosenBy, chosen = byMachine, []string{sum[:8], sum[8:16], sum[16:24]}
	}
	return r.record("opened", &Open{
		Ceremony: ceremonyID(p, r.Now(), id),
		Mode:     p.Mode, Fleet: p.Fleet, Namespace: p.Namespace, Epoch: p.Epoch,
		Version: r.Version, Binary: r.Binary, Words: chosen, ChosenBy: chosenBy,
	})
}
