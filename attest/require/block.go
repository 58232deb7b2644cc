// Package require reads the block attestation: of a policy, which says what is required of
// a fleet's attestations and pins anchors, and judges raw evidence by it. The operator in
// the room, the third party and the verifier all judge with it, each by their own policy.
//
// The same block, evidence and question give the same verdict.
package require

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Block is what a policy requires of each key's attestation.
type Block struct {
	Least         attest.Level
	Countersigner attest.Level // for the countersigner's key; 0 if it is Least too
	Anchors       *attest.Anchors
	Vendors       []string
	Models        []string
	Firmware      []Firmware
	FIPSBoot      bool
	LeastFIPS     uint64
	SignOnly      bool // the evidence must show that a key that signs does nothing else
	Understood    bool // every part of the evidence must have been understood
	Tolerates     []string
}

// Firmware is the lowest firmware version that a model may run.
type Firmware struct {
	Model string `strict:"model,optional"` // empty: every model without an entry of its own
	Least string `strict:"least"`          // numbers separated by dots
}

// Text is the block as a policy's file has it.
type Text struct {
	Least         string          `strict:"least"`
	Countersigner string          `strict:"countersigner,optional"`
	Vendors       []string        `strict:"vendors,token,optional"`
	Models        []string        `strict:"models,optional"`
	Firmware      []Firmware      `strict:"firmware,optional"`
	FIPSBoot      bool            `strict:"fips_boot,optional"`
	FIPSLevel     uint64          `strict:"fips_level,optional"`
	SignOnly      bool            `strict:"sign_only,optional"`
	Understood    bool            `strict:"understood,optional"`
	Tolerates     []string        `strict:"tolerates,token,optional"`
	Anchors       []attest.Anchor `strict:"anchors,optional"`
}

const (
	maxNames   = 64 // in a list of the block
	mostFIPS   = 4
	maxModel   = 255
	anyModel   = "every model"
	leastRules = "module-claimed, vendor-signed, anchored, fresh"
)

// Block checks the text and returns the block. line returns the line of the file on which
// a part of the text is. The error is a strict.Errors with every fault found.
func (t *Text) Block(file string, line func(path ...any) int) (*Block, error) {
	p := &checker{file: file, line: line, b: &Block{}}
	b := p.b
	b.FIPSBoot, b.LeastFIPS, b.SignOnly, b.Understood = t.FIPSBoot, t.FIPSLevel, t.SignOnly, t.Understood
	b.Least = p.level("least", t.Least)
	if t.Countersigner != "" {
		b.Countersigner = p.level("countersigner", t.Countersigner)
	}
	b.Vendors, b.Models, b.Tolerates = p.names("vendors", t.Vendors), p.names("models", t.Models), p.names("tolerates", t.Tolerates)
	for i, q := range b.Tolerates {
		if !slices.Contains(attest.Weak, q) {
			p.failf(line("tolerates", i), "tolerates: %q is none of %s", strict.Clip(q), strings.Join(attest.Weak, ", "))
		}
	}
	if b.LeastFIPS > mostFIPS {
		p.failf(line("fips_level"), "fips_level is %d; there are 1 to %d", b.LeastFIPS, mostFIPS)
	}
	p.firmware(t.Firmware)
	p.anchors(t.Anchors)
	if err := p.faults.Err(); err != nil {
		return nil, err
	}
	return b, nil
}

type checker struct {
	file   string
	line   func(path ...any) int
	b      *Block
	faults strict.Errors
}

func (p *checker) failf(line int, format string, args ...any) {
	p.faults = append(p.faults, strict.At(p.file, line, format, args...))
}

// level reads a least level. None is refused, since it would demand nothing.
func (p *checker) level(field, s string) attest.Level {
	l, err := attest.ParseLevel(s)
	if err != nil || l < attest.ModuleClaimed {
		p.failf(p.line(field), "%s is %q; it is one of %s", field, strict.Clip(s), leastRules)
	}
	return l
}

// names checks a list of names: if it is there, it is not empty and has no name twice.
func (p *checker) names(field string, list []string) []string {
	if list == nil {
		return nil
	}
	if len(list) == 0 || len(list) > maxNames {
		p.failf(p.line(field), "%s has %d names; leave it out, or name 1 to %d", field, len(list), maxNames)
		return nil
	}
	for i, s := range list {
		if err := strict.CheckText(s, maxModel); err != nil {
			p.failf(p.line(field, i), "%s: %v", field, err)
		}
		if slices.Contains(list[:i], s) {
			p.failf(p.line(field, i), "%s names %q twice", field, strict.Clip(s))
		}
	}
	return list
}

func (p *checker) firmware(list []Firmware) {
	if list != nil && (len(list) == 0 || len(list) > maxNames) {
		p.failf(p.line("firmware"), "firmware has %d entries; leave it out, or give 1 to %d", len(list), maxNames)
		return
	}
	for i, f := range list {
		at := p.line("firmware", i)
		if f.Model != "" {
			if err := strict.CheckText(f.Model, maxModel); err != nil {
				p.failf(at, "firmware: model: %v", err)
			}
		}
		if err := attest.CheckVersion(f.Least); err != nil {
			p.failf(at, "firmware: least: %v", err)
		}
		if slices.ContainsFunc(p.b.Firmware, func(g Firmware) bool { return g.Model == f.Model }) {
			p.failf(at, "firmware: %s stands twice", tellModel(f.Model))
		}
		p.b.Firmware = append(p.b.Firmware, f)
	}
}

func tellModel(model string) string {
	if model == "" {
		return anyModel
	}
	return fmt.Sprintf("the model %q", strict.Clip(model))
}

// anchors reads the pinned anchors. Without any, no evidence reaches a level above
// vendor-signed.
func (p *checker) anchors(list []attest.Anchor) {
	p.b.Anchors = &attest.Anchors{}
	if len(list) == 0 {
		return
	}
	a, err := attest.AnchorsIn(p.file, list, func(path ...any) int { return p.line(append([]any{"anchors"}, path...)...) })
	p.faults.Add(err)
	if err == nil {
		p.b.Anchors = a
	}
}

// Unconfirmed names the anchors that nobody compared with their origin.
func (b *Block) Unconfirmed() (list []string) {
	for _, a := range b.Anchors.All() {
		if strings.TrimSpace(a.Confirmed) == "" {
			list = append(list, a.Name)
		}
	}
	return list
}
