package ceremony

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

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
	Step(number, of int, s Step)
	Done(text string, record int)
}

// Config is what a run needs.
type Config struct {
	Dir      string
	Plan     *Plan
	Site     *Site
	Bench    Bench
	Observer Observer
	Now      func() time.Time
	Random   io.Reader
	Version  string
	Binary   [32]byte // SHA-256 of the running program
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

// Run takes the ceremony from its first record to the passed fleet check. On a
// failed check it destroys what failed, records an abort and returns an error.
func Run(ctx context.Context, c Config) (*Account, error) {
	if err := c.Plan.ReadyToRun(); err != nil {
		return nil, err
	}
	j, err := Create(c.Dir, c.Plan, c.Now, c.Random)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	r := &runner{Config: c, journal: j, tokens: map[string]Token{}}
	defer r.closeTokens()
	if err := r.open(); err != nil {
		return j.account, err
	}
	for {
		s, ok := j.account.Next()
		if !ok || s.Act == ActRelease {
			return j.account, nil
		}
		if ctx.Err() != nil {
			return j.account, r.abort(s, errInterrupted)
		}
		c.Observer.Step(j.account.StepNumber(), len(j.account.Steps), s)
		if err := r.do(ctx, s); err != nil {
			return j.account, r.abort(s, err)
		}
	}
}

type runner struct {
	Config
	journal *Journal
	tokens  map[string]Token
	pin     []byte // of the HSM whose turn it is
}

func (r *runner) closeTokens() {
	clear(r.pin)
	for _, t := range r.tokens {
		t.Close()
	}
}

func (r *runner) do(ctx context.Context, s Step) error {
	switch s.Act {
	case ActIntake:
		return r.intake(ctx, s)
	case ActUnlock:
		return r.unlockHSM(ctx, s)
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

var errInterrupted = errors.New("interrupted")

// abort ends the ceremony on the transcript, as far as that can be written.
func (r *runner) abort(s Step, cause error) error {
	reason := s.describe() + ": " + r.reason(cause)
	if errors.Is(cause, errInterrupted) {
		reason = "interrupted before " + s.describe()
	}
	if _, err := r.journal.Append(&Abort{Reason: reason}); err != nil {
		return fmt.Errorf("%w (and the abort could not be recorded: %v)", cause, err)
	}
	return fmt.Errorf("%w; the ceremony is aborted, record %d says so", cause, r.journal.account.N)
}

func (r *runner) open() error {
	p := r.Plan
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
