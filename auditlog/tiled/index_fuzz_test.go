//go:build unix

package tiled

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func FuzzRunName(f *testing.F) {
	r := run{from: 3, end: 300, top: [32]byte{0xab}}
	f.Add(r.name())
	f.Add("0-01-ab")
	f.Fuzz(func(t *testing.T, name string) {
		if r, err := parseRunName(name); err == nil && r.name() != name {
			t.Errorf("%q is written as %q", name, r.name())
		}
	})
}

func FuzzManifest(f *testing.F) {
	m := &manifest{log: "log.example+01234567+AQID", scheme: "fleetctl-1"}
	f.Add(m.marshal())
	m.runs = []run{{end: 300, pages: 3}, {from: 300, end: 301, root: [32]byte{1}, pages: 1, top: [32]byte{2}}}
	f.Add(m.marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest("index", data)
		if err != nil {
			return
		}
		if again := m.marshal(); !bytes.Equal(again, data) {
			t.Errorf("%q is written as %q", data, again)
		}
		from := uint64(0)
		for _, r := range m.runs {
			if r.from != from || r.end <= from {
				t.Errorf("a run from %d to %d follows %d entries", r.from, r.end, from)
			}
			from = r.end
		}
	})
}

// FuzzPage reads a file as the run whose top page it has: whatever is in it,
// lookups and reading end, and what is told of is in the file.
func FuzzPage(f *testing.F) {
	f.Add(writtenRun(f, testRecords(3)))
	f.Add(writtenRun(f, testRecords(300)))
	f.Fuzz(func(t *testing.T, data []byte) {
		pages := uint64(len(data)+pageSize-1) / pageSize
		if pages == 0 {
			return
		}
		top, err := parsePage(data[(pages-1)*pageSize:])
		if err != nil {
			return
		}
		r, err := newRunFile("run", bytes.NewReader(data), pages, sha256.Sum256(top))
		if err != nil {
			t.Fatalf("its own top page is not taken: %v", err)
		}
		_, _, _ = r.find(&[32]byte{0x80})
		_ = merge([]*runFile{r}, nil, func(rec record) error {
			if !bytes.Contains(data, binary.BigEndian.AppendUint64(rec.key[:], rec.entry)) {
				t.Errorf("%x is not in the file", rec.key)
			}
			return nil
		})
	})
}

func testRecords(n int) []record {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	list := make([]record, n)
	for i := range list {
		list[i] = record{sha256.Sum256(binary.BigEndian.AppendUint64(nil, r.Uint64())), uint64(i)}
	}
	slices.SortFunc(list, compareRecords)
	return list
}

func writtenRun(tb testing.TB, list []record) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := &runWriter{w: &b}
	for _, r := range list {
		if err := w.add(r); err != nil {
			tb.Fatal(err)
		}
	}
	pages, _, err := w.finish()
	if err != nil || uint64(b.Len()) <= (pages-1)*pageSize || uint64(b.Len()) > pages*pageSize {
		tb.Fatalf("%d bytes of %d pages, %v", b.Len(), pages, err)
	}
	return b.Bytes()
}

// TestARunTellsWhatIsInIt: sizes at which pages and heights begin, up to three
// heights; every key, and keys between them.
func TestARunTellsWhatIsInIt(t *testing.T) {
	const leaf, node = (pageSize - pageHeader) / leafRecord, (pageSize - pageHeader) / nodeRecord
	for _, n := range []int{0, 1, leaf - 1, leaf, leaf + 1, leaf*node - 1, leaf * node, leaf*node + 1, 3 * leaf * node} {
		list := testRecords(n)
		path := filepath.Join(t.TempDir(), "run")
		data := writtenRun(t, list)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		pages := uint64(len(data)+pageSize-1) / pageSize
		top, err := parsePage(data[(pages-1)*pageSize:])
		if err != nil {
			t.Fatal(err)
		}
		r, err := openRun(path, pages, sha256.Sum256(top))
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		for i, want := range list {
			if got, found, err := r.find(&want.key); !found || got != want.entry || err != nil {
				t.Fatalf("%d of %d: %d, %v, %v; it is entry %d", i, n, got, found, err, want.entry)
			}
			other := want.key
			other[31] ^= 1
			if _, found, err := r.find(&other); found || err != nil {
				t.Fatalf("%d of %d: one beside is found: %v", i, n, err)
			}
		}
		for _, none := range [][32]byte{{}, [32]byte(bytes.Repeat([]byte{0xff}, 32))} {
			if _, found, err := r.find(&none); found || err != nil {
				t.Fatalf("%x of %d: %v, %v", none[0], n, found, err)
			}
		}
		i := 0
		if err := merge([]*runFile{r}, nil, func(got record) error {
			if got != list[i] {
				t.Fatalf("the %d. of %d is another", i+1, n)
			}
			i++
			return nil
		}); err != nil || i != n {
			t.Errorf("%d of %d read: %v", i, n, err)
		}
	}
}

// TestOfTheSameKeysTheFirstEntryIsKept, in whatever order runs are merged.
func TestOfTheSameKeysTheFirstEntryIsKept(t *testing.T) {
	a, b := [32]byte{1}, [32]byte{2}
	var b2 bytes.Buffer
	w := &runWriter{w: &b2}
	if err := merge(nil, []record{{a, 3}, {a, 5}, {b, 1}, {b, 7}}, w.add); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.finish(); err != nil {
		t.Fatal(err)
	}
	p, err := parsePage(b2.Bytes())
	if err != nil || p.len() != 2 {
		t.Fatalf("%d records, %v", p.len(), err)
	}
	for i, want := range []uint64{3, 1} {
		if _, rest := p.record(i); binary.BigEndian.Uint64(rest) != want {
			t.Errorf("record %d: %x", i, rest)
		}
	}
}
