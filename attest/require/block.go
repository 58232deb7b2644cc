// Package require is what a policy requires of a fleet's attestations: the block
// attestation: of a verifier's policy and of a third party's, with the anchors in
// it, and the judgement of raw evidence by it. The room, the third party and the
// verifier judge with it, each by a policy of their own.
//
// It is pure: the same block, evidence and question give the same verdict.
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
	Countersigner attest.Level // of the countersigner's key; no level where the policy has none of its own for it
	Anchors       *attest.Anchors
	Vendors       []string
	Models        []string
	Firmware      []Firmware
	FIPSBoot      bool
	LeastFIPS     uint64
	SignOnly      bool // a key that signs is shown to do nothing else
	Understood    bool // nothing in the evidence may be left that was not understood
	Tolerates     []string
}

// Firmware is the least that a model's device may run.
type Firmware struct {
	Model string `strict:"model,optional"` // empty: every model that has no entry of its own
	Least string `strict:"least"`          // numbers parted by dots
}

// Text is the block as it stands in a policy's file.
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

// Block checks the text and gives what it says. line says on which line of the file
// a part of it stands. The error is a strict.Errors with every fault found.
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

// level reads a least level. None is not one: a policy that takes what isn't there
// demands nothing.
func (p *checker) level(field, s string) attest.Level {
	l, err := attest.ParseLevel(s)
	if err != nil || l < attest.ModuleClaimed {
		p.failf(p.line(field), "%s is %q; it is one of %s", field, strict.Clip(s), leastRules)
	}
	return l
}

// names checks a list of names: one that is there takes somebody, each once.
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

// anchors are the pinned keys; without any, no level above vendor-signed is ever
// reached.
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
