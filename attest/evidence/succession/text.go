// Package succession moves a verifier from one policy to the next: what differs between
// two, which of them the older one's keepers have signed as the one that follows, and a
// policy with a key's window closed.
package succession

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Namespace is what keepers' signatures are made for (ssh-keygen -Y sign -n).
const Namespace = "fleetctl-policy-succession"

const (
	format    = "fleetctl policy-succession v1"
	maxText   = 4 << 10
	maxReason = 1000
)

// Text says that one policy follows another. Keepers of the older one sign it.
type Text struct {
	From, To [32]byte // SHA-256 of the two files
	Time     time.Time
	Reason   string

	raw []byte
}

// New writes the text for two policies. Both must be without fault, and not the same.
func New(older, newer []byte, now time.Time, reason string) (*Text, error) {
	if err := keys.CheckNow(now); err != nil {
		return nil, err
	}
	held, err := evidence.ParsePolicy("the older policy", older)
	if err != nil {
		return nil, err
	}
	if _, err := evidence.ParsePolicy("the newer policy", newer); err != nil {
		return nil, err
	}
	// A text that nobody can sign would be found out by those who hold the policy.
	if _, _, err := held.Keepers(Namespace, nil, nil, now); err != nil {
		return nil, err
	}
	from, to := sha256.Sum256(older), sha256.Sum256(newer)
	return Parse("", fmt.Appendf(nil, "%s\nfrom %x\nto %x\ntime %s\nreason %s\n", format, from, to, strict.FormatTime(now), reason))
}

// Parse reads a text.
func Parse(file string, data []byte) (*Text, error) {
	if len(data) > maxText {
		return nil, strict.Errorf(file, "has more than %d bytes, and no succession has", maxText)
	}
	l := strict.NewLines(file, data)
	l.Literal(format)
	t := &Text{From: l.Hash("from "), To: l.Hash("to "), raw: slices.Clone(data)}
	at := l.After("time ")
	if l.Err() == nil {
		var err error
		t.Time, err = strict.ParseTime(at)
		l.Check(err)
	}
	t.Reason = l.After("reason ")
	if l.Err() == nil {
		l.Check(strict.CheckText(t.Reason, maxReason))
	}
	if l.Err() == nil && t.From == t.To {
		l.Failf("a policy doesn't follow itself")
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	return t, nil
}

// Raw is the text as it is signed. It must not be changed.
func (t *Text) Raw() []byte { return t.raw }

// Step is what follows from a text and its signatures: who signed, and the policy.
type Step struct {
	Text    *Text
	By      []string // keepers whose signatures count
	Enough  int      // keepers that must have signed
	Policy  *evidence.Policy
	Changes []Change
}

// Verify demands that the newer policy follows the older one, which the verifier holds:
// by a text of exactly these two, which enough of the older one's keepers have signed.
// The error says what is missing.
func Verify(file string, older, newer []byte, t *Text, signatures map[string][]byte, now time.Time) (*Step, error) {
	held, err := evidence.ParsePolicy(file, older)
	if err != nil {
		return nil, err
	}
	policy, err := evidence.ParsePolicy("the next policy", newer)
	if err != nil {
		return nil, err
	}
	switch {
	case t.From != held.Digest:
		return nil, strict.Errorf(file, "is not the policy that this succession begins with: it has the SHA-256 %x, the text says %x", held.Digest, t.From).
			WithHint("successions are taken in their order, each from the policy that the one before led to")
	case t.To != policy.Digest:
		return nil, strict.Errorf("", "the next policy has the SHA-256 %x; what was signed is %x", policy.Digest, t.To)
	case t.Time.After(now.Add(keys.ClockTolerance)):
		return nil, strict.Errorf("", "the succession says that it was made at %s, which is yet to come", strict.FormatTime(t.Time))
	}
	names, enough, err := held.Keepers(Namespace, t.raw, signatures, now)
	if err != nil {
		return nil, err
	}
	if len(names) < enough {
		return nil, strict.Errorf(file, "wants %d keepers to have signed what follows it; %s", enough, counted(names, signatures)).
			WithHint("a keeper signs with\nssh-keygen -Y sign -n %s -f KEY SUCCESSION", Namespace)
	}
	changes, err := Diff(file, older, "the next policy", newer)
	if err != nil {
		return nil, err
	}
	return &Step{t, names, enough, policy, changes}, nil
}

func counted(names []string, signatures map[string][]byte) string {
	files := slices.Sorted(maps.Keys(signatures))
	switch {
	case len(files) == 0:
		return "there is no signature"
	case len(names) == 0:
		return fmt.Sprintf("none counts of %s, by keys whose windows are over or yet to come", strings.Join(files, ", "))
	}
	return fmt.Sprintf("%s did", strings.Join(names, ", "))
}
