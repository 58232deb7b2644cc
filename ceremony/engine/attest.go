package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Attester gets evidence from devices and says what it is worth to the operator.
type Attester interface {
	// Collect asks the device that holds a key for evidence about it. pin is what
	// its token was unlocked with, nil where the device asked for it itself: it is
	// wiped afterwards, and no copy is kept. [ErrNoCollector] says that a vendor's
	// tool has to be used: then people are asked.
	Collect(ctx context.Context, site *SiteHSM, t Token, pin []byte, q AttestQuestion) (*attest.Evidence, error)
	// Judge says what evidence shows by the operator's own policy. An error is of
	// evidence that is never recorded: malformed, of another key or device, stale.
	Judge(e *attest.Evidence, q AttestQuestion, at time.Time) (*AttestVerdict, error)
}

// ErrNoCollector says that fleetctl can't ask a device for evidence itself.
var ErrNoCollector = errors.New("fleetctl can't ask this device for its attestation")

// AttestQuestion is what a device is asked.
type AttestQuestion struct {
	HSM, Role        string // empty for the countersigner's
	Format, Identity string // the plan's, of this device
	SPKI             []byte
	ID               []byte // CKA_ID; nil for the countersigner's
	Nonce            [32]byte
	Agrees           bool // the key agrees on secrets and doesn't sign
	Countersigner    bool
}

// Name is the key's as people say it.
func (q AttestQuestion) Name() string {
	if q.Countersigner {
		return "countersigner"
	}
	return q.HSM + " " + q.Role
}

// File is the name under which scripts find the evidence that answers it.
func (q AttestQuestion) File() string {
	if q.Countersigner {
		return "countersigner.json"
	}
	return q.HSM + "-" + q.Role + ".json"
}

// AttestVerdict is what evidence shows.
type AttestVerdict struct {
	Identity string
	Level    attest.Level
	Anchor   string
	Firmware string
	Problems []string // what the operator's policy demands and doesn't find shown
}

// QuestionOf is the question of a step of attestation.
func QuestionOf(s *ceremony.AttestationStep) AttestQuestion {
	q := AttestQuestion{HSM: s.HSM, Role: s.Role, Format: s.Wants.Format, Identity: s.Wants.Identity, SPKI: s.SPKI, Nonce: s.Nonce, Countersigner: s.Key == nil}
	if s.Key != nil {
		q.ID, q.Agrees = s.Key.Intent.ID, !s.Key.Intent.Algorithm.CanSign()
	}
	return q
}

// mayJudge refuses to begin, or to go on with, what nothing here could judge: in
// production devices are judged by the policy under which it began, and a policy has
// to pin whom the plan names.
func (r *runner) mayJudge() error {
	attests := len(r.plan.Devices()) > 0
	switch {
	case attests && r.Attest == nil:
		return strict.Errorf(r.Dir, "the plan names devices by what they attest, and nothing here can judge that")
	case attests && r.Policy == nil && r.plan.Mode == ceremony.Production:
		return r.noPolicy()
	case r.Policy != nil:
		return r.Policy.CheckPlan(r.plan)
	}
	return nil
}

// attest has one key attested: the evidence is on the disk before its record is.
func (r *runner) attest(ctx context.Context, s ceremony.Step) error {
	a := r.journal.account
	w, ok := a.NextAttestation()
	if !ok {
		return fmt.Errorf("%s: there is no such key", s.String())
	}
	if err := r.journal.clockStands(&ceremony.Attestation{}); err != nil {
		return err
	}
	e, c, err := r.evidence(ctx, QuestionOf(&w))
	if err != nil {
		return fmt.Errorf("%s: its attestation: %w", w.Name(), err)
	}
	if err := r.journal.saveAttestation(w.File, e.Encode()); err != nil {
		return err
	}
	return r.record(tellVerdict(c), c)
}

// evidence gets a device's answer: from the device, or from the people. What they
// bring and isn't the answer they are told, and asked again.
func (r *runner) evidence(ctx context.Context, q AttestQuestion) (*attest.Evidence, *ceremony.Attestation, error) {
	if !q.Countersigner {
		t, err := r.unlocked(ctx, q.HSM)
		if err != nil {
			return nil, nil, err
		}
		e, err := r.Attest.Collect(ctx, r.site.HSM(q.HSM), t.Token, t.pin, q)
		if err == nil {
			c, err := r.judge(e, q, ceremony.Collected)
			return e, c, err
		}
		if !errors.Is(err, ErrNoCollector) {
			return nil, nil, err
		}
	}
	for wrong := error(nil); ; {
		e, err := r.Participants.Attestation(ctx, q, wrong)
		if err != nil {
			return nil, nil, err
		}
		c, err := r.judge(e, q, ceremony.Imported)
		if err == nil {
			return e, c, nil
		}
		wrong = err
	}
}

// judge makes the record of evidence, as the rules will take it.
func (r *runner) judge(e *attest.Evidence, q AttestQuestion, by string) (*ceremony.Attestation, error) {
	v, err := r.Attest.Judge(e, q, r.Now())
	if err != nil {
		return nil, err
	}
	c := &ceremony.Attestation{
		Format: e.Format, Evidence: e.Digest(), Identity: v.Identity, Level: v.Level.String(),
		Anchor: visible(v.Anchor, ceremony.MaxToldText), Firmware: visible(v.Firmware, ceremony.MaxToldText), Problems: problems(v.Problems), By: by,
	}
	if w, ok := r.journal.account.NextAttestation(); ok {
		c.Intent = w.Intent()
	}
	return c, r.journal.account.MayAttest(c)
}

// problems are a verdict's as a record can hold them: none is lost without a word.
func problems(list []string) []string {
	out := []string{}
	for i, p := range list {
		if i == ceremony.MaxProblems-1 && len(list) > ceremony.MaxProblems {
			return append(out, fmt.Sprintf("and %d problems more", len(list)-i))
		}
		out = append(out, visible(p, ceremony.MaxProblemText))
	}
	return out
}

// visible is a device's or a certificate's text as one line of a record.
func visible(s string, most int) string {
	if s = words.Clean(s); len(s) > most {
		s = strings.ToValidUTF8(s[:most-len("…")], "") + "…"
	}
	if s != "" && strict.CheckText(s, most) != nil {
		return "a text that can't be shown"
	}
	return s
}

// tellVerdict is the verdict in a line.
func tellVerdict(c *ceremony.Attestation) string {
	text := "attested: " + c.Level
	if c.Anchor != "" {
		text += " under " + c.Anchor
	}
	if c.Firmware != "" {
		text += ", firmware " + c.Firmware
	}
	switch n := len(c.Problems); n {
	case 0:
		return text + "; accepted"
	case 1:
		return text + "; 1 problem holds up the release"
	default:
		return fmt.Sprintf("%s; %d problems hold up the release", text, n)
	}
}

// saveAttestation keeps evidence before its record tells of it.
func (j *Journal) saveAttestation(file string, data []byte) error {
	if err := durable.MkdirAll(filepath.Join(j.dir, ceremony.AttestationsDir), 0o755); err != nil {
		return err
	}
	if err := durable.SyncDir(j.dir); err != nil {
		return err
	}
	return j.save(file, data)
}
