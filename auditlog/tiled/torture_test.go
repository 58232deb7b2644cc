//go:build unix

package tiled

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
)

// TestDamagedLogSignsNothing does to a log what restores, disks and people do,
// and then adds an entry. Either the entry is added to the one true history,
// or nothing at all is signed, and undoing the damage makes the log go on.
func TestDamagedLogSignsNothing(t *testing.T) {
	const state, checkpoint = "log/.state/treeState", "log/checkpoint"
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
	}
	cutBy := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	newest, l := newTestLog(t)
	older := filepath.Join(t.TempDir(), "older")
	mustAppend(t, l, numbered("a", 260)...)
	copyPath(t, newest, older)
	mustAppend(t, l, numbered("b", 41)...)
	for name, test := range map[string]struct {
		damage func(t *testing.T, dir, older string)
		says   string // empty: the log goes on
	}{
		"state missing":         {remove(state), "state (.state/treeState) is missing"},
		".state missing":        {remove("log/.state"), "state (.state/treeState) is missing"},
		"Tessera's dir missing": {remove("log"), "state (.state/treeState) is missing"},
		"state empty":           {change(state, func([]byte) []byte { return nil }), "treeState"},
		"state truncated":       {change(state, cutBy(5)), "treeState"},
		"state of nothing":      {change(state, func([]byte) []byte { return []byte(`{"size":0,"root":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}`) }), "fewer than the 301"},
		"state's size changed":  {change(state, func(b []byte) []byte { return bytes.Replace(b, []byte("301"), []byte("300"), 1) }), "failed to fetch tile"},
		"state's size huge":     {change(state, func(b []byte) []byte { return bytes.Replace(b, []byte("301"), []byte("9007199254740991"), 1) }), "failed to fetch tile"},
		"state's root flipped":  {change(state, func(b []byte) []byte { return bytes.Replace(b, []byte(`"root":"`), []byte(`"root":"A`), 1)[:len(b)] }), "treeState"},
		"tile: first bit":       {change("log/tile/0/001.p/45", flip(0)), "right edge"},
		"tile: last bit":        {change("log/tile/0/001.p/45", flip(-1)), "right edge"},
		"tile truncated":        {change("log/tile/0/001.p/45", cutBy(32)), "only got 44"},
		"tile cut in a hash":    {change("log/tile/0/001.p/45", cutBy(1)), "not a multiple"},
		"tile missing":          {remove("log/tile/0/001.p/45"), "failed to fetch tile"},
		"upper tile flipped":    {change("log/tile/1/000.p/1", flip(3)), "right edge"},
		"bundle: entry flipped": {change("log/tile/entries/001.p/45", flip(-1)), "is not the one that was logged"},
		"bundle: last one cut":  {change("log/tile/entries/001.p/45", cutBy(15)), "has 44 entries, 45 are in the tree"},
		"bundle torn":           {change("log/tile/entries/001.p/45", cutBy(1)), "failed to parse EntryBundle"},
		"bundle missing":        {remove("log/tile/entries/001.p/45"), "failed to fetch bundle"},
		"checkpoint missing":    {remove(checkpoint), ""},
		"checkpoint truncated":  {change(checkpoint, cutBy(20)), "published checkpoint is damaged"},
		"checkpoint flipped":    {change(checkpoint, flip(-20)), "published checkpoint is damaged"},
		"checkpoint older":      {restore(checkpoint), ""}, // Tessera died before it published
		"rolled back":           {restore("."), "fewer than the 301"},
		"state rolled back":     {restore(state), "fewer than the 301"},
		"log rolled back":       {restore("log"), "fewer than the 301"},
		"index rolled back":     {restore("index"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			for _, part := range []string{"", ".guard", ".signed"} {
				copyPath(t, newest+part, dir+part)
			}
			l := openTestLog(t, dir)
			before := len(signed(t, dir))

			test.damage(t, dir, older)
			at, err := openTestLog(t, dir).Append(context.Background(), []byte("new:1"))
			if test.says != "" {
				wantRefusal(t, err, test.says)
				if now := len(signed(t, dir)); at != nil || now != before {
					t.Errorf("refused, but gave %v and signed %d times", at, now-before)
				}
				replaceDir(t, newest, dir)
				at = mustAppend(t, l, "new:1")
			} else if err != nil {
				t.Fatal(err)
			}
			if at[0] != (Position{Index: 301}) {
				t.Errorf("the new entry is at %+v", at[0])
			}
			assertClean(t, l.Reader)
			assertNoFork(t, dir, allEntries(t, l.Reader))
		})
	}
}

func remove(path string) func(*testing.T, string, string) {
	return func(t *testing.T, dir, _ string) {
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
}

func change(path string, how func([]byte) []byte) func(*testing.T, string, string) {
	return func(t *testing.T, dir, _ string) { edit(t, filepath.Join(dir, path), how) }
}

func restore(path string) func(*testing.T, string, string) {
	return func(t *testing.T, dir, older string) {
		remove(path)(t, dir, older)
		copyPath(t, filepath.Join(older, path), filepath.Join(dir, path))
	}
}

// TestForkedDirectoryIsRefused restores an old copy and lets it grow elsewhere,
// with its own guard, to more entries than were signed: only the roots differ.
func TestForkedDirectoryIsRefused(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1")
	fork := filepath.Join(t.TempDir(), "fork")
	copyPath(t, dir, fork)
	copyPath(t, dir+".guard", fork+".guard")
	mustAppend(t, l, "b:1")
	good := filepath.Join(t.TempDir(), "good")
	copyPath(t, dir, good)
	for _, leaf := range []string{"x:1", "y:1"} {
		mustAppend(t, openTestLog(t, fork), leaf)
		replaceDir(t, fork, dir)
		_, err := l.Append(context.Background(), []byte("c:1"))
		// Of the same size at first, then larger.
		wantRefusal(t, err, map[string]string{"x:1": "another root", "y:1": "is older than the log"}[leaf])
		if leaf == "y:1" { // and without the published checkpoint to tell
			if err := os.Remove(filepath.Join(dir, "log/checkpoint")); err != nil {
				t.Fatal(err)
			}
			_, err := l.Append(context.Background(), []byte("c:1"))
			wantRefusal(t, err, "is not shown to hold")
		}
	}
	replaceDir(t, good, dir)
	mustAppend(t, l, "c:1")
	assertNoFork(t, dir, allEntries(t, l.Reader))
}

func TestGuardDamage(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(t *testing.T, guard string)
		says   string
	}{
		"missing":     {func(t *testing.T, g string) { remove("guard")(t, g, "") }, "guard: does not exist"},
		"all missing": {func(t *testing.T, g string) { remove("")(t, g, "") }, "guard: does not exist"},
		"empty":       {editGuard("", ""), "guard:1: "},
		"truncated":   {editGuard("=\n", ""), "is older than the log"},
		"one record": {func(t *testing.T, g string) {
			edit(t, g+"/guard", func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:bytes.LastIndex(b, []byte("size"))-1], '\n')] })
		}, "has no LF at its end"},
		"other version":   {editGuard("guard v1", "guard v2"), "guard:1: "},
		"of another log":  {editGuard("log fleet", "log other"), "guard:2: is the guard of another log"},
		"root of 31":      {editGuard("root ", "root AAAA\n"), "guard:6: the root has 3 bytes"},
		"root flipped":    {editGuard("root ", "root A"), "guard:6: "},
		"older":           {editGuard("size 3", "size 2"), "is older than the log"},
		"size twice":      {editGuard("size 3", "size 0"), "guard:6: size 0 follows size 0"},
		"newer":           {editGuard("size 3", "size 4"), "fewer than the 4"},
		"size not number": {editGuard("size 3", "size three"), "guard:5: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir, l := newTestLog(t)
			mustAppend(t, l, "a:1", "b:1", "c:1")
			before := len(signed(t, dir))
			test.damage(t, dir+".guard")
			reopened, err := Open(dir, testSigner(t, dir), testOptions)
			if err == nil {
				_, err = reopened.Append(context.Background(), []byte("d:1"))
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %q", err, test.says)
			}
			if len(signed(t, dir)) != before {
				t.Error("and yet it signed")
			}
		})
	}
}

func editGuard(old, new string) func(*testing.T, string) {
	return func(t *testing.T, guard string) {
		edit(t, filepath.Join(guard, guardName), func(b []byte) []byte {
			if old == "" {
				return nil
			}
			if i := bytes.LastIndex(b, []byte(old)); i >= 0 { // in the newest tree head, where it has it
				return append(append(b[:i:i], new...), b[i+len(old):]...)
			}
			return b
		})
	}
}

// TestGuardStandsAlone asks the guard itself, as if the checks before Tessera
// runs were not there.
func TestGuardStandsAlone(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1", "b:1")
	newGuard := l.guardedSigner
	head, err := l.tree.state()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newGuard().Sign([]byte(head.Text())); err != nil {
		t.Errorf("the same head again is refused: %v", err)
	}
	before := len(signed(t, dir))
	for name, change := range map[string]func() string{
		"smaller":      func() string { c := *head; c.Size = 1; return c.Text() },
		"other root":   func() string { c := *head; c.Root[0] ^= 1; return c.Text() },
		"larger":       func() string { c := *head; c.Size = 3; return c.Text() },
		"other origin": func() string { c := *head; c.Origin = "x"; return c.Text() },
		"not a head":   func() string { return "hello\n" },
		"extension":    func() string { return head.Text() + "more\n" },
		"signed note":  func() string { return head.Text() + "\n— x AAAAAAA=\n" },
		"empty":        func() string { return "" },
	} {
		g := newGuard()
		if sig, err := g.Sign([]byte(change())); err == nil || sig != nil || g.refusal() == nil {
			t.Errorf("%s was signed: %v", name, err)
		}
	}
	g := newGuard()
	if g.close() != nil {
		t.Error("a guard that signed nothing says it did")
	}
	if _, err := g.Sign([]byte(head.Text())); err == nil {
		t.Error("signed after it was closed")
	}
	if len(signed(t, dir)) != before {
		t.Error("the key was used")
	}
}

// TestGuardMovesBeforeTheKeyIsUsed: power may fail right after a signature.
func TestGuardMovesBeforeTheKeyIsUsed(t *testing.T) {
	dir, _ := newTestLog(t)
	var signs int
	s, err := NewSigner(testOrigin, testPub, func(msg []byte) ([]byte, error) {
		signs++
		next, err := auditlog.ParseTreeHead("", msg)
		if err != nil {
			return nil, err
		}
		l := openTestLog(t, dir)
		if last, err := readGuard(l.guardPath(), l.key); err != nil || last.head.Text() != next.Text() {
			t.Errorf("signing %q while the guard has %+v, %v", next.Text(), last, err)
		}
		return ed25519.Sign(testKey, msg), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir, s, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "a:1")
	mustAppend(t, l, "b:1", "c:1")
	if signs != 3 { // the empty tree, and two more
		t.Errorf("signed %d times", signs)
	}
}

// TestDamageWhileTesseraRuns damages the tile after the checks, when only the
// guard itself is left to notice.
func TestDamageWhileTesseraRuns(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, "a:1", "b:1", "c:1")
	good := filepath.Join(t.TempDir(), "good")
	copyPath(t, dir, good)
	edit(t, filepath.Join(dir, "log/tile/0/000.p/3"), func(b []byte) []byte { b[0] ^= 1; return b })
	_, err := l.integrate(context.Background(), [][]byte{[]byte("d:1")}, 0)
	wantRefusal(t, err, "refused to sign")
	// Now Tessera's state has moved on; it stays refused.
	_, err = l.Append(context.Background(), []byte("d:1"))
	wantRefusal(t, err, "refused to sign")
	replaceDir(t, good, dir)
	mustAppend(t, l, "d:1")
	assertNoFork(t, dir, allEntries(t, l.Reader))
}

// TestDamagedEntriesAreNotProven looks left of the right edge, where nothing
// is built upon.
func TestDamagedEntriesAreNotProven(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, numbered("a", 300)...)
	ctx := context.Background()
	edit(t, filepath.Join(dir, "log/tile/entries/000"), func(b []byte) []byte { b[2] ^= 1; return b })
	_, err := l.Prove(ctx, 0)
	wantRefusal(t, err, "are damaged")
	edit(t, filepath.Join(dir, "log/tile/0/000"), func(b []byte) []byte { b[64] ^= 1; return b })
	for _, i := range []uint64{1, 3} {
		_, err = l.Entry(ctx, i)
		wantRefusal(t, err, "are damaged")
	}
	if _, err := l.Prove(ctx, 299); err != nil {
		t.Errorf("an entry whose path has no damage: %v", err)
	}
}
