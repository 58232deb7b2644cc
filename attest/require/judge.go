package require

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Question says which key, device and nonce evidence must be about. Its values come from
// the plan and the transcript, never from the evidence.
type Question struct {
	Format   string // the plan's, of this device
	Identity string // the same
	SPKI     []byte
	Nonce    [32]byte
	// Agrees says that the key agrees on secrets and doesn't sign.
	Agrees bool
	// Countersigner says that it is the countersigner's key.
	Countersigner bool
	At            time.Time // when the evidence was recorded
	// TrustOnFirstUse accepts anchors that nobody confirmed.
	TrustOnFirstUse bool
}

// Verdict is what evidence shows, and which demands it doesn't meet.
type Verdict struct {
	Claims   *attest.Claims
	Problems []attest.Problem // empty if all demands are met
}

// Formats are the names of the formats that can be judged.
func Formats() []string { return formats.All().Formats() }

// check says what evidence shows under these anchors. It returns an error for evidence
// that is wrong whatever a policy demands: malformed, badly signed, stale, about another
// key, or of another device than the question's.
func check(e *attest.Evidence, anchors *attest.Anchors, q Question) (*attest.Claims, error) {
	switch {
	case e == nil:
		return nil, errors.New("there is no evidence")
	case len(q.SPKI) == 0 || q.Identity == "" || q.Nonce == [32]byte{}:
		return nil, errors.New("the question names no key, no device or no nonce, and so would take any evidence")
	case e.Format != q.Format:
		return nil, fmt.Errorf("the evidence is of the format %q, and the plan names %q", strict.Clip(e.Format), strict.Clip(q.Format))
	}
	c, err := formats.All().Check(attest.Input{Evidence: e, Anchors: anchors, At: q.At, Nonce: q.Nonce[:]})
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(c.Key.SPKI, q.SPKI):
		return nil, fmt.Errorf("%s: another key: the evidence is not of the key that was asked about", e.Format)
	case c.Platform.Identity == "":
		return nil, fmt.Errorf("%s: the evidence names no device, and the plan names %s", e.Format, strict.Clip(q.Identity))
	case c.Platform.Identity != q.Identity:
		return nil, fmt.Errorf("%s: another device: the evidence is of %s, and the plan names %s", e.Format, strict.Clip(c.Platform.Identity), strict.Clip(q.Identity))
	}
	return c, nil
}

// Judge says which of the block's demands evidence doesn't meet. The error is check's.
func (b *Block) Judge(e *attest.Evidence, q Question) (*Verdict, error) {
	c, err := check(e, b.Anchors, q)
	if err != nil {
		return nil, err
	}
	least, named := b.leastFirmware(c.Platform.Model)
	v := &Verdict{c, attest.Judge(c, b.demand(q, least))}
	if !named {
		v.Problems = append(v.Problems, attest.Problem{Name: "swversion",
			What: fmt.Sprintf("of the model %q, for which the policy names no least firmware", strict.Clip(c.Platform.Model))})
	}
	return v, nil
}

// demand is what is demanded of this key: that it was generated inside and can't leave,
// that it can do what the plan wants, and all that the block says.
func (b *Block) demand(q Question, firmware string) attest.Demand {
	least := b.Least
	if q.Countersigner && b.Countersigner != 0 {
		least = b.Countersigner
	}
	d := attest.Kept(least, q.SPKI, q.Identity)
	d.Sign, d.Derive, d.SignOnly = !q.Agrees, q.Agrees, b.SignOnly && !q.Agrees
	d.Vendors, d.Models, d.Tolerates = b.Vendors, b.Models, b.Tolerates
	d.FIPSBoot, d.LeastFIPS, d.Understood = b.FIPSBoot, b.LeastFIPS, b.Understood
	d.LeastFirmware, d.TrustOnFirstUse = firmware, q.TrustOnFirstUse
	return d
}

// leastFirmware is the lowest firmware for a model: its own entry, or that of every model.
// named is false if there are entries, but none for this model.
func (b *Block) leastFirmware(model string) (least string, named bool) {
	for _, name := range []string{model, ""} {
		if i := slices.IndexFunc(b.Firmware, func(f Firmware) bool { return f.Model == name }); i >= 0 {
			return b.Firmware[i].Least, true
		}
	}
	return "", len(b.Firmware) == 0
}
