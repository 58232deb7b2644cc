package screen

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// answer does what was typed: it is for the words, for a challenge, or it is something
// that was shown.
func (s *Screen) answer(typed string) error {
	switch {
	case strings.EqualFold(typed, "peer"):
		return s.peer()
	case strings.EqualFold(typed, "open"):
		return s.open()
	case strings.HasPrefix(typed, state.Prefix), strings.HasPrefix(typed, qr.Prefix):
		return s.take("what was typed", []byte(typed), true)
	}
	if positions, ok := numbers(typed); ok {
		s.words(positions)
		return nil
	}
	if _, err := os.Stat(typed); err == nil {
		return s.takeFile(typed, true)
	}
	s.faults++
	s.App.UI.Error(strict.Errorf("", "%q is no file, no code, and no positions of words", strict.Clip(typed)).
		WithHint("positions are numbers from 1 to 32, as the room's screen asks for them: 5 19 26"))
	return nil
}

// numbers reads positions as people type them: 5, 19 and 26.
func numbers(typed string) (list []int, ok bool) {
	for _, w := range words.Typed(typed) {
		if strings.EqualFold(w, "and") || strings.EqualFold(w, "words") || strings.EqualFold(w, "word") {
			continue
		}
		n, err := strict.ParseUint(w)
		if err != nil || n > 1<<16 {
			return nil, false
		}
		list = append(list, int(n))
	}
	return list, len(list) > 0
}

// words gives the words at positions, for whoever types them on the room's screen.
func (s *Screen) words(positions []int) {
	at, _, _ := s.seen.Last()
	if at.Wants != state.Words {
		s.say("No words are asked for where the ceremony stands here. Have its code shown again, or press Enter.")
		return
	}
	list := words.Encode(at.Subject[:])
	var at3 []string
	for _, n := range positions {
		if n < 1 || n > len(list) {
			s.say(fmt.Sprintf("There is no word %d: there are %d.", n, len(list)))
			return
		}
		at3 = append(at3, list[n-1])
	}
	s.warn()
	s.say("If the words that were read aloud are those above, type on the room's screen:")
	s.App.UI.Say(s.App.UI.Talk.Line(strings.Join(at3, " ")))
}

// challenged says whether a challenge is asked for now.
func (s *Screen) challenged(wants state.Wants, what string) (state.State, bool) {
	at, _, _ := s.seen.Last()
	s.warn()
	switch {
	case s.Role != ceremony.Auditor:
		s.say("An auditor challenges; this is a witness's screen.")
	case at.Wants != wants:
		s.say("No " + what + " is asked for where the ceremony stands here. Have its code shown again, or press Enter.")
	default:
		return at, true
	}
	return at, false
}

// peer draws a challenge for the key of this step, or shows the one that was drawn for
// it again.
func (s *Screen) peer() error {
	at, ok := s.challenged(state.Peer, "challenge")
	if !ok {
		return nil
	}
	if s.drawn != at.Record {
		alg, spki := at.Algorithm(s.Plan), []byte(nil)
		if alg.IsMLKEM() {
			if spki = s.keyAt(at); spki == nil {
				s.say("A challenge of " + string(alg) + " is made for the key itself. Have the records so far shown here first: the folder's " + ceremony.TranscriptFile + ", as a file.")
				return nil
			}
		}
		if _, err := s.kept.Draw(alg, spki, s.App.Random); err != nil {
			return err
		}
		if err := s.keepChallenges(); err != nil {
			return err
		}
		s.drawn = at.Record
	}
	peer, err := s.kept.Last()
	if err != nil {
		return err
	}
	return s.carry(challenge.Peer, peer, "The peer. Have its code read, or its picture carried, where the room's screen asks for it:")
}

// keyAt is the public key that waits for its challenge, where records were shown up to
// there; nil else.
func (s *Screen) keyAt(at state.State) []byte {
	if s.account == nil || s.account.N != at.Record {
		return nil
	}
	if k := s.account.OpenIntent(); k != nil && k.Outcome != nil {
		return k.Outcome.PublicKey
	}
	return nil
}

// open takes the key's answer, keeps it, and gives the private half.
func (s *Screen) open() error {
	at, ok := s.challenged(state.Scalar, "private half")
	if !ok {
		return nil
	}
	if len(s.kept.Challenges) == 0 {
		s.faults++
		s.say("No challenge was drawn on this screen: the key answered somebody else's.")
		return nil
	}
	if why, err := s.notMine(at); err != nil || why != "" {
		if why != "" {
			s.faults++
			s.App.UI.Error(strict.Errorf("", "%s", why).WithHint("don't open it: have the ceremony stopped, and say so"))
		}
		return err
	}
	scalar, err := s.kept.Open(at.Subject[:])
	if err != nil {
		s.faults++
		s.App.UI.Error(strict.Errorf(filepath.Join(s.Dir, ChallengesFile), "%v", err).WithHint("don't open it: have the ceremony stopped, and say so"))
		return nil
	}
	// Kept before it is told: afterwards another answer could be made.
	if err := s.keepChallenges(); err != nil {
		return err
	}
	return s.carry(challenge.Scalar, scalar, "The private half. The answer that it opens is kept here:")
}

// notMine says why the key's answer is not to the challenge that was drawn here, as far
// as records were shown; without them that is found when they are.
func (s *Screen) notMine(at state.State) (string, error) {
	if s.account == nil || s.account.N != at.Record {
		return "", nil
	}
	k := s.account.OpenIntent()
	if k == nil || k.Peer == nil {
		return "no key waits for the private half on the record", nil
	}
	peer, err := s.kept.Last()
	if err != nil {
		return "", err
	}
	if !bytes.Equal(k.Peer.Peer, peer) {
		return "the peer on the record is not the one that was drawn here", nil
	}
	return "", nil
}

// carry shows a code that goes to the ceremony's machine: to be read by a camera there,
// as a picture on a stick, or, where there is neither, to be typed.
func (s *Screen) carry(what challenge.What, data []byte, text string) error {
	code := challenge.Code(what, data)
	packed := strings.ToUpper(strings.ReplaceAll(code, " ", ""))
	png, err := qr.PNG(packed)
	if err != nil {
		return err
	}
	file := filepath.Join(s.Dir, string(what)+".png")
	if err := durable.Replace(file, png, 0o600); err != nil {
		return err
	}
	s.App.UI.Say("\n", s.App.UI.Talk.Line(text))
	if err := s.App.ShowCode(packed); err != nil {
		return cli.Usage(err)
	}
	s.say("The same as a picture: " + file)
	s.say("and as text: " + code)
	return nil
}
