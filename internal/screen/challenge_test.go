package screen_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/screen"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// ada challenges each key from her own screen, over codes and pictures alone: nobody
// types hex.
type ada struct {
	testfleet.Machine
	t    *testing.T
	x    *room
	seat *seat
	said string // what her screen said last
	// records are shown before a challenge is asked for; empty: none are.
	records string
	// tampered is the answer that the room shows her in the key's place; nil: the key's.
	tampered func(*state.State)
}

func (p *ada) reads(what challenge.What, q engine.AgreementQuestion, word string) ([]byte, error) {
	at := must(q.State())
	if p.tampered != nil && at.Wants == state.Scalar {
		p.tampered(&at)
	}
	shown := []string{at.String(), word}
	if p.records != "" && what == challenge.Peer {
		// Without the key there is no ciphertext.
		if said, _, _ := p.seat.types(p.t, p.x, shown...); !strings.Contains(strings.Join(strings.Fields(said), " "), "Have the records so far shown here first") {
			p.t.Errorf("a challenge is drawn for no key:\n%s", said)
		}
		shown = []string{p.records, word}
	}
	p.said, _, _ = p.seat.types(p.t, p.x, shown...)
	picture, err := os.ReadFile(filepath.Join(p.seat.dir, string(what)+".png"))
	if err != nil {
		return nil, err
	}
	return challenge.ParseCode(what, must(qr.Read("picture", picture)))
}

func (p *ada) Peer(_ context.Context, q engine.AgreementQuestion) ([]byte, string, string, error) {
	peer, err := p.reads(challenge.Peer, q, "peer")
	if err == nil {
		err = q.Peer(peer)
	}
	return peer, "ada", ceremony.Auditor, err
}

func (p *ada) Opened(_ context.Context, q engine.AgreementQuestion, _ [32]byte) ([]byte, error) {
	scalar, err := p.reads(challenge.Scalar, q, "open")
	if err == nil {
		err = q.Scalar(scalar)
	}
	return scalar, err
}

func agreeing(t *testing.T, alg keys.Algorithm) (*ada, engine.Config) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "challenged " + string(alg), HSMs: 2, Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: alg}}})
	c := f.Config(filepath.Join(testfleet.TempDir(t), "c"), testfleet.Random("run"))
	who := &ada{t: t, x: &room{t: t, plan: c.Plan}, seat: auditor(t)}
	c.Participants = who
	return who, c
}

func TestAChallengeIsDrawnAndOpenedOnTheSecondScreen(t *testing.T) {
	for _, alg := range []keys.Algorithm{keys.ECDHP256, keys.X25519, keys.MLKEM768} {
		who, c := agreeing(t, alg)
		if alg.IsMLKEM() {
			who.records = filepath.Join(c.Dir, ceremony.TranscriptFile)
		}
		a := must(engine.Run(t.Context(), c))
		kept := must(challenge.Parse("kept", must(os.ReadFile(filepath.Join(who.seat.dir, screen.ChallengesFile)))))
		for _, k := range kept.Compare(a) {
			if k.Fault != "" {
				t.Errorf("%s %s: %s", k.HSM, k.Role, k.Fault)
			}
		}
		if len(kept.Challenges) != 2 || !strings.Contains(who.said, "The private half.") {
			t.Errorf("%d challenges; the screen says\n%s", len(kept.Challenges), who.said)
		}
		// Once the records are shown, the screen says so of each key itself.
		text, _, code := who.seat.types(t, who.x, filepath.Join(c.Dir, ceremony.TranscriptFile))
		wants(t, text, "hsm-1 sealing   answered your challenge", "hsm-2 sealing   answered your challenge")
		if code != cli.ExitDone {
			t.Errorf("exit code %d\n%s", code, text)
		}
		if info := must(os.Stat(filepath.Join(who.seat.dir, screen.ChallengesFile))); info.Mode().Perm() != 0o600 {
			t.Errorf("others can read what is kept: %v", info.Mode())
		}
	}
}

// A machine that has no key can answer only once it knows the private half. It shows
// some answer to get that, and puts another one on the record: the screen finds it.
func TestAnAnswerThatIsNotTheRecordsIsFound(t *testing.T) {
	who, c := agreeing(t, keys.ECDHP256)
	who.tampered = func(s *state.State) { s.Subject[0] ^= 1 }
	must(engine.Run(t.Context(), c))
	text, out, code := who.seat.types(t, who.x, filepath.Join(c.Dir, ceremony.TranscriptFile))
	wants(t, text, "ALARM · ANOTHER STATE")
	wants(t, out, "REFUSED")
	if code != cli.ExitWrong {
		t.Errorf("exit code %d", code)
	}
}

// The records are whole and no state was a lie, and a key answered what the ceremony's
// machine drew itself in place of the auditor's challenge.
func TestAKeyThatAnsweredAnotherChallengeMakesTheScreenEndAsWrong(t *testing.T) {
	x := held(t, "swapped", "run", keys.ECDHP256)
	s := auditor(t)
	file := filepath.Join(t.TempDir(), "transcript.jsonl")
	check(t, os.WriteFile(file, x.transcript(len(x.records)), 0o600))
	text, out, code := s.types(t, x, x.states[x.after(state.Peer, 1)].String(), "peer", file)
	wants(t, text, "NOT YOURS: its peer is none that was drawn here")
	wants(t, out, "NOT YOURS")
	if code != cli.ExitWrong {
		t.Errorf("exit code %d\n%s", code, out)
	}
	// A screen that challenged nobody has nothing to say of it.
	if text, _, code := auditor(t).types(t, x, file); code != cli.ExitDone || strings.Contains(text, "NOT YOURS") {
		t.Errorf("exit code %d\n%s", code, text)
	}
}

// An auditor types the code of a state first, and gives the records of the same state then.
func TestRecordsOfAStateThatWasClaimedAreTold(t *testing.T) {
	x := held(t, "swapped", "run", keys.ECDHP256)
	last := len(x.records)
	file := filepath.Join(t.TempDir(), "transcript.jsonl")
	check(t, os.WriteFile(file, x.transcript(last), 0o600))
	text, _, _ := auditor(t).types(t, x, x.states[x.after(state.Peer, 1)].String(), "peer", x.states[last].String(), file)
	claim, proof := strings.LastIndex(text, "and showed no"), strings.LastIndex(text, "every record up to it was")
	if claim < 0 || proof < claim || !strings.Contains(text[proof:], "NOT YOURS") {
		t.Errorf("%d, %d\n%s", claim, proof, text)
	}
}

func TestAPrivateHalfIsToldForOneAnswerAndNotBeforeIt(t *testing.T) {
	x := held(t, "opened", "run", keys.ECDHP256)
	s := auditor(t)
	peer, scalar := x.states[x.after(state.Peer, 1)], x.states[x.after(state.Scalar, 1)]
	text, _, _ := s.types(t, x, peer.String(), "open", "peer", "peer")
	wants(t, text, "No private half is asked for")
	kept := must(os.ReadFile(filepath.Join(s.dir, screen.ChallengesFile)))
	if len(must(challenge.Parse("kept", kept)).Challenges) != 1 {
		t.Error("the same key is challenged twice by the same screen")
	}
	if _, err := os.Stat(filepath.Join(s.dir, "scalar.png")); err == nil {
		t.Fatal("the private half is told before there is an answer")
	}
	// The transcript has another peer, since this ceremony's machine drew its own: that
	// is seen before anything is opened.
	file := filepath.Join(t.TempDir(), "transcript.jsonl")
	check(t, os.WriteFile(file, x.transcript(x.after(state.Scalar, 1)), 0o600))
	text, _, _ = s.types(t, x, file, "open")
	wants(t, text, "the peer on the record is not the one that was drawn here")
	if _, err := os.Stat(filepath.Join(s.dir, "scalar.png")); err == nil {
		t.Fatal("the private half of somebody else's challenge is told")
	}
	// Without records the screen has the machine's word, and tells the half once.
	other := auditor(t)
	text, _, _ = other.types(t, x, peer.String(), "peer", scalar.String(), "open", "open")
	wants(t, text, "The private half. The answer that it opens is kept here")
	twice := scalar
	twice.Subject[1] ^= 1
	check(t, os.Remove(filepath.Join(other.dir, screen.SeenFile)))
	text, _, _ = other.types(t, x, twice.String(), "open")
	wants(t, text, "is open, to another answer")
	if !bytes.Contains(must(os.ReadFile(filepath.Join(other.dir, screen.ChallengesFile))), []byte("answer")) {
		t.Error("the answer is not kept")
	}
}
