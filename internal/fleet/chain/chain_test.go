package chain_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/chain"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

func entry(index, term uint64) *chain.Entry {
	return &chain.Entry{Index: index, Term: term, Type: 1, Data: fmt.Appendf(nil, "entry %d", index), Extra: []byte{}}
}

func open(t *testing.T, path string) *chain.Log {
	t.Helper()
	l, err := chain.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestALogIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	for i := uint64(1); i <= 20; i++ {
		must(t, l.Append(entry(i, 1+i/10)))
	}
	same := func(first, last uint64) {
		t.Helper()
		m := open(t, path)
		if m.Base() != l.Base() || m.Last() != l.Last() || l.Base().Index != first-1 || l.Last().Index != last {
			t.Fatalf("%+v to %+v, read as %+v to %+v", l.Base(), l.Last(), m.Base(), m.Last())
		}
		for i := first; i <= last; i++ {
			a, _ := l.Entry(i)
			if b, ok := m.Entry(i); !ok || fmt.Sprint(*a) != fmt.Sprint(*b) {
				t.Fatalf("entry %d", i)
			}
		}
		for _, i := range []uint64{first - 1, last + 1} {
			if _, ok := m.Entry(i); ok {
				t.Fatalf("there is an entry %d", i)
			}
		}
	}
	same(1, 20)
	head := l.Last()
	must(t, l.Compact(7))
	same(8, 20)
	if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("entry 7")) || !bytes.Contains(data, []byte("entry 8")) {
		t.Errorf("what was taken out is still in the file: %v", err)
	}
	must(t, l.Cut(15))
	same(8, 15)
	for i := uint64(16); i <= 20; i++ {
		must(t, l.Append(entry(i, 1+i/10)))
	}
	if l.Last() != head {
		t.Error("the same entries have another head")
	}
	must(t, l.Compact(20))
	same(21, 20)
	must(t, l.Append(entry(21, 9)))
	must(t, l.Reset(chain.Point{Index: 50, Term: 9, Head: [32]byte{7}}))
	same(51, 50)
	must(t, l.Append(entry(51, 9)))
	same(51, 51)
}

func TestWhatCannotFollowIsRefusedAndEndsTheLog(t *testing.T) {
	for what, e := range map[string]*chain.Entry{"a gap": entry(4, 1), "an entry that is there": entry(2, 1), "an older term": entry(3, 0), "too much": {Index: 3, Term: 1, Data: make([]byte, chain.MostData+1)}} {
		l := open(t, filepath.Join(t.TempDir(), "log"))
		must(t, l.Append(entry(1, 1), entry(2, 1)))
		if l.Append(e) == nil {
			t.Errorf("%s is taken", what)
		}
		if l.Append(entry(3, 1)) == nil {
			t.Errorf("after %s it is not known what is on the disk, and it goes on", what)
		}
	}
}

func TestATornOrChangedEntryEndsWhatIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, path)
	must(t, l.Append(entry(1, 1), entry(2, 1), entry(3, 1)))
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := range whole {
		_, entries, err := chain.Parse(whole[:n])
		if want := len(entries); err == nil && want == 3 {
			t.Fatalf("%d of %d bytes have three entries", n, len(whole))
		}
	}
	changed := bytes.Replace(whole, []byte("entry 2"), []byte("entry X"), 1)
	if _, entries, err := chain.Parse(changed); err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	// What follows is written over what was torn.
	must(t, os.WriteFile(path, whole[:len(whole)-5], 0o600))
	l = open(t, path)
	if l.Last().Index != 2 {
		t.Fatalf("%+v", l.Last())
	}
	must(t, l.Cut(2))
	must(t, l.Append(entry(3, 1)))
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("%x\n%x %v", again, whole, err)
	}
}

// What Append returned for is there after every power cut, with nothing before it
// missing.
func TestWhatWasAppendedIsThereAfterAPowerCut(t *testing.T) {
	for seed := range uint64(60) {
		disk := simdisk.New(t, seed)
		kept := uint64(0)
		for life := range 8 {
			calls := disk.Calls()
			disk.Fault = func(c simdisk.Call) simdisk.Fault {
				if c.N == calls+3+int(seed)%9+life {
					return simdisk.CutTorn
				}
				return simdisk.None
			}
			disk.Run(func() error {
				l, err := chain.Open(disk.Path("log"))
				if err != nil {
					return err
				}
				if l.Last().Index < kept {
					t.Errorf("seed %d, life %d: the log ends at %d; %d was on the disk", seed, life, l.Last().Index, kept)
				}
				if err := l.Cut(l.Last().Index); err != nil {
					return err
				}
				for i := l.Last().Index + 1; ; i++ {
					if err := l.Append(entry(i, 1)); err != nil {
						return err
					}
					kept = i
					if i%5 == 0 {
						if err := l.Compact(i - 2); err != nil {
							return err
						}
					}
				}
			})
		}
		if kept == 0 {
			t.Errorf("seed %d: nothing was ever written", seed)
		}
	}
}

func FuzzParse(f *testing.F) {
	path := filepath.Join(f.TempDir(), "log")
	l, err := chain.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	for i := range uint64(3) {
		if err := l.Append(entry(i+1, i+1)); err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		base, entries, err := chain.Parse(data)
		if err != nil {
			if len(entries) > 0 {
				t.Fatal("entries and an error")
			}
			return
		}
		// Written once more they are the beginning of the same bytes.
		path := filepath.Join(t.TempDir(), "log")
		l, err := chain.Open(path)
		must(t, err)
		defer l.Close()
		must(t, l.Reset(base))
		if len(entries) > 0 {
			must(t, l.Append(entries...))
		}
		if again, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(data, again) {
			t.Fatalf("%x is written as %x, %v", data, again, err)
		}
	})
}
