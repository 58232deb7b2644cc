package site

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// destruction is what a ceremony that destroyed keys ends: why they could be destroyed, and what brought
// them. Both were verified with the package.
type destruction struct {
	retirement, brought *bundle.Bundle
}

// destroys reads what a ceremony that destroyed keys has beside its records; nil of any other.
func (e *epoch) destroys() (*destruction, error) {
	if e.plan.Destroys == nil || e.account.Abort != nil {
		return nil, nil
	}
	d := new(destruction)
	var err error
	if d.retirement, err = bundle.ParseAny(ceremony.RetirementFile, e.packed[ceremony.RetirementFile]); err != nil {
		return nil, err
	}
	d.brought, err = bundle.ParseBundle(ceremony.RetiredFile, e.packed[ceremony.RetiredFile])
	return d, err
}

// gone counts the keys of the retired key set that the records show to be destroyed.
func (e *epoch) gone() (n int) {
	for _, d := range e.account.Doomed {
		if d.Destruction != nil && d.Gone {
			n++
		}
	}
	return n
}

// destroyedKeys tells which keys were destroyed, when, under which retirement, and what that
// shows.
func (e *epoch) destroyedKeys() string {
	set, notice := e.ended.brought.KeySet, e.ended.retirement.Notice
	var m markup
	m.add("<p>", fmt.Sprintf("%d of the %s of %s, epoch %d, were destroyed in this ceremony.", e.gone(), words.Count(int64(len(set.Keys)), "key", "keys"), set.Fleet, set.Epoch),
		" They had been retired, from ", strict.FormatTime(*notice.Effective), " on: ", notice.Reason, ". Before each was destroyed it showed by a fresh challenge that it was the key of the retired key set.</p>\n")
	var rows markup
	for _, d := range e.account.Doomed {
		sum := sha256.Sum256(d.Outcome.PublicKey)
		rows.add("<tr><th scope=\"row\">", d.HSM, "</th><td>", d.Role, "</td><td class=\"words\">", words.Head(sum[:]), "…</td><td class=\"mono\">", words.Short(sum[:]), "</td><td class=\"num\">", e.destroyedAt(d), "</td><td class=\"wide\">", explain.Became(d), "</td></tr>\n")
	}
	m.WriteString(box("Destroyed keys", len(e.account.Doomed), "<table class=\"keys\">\n<thead><tr><th>HSM</th><th>role</th><th>words</th><th>SHA-256 begins</th><th>when</th><th>became</th></tr></thead>\n<tbody>\n"+rows.String()+"</tbody></table>\n"))
	if left := e.notPlanned(); left != "" {
		m.add("<p class=\"note\">", "Nothing here shows that the key of "+left+" is destroyed: it isn't in this ceremony's plan.", "</p>\n")
	}
	m.add("<h3>What this shows, and what it can't</h3>\n<ul>\n<li>Who signed: the third party and the operator signed the retirement, officers approved the plan, and the people below were in the room and say of the close whether they agree.</li>\n" +
		"<li>That a key is gone is its HSM's own word: it answered that the key was destroyed, and a new process found it no more.</li>\n" +
		"<li>It does not show that there is no backup, copy or clone of a key. Backups are planned, and told, under what was done after the keys were gone.</li>\n</ul>\n")
	return m.String()
}

// destroyedAt is when the record was made that says what the HSM answered.
func (e *epoch) destroyedAt(d *ceremony.Doomed) string {
	var at time.Time
	for _, r := range e.transcript.Records {
		if c, ok := r.Content.(*ceremony.Destruction); ok && c == d.Destruction {
			at = r.Time
		}
	}
	if at.IsZero() {
		return ""
	}
	return strict.FormatTime(at)
}

// notPlanned names the retired keys that the plan doesn't destroy.
func (e *epoch) notPlanned() string {
	var list string
	for _, k := range e.ended.brought.KeySet.Keys {
		if e.plan.Doomed(k.HSM, k.Role) == nil {
			if list != "" {
				list += ", "
			}
			list += k.HSM + " " + k.Role
		}
	}
	return list
}

// retirementSigned tells who signed the retirement, as the bundle has it.
func (e *epoch) retirementSigned() string {
	var m markup
	for _, f := range explain.NoticeFacts(e.ended.retirement.Notice)[1:] { // without its format
		m.add("<dt>", f[0], "</dt><dd>", f[1], "</dd>\n")
	}
	facts := "<dl>\n" + m.String() + "</dl>\n"
	m = markup{}
	for _, s := range e.ended.retirement.Statements {
		name, signed := "a key that the plan doesn't name", strict.FormatTime(s.Statement.Time())
		for _, p := range e.plan.ThirdParties {
			if p.Key == s.Key {
				name = p.Name
			}
		}
		if s.Addition != nil {
			signed += ", ed25519 and " + string(s.Addition.Key.Algorithm())
		}
		m.add("<tr><td>", name, "</td><td>third party</td><td>", signed, "</td></tr>\n")
	}
	for _, c := range e.ended.retirement.Countersignatures {
		name := "a key that the plan doesn't name"
		if p := e.plan.Countersigner; string(p.Key) == string(c.Key.SPKI()) || p.PostQuantum.Is(c.Key) {
			name = p.Name
		}
		m.add("<tr><td>", name, "</td><td>operator</td><td>", "over that statement, "+string(c.Key.Algorithm()), "</td></tr>\n")
	}
	return facts + box("Signatures under the retirement", 0, "<table>\n<thead><tr><th>who</th><th>part</th><th>signed</th></tr></thead>\n<tbody>\n"+m.String()+"</tbody></table>\n")
}
