package thirdparty

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const guardHeader = "fleetctl third-party-guard v1"

// maxGuard bounds a guard's file, in bytes.
const maxGuard = 1 << 10

// GuardPath is where a ledger's guard is unless it is named: beside it. On
// another disk it also notices that the whole folder was put back.
func GuardPath(ledger string) string { return ledger + ".guard" }

// guard is what a ledger had come to when a signature left last. It is written
// after the ledger and before the signature leaves: so an honest ledger is never
// behind it, and one that was put back from a copy is.
type guard struct {
	path    string
	entries uint64
	head    [32]byte
}

// OpenGuarded is OpenLedger with the guard in a file of the caller's choice.
//
// Both are locked: a copy of the ledger under the same guard could sign at the
// same time. Neither may be a symbolic link. A ledger under two names has two
// locks; and a guard is replaced as a whole, which would put a file where its
// link is and leave the one on the other disk behind.
func OpenGuarded(path, guardPath string, key [32]byte) (*Ledger, error) {
	for _, p := range []string{path, guardPath} {
		if info, err := durable.Lstat(p); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, strict.Errorf(p, "is a symbolic link; a ledger and its guard have one name").WithHint("name the file itself: the ledger by its path, its guard with --guard")
		}
	}
	// Before the locks: a mistyped path leaves no lock file behind.
	if _, err := durable.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, absent(path)
	}
	unlock, err := lockBoth(path+".lock", guardPath+".lock")
	if err != nil {
		return nil, err
	}
	l, err := readLedger(path, key)
	if err == nil {
		l.unlock = unlock
		err = errors.Join(durable.Temp(filepath.Dir(path)).Sweep(), durable.Temp(filepath.Dir(guardPath)).Sweep())
	}
	if err == nil {
		if l.guard, err = l.readGuard(guardPath); err == nil {
			if err = l.keepTorn(); err == nil {
				err = errors.Join(durable.Settle(path, 1), durable.SyncDir(filepath.Dir(guardPath)))
			}
		}
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return l, nil
}

func lockBoth(ledger, guard string) (unlock func(), err error) {
	first, err := durable.Lock(ledger)
	if err != nil {
		return nil, err
	}
	second, err := durable.Lock(guard)
	if err != nil {
		first()
		return nil, err
	}
	return func() { second(); first() }, nil
}

// CheckGuard says whether the ledger has everything that its guard has seen.
func (l *Ledger) CheckGuard(path string) error {
	_, err := l.readGuard(path)
	return err
}

// BeginGuard makes the guard of a ledger that has none. It believes the ledger:
// whoever calls it has made sure that nothing was signed after its last entry.
// To believe an empty ledger is to begin it: that takes what InitLedger wants.
func (l *Ledger) BeginGuard(path string) error {
	if len(l.entries) == 0 {
		if err := noneOf(l.key, l.path, filepath.Dir(l.path), filepath.Dir(path)); err != nil {
			return err
		}
	}
	err := durable.Create(path, l.guardText(), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return strict.Errorf(path, "exists; nothing is overwritten").WithHint("a guard that refuses is right until it is shown that it isn't: keep it, and begin another")
	}
	return err
}

func (l *Ledger) readGuard(path string) (*guard, error) {
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(path, "does not exist, and the ledger %s has %d entries: nothing shows that they are all that was signed", l.path, len(l.entries)).
			WithHint("put the guard back if it was moved, or name it with --guard. If it is lost, or the ledger came from a copy, compare the ledger\n"+
				"with what is published; if nothing newer was signed:\nfleetctl thirdparty guard %s --public-key KEY", l.path)
	}
	if err != nil {
		return nil, err
	}
	g, err := parseGuard(path, data, l.key)
	if err != nil {
		return nil, err
	}
	return g, l.has(g)
}

// has says whether the ledger has everything that a guard has seen.
func (l *Ledger) has(g *guard) error {
	if have := uint64(len(l.entries)); g.entries > have {
		return l.behind("has %d of the %d entries that its guard %s has seen", have, g.entries, g.path)
	}
	if l.headAt(g.entries) != g.head {
		return l.behind("has another entry %d than its guard %s has seen", g.entries, g.path)
	}
	return nil
}

// ReadGuarded is ReadLedger that also holds the ledger against its guard, where that
// is there: a copy that is served has none. The guard is read first, so that an entry
// signed meanwhile puts the ledger ahead of it, and not behind.
func ReadGuarded(path, guardPath string, key [32]byte) (*Ledger, error) {
	data, err := durable.ReadFile(guardPath)
	if errors.Is(err, fs.ErrNotExist) {
		return ReadLedger(path, key)
	}
	if err != nil {
		return nil, err
	}
	g, err := parseGuard(guardPath, data, key)
	if err != nil {
		return nil, err
	}
	l, err := ReadLedger(path, key)
	if err != nil {
		return nil, err
	}
	if err := l.has(g); err != nil {
		return nil, err
	}
	return l, nil
}

// ErrBehind is a ledger that lacks entries which were there before, or has others.
var ErrBehind = errors.New("it is not the ledger that was signed with last")

// Extends says whether the ledger has every entry of one that was read before.
func (l *Ledger) Extends(before *Ledger) error {
	n := uint64(len(before.entries))
	if have := uint64(len(l.entries)); have < n {
		return l.behind("has %d of the %d entries that were read before", have, n)
	}
	if l.headAt(n) != before.head {
		return l.behind("has other entries, up to entry %d, than were read before", n)
	}
	return nil
}

func (l *Ledger) behind(format string, args ...any) error {
	return strict.Errorf(l.path, format+": %v", append(args, ErrBehind)...).Because(ErrBehind).
		WithHint("a ledger restored from a backup? Find its newest copy. If there is none, this key never signs again")
}

// headAt is the chain's hash after so many entries.
func (l *Ledger) headAt(n uint64) [32]byte {
	if n == uint64(len(l.entries)) {
		return l.head
	}
	return l.entries[n].Prev
}

func parseGuard(path string, data []byte, key [32]byte) (*guard, error) {
	if len(data) > maxGuard {
		return nil, strict.Errorf(path, "has %d bytes, %d are allowed", len(data), maxGuard)
	}
	lines := strict.NewLines(path, data)
	lines.Literal(guardHeader)
	if lines.After("key ") != base64.StdEncoding.EncodeToString(key[:]) && lines.Err() == nil {
		lines.Failf("is the guard of another key's ledger")
	}
	g := &guard{path: path, entries: lines.Uint("entries "), head: lines.Hash("head ")}
	if err := lines.Done(); err != nil {
		return nil, err
	}
	return g, nil
}

func (l *Ledger) guardText() []byte {
	return fmt.Appendf(nil, "%s\nkey %s\nentries %d\nhead %x\n", guardHeader, base64.StdEncoding.EncodeToString(l.key[:]), len(l.entries), l.head)
}

// stands reads the guard once more: one that was moved on meanwhile, by another
// machine or under another lock, has seen what this ledger lacks.
func (l *Ledger) stands() error {
	_, err := l.readGuard(l.guard.path)
	if e := (*strict.Error)(nil); err != nil && !errors.As(err, &e) {
		return strict.Errorf(l.guard.path, "can't be read, so no signature leaves: %v", err).Because(err)
	}
	return err
}

// advance takes the guard to the ledger's end, before a signature leaves.
func (l *Ledger) advance() error {
	if err := l.stands(); err != nil {
		return err
	}
	if l.guard.head == l.head && l.guard.entries == uint64(len(l.entries)) {
		return nil
	}
	if err := durable.Replace(l.guard.path, l.guardText(), 0o600); err != nil {
		return strict.Errorf(l.guard.path, "can't be written, so no signature leaves: %v", err).Because(err)
	}
	l.guard.entries, l.guard.head = uint64(len(l.entries)), l.head
	return nil
}
