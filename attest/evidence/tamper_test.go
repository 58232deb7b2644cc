package evidence_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// Every change of a package is made twice: plainly, with a manifest that fits
// again; and resealed, by a forger who also makes everything fit that he can
// make without a key (see reseal). A change that a verifier lets pass is
// either a bug or on this list, by name and with its reason. An entry that is
// caught, or that nothing runs into, fails the test: the list can only shrink.
var uncaught = map[string]string{
	"time of the close record": "people will sign the close head; until then its time is nobody's word",
	"salt of the close record": "as its time: only the close head covers it",

	"time of a release record":          tail,
	"salt of a release record":          tail,
	"time of a request record":          tail,
	"salt of a request record":          tail,
	"time of a response record":         tail,
	"salt of a response record":         tail,
	"time of a countersignature record": tail,
	"salt of a countersignature record": tail,
	"time of a log-proof record":        tail,
	"salt of a log-proof record":        tail,

	"another page version, closed again":        "a page of another version is compared with nothing; the close head, once signed, binds it",
	"white space of the core, recorded anew":    "the third party signs the artifact, not the core; officers' approvals of the core will bind its bytes",
	"another valid proof, recorded anew":        "any inclusion proof of the bundle is as good; which one it was only the close head will bind",
	"a stranger's line in the log's checkpoint": "signed notes may carry signatures of unknown keys, which are ignored; which ones there were only the close head will bind",
}

const tail = "what follows the fleet check is covered by no signature until the release head and the close head are signed: the tail can be linked anew"

// mutant is one changed package.
type mutant struct {
	file, how string
	files     evidence.Files // to be sealed with a manifest that fits
	data      []byte         // or the archive as it is
	class     string         // of uncaught; empty where it has to be caught
}

// tally counts, by file.
type tally struct {
	sync.Mutex
	count  map[string]int
	passed map[string]int // by class
	bad    []string
}

func (c *tally) judge(w *world, m mutant) {
	data := m.data
	if data == nil {
		var err error
		if data, err = sealed(m.files); err != nil {
			return // can't even be packed
		}
	}
	if bytes.Equal(data, w.good.Archive) {
		return
	}
	r, err := w.verify(data)
	c.Lock()
	defer c.Unlock()
	c.count[m.file]++
	switch {
	case err != nil:
		c.bad = append(c.bad, fmt.Sprintf("%s, %s: %v", m.file, m.how, err))
	case !r.Verified && len(r.Problems) == 0 && r.Shown == r.Demanded:
		c.bad = append(c.bad, fmt.Sprintf("%s, %s: not verified, and no word why", m.file, m.how))
	case r.Verified && m.class == "":
		c.bad = append(c.bad, fmt.Sprintf("%s, %s: VERIFIED", m.file, m.how))
	case r.Verified:
		c.passed[m.class]++
	}
}

// run judges what the generators yield. Those of must run to their end; those
// of sample, each an endless or very long one, share the time that is left.
func (w *world) run(t *testing.T, budget time.Duration, structural []mutants, sample []mutants) *tally {
	t.Helper()
	c := &tally{count: map[string]int{}, passed: map[string]int{}}
	work := make(chan mutant, 64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for m := range work {
				c.judge(w, m)
			}
		})
	}
	deadline := time.Now().Add(budget)
	n := 0
	for _, g := range structural {
		g(func(m mutant) bool {
			// In short runs a sample of these too, but all that are named.
			if n++; !testing.Short() || m.class != "" || n%5 == 0 {
				work <- m
			}
			return true
		})
	}
	if left := time.Until(deadline); left <= 0 && !full {
		t.Logf("the structural changes alone took %v longer than the box of %v", -left.Round(time.Millisecond), budget)
	}
	var feeders sync.WaitGroup
	for _, g := range sample {
		feeders.Go(func() {
			n := 0
			g(func(m mutant) bool {
				work <- m
				n++
				return full || n < 20 || time.Now().Before(deadline)
			})
		})
	}
	feeders.Wait()
	close(work)
	wg.Wait()
	return c
}

type mutants func(yield func(mutant) bool)

func (c *tally) report(t *testing.T) {
	t.Helper()
	total := 0
	for _, f := range slices.Sorted(maps.Keys(c.count)) {
		t.Logf("%6d  %s", c.count[f], f)
		total += c.count[f]
	}
	passed := 0
	for class, n := range c.passed {
		passed += n
		if uncaught[class] == "" {
			t.Errorf("%d changes %q pass, and the list doesn't name them", n, class)
		}
	}
	t.Logf("%6d  changes in all; %d caught, %d of %d named kinds not caught yet", total, total-passed-len(c.bad), passed, len(c.passed))
	slices.Sort(c.bad)
	for i, b := range c.bad {
		if i == 20 {
			t.Errorf("and %d more", len(c.bad)-i)
			break
		}
		t.Error(b)
	}
}

func TestNoChangeOfAPackageIsVerified(t *testing.T) {
	w := newWorld(t, testfleet.New)
	budget := 20 * time.Second
	if testing.Short() {
		budget = 4 * time.Second
	}
	c := w.run(t, budget,
		[]mutants{w.whole, w.mixtures, w.lines, w.forgeries, w.others},
		append([]mutants{w.fields, w.records}, w.flips()...))
	c.report(t)
	for class := range uncaught {
		if c.passed[class] == 0 {
			t.Errorf("%q is caught now, or never tried: take it off the list", class)
		}
	}
}

func TestNoChangeOfAPackageFromSoftHSMIsVerified(t *testing.T) {
	w := newWorld(t, testfleet.SoftHSM)
	w.run(t, 4*time.Second, []mutants{w.forgeries}, w.flips()).report(t)
}

// whole changes whole files: dropped, emptied, doubled under another name,
// another fleet's, cut off.
func (w *world) whole(yield func(mutant) bool) {
	good := w.good.Files
	for _, path := range good.Paths() {
		for _, m := range []mutant{
			{how: "dropped", files: with(good, path, nil)},
			{how: "empty", files: with(good, path, []byte{})},
			{how: "the sister's", files: with(good, path, w.sister.Files[path])},
			{how: "the stranger's", files: with(good, path, w.stranger.Files[path])},
			{how: "LF appended", files: with(good, path, append(bytes.Clone(good[path]), '\n'))},
			{how: "space before", files: with(good, path, append([]byte(" "), good[path]...))},
			{how: "CRLF", files: with(good, path, bytes.ReplaceAll(good[path], []byte("\n"), []byte("\r\n")))},
		} {
			if m.file = path; path == evidence.ManifestFile {
				m.data = must(evidence.Pack(m.files)) // not sealed over
			}
			yield(m)
			if again := reseal(m.files, nil, path); again != nil && path != ceremony.CoreFile {
				class := ""
				if path == evidence.PageFile && m.how != "dropped" {
					class = w.otherPage(again[path])
				}
				yield(mutant{file: path, how: m.how + ", resealed", files: again, class: class})
			}
		}
		for _, name := range []string{"copy.json", "plan-approvals/x", "signoffs/release/olga", "signoffs/close/olga", "signoffs/close/olga.sig",
			"attestations/hsm-1.der", "bundle.json.rekor.json", "media.sha256", "private/x", "MANIFEST2", "-rf", "evidence.tlog-proof"} {
			doubled := with(good, name, good[path])
			yield(mutant{file: path, how: "doubled as " + name, files: doubled})
			if path != evidence.ManifestFile {
				yield(mutant{file: path, how: "renamed to " + name, files: with(doubled, path, nil)})
			}
			if strings.HasPrefix(name, "signoffs/close/") {
				continue
			}
			yield(mutant{file: path, how: "doubled as " + name + ", resealed", files: reseal(doubled, nil)})
		}
		for n := range 64 {
			cut := good[path][:len(good[path])*n/64]
			yield(mutant{file: path, how: fmt.Sprintf("cut to %d bytes", len(cut)), files: with(good, path, cut)})
		}
	}
}

// mixtures takes every set of files from another fleet, but all of them: that
// is another good package.
func (w *world) mixtures(yield func(mutant) bool) {
	paths := w.good.Files.Paths()
	paths = slices.DeleteFunc(paths, func(p string) bool { return p == evidence.ManifestFile })
	for _, from := range []struct {
		name  string
		files evidence.Files
	}{{"sister", w.sister.Files}, {"stranger", w.stranger.Files}} {
		for set := 1; set < 1<<len(paths)-1; set++ {
			f, n := maps.Clone(w.good.Files), 0
			for i, p := range paths {
				if set>>i&1 == 1 {
					f[p], n = from.files[p], n+1
				}
			}
			yield(mutant{file: "(mixtures)", how: fmt.Sprintf("%d files of the %s, set %b", n, from.name, set), files: f})
		}
	}
}

// lines drops, doubles and swaps lines of every file.
func (w *world) lines(yield func(mutant) bool) {
	for _, path := range w.good.Files.Paths() {
		old := bytes.SplitAfter(w.good.Files[path], []byte("\n"))
		step := 1
		if len(old) > 120 && !full {
			step = len(old)/120 + 1
		}
		for i := 0; i < len(old); i += step {
			for how, l := range map[string][][]byte{
				"dropped": slices.Delete(slices.Clone(old), i, i+1),
				"doubled": slices.Insert(slices.Clone(old), i, old[i]),
				"swapped": swapped(old, i),
			} {
				data := bytes.Join(l, nil)
				if bytes.Equal(data, w.good.Files[path]) {
					continue // two empty lines
				}
				m := mutant{file: path, how: fmt.Sprintf("line %d %s", i+1, how), files: with(w.good.Files, path, data)}
				if path == evidence.ManifestFile {
					m.data = must(evidence.Pack(m.files))
				}
				yield(m)
			}
		}
	}
}

func swapped(old [][]byte, i int) [][]byte {
	l := slices.Clone(old)
	if i+1 < len(l) {
		l[i], l[i+1] = l[i+1], l[i]
	}
	return l
}

// fields edits every JSON file, also where JSON is inside of strings, in an
// order drawn by lot.
func (w *world) fields(yield func(mutant) bool) {
	var list []mutant
	for _, path := range []string{ceremony.ArtifactFile, ceremony.CoreFile, ceremony.BundleFile} {
		old := w.good.Files[path]
		n := must(parseTree(old))
		if !bytes.Equal(n.like(old), old) {
			panic(path + " can't be written back")
		}
		n.changes("", func(c change) bool {
			c.do()
			data := n.like(old)
			c.undo()
			list = append(list, mutant{file: path, how: c.name, files: with(w.good.Files, path, data)})
			if path != ceremony.CoreFile {
				list = append(list, mutant{file: path, how: c.name + ", resealed", files: reseal(list[len(list)-1].files, nil)})
			}
			return true
		})
	}
	shuffled(list, yield)
}

// records edits every field of every record, plainly and linked anew.
func (w *world) records(yield func(mutant) bool) {
	lines := bytes.SplitAfter(bytes.TrimSuffix(w.good.Transcript(), []byte("\n")), []byte("\n"))
	type edit struct {
		i    int
		name string
		line []byte
		body string
	}
	var list []edit
	for i, line := range lines {
		line = bytes.TrimSuffix(line, []byte("\n"))
		n := must(parseTree(line))
		if !bytes.Equal(n.like(line), line) {
			panic("a record can't be written back")
		}
		n.changes("", func(c change) bool {
			c.do()
			e := edit{i: i, name: c.name, line: n.like(line)}
			if strings.Contains(c.name, "→") {
				e.body = n.items[slices.Index(n.names, "body")].content()
			}
			list = append(list, e)
			c.undo()
			return true
		})
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, e := range list {
		l := slices.Clone(lines)
		l[e.i] = append(bytes.Clone(e.line), '\n')
		data := bytes.Join(l, nil)
		m := mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s", e.i+1, e.name), files: with(w.good.Files, ceremony.TranscriptFile, data)}
		m.class = w.lastTime(data)
		if !yield(m) {
			return
		}
		if e.body == "" {
			continue
		}
		forged := reseal(w.good.Files, func(r *ceremony.Record) {
			if r.N == e.i+1 {
				r.Body = e.body
			}
		})
		if !yield(mutant{file: ceremony.TranscriptFile, how: m.how + ", linked anew", files: forged}) {
			return
		}
	}
}

// lastTime is the class of a transcript that differs from the good one in the
// time of its last record alone.
func (w *world) lastTime(data []byte) string {
	good := w.good.Transcript()
	at := bytes.LastIndexByte(good[:len(good)-1], '\n')
	from := at + bytes.Index(good[at:], []byte(`"time":"`))
	to := from + len(`"time":"2026-11-21T10:00:00Z"`)
	if len(data) == len(good) && bytes.Equal(data[:from], good[:from]) && bytes.Equal(data[to:], good[to:]) {
		return "time of the close record"
	}
	return ""
}

// flips turns single bits of every file, a generator a file; all of them in
// full, else in an order drawn by lot.
func (w *world) flips() []mutants {
	var list []mutants
	for _, path := range w.good.Files.Paths() {
		list = append(list, func(yield func(mutant) bool) {
			old := w.good.Files[path]
			rnd := rand.New(rand.NewPCG(uint64(len(path)), uint64(path[0])))
			for i, at := range rnd.Perm(len(old) * 8) {
				if full && len(old) > 8<<10 && i >= 8<<10 {
					return
				}
				data := bytes.Clone(old)
				data[at/8] ^= 1 << (at % 8)
				m := mutant{file: path, how: fmt.Sprintf("bit %d of byte %d", at%8, at/8), files: with(w.good.Files, path, data)}
				switch path {
				case evidence.ManifestFile:
					m.data = must(evidence.Pack(m.files))
				case ceremony.TranscriptFile:
					m.class = w.lastTime(data)
				}
				if !yield(m) {
					return
				}
				// The forger's second try, for the files that he can list anew.
				if again := reseal(m.files, nil, path); again != nil && path != evidence.ManifestFile {
					class := ""
					if path == evidence.PageFile {
						class = w.otherPage(data)
					}
					if !yield(mutant{file: path, how: m.how + ", resealed", files: again, class: class}) {
						return
					}
				}
			}
		})
	}
	return list
}

// otherPage is the class of a page that a verifier can't render again.
func (w *world) otherPage(page []byte) string {
	if bytes.Contains(page, []byte(`content="fleetctl page v1"`)) {
		return ""
	}
	return "another page version, closed again"
}

func shuffled(list []mutant, yield func(mutant) bool) {
	rnd := rand.New(rand.NewPCG(3, 4))
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, m := range list {
		if !yield(m) {
			return
		}
	}
}
