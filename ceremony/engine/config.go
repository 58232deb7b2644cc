// Package engine runs key ceremonies: it opens tokens, gets PINs, asks the people
// present, and writes records ahead of what they announce. Which record may follow
// which is for package ceremony to say; the engine asks it before it writes.
//
// It knows no PKCS#11 and no terminal: tokens come in through the interface Token,
// people through Participants, and whoever shows progress is an Observer.
package engine

import (
	"context"
	"io"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/keys"
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
	Attack(algorithm string, id []byte) ([]token.Attempt, error)
	// AttackRelaxed attacks once more a key that Attack could make weaker, by the
	// attempts named, and sets that back.
	AttackRelaxed(algorithm string, id []byte, names []string) (token.Relaxed, error)
	Sign(algorithm string, id []byte, as keys.Context, message []byte) ([]byte, error)
	// Agree has a key that agrees do so with a peer, in the encoding of keys.Peer.
	Agree(algorithm string, id, peer []byte) (secret []byte, err error)
	Destroy(id []byte) error
	// PublicKey is the public key under an id, as a SubjectPublicKeyInfo.
	PublicKey(algorithm string, id []byte) ([]byte, error)
	// DestroyPair destroys a key pair for good, by its id and its public key, and looks for
	// it afterwards. Where another key has the id it destroys nothing.
	DestroyPair(algorithm string, id, spki []byte) (token.Destroyed, error)
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

// Tokens is where the HSMs stand: it reaches their tokens and their PINs.
type Tokens interface {
	// Open finds the one token with the plan's serial and the site's label.
	Open(ctx context.Context, site *SiteHSM, serial string) (Token, Module, error)
	// PIN gets a PIN for one try. about is what the token said of itself just
	// now; failed is what it answered to the try before, nil at the first. Where
	// no person can be asked again, failed comes back as the error.
	PIN(ctx context.Context, site *SiteHSM, about token.Info, failed error) (PIN, error)
	// Probe looks at the token from a new process, which knows only where the
	// token is, the PIN and the key's CKA_ID; without an algorithm it looks for no key,
	// and lists the objects.
	Probe(ctx context.Context, site *SiteHSM, serial string, algorithm string, id, pin []byte) (spki []byte, objects []token.Object, err error)
	// Code is the token's return code in an error, empty where it has none.
	Code(error) string
}

// Observer is told what happens, when it has happened and is on the disk.
type Observer interface {
	Step(plan *ceremony.Plan, number, of int, s ceremony.Step)
	Done(text string, r *ceremony.Record)
}

// Config is what a run needs.
type Config struct {
	Dir      string
	Plan     *ceremony.Plan // nil to resume: the folder has it
	Site     func(*ceremony.Plan) (*Site, error)
	Tokens   Tokens
	Observer Observer
	Approve  Approver
	// Policy is the one by which the ceremony's evidence will be judged: production
	// isn't begun without, nor where it can't reach it. See foresee.
	Policy  *evidence.Policy
	Attest  Attester // nil where the plan names no device by what it attests
	Now     func() time.Time
	Random  io.Reader
	Version string
	Binary  [32]byte // SHA-256 of the running program
	// PlanApprovals are the officers' signatures over the plan, kept with the
	// ceremony when it begins.
	PlanApprovals []ceremony.Signing
	Participants  Participants
	// Ended shows, where the plan destroys keys, that their fleet is retired.
	Ended *Ended
	// Between is called before each step of a run: people may adjourn then, and an error
	// ends the run. nil: nobody is asked.
	Between func(*Journal) error
	// Wall is what people read off another clock, for an abort after this
	// computer's was set; else nil.
	Wall *time.Time
}

// Participants is the people present, as the engine hears them. What they type wrongly
// they are asked again; an error means that the ceremony pauses. by is a role,
// or in a rehearsal the machine that stands in for everybody.
type Participants interface {
	// Words are three that the witness chooses on the spot.
	Words(ctx context.Context) (words []string, by string, err error)
	// Clock is the time on the wall, no more than a few minutes from now's.
	Clock(ctx context.Context, now func() time.Time) (wall time.Time, by string, err error)
	// Seal is the number on an HSM's seal, typed by two people. wrong says what is wrong
	// with one.
	Seal(ctx context.Context, hsm string, wrong func(number string) error) (number, by, confirmed string, err error)
	// Challenge has a digest's words read aloud and those at the positions
	// typed from another screen.
	Challenge(ctx context.Context, q Question) (tries int, by string, err error)
	// Attestation has a vendor's tool used, with the question's nonce, and gives the
	// evidence that it made. wrong is why what was brought before is no answer, nil
	// at the first; where nobody can be asked again it comes back as the error.
	Attestation(ctx context.Context, q AttestQuestion, wrong error) (*attest.Evidence, error)
	// GoOn tells which claims of the policy this ceremony can't reach, and has it
	// typed that it goes on without them. decided is what the record says of that.
	GoOn(ctx context.Context, short []planned.Outlook) (decided string, err error)
	// OtherProgram tells that another program than the one before is to go on, and is
	// nil where people agree to that.
	OtherProgram(ctx context.Context, was, is ceremony.Program) error
	Challengers
}

// Challengers are people who challenge keys that agree, each with a peer of which
// they alone know the private half until the key has answered.
type Challengers interface {
	// Peer is what an auditor's own screen drew, in the encoding of keys.Peer, and the
	// auditor's name in the plan. Where nobody challenges it is nil: the machine draws
	// one. by is a role, or the machine that reads a file in its place.
	Peer(ctx context.Context, q AgreementQuestion) (peer []byte, challenger, by string, err error)
	// Opened shows what the key answered and gives the peer's private half.
	Opened(ctx context.Context, q AgreementQuestion, answer [32]byte) (scalar []byte, err error)
}

// AgreementQuestion is about a new key that agrees.
type AgreementQuestion struct {
	Plan      *ceremony.Plan
	Step      ceremony.Step
	Algorithm ceremony.Algorithm
	PublicKey []byte // for which a challenge of ML-KEM is made
	// Peer and Scalar say what is wrong with one that was typed.
	Peer, Scalar func([]byte) error
	// State is where the ceremony stands, for a second screen.
	State func() (state.State, error)
}

// Question is what a Challenge is about.
type Question struct {
	What      string // of the challenges' names
	Step      ceremony.Step
	Subject   [32]byte
	Positions []int
	Matrix    *ceremony.FleetCheck // what the fleet check's digest is of
	// State is where the ceremony stands, for a second screen.
	State func() (state.State, error)
}
