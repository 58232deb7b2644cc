package simdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/durable"
)

// left gives what is at a path after the power failed, for many seeds: its content,
// or "nothing".
func left(t *testing.T, path string, do func(*Disk)) []string {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(60) {
		d := New(t, seed)
		do(d)
		d.Cut()
		text := "nothing"
		if data, err := durable.ReadFile(d.Path(path)); err == nil {
			text = fmt.Sprintf("%q", data)
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		seen[text] = true
	}
	var list []string
	for s := range seen {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

func put(t *testing.T, d *Disk, path, text string, sync bool) {
	t.Helper()
	f, err := durable.OpenFile(d.Path(path), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err == nil && sync {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotSyncedMayBeLost(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*Disk)
		want []string
	}{
		"data and entry": {func(d *Disk) { put(t, d, "f", "ab", true); must(t, durable.SyncDir(d.Path())) }, []string{`"ab"`}},
		"data alone":     {func(d *Disk) { put(t, d, "f", "ab", true) }, []string{`"ab"`, "nothing"}},
		"entry alone": {func(d *Disk) { put(t, d, "f", "ab", false); must(t, durable.SyncDir(d.Path())) },
			[]string{`""`, `"a"`, `"ab"`}},
		"an append, torn": {func(d *Disk) {
			put(t, d, "f", "ab", true)
			must(t, durable.SyncDir(d.Path()))
			put(t, d, "f", "cd", false)
		}, []string{`"ab"`, `"abc"`, `"abcd"`}},
		"the second of two appends": {func(d *Disk) {
			put(t, d, "f", "a", false)
			put(t, d, "f", "b", false)
			must(t, durable.SyncDir(d.Path()))
		}, []string{`""`, `"\x00"`, `"\x00b"`, `"a"`, `"ab"`}},
		"a rename": {func(d *Disk) {
			put(t, d, "f", "old", true)
			put(t, d, "new", "new", true)
			must(t, durable.SyncDir(d.Path()))
			must(t, durable.Rename(d.Path("new"), d.Path("f")))
		}, []string{`"new"`, `"old"`}},
		"a rename before its data": {func(d *Disk) {
			put(t, d, "f", "old", true)
			put(t, d, "new", "n", false)
			must(t, durable.Rename(d.Path("new"), d.Path("f")))
			must(t, durable.SyncDir(d.Path()))
		}, []string{`""`, `"n"`}},
		"a removal": {func(d *Disk) {
			put(t, d, "f", "ab", true)
			must(t, durable.SyncDir(d.Path()))
			must(t, durable.Remove(d.Path("f")))
		}, []string{`"ab"`, "nothing"}},
		"the folder that it is in": {func(d *Disk) {
			must(t, d.Mkdir(d.Path("d"), 0o700))
			put(t, d, "d/f", "ab", true)
			must(t, durable.SyncDir(d.Path("d")))
		}, []string{`"ab"`, "nothing"}},
		"what a failed sync dropped": {func(d *Disk) {
			put(t, d, "f", "", true)
			must(t, durable.SyncDir(d.Path()))
			d.Fault = func(c Call) Fault { return map[Kind]Fault{Sync: SyncDropped}[c.Kind] }
			f, err := durable.OpenFile(d.Path("f"), os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write([]byte("ab"))
			must(t, err)
			if err := f.Sync(); !errors.Is(err, syscall.EIO) {
				t.Errorf("got %v", err)
			}
			d.Fault = nil
			must(t, f.Sync()) // says that all is well
		}, []string{`""`}},
	} {
		path := "f"
		if name == "the folder that it is in" {
			path = "d/f"
		}
		if got := left(t, path, c.do); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// Two changes that don't hang together come to the disk in any order.
func TestChangesAreReordered(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(60) {
		d := New(t, seed)
		put(t, d, "a", "", true)
		put(t, d, "b", "", true)
		d.Cut()
		_, a := durable.Stat(d.Path("a"))
		_, b := durable.Stat(d.Path("b"))
		seen[fmt.Sprint(a == nil, b == nil)] = true
	}
	if len(seen) != 4 {
		t.Errorf("only %v", seen)
	}
}

func TestAProcessThatIsDeadDoesNothingMore(t *testing.T) {
	for _, fault := range []Fault{Kill, Cut, KillTorn, CutTorn} {
		d := New(t, 1)
		put(t, d, "f", "ab", true)
		must(t, durable.SyncDir(d.Path()))
		d.Fault = func(c Call) Fault { return map[Kind]Fault{Write: fault}[c.Kind] }
		var late error
		err := d.Run(func() error {
			_, err := durable.Lock(d.Path("lock"))
			defer func() { late = durable.Remove(d.Path("f")) }()
			if err == nil {
				err = durable.Append(d.Path("f"), []byte("cd"))
			}
			return errors.Join(errors.New("went on"), err)
		})
		if death := (*Death)(nil); !errors.As(err, &death) || death.Fault != fault || !errors.Is(late, errDead) {
			t.Errorf("%v: %v, and then %v", fault, err, late)
		}
		d.Fault = nil
		if data, err := durable.ReadFile(d.Path("f")); err != nil || string(data[:2]) != "ab" {
			t.Errorf("%v: %q, %v", fault, data, err)
		}
		if _, err := durable.Lock(d.Path("lock")); err != nil {
			t.Errorf("%v: what it had locked: %v", fault, err)
		}
		if _, err := durable.Lock(d.Path("lock")); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("%v: locked twice: %v", fault, err)
		}
	}
}

func TestTheSameSeedLeavesTheSame(t *testing.T) {
	one := func(seed uint64) string {
		d := New(t, seed)
		for i := range 20 {
			put(t, d, fmt.Sprint(i), "abcdef", i%2 == 0)
		}
		d.Cut()
		list, err := durable.ReadDir(d.Path())
		must(t, err)
		text := ""
		for _, e := range list {
			data, err := durable.ReadFile(d.Path(e.Name()))
			must(t, err)
			text += fmt.Sprintf("%s %q\n", e.Name(), data)
		}
		return text
	}
	for seed := range uint64(10) {
		if a, b := one(seed), one(seed); a != b {
			t.Errorf("seed %d: %s and %s", seed, a, b)
		}
	}
	if one(3) == one(4) && one(3) == one(5) {
		t.Error("the seed means nothing")
	}
}
