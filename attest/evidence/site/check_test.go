package site

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/testbrowser"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// visit is a reader on the page on which packages are checked, with files at hand.
type visit struct {
	t       *testing.T
	b       *testbrowser.Browser
	p       *testbrowser.Page
	files   string
	fleet   *testfleet.Fleet
	address []string
}

func newVisit(t *testing.T, b *testbrowser.Browser) *visit {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Sites: places(2)})
	in := published(f)
	leaf := must(evidence.PackageLeaf("f", in.Data))
	in.Logged = must(f.Parties.Log.Append(leaf.Marshal()))
	dir := filepath.Join(t.TempDir(), "site")
	if err := Write(dir, must(Build([]evidence.Input{in}, Question{Now: f.Now()}))); err != nil {
		t.Fatal(err)
	}
	v := &visit{t: t, b: b, files: t.TempDir(), fleet: f, address: addresses(t, dir, verifyPage)}
	v.file("policy.yaml", f.Policy)
	v.file("evidence.tar", in.Data)
	v.file("evidence.tlog-proof", in.Logged)
	return v
}

// file is the path of a file that the reader has.
func (v *visit) file(name string, data []byte) string {
	path := filepath.Join(v.files, name)
	if data != nil {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			v.t.Fatal(err)
		}
	}
	return path
}

// come opens the page in a new tab, and sets the time of the question.
func (v *visit) come(address string) {
	v.p = v.b.Open(v.t, 1280, 4000, "light")
	v.p.Go(address)
	v.p.Eval(fmt.Sprintf(`document.querySelector("#time").value = %q`, v.fleet.Now().UTC().Format("2006-01-02T15:04:05Z")), nil)
}

// until waits until a part of the page says something, and gives what it says then.
func (v *visit) until(id, text string) (said string) {
	v.t.Helper()
	v.p.Eval(fmt.Sprintf(`new Promise((done) => {
		const e = document.getElementById(%q), look = () => e.innerText.includes(%q) && done(e.innerText);
		new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
		look();
		setTimeout(() => done("nothing of the kind, but: " + e.innerText), %d);
	})`, id, text, (await.Longest/2).Milliseconds()), &said)
	if !strings.Contains(said, text) {
		v.t.Fatalf("%s doesn't say %q: %s", id, text, said)
	}
	return said
}

func (v *visit) check() { v.p.Eval(`document.querySelector("#check").click()`, nil) }

// answered is a page with the answer about a good package.
func (v *visit) answered() {
	v.come(v.address[0])
	v.p.Choose("#package-file", v.file("evidence.tar", nil))
	v.until("package-given", "evidence.tar, ")
	v.p.Choose("#policy-file", v.file("policy.yaml", nil))
	v.until("verdict", "Press")
	v.check()
	v.until("verdict", "Nothing wrong was found")
}

// aReaderChecksAPackage: from a disk and over HTTP, with files that are chosen;
// nothing is called verified before there is a policy, and no answer outlives its
// question.
func aReaderChecksAPackage(t *testing.T, b *testbrowser.Browser) {
	v := newVisit(t, b)
	for _, address := range v.address {
		v.come(address)
		v.until("verdict", "Nothing is verified here. Give your policy and a package.")
		v.p.Choose("#package-file", v.file("evidence.tar", nil))
		v.until("package-given", "It is, byte for byte, what this site says it publishes as epoch 1.")
		v.until("verdict", "Nothing is verified here. Give your policy: without keys of your own nothing can be verified.")
		v.check()
		v.until("verdict", "Nothing is verified here. Give your policy")
		v.p.Choose("#policy-file", v.file("policy.yaml", nil))
		v.p.Choose("#proof-files", v.file("evidence.tlog-proof", nil))
		v.until("verdict", "Nothing is verified here. Press")
		v.check()
		v.until("verdict", "Nothing wrong was found, as far as this viewer checks. checked here: ")
		said := v.until("outcome", "What your policy demands")
		for _, want := range []string{"statement.signed\tshown\tproven\tproven", "signoffs.close\tshown\tproven\tproven", "page\tnot checked here", "Not checked here", "index.html"} {
			if !strings.Contains(said, want) {
				t.Errorf("the answer has no %q: %s", want, said)
			}
		}
		if strings.Contains(strings.ToUpper(said), "VERIFIED") {
			t.Errorf("a viewer calls it verified: %s", said)
		}
		v.until("command", "fleetctl verify evidence.tar --policy policy.yaml")
		v.p.Eval(`document.querySelector("#aborted").click()`, nil)
		v.until("verdict", "Nothing is verified here. Press")
		var hidden bool
		if v.p.Eval(`document.querySelector("#result").hidden`, &hidden); !hidden {
			t.Error("an answer outlives its question")
		}
		if faults := v.p.Faults(); len(faults) > 0 && !strings.Contains(strings.Join(faults, ""), "favicon") {
			t.Errorf("the browser complains: %q", faults)
		}
	}
}

// aTamperedPackageIsRefusedByName: dropped onto the page like a good one, with the
// policy dropped too or typed.
func aTamperedPackageIsRefusedByName(t *testing.T, b *testbrowser.Browser) {
	v := newVisit(t, b)
	good := must(evidence.Unpack("f", must(os.ReadFile(v.file("evidence.tar", nil)))))
	forged := func(path string, change func([]byte) []byte) []byte {
		files := evidence.Files{}
		for p, data := range good {
			files[p] = data
		}
		files[path] = change(bytes.Clone(good[path]))
		return packed("f", files).Data
	}
	stranger := testfleet.New(t, testfleet.Options{Name: "stranger"})
	for _, c := range []struct {
		name, wrong string
		tar, policy []byte
	}{
		{"transcript", "transcript.jsonl", forged(ceremony.TranscriptFile, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`\"majority\":2`), []byte(`\"majority\":1`), 1)
		}), v.fleet.Policy},
		{"bundle", "bundle.json", forged(ceremony.BundleFile, func(b []byte) []byte { return append(b, ' ') }), v.fleet.Policy},
		{"a file, and not its line in the list", "transcript.jsonl is not listed with what it has",
			bytes.Replace(packed("f", good).Data, []byte(`\"majority\":2`), []byte(`\"majority\":1`), 1), v.fleet.Policy},
		{"archive", "", append(bytes.Clone(packed("f", good).Data), 0), v.fleet.Policy},
		{"stranger's keys", "plan.approved\tFALLS SHORT\tnot shown\tproven\t0 of 2 officers signed the plan", packed("f", good).Data, stranger.Policy},
	} {
		v.come(v.address[0])
		v.p.Drop(600, 300, v.file("evidence.tar", c.tar))
		v.until("package-given", "evidence.tar, ")
		v.p.Eval(fmt.Sprintf(`(() => { const e = document.querySelector("#policy-text"); e.value = %q; e.dispatchEvent(new Event("input")) })()`, c.policy), nil)
		v.until("verdict", "Press")
		v.check()
		v.until("verdict", "Refused. NOT ACCEPTED: ")
		v.until("outcome", c.wrong)
		var tables int
		if v.p.Eval(`[...document.querySelectorAll("#outcome table")].filter(e => !e.querySelector("td")).length`, &tables); tables > 0 {
			t.Errorf("%s: a table says nothing", c.name)
		}
	}
	v.come(v.address[0])
	v.p.Drop(600, 300, v.file("evidence.tar", packed("f", good).Data), v.file("policy.yaml", nil))
	v.until("verdict", "Press")
	v.check()
	v.until("verdict", "Nothing wrong was found")
}

// whatReadersGiveIsText: a policy's text, a file's name and whatever a package makes
// the verifier say can't become a part of the page, and what isn't the page's own
// script doesn't run, from a disk neither.
func whatReadersGiveIsText(t *testing.T, b *testbrowser.Browser) {
	v := newVisit(t, b)
	const evil = `<img src=x onerror="document.title='owned'">`
	name := "a\u202egpj" + evil[:10] + ".tar"
	for _, address := range v.address {
		v.come(address)
		v.p.Choose("#package-file", v.file(name, []byte(evil)))
		v.until("package-given", `a\u{202e}gpj<img src=x.tar, 44 bytes. It is no package that this site says it publishes.`)
		v.p.Choose("#policy-file", v.file("evil.yaml", []byte("format: "+evil+"\n"+strings.Repeat("W", 100_000))))
		v.until("verdict", "Press")
		v.check()
		v.until("verdict", "Refused.")
		v.until("outcome", "What is wrong")
		fits(t, v.p, 1280, "hostile files")
		v.p.Choose("#package-file", v.file("large.tar", make([]byte, 64<<20+1)))
		v.until("verdict", "Nothing is verified here. large.tar has 67,108,865 bytes, a package has at most 67,108,864 bytes")

		var ran struct {
			Title string
			HTML  bool
			Fetch string
		}
		v.p.Eval(`(async () => {
			const s = document.createElement("script");
			try { s.textContent = "document.title = 'owned'"; document.body.append(s) } catch {}
			let html = false;
			try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); html = true } catch {}
			const asked = await fetch(location.href).then(() => "answered", () => "refused");
			return {title: document.title, html, fetch: asked};
		})()`, &ran)
		if ran.Title != "Check a package, "+testfleet.Namespace || ran.HTML || ran.Fetch != "refused" {
			t.Errorf("%s: %+v", address, ran)
		}
		if faults := strings.Join(v.p.Faults(), "\n"); !strings.Contains(faults, "Content Security Policy") {
			t.Errorf("%s: no policy refused it: %s", address, faults)
		}
	}
}
