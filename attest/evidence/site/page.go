package site

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence/page"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// unverified is what every page that tells a package says first.
const unverified = "<p class=\"note\"><strong>Nothing is verified here.</strong> This page tells what the files of the package say. " +
	"Whether it is so, and whose keys these are, only you can find out: <a href=\"#verify\">verify it yourself</a>, offline, against keys that you got from their owners.</p>\n"

// page tells one package.
func (e *epoch) page() ([]byte, error) {
	keys, err := e.keyTable()
	if err != nil {
		return nil, err
	}
	var list []section
	signatures := box("Signatures", 0, "<table>\n<thead><tr><th>who</th><th>part</th><th>signed</th></tr></thead>\n<tbody>\n{{signers}}</tbody></table>\n") + "{{logged}}\n"
	if e.ended != nil {
		list = []section{{"destroyed", "What was destroyed", e.destroyedKeys()}}
		signatures = e.retirementSigned()
	}
	list = append(list, []section{
		{"fleet", "The fleet by site", e.fleet()},
		{"happened", "What happened", e.timeBar() + box("Timeline", 0, "<table class=\"timeline\">\n<thead><tr><th>time</th><th>what</th><th>more</th></tr></thead>\n<tbody>\n{{timeline}}</tbody></table>\n") +
			"<p class=\"dim\">Times are UTC, by the clock of the ceremony's computer.</p>\n"},
		{"people", "People and verdicts", box("People and verdicts", len(e.plan.People), "<table class=\"people\">\n<thead><tr><th>who</th><th>verdict on the release</th><th>verdict on the close</th><th>approved</th></tr></thead>\n<tbody>\n{{people}}</tbody></table>\n") +
			"<p class=\"dim\">The keys are those that the plan names, which is its author's word for whose they are. Your own policy decides.</p>\n"},
	}...)
	if e.set != nil {
		list = append(list, section{"keys", "Keys, with words to read aloud", keys}, section{"delta", "What changed since the epoch before", e.delta()})
	}
	if e.account.FleetCheck != nil {
		list = append(list, section{"check", "Fleet check", box("Fleet check", len(e.plan.HSMs), "<table>\n{{fleet check rows}}</table>\n") + "<p class=\"dim\">{{fleet check note}}</p>\n"})
	}
	if len(e.account.AttestationSteps()) > 0 {
		list = append(list, section{"attestations", "Attestations by the devices", box("Attestations", len(e.account.AttestationSteps()), "<table>\n{{device rows}}</table>\n") + "<p class=\"dim\">{{device note}}</p>\n"})
	}
	if e.plan.Drill != nil {
		list = append(list, section{"drill", "Drill of a reference fleet", "{{drills}}"})
	}
	list = append(list,
		section{"signatures", "Signatures", signatures},
		section{"records", "Transcript", "<details>\n<summary>All {{count}} records</summary>\n" + box("Transcript", e.account.N, "<table>\n<thead><tr><th class=\"num\">n</th><th>time</th><th>kind</th><th>what</th></tr></thead>\n<tbody>\n{{records}}</tbody></table>\n") +
			"</details>\n<p class=\"dim\"><strong>Who sees what is restricted.</strong> {{restricted}}</p>\n"},
		section{"files", "Downloads", e.downloadTable()},
		section{"verify", "Verify it yourself", e.howTo()})
	var m markup
	title := fmt.Sprintf("%s, epoch %d, %s", e.plan.Fleet, e.plan.Epoch, e.ending())
	m.head(title)
	m.add("<nav aria-label=\"Site\" class=\"site\"><a href=\"../" + pageFile + "\">All epochs</a></nav>\n<main id=\"main\">\n<header>\n")
	m.WriteString(e.masthead())
	m.add("</header>\n" + e.standing() + unverified)
	m.WriteString(e.says())
	m.sections(list)
	m.add("</main>\n" + footer + "</body>\n</html>\n")
	var b bytes.Buffer
	err = page.Fill(&b, e.content(), m.String())
	return b.Bytes(), err
}

const footer = "<footer>\n<p>Made by <code>fleetctl evidence site</code>. This is a viewer: what it shows is the package's word, and a site can be changed by whoever serves it. " +
	"The verdict is that of <code>fleetctl verify</code>, on your machine.</p>\n</footer>\n"

func (e *epoch) ending() string {
	if e.account.Abort != nil {
		return "aborted " + e.plan.Mode
	}
	if e.ended != nil {
		return e.plan.Mode + ", keys destroyed"
	}
	return e.plan.Mode
}

func (e *epoch) masthead() string {
	var m markup
	m.add("<p class=\"mode {{mode}}\">", e.ending(), "</p>\n<h1>{{fleet}}, epoch {{epoch}}</h1>\n<dl>\n<dt>namespace</dt><dd>{{namespace}}</dd>\n<dt>ran</dt><dd>{{ran}}</dd>\n"+
		"<dt>went otherwise than planned</dt><dd>{{otherwise}}</dd>\n<dt>PINs</dt><dd>{{logins}}</dd>\n")
	names, _ := e.sites()
	size := words.Count(int64(len(e.plan.HSMs)), "HSM", "HSMs") + " at " + words.Count(int64(len(names)), "site", "sites")
	if e.set != nil {
		size = words.Count(int64(len(e.set.Keys)), "key", "keys") + " in " + size
	}
	if e.ended != nil {
		size = words.Count(int64(e.gone()), "key", "keys") + " destroyed in " + size
	}
	m.add("<dt>fleet</dt><dd>", size, "</dd>\n<dt>identity</dt><dd>"+digits("of the last record", e.account.Head)+"</dd>\n</dl>\n")
	return m.String()
}

// says is what came of the publisher's policy, as the publisher's word.
func (e *epoch) says() string {
	if !e.asked {
		return ""
	}
	r := e.report
	var m markup
	m.add("<p class=\"note\"><strong>The publisher says:</strong> verified by fleetctl as of ", strict.FormatTime(r.Time), ", ",
		words.Count(int64(r.Demanded), "claim", "claims"), " demanded and shown, under a policy of the publisher's own. That is the publisher's word, as everything here is.</p>\n"+
			digits("SHA-256 of that policy", r.Policy.Digest))
	return m.String()
}

// keyTable is a table of the keys, by site.
func (e *epoch) keyTable() (string, error) {
	keys, err := e.keys()
	if err != nil {
		return "", err
	}
	var m, whole markup
	m.add("<table class=\"keys\">\n<thead><tr><th>HSM</th><th>role</th><th>words</th><th>SHA-256 begins</th><th>algorithm</th><th>serial</th></tr></thead>\n")
	names, _ := e.sites()
	for _, name := range names {
		m.add("<tbody>\n<tr class=\"group\"><th colspan=\"6\" scope=\"rowgroup\">", name, "</th></tr>\n")
		for _, k := range keys {
			if k.hsm.Site != name {
				continue
			}
			m.add("<tr><th scope=\"row\">", k.hsm.Name, "</th><td>", k.role, "</td><td class=\"words\">", words.Head(k.sum[:]), "…</td><td class=\"mono\">",
				words.Short(k.sum[:]), "</td><td>", k.alg, "</td><td class=\"mono\">", k.hsm.Serial, "</td></tr>\n")
			whole.add("<dt>", k.hsm.Name+" "+k.role, "</dt><dd><code>", hex.EncodeToString(k.sum[:]), "</code><br>", strings.Join(words.Encode(k.sum[:]), " "), "</dd>\n")
		}
		m.add("</tbody>\n")
	}
	m.add("</table>\n")
	return box("Keys", len(keys), m.String()) +
		"<p class=\"dim\">The words are the first four of each public key's SHA-256, from the PGP word list: enough to compare by telephone that two people look at one key, not enough against a forger. All of them stand below.</p>\n" +
		"<details>\n<summary>Digests in full, with all words</summary>\n<dl class=\"digests\">\n" + whole.String() + "</dl>\n</details>\n", nil
}

// delta is what changed in the keys since the epoch before.
func (e *epoch) delta() string {
	var m markup
	switch {
	case e.plan.Epoch == 1:
		return "<p>This is the namespace's first epoch: every key is new.</p>\n"
	case e.before == nil:
		m.add("<p>The package of epoch ", fmt.Sprint(e.plan.Epoch-1), " is not on this site. This one names it by its digest.</p>\n"+digits("epoch before", e.plan.Previous))
		return m.String()
	}
	d := bundle.Diff(e.before.set, e.set)
	m.add("<p>Compared with <a href=\"../"+e.before.dir+"/"+pageFile+"\">epoch ", fmt.Sprint(e.before.plan.Epoch), "</a>: ", changed(d), ".</p>\n")
	if d.MajorityBefore != d.MajorityAfter {
		m.add("<p>The majority was ", fmt.Sprintf("%d of %d HSMs, and is %d of %d", d.MajorityBefore, len(e.before.set.HSMs()), d.MajorityAfter, len(e.set.HSMs())), ".</p>\n")
	}
	var rows markup
	row := func(change string, k bundle.FleetKey, more string) {
		sum := sha256.Sum256(k.SPKI)
		rows.add("<tr><td>", change, "</td><td>", k.HSM, "</td><td>", k.Role, "</td><td class=\"words\">", words.Head(sum[:]), "…</td><td class=\"mono\">", words.Short(sum[:]), "</td><td class=\"words\">", more, "</td></tr>\n")
	}
	for _, k := range d.Added {
		row("added", k, "")
	}
	for _, k := range d.Removed {
		row("removed", k, "")
	}
	for _, c := range d.Replaced {
		was := sha256.Sum256(c.Old.SPKI)
		row("replaced", c.New, "was "+words.Head(was[:])+"…, "+words.Short(was[:]))
	}
	for _, c := range d.Moved {
		row("moved", c.New, "was in "+c.Old.HSM+" as "+c.Old.Role)
	}
	if rows.Len() > 0 {
		m.WriteString(box("Changes of keys", len(d.Added)+len(d.Removed)+len(d.Replaced)+len(d.Moved), "<table>\n<thead><tr><th>change</th><th>HSM</th><th>role</th><th>words</th><th>SHA-256 begins</th><th>before</th></tr></thead>\n<tbody>\n"+rows.String()+"</tbody></table>\n"))
	}
	return m.String()
}

// changed counts what changed.
func changed(d *bundle.Delta) string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{len(d.Added), "added"}, {len(d.Removed), "removed"}, {len(d.Replaced), "replaced"}, {len(d.Moved), "moved"}} {
		if c.n > 0 {
			parts = append(parts, words.Count(int64(c.n), "key ", "keys ")+c.what)
		}
	}
	if len(parts) == 0 {
		return "no key changed"
	}
	return strings.Join(parts, ", ")
}

// downloadTable names the files that are handed out, with their digests.
func (e *epoch) downloadTable() string {
	var m markup
	m.add("<ul class=\"downloads\">\n")
	for _, d := range e.downloads() {
		data := e.files[d.path]
		m.add("<li><a href=\"", d.path, "\" download>", d.path, "</a> <small>", words.Size(int64(len(data))), "</small><br>", d.what, "\n"+digits("SHA-256", sha256.Sum256(data))+"</li>\n")
	}
	m.add("</ul>\n<p class=\"dim\">What restricted records say is left out of the package: it has the same identity with it and without. " + sumsFile + " in the site's first folder lists every file.</p>\n")
	return m.String()
}

// howTo says how to verify the package without this site.
func (e *epoch) howTo() string {
	expect := ""
	if e.account.Abort != nil {
		expect = " --expect abort"
	} else if e.ended != nil {
		expect = " --expect destruction"
	}
	return "<ol>\n<li>Download the package, and each proof that stands beside it, into one folder.</li>\n" +
		"<li>Write a policy that pins the keys of the people, the third party and the log. Get each key, or compare it, with its owner over another channel: by telephone, in print, in person. Take none from this site or from the package: a forger would have put theirs there.</li>\n" +
		"<li>Get fleetctl from where you trust it, and run\n<pre tabindex=\"0\"><code>fleetctl verify " + packageFile + " --policy your-policy.yaml" + expect + "</code></pre></li>\n" +
		"</ol>\n<p>It reaches no network. It exits 0 and says VERIFIED only if every claim that your policy demands is shown.</p>\n" +
		"<p>Why a claim is shown, with the bytes it rests on and the commands of other programs that check them, says <code>--explain CLAIM</code> behind it. " +
		"With other programs, <code>scripts/verify-by-hand " + packageFile + " your-policy.json</code> from its source, under what <code>fleetctl policy json your-policy.yaml</code> prints, checks the cryptography with sha256sum, openssl and ssh-keygen alone, and prints each command before it runs it.</p>\n" +
		"<p>Before you install anything, <a href=\"../" + verifyPage + "\">check it in this browser</a>: a second implementation, which says what it leaves out.</p>\n"
}
