package evidence_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	evidencepage "github.com/fleetctl/fleetctl/attest/evidence/page"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestAPageIsShownOnlyWhereItIsRenderedAgain: one of another version may lie, and is
// named as not shown; one that could act or lead elsewhere is a fault of the
// package. Everybody signed the close that lists it.
func TestAPageIsShownOnlyWhereItIsRenderedAgain(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	demanding := must(evidence.ParsePolicy("p", f.Policy))
	lenient := must(evidence.ParsePolicy("p", []byte(strings.Replace(string(f.Policy), "  page: proven\n", "", 1))))
	judge := func(page string, p *evidence.Policy) *evidence.Report {
		x := maps.Clone(f.Files)
		x[evidence.PageFile] = []byte(page)
		x = closedAgain(f, x, evidence.PageFile)
		return must(evidence.Verify(evidence.Input{File: "f", Data: must(sealed(x))}, p, evidence.Question{Now: f.Now()}))
	}
	good := string(f.Files[evidence.PageFile])
	for _, c := range []struct {
		name, page, detail, problem string
		ok, demanded                bool
	}{
		{name: "its own", page: good, detail: "rendered again from the data, and the same", ok: true, demanded: true},
		{name: "of a later version", page: strings.Replace(good, "page v4", "page v5", 1), detail: `its version is "fleetctl page v5", this verifier knows fleetctl page v4: it was compared with nothing and may say anything`, ok: true},
		{name: "that lies", page: "<!doctype html><p>All is well.</p>", detail: "it names no version", ok: true},
		{name: "of a later version, with a script", page: strings.Replace(strings.Replace(good, "page v4", "page v5", 1), "<h2>", "<script>x</script><h2>", 1), problem: `has the element "script"`},
		{name: "of a later version, with a handler", page: strings.Replace(strings.Replace(good, "page v4", "page v5", 1), "<h2>", `<h2 onclick="x">`, 1), problem: "has an attribute at"},
		{name: "of a later version, that leads elsewhere", page: strings.Replace(strings.Replace(good, "page v4", "page v5", 1), "<h2>", `<a href="https://x.example/">keys</a><h2>`, 1), problem: `has the element "a"`},
		{name: "of this version, with a script", page: strings.Replace(good, "<h2>", "<script>x</script><h2>", 1), problem: "does not say what the data says"},
		{name: "of no kind", page: "hello", problem: "does not begin with <!doctype html>"},
	} {
		for _, p := range []*evidence.Policy{demanding, lenient} {
			r := judge(c.page, p)
			want := c.ok && (c.demanded || p == lenient)
			said := c.problem == "" && len(r.Problems) == 0
			for _, x := range r.Problems {
				said = said || c.problem != "" && x.Where == evidence.PageFile && strings.Contains(x.What, c.problem)
			}
			page := r.Claim(evidence.ClaimPage)
			if r.Verified != want || !said || !strings.Contains(page.Detail, c.detail) || (page.Grade == evidence.Proven) != c.demanded {
				t.Errorf("a page %s: verified %t, want %t; %s: %s; %+v", c.name, r.Verified, want, page.Grade, page.Detail, r.Problems)
			}
			if bound := r.Claim(evidence.ClaimBound).Grade == evidence.Proven; bound != c.ok {
				t.Errorf("a page %s: evidence.bound is proven: %t", c.name, bound)
			}
		}
	}
}

// The page says of every record what show says; it once called those of the
// lock-down restricted.
func TestThePageTellsWhatTheLockDownCameTo(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Lockdown: []string{"seal every HSM"}})
	page := string(f.Files[evidence.PageFile])
	for _, want := range []string{
		"lock-down 1, seal every HSM: read off: read off by the test, by the machine in both parts",
		"may leave the room",
		"<td>unlock</td><td class=\"wide\">restricted</td>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n, unlocks := strings.Count(page, ">restricted<"), strings.Count(page, "<td>unlock</td>"); n != unlocks {
		t.Errorf("%d records are called restricted, %d are", n, unlocks)
	}
}

// TestThePageTellsTheStory: who said what of the release, what went otherwise, and
// that it went as planned where it did; no word of what is restricted.
func TestThePageTellsTheStory(t *testing.T) {
	planned := testfleet.New(t, testfleet.Options{})
	as := string(planned.Files[evidence.PageFile])
	f := testfleet.New(t, testfleet.Options{Onlookers: []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}, Away: []string{"wim"}})
	page := string(f.Files[evidence.PageFile])
	for _, c := range []struct{ page, want string }{
		{as, "<dt>went otherwise than planned</dt><dd>nothing</dd>"},
		{as, "<small>officer</small> <small class=\"mono\">" + fingerprint(planned, "olga") + "</small></td><td class=\"planned\">agrees</td><td class=\"wide\">plan; open; request; countersign</td>"},
		{as, "3 logins, 3 if each PIN is given once"},
		{page, "<li>2 exceptions</li>"},
		{page, "<td class=\"what\">exception 1</td><td class=\"wide\">not everyone came; expected: everyone; decided: to go on; no verdict by wim; accepted by olga, omar</td>"},
		{page, "<td>wim <small>witness</small> <small class=\"mono\">" + fingerprint(f, "wim") + "</small></td><td class=\"notable\">none</td><td class=\"wide\">nothing</td>"},
		{page, "Who sees what is restricted."},
		{page, "verify marks everybody here whose key it doesn't pin"},
	} {
		if !strings.Contains(c.page, c.want) {
			t.Errorf("the page has no %q in\n%s", c.want, c.page)
		}
	}
	again := maps.Clone(f.Files)
	delete(again, evidence.PageFile)
	again[ceremony.TranscriptFile] = must(ceremony.Withhold(f.Plan, again[ceremony.TranscriptFile]))
	if bytes.Equal(again[ceremony.TranscriptFile], f.Transcript()) || !bytes.Equal(must(evidence.Page(again)), f.Files[evidence.PageFile]) {
		t.Error("the page is another one where restricted records are withheld")
	}
}

func fingerprint(f *testfleet.Fleet, name string) string {
	i := slices.IndexFunc(f.Plan.People, func(p ceremony.Person) bool { return p.Name == name })
	return strings.ReplaceAll(must(sshsig.ParsePublicKey(f.Plan.People[i].Key)).Fingerprint(), "+", "&#43;")
}

// The page names each device, and says that what people saw of it is theirs alone.
func TestThePageTellsWhatDevicesAttested(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 2, Attested: true})
	page := string(f.Files[evidence.PageFile])
	for _, s := range f.Account.AttestationSteps() {
		if !strings.Contains(page, `<td class="mono">`+s.Wants.Identity+`</td><td>fresh</td><td>AK root</td>`) {
			t.Errorf("the page doesn't tell of %s", s.Name())
		}
	}
	if !strings.Contains(page, "judges it under anchors of their own") || strings.Contains(string(testfleet.New(t, testfleet.Options{HSMs: 2}).Files[evidence.PageFile]), "<h2>Devices</h2>") {
		t.Error("devices stand on the page of a plan that names none, or nobody is told whose word it is")
	}
	if r := must(evidence.Verify(evidence.Input{File: "f", Data: f.Archive}, must(evidence.ParsePolicy("p", f.Policy)), evidence.Question{Now: f.Now()})); r.Claim(evidence.ClaimPage).Grade != evidence.Proven {
		t.Errorf("%+v", r.Claim(evidence.ClaimPage))
	}
}

// The page tells each drill, as its report has it, and whose word that is.
func TestThePageTellsWhatDrillsCameTo(t *testing.T) {
	f := drilledTwice(t)
	page := string(f.Files[evidence.PageFile])
	for _, want := range []string{
		"<h2>Drill of a reference fleet</h2>", "A reference, not a vault.", "the word of whoever ran it. Who signs the close attests to it: verify names them.",
		`<h2 class="grave"><span class="what">Drill 1 failed</span></h2>`, "<li>node hsm-2 hung</li>", `<h2 class="planned"><span class="what">Drill 2 passed</span></h2>`, "<dd>96 sent: 90 answered, 3 without an answer; the nodes counted 91</dd>",
		"<dd>60 keys came back</dd>", "<dd>0 keys released after a lock; 0 guesses answered or spent without a majority</dd>", "<dd>logins: 180 operations of devices, linearizable</dd>",
		`<td class="planned">passed</td><td class="wide">leader-killed 3, site-cut-off 3,`, `<td class="notable">not run</td><td class="wide">left out</td>`,
		`<td class="what">hsm-2 <small>led 3 times; 32 guesses, 30 answered</small></td><td class="wide planned">TPM NV index, removed at 2026-`,
		"<dt>a guess answered, median</dt><dd>4.5 ms, of ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if r, _ := drillJudged(t, f, f.Files); r.Claim(evidence.ClaimPage).Grade != evidence.Proven {
		t.Errorf("%+v", r.Claim(evidence.ClaimPage))
	}
	if strings.Contains(string(testfleet.New(t, testfleet.Options{HSMs: 2}).Files[evidence.PageFile]), "<h2>Drill") {
		t.Error("a drill stands on the page of a plan that has none")
	}
}

// What a report's texts say is text on the page, and an HSM in which something was left
// catches the eye.
func TestTextsOfADrillStayText(t *testing.T) {
	const said = `</td></table><script>alert(1)</script><img src=x onerror=alert(1)> {{records}} "' &amp;`
	f := drilledFirst(t, "hostile drill", func(r *report.Report, a *ceremony.Account) {
		testfleet.Succeed(r, a.Release.Artifact)
		r.Outcome, r.Faults = report.Failed, []string{said}
		r.Stage("passkey").Reason, r.Versions[0].Name = said, said
		r.Anchors[0].Where, r.Anchors[0].Removed, r.Anchors[0].Reason = said, time.Time{}, said
	})
	page := f.Files[evidence.PageFile]
	escaped := "&lt;/td&gt;&lt;/table&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; {{records}} &#34;&#39; &amp;amp;"
	for _, want := range []string{
		"<li>" + escaped + "</li>", `<td class="wide">` + escaped + "</td>", "<dd>" + escaped + " test</dd>",
		`<td class="wide grave">` + escaped + ", left: " + escaped + "</td>", `<dt>left in</dt><dd class="grave"><span class="what">hsm-1</span></dd>`, "<dd>epoch 2 of ceremony backup-test.",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if _, err := evidencepage.Passive(page); err != nil || bytes.Contains(page, []byte("<script")) || bytes.Contains(page, []byte("<img")) {
		t.Errorf("the page has an element that the report brought, or isn't mere text: %v", err)
	}
}
