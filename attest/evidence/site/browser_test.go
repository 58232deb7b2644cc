package site

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/testbrowser"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestInARealBrowser opens the pages in one Chromium: starting it takes longer than
// most of what is asked of it.
func TestInARealBrowser(t *testing.T) {
	b := testbrowser.Start(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *testbrowser.Browser)
	}{
		{"pages stand in a real browser", pagesStandInARealBrowser},
		{"nobody is kept out of a page", nobodyIsKeptOutOfAPage},
		{"the keyboard reaches everything", theKeyboardReachesEverything},
		{"on paper nothing is cut off", onPaperNothingIsCutOff},
		{"a diagram is drawn in its own size", aDiagramIsDrawnInItsOwnSize},
		{"words to read aloud stay whole", wordsToReadAloudStayWhole},
		{"a fold opens by the keyboard", aFoldOpensByTheKeyboard},
		{"hostile text does nothing in a browser", hostileTextDoesNothingInABrowser},
		{"a reader checks a package", aReaderChecksAPackage},
		{"a tampered package is refused by name", aTamperedPackageIsRefusedByName},
		{"what readers give is text", whatReadersGiveIsText},
		{"the page of destroyed keys stands in a real browser", thePageOfDestroyedKeysStandsInARealBrowser},
		{"every vector is judged alike in a browser", everyVectorIsJudgedAlikeInABrowser},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, b) })
	}
}

// sample is a site of two epochs, the first of which was drilled.
func sample(t testing.TB, hsms int) string {
	t.Helper()
	first := testfleet.Options{HSMs: hsms, Sites: places(3 + hsms/15)}
	if hsms < 10 { // of which a bundle has space for keys of two roles
		first.Drill = []string{"sessions", "logins"}
	}
	f := testfleet.New(t, first)
	g := testfleet.New(t, testfleet.Options{HSMs: hsms, Sites: places(3 + hsms/15), Attested: hsms < 10, After: f, Name: "again"})
	dir := filepath.Join(t.TempDir(), "site")
	if err := Write(dir, must(Build([]evidence.Input{published(f), published(g)}, Question{Now: g.Now()}))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// addresses are where a folder's page is found, from the disk and over HTTP.
func addresses(t *testing.T, dir, page string) []string {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return []string{(&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dir, page))}).String(), server.URL + "/" + strings.TrimSuffix(page, "index.html")}
}

// looks are the sizes and colours in which pages are looked at.
var looks = []struct {
	width  int
	scheme string
}{{1280, "light"}, {360, "dark"}}

// pagesStandInARealBrowser: from a disk and over HTTP, wide and narrow, light and
// dark, with few HSMs and many, no page asks for anything, complains, or is wider than
// its window.
func pagesStandInARealBrowser(t *testing.T, b *testbrowser.Browser) {
	for _, hsms := range []int{5, 100} {
		dir := sample(t, hsms)
		for _, page := range []string{"index.html", "epoch-1/index.html", "epoch-2/index.html", "verify.html"} {
			for i, address := range addresses(t, dir, page) {
				look := looks[i%2]
				if hsms == 100 {
					look = looks[1-i%2]
				}
				p := b.Open(t, look.width, 800, look.scheme)
				p.Go(address)
				fits(t, p, look.width, fmt.Sprintf("%s, %d HSMs, %d wide", address, hsms, look.width))
				if asked := p.Asked(); !slices.Equal(asked, []string{address}) && !slices.Equal(asked, []string{address, strings.TrimSuffix(address, strings.TrimSuffix(page, "index.html")) + "favicon.ico"}) {
					t.Errorf("%s asks for %q", address, asked)
				}
			}
		}
	}
}

// thePageOfDestroyedKeysStandsInARealBrowser: it is no wider than a phone, and keeps nobody out.
func thePageOfDestroyedKeysStandsInARealBrowser(t *testing.T, b *testbrowser.Browser) {
	files, folder := destroyedSite(t)
	dir := filepath.Join(t.TempDir(), "site")
	if err := Write(dir, files); err != nil {
		t.Fatal(err)
	}
	p := b.Open(t, 360, 800, "dark")
	p.Go("file://" + filepath.ToSlash(filepath.Join(dir, folder, pageFile)))
	fits(t, p, 360, "the page of destroyed keys")
	if found := p.Barriers(testbrowser.Axe(t)); len(found) > 0 {
		t.Errorf("%q", found)
	}
}

// nobodyIsKeptOutOfAPage: axe-core finds nothing serious, in either scheme of
// colours; it does find something on a page that keeps people out.
func nobodyIsKeptOutOfAPage(t *testing.T, b *testbrowser.Browser) {
	axe := testbrowser.Axe(t)
	dir := sample(t, 5)
	for _, page := range []string{"index.html", "epoch-1/index.html", "epoch-2/index.html", "verify.html"} {
		for _, look := range looks {
			p := b.Open(t, look.width, 800, look.scheme)
			p.Go("file://" + filepath.ToSlash(filepath.Join(dir, page)))
			for _, x := range p.Barriers(axe) {
				t.Errorf("%s, %s: %s", page, look.scheme, x)
			}
		}
	}
	v := newVisit(t, b)
	v.answered()
	for _, x := range v.p.Barriers(axe) {
		t.Errorf("a check's answer: %s", x)
	}
	p := b.Open(t, 360, 800, "light")
	p.Go("file://" + filepath.ToSlash(filepath.Join(dir, "index.html")))
	p.Eval(`document.body.append(document.createElement("button"))`, nil)
	if got := p.Barriers(axe); len(got) != 1 || !strings.HasPrefix(got[0], "button-name, critical") {
		t.Errorf("a button without a name: %q", got)
	}
}

// onPaperNothingIsCutOff: as wide as a sheet, no table needs to be scrolled, and a
// digest stands there whole.
func onPaperNothingIsCutOff(t *testing.T, b *testbrowser.Browser) {
	dir := sample(t, 5)
	p := b.Open(t, 720, 1000, "dark")
	for _, page := range []string{"epoch-1/index.html", "epoch-2/index.html"} {
		p.Go("file://" + filepath.ToSlash(filepath.Join(dir, page)))
		p.Call("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
		var got struct {
			Cut, Digests int
			Background   string
		}
		p.Eval(`({cut: [...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1).length,
		digests: [...document.querySelectorAll(".digest .whole")].filter(e => e.checkVisibility({contentVisibilityAuto: true}) && e.getBoundingClientRect().height > 0).length,
		background: getComputedStyle(document.body).backgroundColor})`, &got)
		if got.Cut > 0 || got.Digests < 5 || got.Background != "rgb(255, 255, 255)" {
			t.Errorf("%s: %+v", page, got)
		}
	}
	if pdf := p.Print(); !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Error("it isn't printed")
	}
}

// fits says what a page complains of, and what is wider than its window.
func fits(t *testing.T, p *testbrowser.Page, width int, where string) {
	t.Helper()
	var wide struct {
		Width int
		What  []string
	}
	p.Eval(`({width: document.documentElement.scrollWidth, what: [...document.querySelectorAll("body *")].filter(e =>
		!e.closest(".scroll, pre") && !e.matches(".skip") && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 120))})`, &wide)
	if wide.Width > width || len(wide.What) > 0 {
		t.Errorf("%s: %d wide: %q", where, wide.Width, wide.What)
	}
	for _, f := range p.Faults() {
		if !strings.Contains(f, "favicon.ico") { // which browsers ask a server for by themselves
			t.Errorf("%s: the browser complains: %s", where, f)
		}
	}
}

// reachable is what a person can act on, in a page's order, and what is known of it
// once it has the focus.
const reachable = `[...document.querySelectorAll("a[href], summary, button, input, textarea, select, [tabindex='0']")].filter(e => e.checkVisibility())`

// theKeyboardReachesEverything: Tab leads to every link, fold and table that
// scrolls, in the page's order, each with a name and a ring around it.
func theKeyboardReachesEverything(t *testing.T, b *testbrowser.Browser) {
	dir := sample(t, 5)
	for _, page := range []string{"index.html", "epoch-2/index.html", "verify.html"} {
		p := b.Open(t, 1280, 800, "light")
		p.Go("file://" + filepath.ToSlash(filepath.Join(dir, page)))
		tabbed(t, p, page)
	}
	v := newVisit(t, b)
	v.answered()
	var at string
	if v.p.Eval(`document.activeElement.id`, &at); at != "result-h" {
		t.Errorf("after an answer the focus is on %q", at)
	}
	v.p.Press("Tab")
	if v.p.Eval(`document.activeElement.ariaLabel`, &at); at != "What your policy demands" {
		t.Errorf("Tab leads from an answer's heading to %q", at)
	}
}

func tabbed(t *testing.T, p *testbrowser.Page, page string) {
	t.Helper()
	var n int
	p.Eval(reachable+".length", &n)
	if n < 5 {
		t.Fatalf("%s: %d things to reach", page, n)
	}
	for i := range n {
		p.Press("Tab")
		var at struct {
			Index         int
			What, Name    string
			Ring, Visible bool
		}
		p.Eval(`(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
			return {index: `+reachable+`.indexOf(e), what: e.outerHTML.slice(0, 100), name: e.ariaLabel || e.innerText || e.labels?.[0]?.innerText || "",
				ring: s.outlineStyle != "none" && parseFloat(s.outlineWidth) >= 2, visible: r.bottom > 0 && r.top < innerHeight && r.right > 0} })()`, &at)
		if at.Index != i || strings.TrimSpace(at.Name) == "" || !at.Ring || !at.Visible {
			t.Errorf("%s: after %d tabs: %+v", page, i+1, at)
			return
		}
	}
}

// aDiagramIsDrawnInItsOwnSize: one of a single site isn't blown up to the page's width,
// and one of many sites fits a phone.
func aDiagramIsDrawnInItsOwnSize(t *testing.T, b *testbrowser.Browser) {
	for _, c := range []struct{ sites, width, columns int }{{1, 1280, 1}, {2, 1280, 2}, {5, 1280, 3}, {5, 360, 1}} {
		f := testfleet.New(t, testfleet.Options{HSMs: 5, Sites: places(c.sites)})
		dir := filepath.Join(t.TempDir(), "site")
		if err := Write(dir, must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()}))); err != nil {
			t.Fatal(err)
		}
		p := b.Open(t, c.width, 800, "light")
		p.Go("file://" + filepath.ToSlash(filepath.Join(dir, "epoch-1/index.html")))
		var wide []float64
		p.Eval(`[...document.querySelectorAll(".diagram svg")].filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().width)`, &wide)
		if want := float64(c.columns*(plateWide+gutter) + 1); len(wide) != 1 || wide[0] != want {
			t.Errorf("%d sites on %d pixels: %v wide, want %v", c.sites, c.width, wide, want)
		}
	}
}

// wordsToReadAloudStayWhole: a line ends between two words, on a phone too.
func wordsToReadAloudStayWhole(t *testing.T, b *testbrowser.Browser) {
	p := b.Open(t, 360, 800, "light")
	p.Go("file://" + filepath.ToSlash(filepath.Join(sample(t, 5), "epoch-2/index.html")))
	var got struct {
		Words  int      `json:"words"`
		Broken []string `json:"broken"`
	}
	p.Eval(`(() => { const got = {words: 0, broken: []};
		for (const text of [...document.querySelectorAll("td.words")].map(e => e.firstChild).filter(text => text))
			for (const m of text.data.matchAll(/[A-Za-z]+/g)) {
				const r = document.createRange();
				r.setStart(text, m.index), r.setEnd(text, m.index + m[0].length);
				if (got.words++, r.getClientRects().length !== 1) got.broken.push(m[0]);
			}
		return got; })()`, &got)
	if got.Words < 20 || len(got.Broken) > 0 {
		t.Errorf("of %d words these are broken: %q", got.Words, got.Broken)
	}
}

// aFoldOpensByTheKeyboard: Enter on a digest shows all of it.
func aFoldOpensByTheKeyboard(t *testing.T, b *testbrowser.Browser) {
	p := b.Open(t, 360, 800, "light")
	p.Go("file://" + filepath.ToSlash(filepath.Join(sample(t, 5), "epoch-2/index.html")))
	p.Eval(`document.querySelector("details.digest summary").focus()`, nil)
	p.Press("Enter")
	var open bool
	p.Eval(`document.querySelector("details.digest").open`, &open)
	if !open {
		t.Error("it stays shut")
	}
	p.Eval(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil)
	fits(t, p, 360, "with everything unfolded")
}

// hostileTextDoesNothingInABrowser: text that would be a script, that turns around
// or that has no end is shown, and does nothing.
func hostileTextDoesNothingInABrowser(t *testing.T, b *testbrowser.Browser) {
	said := `</td></table><script>document.title="owned"</script><img src=x onerror="document.title='owned'"> שלום ` + strings.Repeat("ﷺ", 20) + strings.Repeat("W", 600)
	f := interrupted(t, 3, said)
	dir := filepath.Join(t.TempDir(), "site")
	if err := Write(dir, must(Build([]evidence.Input{published(f)}, Question{Now: f.Now()}))); err != nil {
		t.Fatal(err)
	}
	p := b.Open(t, 360, 800, "light")
	p.Go("file://" + filepath.ToSlash(filepath.Join(dir, "epoch-1/index.html")))
	fits(t, p, 360, "hostile text")
	var got struct {
		Title, Text string
		Scripts     int
	}
	p.Eval(`({title: document.title, text: document.querySelector(".timeline").innerText, scripts: document.querySelectorAll("script, img").length})`, &got)
	if got.Title != "backup-test, epoch 1, rehearsal" || got.Scripts > 0 || !strings.Contains(got.Text, said) {
		t.Errorf("%+.300v", must(json.Marshal(got)))
	}
}
