package attest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Demand is what a verifier wants shown of a key. A zero field demands nothing,
// except that Least and SPKI must be set.
type Demand struct {
	Least    Level
	SPKI     []byte // of the key that the evidence must be about
	Identity string // of the device that the evidence must come from

	NotExtractable, Sensitive, NeverExtractable, Local bool

	Sign     bool // the key signs
	SignOnly bool // and does nothing else
	Derive   bool // the key agrees on secrets

	Vendors       []string
	Models        []string
	LeastFirmware string // numbers parted by dots
	FIPSBoot      bool
	LeastFIPS     uint64

	// TrustOnFirstUse accepts an anchor that nobody compared with its origin.
	TrustOnFirstUse bool

	// Tolerates names the weak quirks (Weak) that are accepted.
	Tolerates []string

	// Understood refuses evidence any part of which was not understood. A part
	// that matters (Unknown.Matters) is refused in any case.
	Understood bool
}

// Kept demands that the key was generated inside the device and can never leave it.
func Kept(least Level, spki []byte, identity string) Demand {
	return Demand{Least: least, SPKI: spki, Identity: identity, NotExtractable: true, Sensitive: true, NeverExtractable: true, Local: true}
}

// Problem is a demand that the claims don't meet.
type Problem struct {
	Name string // the attribute's: level, spki, identity, extractable, local …
	What string
}

func (p Problem) String() string { return p.Name + ": " + p.What }

// Judge names every demand that the claims don't meet. What isn't shown fails like
// what is shown to be otherwise. An empty list means that all demands are met.
func Judge(c *Claims, d Demand) (list []Problem) {
	j := &judgement{c: c, list: &list}
	if c == nil {
		return []Problem{{"level", "there is no evidence"}}
	}
	j.trust(d)
	j.answer(d.NotExtractable, "extractable", c.Key.Extractable, False)
	j.answer(d.Sensitive, "sensitive", c.Key.Sensitive, True)
	j.answer(d.NeverExtractable, "never-extractable", c.Key.NeverExtractable, True)
	j.answer(d.Local, "local", c.Key.Local, True)
	p := c.Key.Purpose
	j.answer(d.Sign || d.SignOnly, "purpose sign", p.Sign, True)
	j.answer(d.Derive, "purpose derive", p.Derive, True)
	j.answer(d.SignOnly, "purpose decrypt", p.Decrypt, False)
	j.answer(d.SignOnly, "purpose wrap", p.Wrap, False)
	j.answer(d.SignOnly, "purpose unwrap", p.Unwrap, False)
	j.answer(d.SignOnly, "purpose derive", p.Derive, False)
	j.oneOf("vendor", c.Platform.Vendor, d.Vendors)
	j.oneOf("hwmodel", c.Platform.Model, d.Models)
	j.firmware(d.LeastFirmware)
	j.answer(d.FIPSBoot, "fipsboot", c.Platform.FIPSBoot, True)
	if have := c.Platform.FIPSLevel; have < d.LeastFIPS {
		j.problem("fipslevel", "%s, and %d is demanded", shownNumber(have), d.LeastFIPS)
	}
	switch {
	case c.Anchor == nil && c.Level >= Anchored:
		j.problem("anchor", "the evidence has the level %s, but names no anchor", c.Level)
	case c.Anchor != nil && c.Anchor.Confirmed == "" && !d.TrustOnFirstUse:
		j.problem("anchor", "nobody confirmed %q: %s", strict.Clip(c.Anchor.Name), strict.Said(c.Anchor.Check))
	}
	for _, q := range c.Quirks {
		if slices.Contains(Weak, q) && !slices.Contains(d.Tolerates, q) {
			j.problem("quirk", "%s, which is not tolerated", q)
		}
	}
	j.understood(d.Understood)
	return list
}

type judgement struct {
	c    *Claims
	list *[]Problem
}

func (j *judgement) problem(name, format string, args ...any) {
	*j.list = append(*j.list, Problem{name, fmt.Sprintf(format, args...)})
}

// trust judges the level, the key and the device.
func (j *judgement) trust(d Demand) {
	c := j.c
	switch {
	case d.Least < None || d.Least > Fresh:
		j.problem("level", "the demand names no least level, so it would accept anything")
	case c.Level < None || c.Level > Fresh:
		j.problem("level", "the evidence has no level")
	case c.Level < d.Least:
		why := ""
		if c.NoAnchor != "" && d.Least >= Anchored {
			why = ": " + c.NoAnchor
		} else if c.Level == Anchored {
			why = ": it answers no nonce that was asked"
		}
		j.problem("level", "%s, and %s is demanded%s", c.Level, d.Least, why)
	}
	switch {
	case len(d.SPKI) == 0:
		j.problem("spki", "the demand names no key, so it would accept any")
	case !bytes.Equal(c.Key.SPKI, d.SPKI):
		j.problem("spki", "the evidence is of another key")
	}
	switch {
	case d.Identity == "":
	case c.Platform.Identity == "":
		j.problem("identity", "not shown, and %s is demanded", strict.Clip(d.Identity))
	case c.Platform.Identity != d.Identity:
		j.problem("identity", "the evidence is of device %s, and %s is demanded", strict.Clip(c.Platform.Identity), strict.Clip(d.Identity))
	}
}

func (j *judgement) answer(demanded bool, name string, have, want Answer) {
	if demanded && have != want {
		j.problem(name, "%s, and %s is demanded", have, want)
	}
}

func (j *judgement) oneOf(name, have string, want []string) {
	switch {
	case len(want) == 0 || have != "" && slices.Contains(want, have):
	case have == "":
		j.problem(name, "not shown, and one of %q is demanded", want)
	default:
		j.problem(name, "%q, and one of %q is demanded", strict.Clip(have), want)
	}
}

func (j *judgement) firmware(least string) {
	have := j.c.Platform.Firmware
	if least == "" {
		return
	}
	if have == "" {
		j.problem("swversion", "not shown, and at least %s is demanded", strict.Clip(least))
		return
	}
	a, ok := version(have)
	b, valid := version(least)
	switch {
	case !valid:
		j.problem("swversion", "the demand %q is no version: numbers parted by dots", strict.Clip(least))
	case !ok:
		j.problem("swversion", "%q is no version that can be compared, and at least %s is demanded", strict.Clip(have), least)
	case slices.CompareFunc(a, b, cmp.Compare[uint64]) < 0:
		j.problem("swversion", "%s, and at least %s is demanded", have, least)
	}
}

// version reads numbers separated by dots, without zeros at the end: 5.7 is 5.7.0.
func version(s string) (list []uint64, ok bool) {
	if len(s) > 64 {
		return nil, false
	}
	for _, part := range strings.Split(s, ".") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || part[0] == '+' {
			return nil, false
		}
		list = append(list, n)
	}
	for len(list) > 1 && list[len(list)-1] == 0 {
		list = list[:len(list)-1]
	}
	return list, true
}

// CheckVersion checks that a version can be compared with another: it consists of
// numbers separated by dots.
func CheckVersion(s string) error {
	if _, ok := version(s); !ok {
		return fmt.Errorf("%q is no version: numbers parted by dots", strict.Clip(s))
	}
	return nil
}

func shownNumber(n uint64) string {
	if n == 0 {
		return "not shown"
	}
	return strconv.FormatUint(n, 10)
}

func (j *judgement) understood(all bool) {
	for _, u := range j.c.Unknown {
		if u.Matters || all {
			j.problem("understood", "%s: %s was not understood", strict.Clip(u.Where), strict.Clip(u.What))
		}
	}
}
