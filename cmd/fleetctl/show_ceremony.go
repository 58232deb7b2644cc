package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// hexWords is a digest with the words it begins with when read aloud.
func hexWords(h [32]byte) string { return fmt.Sprintf("%x   %s …", h, words.Head(h[:])) }

func orNone(h []byte) string {
	if len(h) == 0 || [32]byte(h) == [32]byte{} {
		return "none: the first epoch"
	}
	return fmt.Sprintf("%x", h)
}

func explainPlan(file string, data []byte, s *shown) error {
	p, err := ceremony.ParsePlan(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.title = p.Mode, fmt.Sprintf("%s · epoch %d", p.Fleet, p.Epoch)
	s.Next = "fleetctl plan check " + words.ShellWord(file)
	s.fact("namespace", p.Namespace)
	s.fact("previous", orNone(p.Previous[:]))
	s.fact("majority", fmt.Sprintf("%d of %d HSMs", p.Majority, len(p.HSMs)))
	s.fact("officers", fmt.Sprintf("%d must agree", p.Threshold))
	if n := len(p.ThirdParties); n > 1 {
		s.fact("third parties", fmt.Sprintf("%d of %d must sign before the operator", p.Answers(), n))
	}
	s.fact("bundle", fmt.Sprintf("at most %s bytes", words.Number(int64(p.MaxBundle()))))
	s.fact("steps", fmt.Sprint(len(p.Steps())))
	t := s.table("HSMs", "name", "site", "serial")
	for _, h := range p.HSMs {
		t.row(h.Name, h.Site, h.Serial)
	}
	if list := p.Tolerates(); len(list) > 0 {
		s.fact("tolerated", ceremony.TellTolerated(list)+": may succeed, if every other attempt is then refused and it is set back")
	}
	t = s.table("keys that each HSM generates", "role", "algorithm", "demanded of every private key")
	for _, r := range p.Roles {
		t.row(r.Name, string(r.Algorithm), attributePolicy(&r))
	}
	t = s.table("people", "name", "role", "key")
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return err
		}
		t.row(x.Name, x.Role, k.Type()+" "+k.Fingerprint())
	}
	t = s.table("who signs the result", "name", "as", "key")
	for _, x := range p.ThirdParties {
		t.row(x.Name, "third party", base64.StdEncoding.EncodeToString(x.Key[:]))
	}
	t.row(p.Countersigner.Name, "operator", fmt.Sprintf("%s, form %s, SHA-256 %s", p.Countersigner.Algorithm, p.Countersigner.Form, short(p.Countersigner.Key)))
	return logPolicyTable("log_policy", []byte(p.LogPolicy), s)
}

// attributePolicy is what a plan demands of a role's private keys.
func attributePolicy(r *ceremony.Role) string {
	var required, wanted []string
	for _, e := range r.Expect() {
		text := e.Name
		if !e.Want {
			text = "not " + text
		}
		if e.Required {
			required = append(required, text)
		} else {
			wanted = append(wanted, text)
		}
	}
	text := strings.Join(required, ", ")
	if len(wanted) > 0 {
		text += "; where the token supports it: " + strings.Join(wanted, ", ")
	}
	return text
}

// explainSite shows names only: where the HSMs are and how their PINs come is
// nobody's business who looks over a shoulder.
func explainSite(file string, data []byte, s *shown) error {
	var site engine.Site
	if _, err := strict.DecodeYAML(file, data, strict.MaxYAML, &site); err != nil {
		return err
	}
	s.Next = "fleetctl plan check PLAN --site " + words.ShellWord(file)
	s.fact("private", "it says where HSMs are and where PINs come from: keep it out of every package, mail and repository")
	s.fact("left out", "modules, token labels and PIN sources are not shown; names only")
	t := s.table("HSMs", "name")
	for _, h := range site.HSMs {
		t.row(h.Name)
	}
	return nil
}

func explainTranscript(file string, data []byte, s *shown) error {
	s.Next = "fleetctl verify " + words.ShellWord(file) + " --policy POLICY --plan PLAN"
	t, err := transcriptAlone(file, data)
	if err != nil {
		return err
	}
	return recordTable(t, s)
}

// transcriptAlone reads a transcript that takes its beginning from itself.
func transcriptAlone(file string, data []byte) (*ceremony.Transcript, error) {
	first, _, _ := strings.Cut(string(data), "\n")
	n, err := strict.ParseJSON(file, []byte(first), 1<<20)
	if err != nil {
		return nil, err
	}
	var plan [32]byte
	if prev := n.Get("prev"); prev != nil {
		if plan, err = strict.ParseHash(prev.Text); err != nil {
			return nil, strict.At(file, 1, "record 1: prev %v", err)
		}
	}
	return ceremony.ParseTranscript(file, data, plan)
}

func recordTable(t *ceremony.Transcript, s *shown) error {
	if len(t.Records) == 0 {
		s.fact("records", "none that is whole")
		return nil
	}
	first, last := t.Records[0], t.Records[len(t.Records)-1]
	if open, ok := first.Content.(*ceremony.Open); ok {
		s.Mode, s.title = open.Mode, open.Ceremony
	}
	s.fact("plan", fmt.Sprintf("%x", first.Prev))
	s.fact("head", hexWords(last.Hash()))
	s.fact("from, to", strict.FormatTime(first.Time)+", "+strict.FormatTime(last.Time))
	withheld := 0
	rows := s.table("records", "n", "time", "kind", "what it says")
	teller := &teller{keys: map[int]string{}}
	for _, r := range t.Records {
		if r.Withheld() {
			withheld++
		}
		rows.row(fmt.Sprint(r.N), r.Time.UTC().Format("15:04:05"), string(r.Kind), teller.tell(r))
	}
	count := fmt.Sprint(len(t.Records))
	if withheld > 0 {
		count += fmt.Sprintf(", %d of them withheld: they count in the chain, and say nothing", withheld)
	}
	s.fact("records", count)
	if n := len(t.Torn); n > 0 {
		s.fact("cut off", fmt.Sprintf("%d bytes after record %d are of a record that was never finished", n, last.N))
	}
	return nil
}

func explainFolder(dir string) (*shown, error) {
	planFile, transcript := filepath.Join(dir, ceremony.PlanFile), filepath.Join(dir, ceremony.TranscriptFile)
	data, err := os.ReadFile(transcript)
	if _, lerr := os.Stat(filepath.Join(dir, "log", "checkpoint")); lerr == nil && err != nil {
		return nil, strict.Errorf(dir, "is a log's directory").WithHint("what it holds is in its checkpoint:\nfleetctl show %s", words.ShellWord(filepath.Join(dir, "log", "checkpoint")))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(dir, "is no ceremony's folder: it has no %s", ceremony.TranscriptFile).
			WithHint("show explains files, the folder of a ceremony, and an unpacked evidence package")
	}
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(planFile)
	if err != nil {
		return nil, err
	}
	plan, err := ceremony.ParsePlan(planFile, raw)
	if err != nil {
		return nil, err
	}
	account, t, err := ceremony.Replay(plan, transcript, data)
	if err != nil {
		return nil, err
	}
	files, err := evidence.ReadFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &shown{
		Kind: "ceremony's folder", Format: "plan.yaml, transcript.jsonl and what follows from them", File: dir, Size: files.Size(),
		Mode: plan.Mode, title: fmt.Sprintf("%s · epoch %d", plan.Fleet, plan.Epoch), Facts: []fact{}, Tables: []factTable{},
		Next: "fleetctl verify " + words.ShellWord(dir) + " --policy POLICY",
	}
	accountFacts(account, t, s)
	if cmd := nextOf(account, dir); cmd != "" && len(t.Torn) == 0 {
		s.fact("to go on", cmd)
	}
	filesTable(files, s)
	if _, err := os.Stat(filepath.Join(dir, ceremony.PrivateDir)); err == nil {
		s.fact("private", ceremony.PrivateDir+"/ is never published, and not shown")
	}
	return s, nil
}

func nextOf(a *ceremony.Account, dir string) string {
	if a.Close != nil {
		return script.Pack(dir)
	}
	return script.Next(a, dir)
}

// accountFacts say where a ceremony stands.
func accountFacts(a *ceremony.Account, t *ceremony.Transcript, s *shown) {
	if a.Open != nil {
		s.fact("ceremony", a.Open.Ceremony)
		s.fact("words", strings.Join(a.Open.Words, " ")+", chosen by the "+a.Open.ChosenBy)
	}
	s.fact("namespace", a.Plan.Namespace)
	step, _ := a.Next()
	state := fmt.Sprintf("at step %d of %d: %s", a.StepNumber(), len(a.Steps), step.Act)
	switch {
	case a.Close != nil:
		state = "closed"
	case a.Abort != nil:
		state = "aborted: " + a.Abort.Reason
	}
	s.fact("state", state)
	s.fact("records", fmt.Sprint(a.N))
	s.fact("head", hexWords(a.Head))
	if n := len(t.Torn); n > 0 {
		s.fact("cut off", fmt.Sprintf("%d bytes after record %d are of a record that was never finished", n, a.N))
	}
	if len(a.Keys) == 0 {
		return
	}
	keys := s.table("keys, by the transcript", "HSM", "role", "algorithm", "SHA-256 of the public key")
	for _, k := range a.Keys {
		digest := "not generated"
		if k.Outcome != nil && len(k.Outcome.PublicKey) > 0 {
			digest = short(k.Outcome.PublicKey)
		}
		keys.row(k.HSM, k.Role, string(k.Intent.Algorithm), digest)
	}
}
