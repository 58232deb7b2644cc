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
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// Every change of a package is made twice: plainly, with a manifest that fits
// again; and resealed, by a forger who also makes everything fit that he can
// make without a key (see reseal). A change that a verifier lets pass is
// either a bug or on this list, by name and with its reason. An entry that is
// caught, or that nothing runs into, fails the test: the list can only shrink.
var uncaught = map[string]string{
	"a close sign-off under another name":  files,
	"a close sign-off twice":               files,
	"a stranger's close sign-off added":    files,
	"a surplus close sign-off left out":    files,
	"a verdict against the close left out": files + "; the report names whose verdict it doesn't have",
}

const files = "close sign-offs are files beside the close record, which they sign: no record can list them, and by the format a file's name says nothing and a stranger's voice is ignored"

// mutant is one changed package.
type mutant struct {
	file, how string
	files     evidence.Files // to be sealed with a manifest that fits
	forge     bool           // by the forger first, who leaves file as it is
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
	if m.forge {
		if m.files = reseal(m.files, nil, m.file); m.files == nil {
			return // what he can't parse he can't forge
		}
		m.how += ", resealed"
	}
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
	group := m.file
	if dir, _, ok := strings.Cut(m.file, "/"); ok {
		group = dir + "/"
	}
	c.count[group]++
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

// raceBudget is enough for what the race detector shows, as is one of twenty of the
// structural changes, which run beside each other too. What is refused is shown without it, many times as
// fast.
const raceBudget = 4 * time.Second

// run judges what the generators yield: every second of the structural changes
// and then of the sample, for so much processor time; in full runs everything.
func (w *world) run(t *testing.T, budget time.Duration, structural []mutants, sample []mutants) *tally {
	t.Helper()
	untouched := w.untouched()
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
	n, every := 0, 2
	if testing.Short() {
		every = 7
	}
	if await.RaceDetector {
		budget, every = min(budget, raceBudget), 20
	}
	end := await.Processor() + budget
	for _, g := range structural {
		g(func(m mutant) bool {
			// Without full a sample of these too, but all that are named.
			if !untouched() {
				t.Fatalf("%s, %s: making this changed the packages that all changes are made of", m.file, m.how)
			}
			if n++; full || m.class != "" || n%every == 0 {
				work <- m
			}
			return true
		})
	}
	var feeders sync.WaitGroup
	for _, g := range sample {
		feeders.Go(func() {
			n := 0
			g(func(m mutant) bool {
				work <- m
				n++
				return full || n < 4 || await.Processor() < end
			})
		})
	}
	feeders.Wait()
	close(work)
	wg.Wait()
	return c
}

// untouched says whether the files that all changes are made of are as they were
// now. They are shared with whoever packs and judges the changes meanwhile.
func (w *world) untouched() func() bool {
	all := []evidence.Files{w.good.Files, w.sister.Files, w.stranger.Files}
	var was []evidence.Files
	for _, files := range all {
		c := evidence.Files{}
		for path, data := range files {
			c[path] = bytes.Clone(data)
		}
		was = append(was, c)
	}
	return func() bool {
		for i, files := range all {
			if !maps.EqualFunc(files, was[i], bytes.Equal) {
				return false
			}
		}
		return true
	}
}

type mutants func(yield func(mutant) bool)

func (c *tally) report(t *testing.T) {
	t.Helper()
	total := 0
	t.Logf("changes made, by file:")
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
	budget := 30 * time.Second
	if testing.Short() {
		budget = 5 * time.Second
	}
	c := w.run(t, budget,
		[]mutants{w.signoffs, w.others, w.forgeries, w.whole},
		append([]mutants{w.wholeForged, w.mixtures, w.fields, w.records, w.moved, w.lines}, w.flips()...))
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

// plain is the change of one file, sealed over unless it is the seal itself.
func (w *world) plain(path, how string, data []byte) mutant {
	m := mutant{file: path, how: how, files: with(w.good.Files, path, data)}
	if path == evidence.ManifestFile {
		m.data = must(evidence.Pack(m.files))
	}
	return m
}

// both is the change made plainly and by the forger.
func (w *world) both(m mutant, yield func(mutant) bool) bool {
	if !yield(m) {
		return false
	}
	m.forge, m.data = true, nil
	return m.file == evidence.ManifestFile || yield(m)
}

// whole drops each file, empties it, takes another fleet's, changes its ends.
func (w *world) whole(yield func(mutant) bool) {
	good := w.good.Files
	for _, path := range good.Paths() {
		for how, data := range map[string][]byte{
			"dropped":        nil,
			"empty":          {},
			"the sister's":   w.sister.Files[path],
			"the stranger's": w.stranger.Files[path],
			"LF appended":    append(bytes.Clone(good[path]), '\n'),
			"space before":   append([]byte(" "), good[path]...),
			"CRLF":           bytes.ReplaceAll(good[path], []byte("\n"), []byte("\r\n")),
		} {
			yield(w.plain(path, how, data))
		}
	}
}

// wholeForged is whole, done by the forger.
func (w *world) wholeForged(yield func(mutant) bool) {
	var list []mutant
	w.whole(func(m mutant) bool {
		if m.file != evidence.ManifestFile {
			m.forge = true
			list = append(list, m)
		}
		return true
	})
	shuffled(list, yield)
}

// moved doubles files under other names, renames them and cuts them off.
func (w *world) moved(yield func(mutant) bool) {
	good := w.good.Files
	var list []mutant
	for _, path := range good.Paths() {
		for _, name := range []string{"copy.json", "plan-approvals/x.sig", "plan-approvals/x", "approvals/x", "approvals/x.sig", "signoffs/release/x", "signoffs/release/x.sig",
			"signoffs/close/x", "signoffs/close/x.sig", "signoffs/close/olga", "signoffs/x", "attestations/hsm-1.der", "bundle.json.rekor.json", "media.sha256",
			"private/x", "MANIFEST2", "-rf", "evidence.tlog-proof"} {
			doubled := with(good, name, good[path])
			list = append(list, mutant{file: path, how: "doubled as " + name, files: doubled},
				mutant{file: path, how: "renamed to " + name, files: with(doubled, path, nil)})
			if !strings.HasPrefix(name, "signoffs/close/") {
				list = append(list, mutant{file: path, how: "doubled as " + name + ", resealed", files: reseal(doubled, nil)})
			}
		}
		for n := range 64 {
			cut := good[path][:len(good[path])*n/64]
			list = append(list, w.plain(path, fmt.Sprintf("cut to %d bytes", len(cut)), cut))
		}
	}
	shuffled(list, yield)
}

// mixtures takes sets of files from another fleet, but never all of them: that
// would be another good package.
func (w *world) mixtures(yield func(mutant) bool) {
	rnd := rand.New(rand.NewPCG(7, 8))
	paths := slices.DeleteFunc(w.good.Files.Paths(), func(p string) bool { return p == evidence.ManifestFile })
	for _, from := range []struct {
		name  string
		files evidence.Files
	}{{"sister", w.sister.Files}, {"stranger", w.stranger.Files}} {
		for range 100 {
			f, share, taken := maps.Clone(w.good.Files), rnd.Float64(), []string{}
			for _, p := range paths {
				if data := from.files[p]; rnd.Float64() < share && data != nil {
					f[p], taken = data, append(taken, p)
				}
			}
			if len(taken) == len(paths) {
				continue
			}
			if !yield(mutant{file: "(mixtures)", how: fmt.Sprintf("the %s's %v", from.name, taken), files: f}) {
				return
			}
		}
	}
}

// lines drops, doubles and swaps lines of every file.
func (w *world) lines(yield func(mutant) bool) {
	var list []mutant
	for _, path := range w.good.Files.Paths() {
		old := bytes.SplitAfter(w.good.Files[path], []byte("\n"))
		for i := range old {
			for how, l := range map[string][][]byte{
				"dropped": slices.Delete(slices.Clone(old), i, i+1),
				"doubled": slices.Insert(slices.Clone(old), i, old[i]),
				"swapped": swapped(old, i),
			} {
				if data := bytes.Join(l, nil); !bytes.Equal(data, w.good.Files[path]) {
					list = append(list, w.plain(path, fmt.Sprintf("line %d %s", i+1, how), data))
				}
			}
		}
	}
	shuffled(list, yield)
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
			return w.both(w.plain(path, c.name, data), func(m mutant) bool {
				list = append(list, m)
				return true
			})
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
		m := w.plain(ceremony.TranscriptFile, fmt.Sprintf("record %d, %s", e.i+1, e.name), data)
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

// flips turns a bit of each byte of every file, a generator a file, in an
// order drawn by lot; in full runs of every byte, of large files of 8192.
func (w *world) flips() []mutants {
	var list []mutants
	for _, path := range w.good.Files.Paths() {
		list = append(list, func(yield func(mutant) bool) {
			old := w.good.Files[path]
			rnd := rand.New(rand.NewPCG(uint64(len(path)), uint64(path[0])))
			for i, at := range rnd.Perm(len(old)) {
				if i == 8<<10 {
					return
				}
				bit := rnd.IntN(8)
				data := bytes.Clone(old)
				data[at] ^= 1 << bit
				if !w.both(w.plain(path, fmt.Sprintf("bit %d of byte %d", bit, at), data), yield) {
					return
				}
			}
		})
	}
	return list
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
