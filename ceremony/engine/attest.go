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

// Attester gets evidence from devices and judges it by the operator's own policy.
type Attester interface {
	// Collect asks the device that holds a key for evidence about it. pin unlocked its
	// token; it is nil if the device asked for the PIN itself. Collect wipes it and
	// keeps no copy. With [ErrNoCollector] the engine asks people instead, who use the
	// vendor's tool.
	Collect(ctx context.Context, site *SiteHSM, t Token, pin []byte, q AttestQuestion) (*attest.Evidence, error)
	// Judge says what evidence shows by the operator's own policy. It returns an error
	// for evidence that must not be recorded: malformed, about another key, of another
	// device, or stale.
	Judge(e *attest.Evidence, q AttestQuestion, at time.Time) (*AttestVerdict, error)
}

// ErrNoCollector says that fleetctl can't ask a device for evidence itself.
var ErrNoCollector = errors.New("fleetctl can't ask this device for its attestation")

// AttestQuestion says what a device has to attest.
type AttestQuestion struct {
	HSM, Role        string // empty for the countersigner's key
	Format, Identity string // the plan's, of this device
	SPKI             []byte
	ID               []byte // CKA_ID; nil for the countersigner's key
	Nonce            [32]byte
	Agrees           bool // the key agrees on secrets and does not sign
	Countersigner    bool
}

// Name is the key's name as screens and errors have it.
func (q AttestQuestion) Name() string {
	if q.Countersigner {
		return "countersigner"
	}
	return q.HSM + " " + q.Role
}

// File is the name of the evidence's file in a folder that people or scripts bring.
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
	Problems []string // what the operator's policy demands and the evidence doesn't show
}

// QuestionOf is the question for an attestation step.
func QuestionOf(s *ceremony.AttestationStep) AttestQuestion {
	q := AttestQuestion{HSM: s.HSM, Role: s.Role, Format: s.Wants.Format, Identity: s.Wants.Identity, SPKI: s.SPKI, Nonce: s.Nonce, Countersigner: s.Key == nil}
	if s.Key != nil {
		q.ID, q.Agrees = s.Key.Intent.ID, !s.Key.Intent.Algorithm.CanSign()
	}
	return q
}

// mayJudge refuses to begin, or to go on with, a ceremony whose attestations could not
// be judged here. In production that takes the policy under which the ceremony began,
// and the policy must pin whom the plan names.
func (r *runner) mayJudge() error {
	attests := len(r.plan.Devices()) > 0
	switch {
	case attests && r.Attest == nil:
		return strict.Errorf(r.Dir, "the plan names devices by attestation identities, and this program was given no means to judge attestations")
	case attests && r.Policy == nil && r.plan.Mode == ceremony.Production:
		return r.noPolicy()
	case r.Policy != nil:
		return r.Policy.CheckPlan(r.plan)
	}
	return nil
}

// attest has one key attested. It writes the evidence to the disk before the record.
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

// evidence gets a device's evidence, from the device or from people. If people bring
// evidence that can't be recorded, they are told why and asked again.
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

// judge makes the record about evidence, and checks that the rules accept it.
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

// problems shortens a verdict's problems to what a record can hold. If it leaves some
// out, the last one says how many.
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

// visible makes a device's or a certificate's text one visible line of at most so many
// bytes.
func visible(s string, most int) string {
	if s = words.Clean(s); len(s) > most {
		s = strings.ToValidUTF8(s[:most-len("…")], "") + "…"
	}
	if s != "" && strict.CheckText(s, most) != nil {
		return "a text that can't be shown"
	}
	return s
}

// tellVerdict says the verdict in one line.
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

// saveAttestation writes evidence before its record is written.
func (j *Journal) saveAttestation(file string, data []byte) error {
	if err := durable.MkdirAll(filepath.Join(j.dir, ceremony.AttestationsDir), 0o755); err != nil {
		return err
	}
	if err := durable.SyncDir(j.dir); err != nil {
		return err
	}
	return j.save(file, data)
}
