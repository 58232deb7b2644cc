package ceremony

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// ErrAnswered is the error of an answer that is on the record already.
var ErrAnswered = errors.New("this very answer is on the record already")

func (a *Account) takeResponse(c *Response, r *Record) error {
	s, err := a.CheckStatement(c.Key, c.Statement)
	if err != nil {
		return err
	}
	if err := CheckStatementTime(s.Statement, r.Time); err != nil {
		return err
	}
	a.Responses = append(a.Responses, c)
	if a.Counter == nil {
		a.answers = append(a.answers, *s)
	} else {
		a.late = append(a.late, *s)
	}
	return nil
}

// CheckStatementTime refuses a statement that is yet to come.
func CheckStatementTime(s *bundle.Statement, now time.Time) error {
	if t := s.Time(); t.After(now.Add(keys.ClockTolerance)) {
		return fmt.Errorf("it was signed at %s, which is yet to come", t.Format(time.RFC3339))
	}
	return nil
}

// CheckStatement says whether a third party's statement is the one this
// ceremony asked it for. A party answers once: the same again is ErrAnswered.
func (a *Account) CheckStatement(key [32]byte, statement []byte) (*bundle.Signed, error) {
	if a.Release == nil || a.Request == nil {
		return nil, fmt.Errorf("nothing has been requested yet")
	}
	party := a.ThirdParty(key)
	if party == nil {
		return nil, fmt.Errorf("its key %x is none of the plan's third parties", key[:4])
	}
	s, err := bundle.ParseStatement("statement of "+party.Name, statement)
	if err != nil {
		return nil, err
	}
	// What it says is the party's word only if the party signed it.
	if err := s.VerifyOnce(key, &a.seen); err != nil {
		return nil, fmt.Errorf("the statement of %s: %w", party.Name, err)
	}
	if r := a.answered(key); r != nil && sameWord(r.Statement, s) {
		return nil, fmt.Errorf("%s: %w", party.Name, ErrAnswered)
	}
	switch {
	case s.Ciphersuite != party.Ciphersuite:
		return nil, fmt.Errorf("%s signed with ciphersuite %d, the plan says %d", party.Name, s.Ciphersuite, party.Ciphersuite)
	case s.Namespace != a.Plan.Namespace || s.Epoch != a.Plan.Epoch:
		return nil, fmt.Errorf("%s signed %s, epoch %d, not %s, epoch %d", party.Name, s.Namespace, s.Epoch, a.Plan.Namespace, a.Plan.Epoch)
	case s.Digest != a.Release.Artifact:
		return nil, fmt.Errorf("%s signed another artifact", party.Name)
	case s.Time().Before(a.ReleaseTime.Add(-keys.ClockTolerance)):
		return nil, fmt.Errorf("%s signed at %s, before the artifact was released", party.Name, s.Time().UTC().Format(time.RFC3339))
	case a.answered(key) != nil:
		return nil, fmt.Errorf("%s has answered already, and this is a second statement about the epoch", party.Name)
	}
	return &bundle.Signed{Key: key, Statement: s}, nil
}

// sameWord says that a statement that verified signs the very bytes that the
// taken one does. Its JSON may differ: members that may be left out are not
// signed, and whoever carries an answer could make a second one of it.
func sameWord(taken []byte, s *bundle.Statement) bool {
	t, err := bundle.ParseStatement("statement", taken)
	return err == nil && bytes.Equal(t.Message(), s.Message())
}

func (a *Account) answered(key [32]byte) *Response {
	for _, r := range a.Responses {
		if r.Key == key {
			return r
		}
	}
	return nil
}

func (a *Account) ThirdParty(key [32]byte) *ThirdParty {
	for i := range a.Plan.ThirdParties {
		if a.Plan.ThirdParties[i].Key == key {
			return &a.Plan.ThirdParties[i]
		}
	}
	return nil
}

// Absent are the plan's third parties that have not answered.
func (a *Account) Absent() []string {
	var names []string
	for _, p := range a.Plan.ThirdParties {
		if a.answered(p.Key) == nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// Late are the statements on the record that came after the countersignature,
// which fixed what is in the bundle.
func (a *Account) Late() []bundle.Signed { return slices.Clone(a.late) }

// Statements are all verified statements on the record: what the next epoch's
// request names.
func (a *Account) Statements() []bundle.Signed { return slices.Concat(a.answers, a.late) }

// takeRefusal keeps an answer that was not taken. Nothing follows from it but
// what its statement proves by itself.
func (a *Account) takeRefusal(c *Refusal) error {
	if _, err := bundle.ParseStatement("statement", c.Statement); err != nil {
		return err
	}
	if r := a.answered(c.Key); r != nil && bytes.Equal(r.Statement, c.Statement) {
		return fmt.Errorf("it refuses what was taken before")
	}
	if len(a.Refusals) >= maxRefusals {
		return fmt.Errorf("a ceremony has at most %d refused answers", maxRefusals)
	}
	a.Refusals = append(a.Refusals, c)
	return nil
}

// Contradictions are refused statements that are properly signed by one of the
// plan's third parties, about this epoch, and say something else than what is
// on the record: another digest, or the same one signed a second time.
func (a *Account) Contradictions() []bundle.Signed {
	var list []bundle.Signed
	for _, c := range a.Refusals {
		s, err := bundle.ParseStatement("statement", c.Statement)
		if err != nil || a.ThirdParty(c.Key) == nil || s.Namespace != a.Plan.Namespace || s.Epoch != a.Plan.Epoch || s.Verify(c.Key) != nil {
			continue
		}
		taken := a.answered(c.Key)
		if s.Digest != a.Release.Artifact || taken != nil && !sameWord(taken.Statement, s) {
			list = append(list, bundle.Signed{Key: c.Key, Statement: s})
		}
	}
	return list
}
