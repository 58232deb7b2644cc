package site

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestTheSamePackagesGiveTheSameBytes(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Sites: places(2)})
	g := testfleet.New(t, testfleet.Options{Sites: places(2), After: f, Name: "again"})
	q := Question{Now: g.Now()}
	one := must(Build([]evidence.Input{published(f), published(g)}, q))
	two := must(Build([]evidence.Input{published(g), published(f)}, Question{Now: g.Now().Add(time.Hour)}))
	if !same(one, two) {
		t.Error("the order in which packages are given, or the hour, changes the site")
	}
	if len(one) != 13 {
		t.Errorf("%d files: %q", len(one), slices.Sorted(maps.Keys(one)))
	}
	if !bytes.Equal(one["epoch-2/evidence.tar"], published(g).Data) {
		t.Error("the package that is handed out is another")
	}
}

// TestTheSiteTellsThePagesStory: what the package's own page says of people, timeline
// and checks stands on the site word for word.
func TestTheSiteTellsThePagesStory(t *testing.T) {
	f := interrupted(t, 3, "the cable was pulled out")
	site := string(must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()}))["epoch-1/index.html"])
	own := string(f.Files[evidence.PageFile])
	n := 0
	for _, between := range [][2]string{{"<table class=\"timeline\">\n", "</table>"}, {"<dt>ran</dt>", "</dl>"}, {"<th>possession</th>", "</table>"}, {"<th class=\"num\">n</th>", "</table>"}} {
		_, rest, ok := strings.Cut(own, between[0])
		part, _, _ := strings.Cut(rest, between[1])
		if !ok {
			t.Errorf("the package's page has no %s", between[0])
		}
		for row := range strings.Lines(part) {
			if n++; !strings.Contains(site, strings.TrimSpace(row)) {
				t.Errorf("the site doesn't say %s", row)
			}
		}
	}
	if n < 30 {
		t.Errorf("%d rows are compared", n)
	}
	for _, want := range []string{
		"45 min of it at a standstill", "<dd><ul class=\"otherwise\"><li>1 exception</li><li>1 interruption</li><li>1 key that failed</li></ul></dd>",
		`aria-label="The ceremony's time: 1 standstill"`, `class="off"`, `class="event"`, "<p>It stood still from 2026-11-21 10:00 to 2026-11-21 10:45.</p>",
	} {
		if want = strings.ReplaceAll(want, "'", "&#39;"); !strings.Contains(site, want) {
			t.Errorf("the site has no %s", want)
		}
	}
}

func TestWhatIsRestrictedIsNotPublished(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	_, err := Build([]evidence.Input{{File: "evidence.tar", Data: f.Archive}}, Question{Now: f.Now()})
	if err == nil || !strings.Contains(err.Error(), "evidence.tar: says what 3 restricted records say") {
		t.Errorf("a package with restricted records: %v", err)
	}
	for path, data := range must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()})) {
		if bytes.Contains(data, []byte(`"method":"fd"`)) || bytes.Contains(data, []byte(`\"method\"`)) {
			t.Errorf("%s says how somebody logged in", path)
		}
	}
}

func TestNothingIsPublishedThatDoesNotHoldTogether(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	g := testfleet.New(t, testfleet.Options{After: f, Name: "again"})
	other := testfleet.New(t, testfleet.Options{Name: "other"})
	same := *f.Parties
	same.Ledger = filepath.Join(t.TempDir(), "ledger.jsonl")
	sister := testfleet.New(t, testfleet.Options{Name: "sister", Parties: &same})
	good := published(f)
	change := func(path string, to []byte) evidence.Input {
		files := maps.Clone(must(evidence.Unpack("f", good.Data)))
		if files[path] = to; to == nil {
			delete(files, path)
		}
		return packed("changed.tar", files)
	}
	named := func(in evidence.Input, name string) evidence.Input { in.File = name; return in }
	proof := good
	proof.Logged = f.Files[ceremony.ProofFile]
	whole := must(evidence.Unpack("f", good.Data))[ceremony.BundleFile]
	for name, c := range map[string]struct {
		list []evidence.Input
		want string
	}{
		"none":                        {nil, "no package is given"},
		"no archive":                  {[]evidence.Input{{File: "x.tar", Data: []byte("hello")}}, "x.tar"},
		"a folder":                    {[]evidence.Input{{File: "dir", Folder: f.Files}}, "dir: is a folder, and an archive is published"},
		"another page":                {[]evidence.Input{change(evidence.PageFile, []byte("<!doctype html><p>All is well.</p>"))}, "changed.tar: index.html: "},
		"a bundle with a byte more":   {[]evidence.Input{change(ceremony.BundleFile, append(slices.Clone(whole), ' '))}, "changed.tar: bundle.json"},
		"no bundle":                   {[]evidence.Input{change(ceremony.BundleFile, nil)}, "bundle.json"},
		"a file of nobody's":          {[]evidence.Input{change("more.html", []byte("x"))}, "more.html"},
		"a proof of something else":   {[]evidence.Input{proof}, "evidence.tar: "},
		"one twice":                   {[]evidence.Input{good, named(good, "copy.tar")}, "copy.tar: is the ceremony that evidence.tar is"},
		"two ends of an epoch":        {[]evidence.Input{good, named(published(sister), "sister.tar")}, "both end epoch 1"},
		"an epoch of another history": {[]evidence.Input{named(published(other), "other.tar"), published(g)}, "as the epoch before it"},
	} {
		files, err := Build(c.list, Question{Now: g.Now().Add(time.Hour)})
		if err == nil || !strings.Contains(err.Error(), c.want) || files != nil {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestThePublishersVerdictIsThePublishersWord: with a policy nothing is published that
// it doesn't verify, and the page calls the verdict what it is; without one it says
// nothing of a verdict.
func TestThePublishersVerdictIsThePublishersWord(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	q := Question{Now: f.Now(), Policy: policy}
	page := string(must(Build([]evidence.Input{published(f)}, q))["epoch-1/index.html"])
	if !strings.Contains(page, "<strong>The publisher says:</strong> verified by fleetctl as of "+f.Now().UTC().Format(time.RFC3339)+", 13 claims demanded and shown") {
		t.Error("the page doesn't tell what the publisher says")
	}
	if strings.Contains(page, "&lt;details") || strings.Contains(page, "&lt;/p&gt;") {
		t.Error("markup of our own is shown as text")
	}
	if page := string(must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()}))["epoch-1/index.html"]); strings.Contains(page, "publisher says") || strings.Contains(strings.ToLower(page), "is verified<") {
		t.Error("without a policy the page tells of a verdict")
	}
	stranger := testfleet.New(t, testfleet.Options{Name: "stranger"})
	q.Policy = must(evidence.ParsePolicy("theirs.yaml", stranger.Policy))
	if _, err := Build([]evidence.Input{published(f)}, q); err == nil {
		t.Error("a package is published that the publisher's policy doesn't verify")
	}
	q.Policy = must(evidence.ParsePolicy("unconfirmed.yaml", []byte(withoutConfirmed(string(f.Policy)))))
	if _, err := Build([]evidence.Input{published(f)}, q); err == nil || !strings.Contains(err.Error(), "is not verified by unconfirmed.yaml") {
		t.Errorf("keys that nobody confirmed: %v", err)
	}
	q.TrustOnFirstUse = true
	must(Build([]evidence.Input{published(f)}, q))
}

func withoutConfirmed(policy string) string {
	var b strings.Builder
	for line := range strings.Lines(policy) {
		if !strings.Contains(line, "confirmed:") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestEpochsAreComparedWithTheOnesBefore(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{HSMs: 3, Sites: places(2)})
	g := testfleet.New(t, testfleet.Options{HSMs: 4, Sites: places(2), After: f, Name: "again"})
	both := must(Build([]evidence.Input{published(f), published(g)}, Question{Now: g.Now()}))
	alone := must(Build([]evidence.Input{published(g)}, Question{Now: g.Now()}))
	for _, c := range []struct{ page, want string }{
		{string(both["epoch-1/index.html"]), "first epoch: every key is new"},
		{string(both["epoch-2/index.html"]), `<a href="../epoch-1/index.html">epoch 1</a>: 1 key added, 3 keys replaced.`},
		{string(both["epoch-2/index.html"]), "The majority was 2 of 3 HSMs, and is 3 of 4."},
		{string(both["index.html"]), "<dd>1 key added, 3 keys replaced</dd>"},
		{string(alone["epoch-2/index.html"]), "The package of epoch 1 is not on this site."},
		{string(alone["index.html"]), "<dd>epoch 1 is not on this site</dd>"},
		{string(both["epoch-2/index.html"]), "4 HSMs stand at 2 sites. A majority is 3. The site with the most, amsterdam, has 2 of them: no site has a majority."},
		{string(both["epoch-1/index.html"]), "The site with the most, amsterdam, has 2 of them: a majority by itself."},
	} {
		if !strings.Contains(c.page, c.want) {
			t.Errorf("no page says %q", c.want)
		}
	}
	if i, j := bytes.Index(both["index.html"], []byte("epoch-2/")), bytes.Index(both["index.html"], []byte("epoch-1/")); i < 0 || j < i {
		t.Error("the newest epoch doesn't stand first")
	}
}

// TestAnAbortedCeremonyIsPublishedAsThat: its page says so first, it has no keys, and
// it stands beside the ceremony that came after it.
func TestAnAbortedCeremonyIsPublishedAsThat(t *testing.T) {
	aborted, f := abortedFirst(t)
	files := must(Build([]evidence.Input{published(f), aborted}, Question{Now: f.Now()}))
	var page string
	for path, data := range files {
		if strings.HasPrefix(path, "epoch-1-aborted-") && strings.HasSuffix(path, "/index.html") {
			page = string(data)
		}
	}
	for _, c := range []struct{ page, want string }{
		{page, "<p class=\"mode rehearsal\">aborted rehearsal</p>"}, {page, "<li>1 abort</li>"}, {page, "--policy your-policy.yaml --expect abort"},
		{string(files["index.html"]), "none: the ceremony was aborted"}, {string(files["index.html"]), "2 ceremonies"}, {string(files["verify.html"]), "epoch 1, aborted"},
	} {
		if !strings.Contains(c.page, c.want) {
			t.Errorf("no page says %q", c.want)
		}
	}
	if strings.Contains(page, "id=\"keys\"") || strings.Contains(page, "id=\"delta\"") {
		t.Error("the page of an aborted ceremony has keys")
	}
	if _, err := Build([]evidence.Input{aborted, aborted}, Question{Now: f.Now()}); err == nil || !strings.Contains(err.Error(), "is the ceremony that") {
		t.Errorf("one aborted ceremony twice: %v", err)
	}
}

// destroyedSite is a site of a ceremony that destroyed the keys of two HSMs of three, and the
// folder of its page.
func destroyedSite(t *testing.T) (files Files, dir string) {
	t.Helper()
	g := testfleet.New(t, testfleet.Options{Name: "ended", HSMs: 3, Sites: places(3), Witnesses: 2}).Destroying(t, nil, "hsm-3")
	if err := g.Destroy("ended"); err != nil {
		t.Fatal(err)
	}
	return must(Build([]evidence.Input{published(g)}, Question{Now: g.Now()})), fmt.Sprintf("epoch-2-destroyed-%x", g.Account.Head[:4])
}

// The page of a ceremony that destroyed keys says which, when and under which retirement,
// which are left, and what it can't show.
func TestDestroyedKeysArePublishedAsThat(t *testing.T) {
	files, dir := destroyedSite(t)
	page := string(files[dir+"/index.html"])
	for _, want := range []string{"2 of the 3 keys of", "They had been retired, from", "Nothing here shows that the key of hsm-3 session is destroyed", "no backup, copy or clone", "--expect destruction",
		"<td>auditor.example</td><td>third party</td>", "<td>operator-1</td><td>operator</td>", "destroyed, and found by nobody", "href=\"retirement.json\" download"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q isn't on the page", want)
		}
	}
	if !strings.Contains(string(files["index.html"]), "2 of the 3 keys of epoch 1 were destroyed") || files[dir+"/retired-bundle.json.tlog-proof"] == nil {
		t.Error("the index doesn't tell it, or a file isn't handed out")
	}
}

// TestARetirementStandsAboveTheEpochsItEnds: on the index and on their pages, with its
// files; one that isn't verified, or is no notice, is not published.
func TestARetirementStandsAboveTheEpochsItEnds(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	said := f.NoticeOf(bundle.RetirementFormat, 2, f.Account.Release.Artifact, func(n *bundle.Notice) { n.Reason = "the HSMs were <shredded>" })
	end := evidence.Input{File: "/home/publisher-7/end.json", Data: f.Noticed(said, f.Parties.ThirdParty, f.Parties.Operator, bundle.FormBound)}
	end.Proof = must(f.Parties.Log.Append(end.Data))
	q := Question{Now: f.Now().Add(48 * time.Hour), Beside: []evidence.Input{end}}
	files := must(Build([]evidence.Input{published(f)}, q))
	for _, c := range []struct{ page, want string }{
		{"index.html", "<h2>Epoch 2 <small>retirement</small></h2>"}, {"index.html", "<strong>Retired</strong> since "},
		{"epoch-1/index.html", "<strong>Retired</strong> since "}, {"epoch-1/index.html", ", by epoch 2: the HSMs were &lt;shredded&gt;</p>"},
		{"index.html", "fleetctl verify notices/epoch-2.json --policy your-policy.yaml --expect notice"}, {"SHA256SUMS", "  notices/epoch-2.json.tlog-proof\n"},
	} {
		if !bytes.Contains(files[c.page], []byte(c.want)) {
			t.Errorf("%s doesn't say %q", c.page, c.want)
		}
	}
	for path, data := range files {
		if bytes.Contains(data, []byte("publisher-7")) {
			t.Errorf("%s tells where the publisher keeps files", path)
		}
	}
	stranger := testfleet.New(t, testfleet.Options{Name: "stranger"})
	for name, c := range map[string]struct {
		beside evidence.Input
		want   string
	}{
		"a package":         {published(f), "is no notice"},
		"a stranger's":      {evidence.Input{File: "end.json", Data: f.Noticed(said, stranger.Parties.ThirdParty, f.Parties.Operator, bundle.FormBound), Proof: end.Proof}, "end.json: was given beside this, and is not verified"},
		"without its proof": {evidence.Input{File: "end.json", Data: end.Data}, "end.json: was given beside this, and is not verified"},
	} {
		q.Beside = []evidence.Input{c.beside}
		if _, err := Build([]evidence.Input{published(f)}, q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s beside it: %v", name, err)
		}
	}
	q.Beside = []evidence.Input{end, end}
	if _, err := Build([]evidence.Input{published(f)}, q); err == nil || !strings.Contains(err.Error(), "a second notice of epoch 2") {
		t.Errorf("one twice: %v", err)
	}
}

// TestEveryLinkLeadsSomewhere: to a file of the site, or to a place on the page, and
// never out of it.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	aborted, f := abortedFirst(t)
	g := testfleet.New(t, testfleet.Options{After: f, Name: "again"})
	files := must(Build([]evidence.Input{aborted, published(f), published(g)}, Question{Now: g.Now()}))
	links := 0
	for at, data := range files {
		for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllSubmatch(data, -1) {
			if !strings.HasSuffix(at, ".html") {
				continue
			}
			links++
			to, place, _ := strings.Cut(string(m[1]), "#")
			if to = path.Join(path.Dir(at), to); strings.HasSuffix(string(m[1]), "#"+place) && string(m[1])[0] == '#' {
				to = at
			}
			if files[to] == nil || place != "" && !bytes.Contains(files[to], []byte(`id="`+place+`"`)) {
				t.Errorf("%s leads to %s", at, m[1])
			}
		}
	}
	if links < 60 {
		t.Errorf("%d links", links)
	}
}

// TestEveryProofIsHandedOut: those that lie beside the package stand beside it on the
// site, under the names that verify looks for.
func TestEveryProofIsHandedOut(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	in := published(f)
	in.Logged = must(f.Parties.Log.Append(must(evidence.PackageLeaf("f", in.Data)).Marshal()))
	in.Proofs = []evidence.Input{{File: "evidence.tlog-proof-2", Data: in.Logged}}
	files := must(Build([]evidence.Input{in}, Question{Now: f.Now()}))
	for _, path := range []string{"epoch-1/evidence.tlog-proof", "epoch-1/evidence.tlog-proof-2"} {
		if !bytes.Equal(files[path], in.Logged) || !strings.Contains(string(files["epoch-1/index.html"]), "<a href=\""+path[8:]+"\" download>") {
			t.Errorf("%s is not handed out", path)
		}
	}
}

// TestHostileTextStaysText: what people wrote is shown as they wrote it, names no part
// of the page, and is no markup.
func TestHostileTextStaysText(t *testing.T) {
	const said = `</td><script>alert(1)</script><img src=x onerror=alert(1)> {{records}} "' שלום`
	f := interrupted(t, 3, said)
	files := must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()}))
	page := string(files["epoch-1/index.html"])
	if !strings.Contains(page, "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; {{records}}") {
		t.Error("the page doesn't show what was said")
	}
	for path, data := range files {
		if strings.HasSuffix(path, "index.html") && (bytes.Contains(data, []byte("<script")) || bytes.Contains(data, []byte("<img")) || bytes.Contains(data, []byte(" style="))) {
			t.Errorf("%s has an element that the package brought", path)
		}
	}
	var m markup
	m.add("", "{{records}}<&>\"'")
	if m.String() != "&#123;&#123;records}}&lt;&amp;&gt;&#34;&#39;" {
		t.Errorf("a text becomes %s", m.String())
	}
}

// TestEveryPageSaysHowToVerify: with fleetctl, by hand and in the browser, and that
// nothing is verified on it; and the page on which packages are checked knows no key.
func TestEveryPageSaysHowToVerify(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{})
	files := must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()}))
	for page, says := range map[string][]string{
		"index.html":         {"<strong>Nothing is verified here.</strong>", "verify.html", "This is a viewer"},
		"epoch-1/index.html": {"<strong>Nothing is verified here.</strong>", "fleetctl verify evidence.tar --policy your-policy.yaml", "scripts/verify-by-hand evidence.tar your-policy.json", "fleetctl policy json your-policy.yaml", "../verify.html", "This is a viewer", "over another channel"},
		"verify.html":        {"<strong>Nothing is verified here.</strong>", "fleetctl verify evidence.tar --policy your-policy.yaml", "fleetctl policy json your-policy.yaml &gt; your-policy.json\nscripts/verify-by-hand evidence.tar your-policy.json", "This is a viewer"},
	} {
		for _, want := range says {
			if !strings.Contains(string(files[page]), want) {
				t.Errorf("%s doesn't say %q", page, want)
			}
		}
	}
	keys := []string{base64.StdEncoding.EncodeToString(f.Plan.ThirdParties[0].Key[:])}
	for _, p := range f.Plan.People {
		keys = append(keys, strings.Fields(p.Key)[1])
	}
	for _, key := range keys {
		if !bytes.Contains(files["epoch-1/plan.yaml"], []byte(key)) || bytes.Contains(files["verify.html"], []byte(key)) {
			t.Errorf("the page on which packages are checked holds the key %s, or the plan doesn't", key)
		}
	}
}

// TestTheSiteTellsADrill: as the package's page does, and by whom it is attested, which
// that page can't have.
func TestTheSiteTellsADrill(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Drill: []string{"sessions", "logins"}})
	page := string(must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()}))["epoch-1/index.html"])
	for _, want := range []string{
		`<h2 id="drill">Drill of a reference fleet</h2>`, "A reference, not a vault.", "the word of whoever ran it. With the close it is attested by ", " (witness)",
		`<h3 class="planned"><span class="what">Drill 1 passed</span></h3>`, `aria-label="Drill: Nodes"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if strings.Contains(page, "verify names them") {
		t.Error("it leaves to verify what it says itself")
	}
}
