package explain

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// hexWords is a digest in hex, and its first words.
func hexWords(h [32]byte) string { return fmt.Sprintf("%x   %s …", h, words.Head(h[:])) }

func orNone(h []byte) string {
	if len(h) == 0 || [32]byte(h) == [32]byte{} {
		return "none: the first epoch"
	}
	return fmt.Sprintf("%x", h)
}

// Plan explains a plan.
func Plan(file string, data []byte, s *Shown) error {
	p, err := ceremony.ParsePlan(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.Title = p.Mode, fmt.Sprintf("%s · epoch %d", p.Fleet, p.Epoch)
	s.Next = "fleetctl plan check " + words.ShellWord(file)
	s.Fact("namespace", p.Namespace)
	s.Fact("previous", orNone(p.Previous[:]))
	s.Fact("majority", fmt.Sprintf("%d of %d HSMs", p.Majority, len(p.HSMs)))
	s.Fact("officers", fmt.Sprintf("%d must agree", p.Threshold))
	if n := len(p.ThirdParties); n > 1 {
		s.Fact("third parties", fmt.Sprintf("%d of %d must sign before the operator", p.Answers(), n))
	}
	s.Fact("bundle", fmt.Sprintf("at most %s bytes", words.Number(int64(p.MaxBundle()))))
	s.Fact("steps", fmt.Sprint(len(p.Steps())))
	t := s.Table("HSMs", "name", "site", "serial")
	for _, h := range p.HSMs {
		t.Row(h.Name, h.Site, h.Serial)
	}
	if len(p.Models) > 0 {
		s.Fact("models", strings.Join(p.Models, ", "))
	}
	if list := p.Devices(); len(list) > 0 {
		t := s.Table("devices, by what their vendors attest", "name", "format", "identity")
		for _, d := range list {
			t.Row(d.Name, d.Format, d.Identity)
		}
	}
	if list := p.Tolerates(); len(list) > 0 {
		s.Fact("tolerated", ceremony.TellTolerated(list)+": may succeed, if every other attempt is then refused and it is set back")
	}
	var byTPM []string
	for _, h := range p.HSMs {
		if h.Agreement == ceremony.AgreementTPM {
			byTPM = append(byTPM, h.Name)
		}
	}
	if byTPM != nil {
		s.Fact("agreement", strings.Join(byTPM, ", ")+": by its TPM ("+ceremony.AgreementTPM+"); its keys that agree have DERIVE false and DECRYPT true")
	}
	if d := p.Destroys; d != nil {
		s.Fact("destroys", fmt.Sprintf("keys of the key set %x, retired from %s on", d.Artifact, strict.FormatTime(d.Effective)))
		t = s.Table("keys that are destroyed", "HSM", "role", "CKA_ID", "SHA-256 of the public key")
		for _, k := range d.Keys {
			t.Row(k.HSM, k.Role, fmt.Sprintf("%x", k.ID), short(k.PublicKey))
		}
	} else {
		t = s.Table("keys that each HSM generates", "role", "algorithm", "demanded of every private key")
		for _, r := range p.Roles {
			t.Row(r.Name, string(r.Algorithm), attributePolicy(&r))
		}
	}
	t = s.Table("people", "name", "role", "key")
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return err
		}
		t.Row(x.Name, x.Role, k.Type()+" "+k.Fingerprint())
	}
	t = s.Table("who signs the result", "name", "as", "key")
	for _, x := range p.ThirdParties {
		t.Row(x.Name, "third party", base64.StdEncoding.EncodeToString(x.Key[:]))
		if q := x.PostQuantum; q != nil {
			t.Row("", "adds to its statement", fmt.Sprintf("%s, SHA-256 %s", q.Algorithm, short(q.Key)))
		}
	}
	t.Row(p.Countersigner.Name, "operator", fmt.Sprintf("%s, form %s, SHA-256 %s", p.Countersigner.Algorithm, p.Countersigner.Form, short(p.Countersigner.Key)))
	if q := p.Countersigner.PostQuantum; q != nil {
		t.Row("", "signs beside it", fmt.Sprintf("%s, SHA-256 %s", q.Algorithm, short(q.Key)))
	}
	return LogPolicyTable("log_policy", []byte(p.LogPolicy), s)
}

// attributePolicy says which attributes a plan demands of a role's private keys.
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

// Transcript explains a transcript record by record.
func Transcript(file string, data []byte, s *Shown) error {
	s.Next = "fleetctl verify " + words.ShellWord(file) + " --policy POLICY --plan PLAN"
	t, err := transcriptAlone(file, data)
	if err != nil {
		return err
	}
	return recordTable(t, s)
}

// transcriptAlone reads a transcript without its plan: it takes the plan's digest from the
// first record.
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

func recordTable(t *ceremony.Transcript, s *Shown) error {
	if len(t.Records) == 0 {
		s.Fact("records", "none that is whole")
		return nil
	}
	first, last := t.Records[0], t.Records[len(t.Records)-1]
	if open, ok := first.Content.(*ceremony.Open); ok {
		s.Mode, s.Title = open.Mode, open.Ceremony
	}
	s.Fact("plan", fmt.Sprintf("%x", first.Prev))
	s.Fact("head", hexWords(last.Hash()))
	s.Fact("from, to", strict.FormatTime(first.Time)+", "+strict.FormatTime(last.Time))
	withheld := 0
	rows := s.Table("records", "n", "time", "kind", "what it says")
	records := NewRecords()
	for _, r := range t.Records {
		if r.Withheld() {
			withheld++
		}
		rows.Row(fmt.Sprint(r.N), r.Time.UTC().Format("15:04:05"), string(r.Kind), records.Tell(r))
	}
	count := fmt.Sprint(len(t.Records))
	if withheld > 0 {
		count += fmt.Sprintf(", %d of them withheld: they count in the chain, and say nothing", withheld)
	}
	s.Fact("records", count)
	if n := len(t.Torn); n > 0 {
		s.Fact("cut off", fmt.Sprintf("%d bytes after record %d are of a record that was never finished", n, last.N))
	}
	return nil
}

// AccountFacts say where a ceremony stands.
func AccountFacts(a *ceremony.Account, t *ceremony.Transcript, s *Shown) {
	if a.Open != nil {
		s.Fact("ceremony", a.Open.Ceremony)
		s.Fact("words", strings.Join(a.Open.Words, " ")+", chosen by the "+a.Open.ChosenBy)
	}
	s.Fact("namespace", a.Plan.Namespace)
	step, _ := a.Next()
	state := fmt.Sprintf("at step %d of %d: %s", a.StepNumber(), len(a.Steps), step.Act)
	switch {
	case a.Close != nil:
		state = "closed"
	case a.Abort != nil:
		state = "aborted: " + a.Abort.Reason
	}
	s.Fact("state", state)
	s.Fact("records", fmt.Sprint(a.N))
	s.Fact("head", hexWords(a.Head))
	if n := len(t.Torn); n > 0 {
		s.Fact("cut off", fmt.Sprintf("%d bytes after record %d are of a record that was never finished", n, a.N))
	}
	if len(a.Doomed) > 0 {
		destroyed := s.Table("keys, by the transcript", "HSM", "role", "SHA-256 of the public key", "became")
		for _, d := range a.Doomed {
			destroyed.Row(d.HSM, d.Role, short(d.Outcome.PublicKey), Became(d))
		}
	}
	if len(a.Keys) == 0 {
		return
	}
	keys := s.Table("keys, by the transcript", "HSM", "role", "algorithm", "SHA-256 of the public key")
	for _, k := range a.Keys {
		digest := "not generated"
		if k.Outcome != nil && len(k.Outcome.PublicKey) > 0 {
			digest = short(k.Outcome.PublicKey)
		}
		keys.Row(k.HSM, k.Role, string(k.Intent.Algorithm), digest)
	}
}
