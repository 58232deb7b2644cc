// Package script says what people in a ceremony do and say, step by step, and makes the
// documents that they get: the printed script with its worksheet, and the receipts at
// the end. It uses the same list of steps as the engine and verifiers.
package script

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/paper"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Roles are those for which a script can be printed; an empty role means everybody.
var Roles = []string{ceremony.Officer, ceremony.Witness, ceremony.Auditor, Administrator}

// Print is the script of a plan, for one role or for everybody.
func Print(p *ceremony.Plan, role string) (*paper.Doc, error) {
	if role != "" && !slices.Contains(Roles, role) {
		return nil, strict.Errorf("", "role %q is none of %s", role, strings.Join(Roles, ", "))
	}
	sum := p.Digest()
	d := &paper.Doc{
		Title: fmt.Sprintf("Ceremony script · %s · epoch %d%s", p.Fleet, p.Epoch, forRole(role)),
		Mark:  strings.ToUpper(p.Mode),
		Foot:  fmt.Sprintf("plan %s · %s", paper.Short(sum[:]), words.Head(sum[:])),
	}
	s := &printed{plan: p, role: role, doc: d}
	s.cover()
	if err := s.people(); err != nil {
		return nil, err
	}
	s.part()
	s.steps()
	s.sheets()
	return d, nil
}

func forRole(role string) string {
	if role == "" {
		return ""
	}
	return " · " + role
}

type printed struct {
	plan *ceremony.Plan
	role string
	doc  *paper.Doc
}

func (s *printed) cover() {
	p := s.plan
	total, _ := Minutes(p)
	copyOf := "For everybody in the room"
	if s.role != "" {
		copyOf = "The copy of: " + s.role
	}
	s.doc.Add(paper.Cover{Title: "Ceremony script", Lines: []string{
		fmt.Sprintf("Fleet %s, epoch %d", p.Fleet, p.Epoch), p.Namespace, copyOf,
	}})
	if p.Mode == ceremony.Rehearsal {
		of := "nothing that comes of it is real, and no production policy takes it."
		if p.Rehearses != [32]byte{} {
			of = fmt.Sprintf("it rehearses the plan %x; %s", p.Rehearses, of)
		}
		s.doc.Add(paper.Para("This is a rehearsal: " + of))
	}
	s.doc.Add(
		paper.Digest{Label: "SHA-256 of the plan. Compare all of it with your own copy before anything begins.", Sum: p.Digest(), Code: digestCode(p.Mode, "PLAN", p.Digest())},
		paper.Fields{
			{"Takes", fmt.Sprintf("%d steps, about %s, waiting for the third party not counted", len(p.Steps()), hours(total))},
			{"Keys", fmt.Sprintf("%d HSMs, %s each; %d of the HSMs must agree", len(p.HSMs), count(len(p.Roles), "key"), p.Majority)},
			{"Officers", fmt.Sprintf("%d must agree to each act", p.Threshold)},
		},
		paper.Blanks{"This copy belongs to", "Place and date"},
	)
}

// digestCode is the text of a digest's QR code: the mode and the digest in upper case.
func digestCode(mode, what string, sum [32]byte) string {
	return fmt.Sprintf("%s %s SHA256 %X", strings.ToUpper(mode), what, sum)
}

func hours(minutes int) string {
	if minutes < 60 {
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d h %02d min", minutes/60, minutes%60)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s *printed) people() error {
	p := s.plan
	people := paper.Table{Head: []string{"name", "role", "key", "first words of the key"}, Share: []int{18, 13, 68, 41}, Mono: 3}
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return err
		}
		print := k.Fingerprint()
		_, encoded, _ := strings.Cut(print, ":")
		raw, err := base64.RawStdEncoding.DecodeString(encoded)
		if err != nil {
			return fmt.Errorf("the fingerprint of %s: %w", x.Name, err)
		}
		people.Rows = append(people.Rows, []string{x.Name, x.Role, print, words.Head(raw)})
	}
	hsms := paper.Table{Head: []string{"HSM", "site", "serial"}, Share: []int{30, 30, 60}, Mono: 3}
	for _, h := range p.HSMs {
		hsms.Rows = append(hsms.Rows, []string{h.Name, h.Site, h.Serial})
	}
	keys := paper.Table{Head: []string{"who", "as", "key"}, Share: []int{26, 26, 78}, Mono: 3}
	for _, t := range p.ThirdParties {
		keys.Rows = append(keys.Rows, []string{t.Name, "third party", base64.StdEncoding.EncodeToString(t.Key[:])})
	}
	keys.Rows = append(keys.Rows, []string{p.Countersigner.Name, "operator, " + string(p.Countersigner.Algorithm), base64.StdEncoding.EncodeToString(p.Countersigner.Key)})
	var roles []string
	for _, r := range p.Roles {
		roles = append(roles, r.Name+" "+string(r.Algorithm))
	}
	s.doc.Add(paper.Page{},
		paper.Heading("People"), people,
		paper.Fields{{"administrator", "sits at the machine; signs nothing, and is named on the day:"}}, paper.Blanks{"Administrator"},
		paper.Heading("HSMs, and the keys that each generates: "+strings.Join(roles, ", ")), hsms)
	if list := p.Devices(); len(list) > 0 {
		devices := paper.Table{Head: []string{"HSM, or operator", "format", "attestation identity"}, Share: []int{26, 26, 78}, Mono: 3}
		for _, d := range list {
			devices.Rows = append(devices.Rows, []string{d.Name, d.Format, d.Identity})
		}
		s.doc.Add(paper.Heading("Devices, by what their vendors attest"), devices)
	}
	if len(p.Models) > 0 {
		s.doc.Add(paper.Para("HSMs may be of the models " + strings.Join(p.Models, ", ") + "; each model has one firmware."))
	}
	if list := p.Tolerates(); len(list) > 0 {
		s.doc.Add(paper.Para("The plan tolerates " + ceremony.TellTolerated(list) +
			". Where that succeeds, the other attempts on the key are made again, none may succeed, and the key is set back."))
	}
	s.doc.Add(
		paper.Heading(whoSigns(p)), keys,
		paper.Heading("Rules of the room"), paper.Para(rules))
	return nil
}

func whoSigns(p *ceremony.Plan) string {
	if n := len(p.ThirdParties); n > 1 {
		return fmt.Sprintf("Who signs the result: %d of %d third parties, then the operator", p.Answers(), n)
	}
	return "Who signs the result"
}

const rules = `Words in quotes are said aloud. One question at a time; nobody is hurried. Witness and auditor may say "stop" at ` +
	`any time, and type it at any question: the ceremony pauses, nothing is lost. Whatever goes otherwise than it stands here is an ` +
	`exception: it gets a number, goes onto the exception sheet, and officers accept it or not. After a power cut or a crash nobody ` +
	`touches an HSM: the ceremony is resumed, on the record. A wrong PIN is tried once: the next try is an officer's own decision. Whoever does not agree says so and ticks the box ` +
	`on the last page: that is an outcome, not a failure.`

// part is the page with one role's parts in all steps.
func (s *printed) part() {
	if s.role == "" {
		return
	}
	var rows [][]string
	_, before := Minutes(s.plan)
	for i, step := range s.plan.Steps() {
		t := InstructionsFor(s.plan, step)
		var mine []string
		for _, part := range slices.Concat(t.Do, t.Say, t.Confirm) {
			if part.Who == s.role {
				mine = append(mine, part.Text)
			}
		}
		if len(mine) > 0 {
			rows = append(rows, []string{fmt.Sprint(i + 1), clock(before[i]), t.Title, strings.Join(mine, " ")})
		}
	}
	s.doc.Add(paper.Page{}, paper.Heading("Your part: "+s.role), paper.Para(bring()[s.role]),
		paper.Table{Head: []string{"step", "at", "", "you"}, Rows: rows, Share: []int{9, 11, 40, 80}})
}

func bring() map[string]string {
	return map[string]string{
		ceremony.Officer: "Bring: your SSH key (a file, or a FIDO2 token), your PIN or card, this copy. You approved this plan; nothing may go otherwise without you.",
		ceremony.Witness: "Bring: a watch that you trust, a pen, this copy. You look at things, read them aloud and type what you read. Say stop whenever you want to.",
		ceremony.Auditor: "Bring: your own laptop with fleetctl and the plan on it, your SSH key, this copy. You believe no screen but your own.",
		Administrator:    "Bring: the machine, the site file, the media of the inventory, this copy. You type commands and read aloud; you decide nothing alone.",
	}
}

func clock(minutes int) string { return fmt.Sprintf("+%d:%02d", minutes/60, minutes%60) }
