package thirdparty

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// InitLedger begins the ledger of a key, once in the key's life: an empty file,
// and the guard that ties it to the key. Signing begins neither, so that a
// mistyped path is an error and not a second ledger, which would know nothing
// of what the first one signed.
//
// It refuses where either file is there, and where the folders of ledger and
// guard, or those of look, hold another ledger or guard of the same key. It
// can't see other folders and other machines.
func InitLedger(path, guardPath string, key [32]byte, look ...string) error {
	if err := keys.AdmitEd25519(key[:]); err != nil {
		return strict.Errorf(path, "the ledger's key %v", err)
	}
	if err := lost(path, guardPath, key); err != nil {
		return err
	}
	for _, p := range []string{path, guardPath} {
		if _, err := durable.Lstat(p); err == nil {
			return strict.Errorf(p, "exists; a ledger is begun once, and nothing is overwritten").
				WithHint("a ledger that was begun is signed with as it is. If only its guard is missing:\nfleetctl thirdparty guard %s --public-key KEY", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := noneOf(key, path, append([]string{filepath.Dir(path), filepath.Dir(guardPath)}, look...)...); err != nil {
		return err
	}
	// The ledger comes first: one without a guard is opened by nothing, and its
	// guard can be begun later; a guard alone would be in the way of both.
	if err := durable.Create(path, nil, 0o600); err != nil {
		return err
	}
	l := &Ledger{path: path, key: key, head: genesis(key)}
	if err := durable.Create(guardPath, l.guardText(), 0o600); err != nil {
		// An error may come after the guard has its name: then the ledger is begun,
		// and stays.
		if have, _ := durable.ReadFile(guardPath); !bytes.Equal(have, l.guardText()) {
			err = errors.Join(err, durable.Remove(path))
		}
		return err
	}
	return nil
}

// lost says what to do where the ledger is gone, and its guard has seen entries.
func lost(path, guardPath string, key [32]byte) error {
	if _, err := durable.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	data, err := durable.ReadFile(guardPath)
	if err != nil {
		return nil // none: there is nothing that it knows
	}
	g, err := parseGuard(guardPath, data, key)
	if err != nil || g.entries == 0 {
		return nil // not this ledger's, or nothing was signed
	}
	entries := "entries"
	if g.entries == 1 {
		entries = "entry"
	}
	return strict.Errorf(guardPath, "the guard knows a ledger of %d %s, and %s isn't here", g.entries, entries, path).
		WithHint("put back its newest copy. If there is none, this key never signs again: rotate it")
}

// noneOf refuses folders in which there is a ledger or a guard of the key,
// whatever it is called; but for the one file that is being begun.
func noneOf(key [32]byte, but string, dirs ...string) error {
	for _, dir := range dirs {
		if err := noneIn(key, but, dir); err != nil {
			return err
		}
	}
	return nil
}

func noneIn(key [32]byte, but, dir string) error {
	list, err := durable.ReadDir(dir)
	if err != nil {
		return err
	}
	itself, _ := durable.Lstat(but) // nil where it isn't there yet
	ledger := fmt.Appendf(nil, `{"n":1,"prev":"%x"`, genesis(key))
	guard := fmt.Appendf(nil, "%s\nkey %s\n", guardHeader, base64.StdEncoding.EncodeToString(key[:]))
	first := (&Ledger{key: key, head: genesis(key)}).guardText()
	for _, e := range list {
		if !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if info, err := e.Info(); err == nil && itself != nil && durable.SameFile(info, itself) {
			continue
		}
		begins, err := beginning(path, max(len(ledger), len(first)+1))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // removed meanwhile
		case err != nil:
			return strict.Errorf(path, "can't be read, so it might be a ledger of this key: %v", err).WithHint("begin the ledger in a folder of its own")
		case bytes.HasPrefix(begins, ledger):
			return begunAlready(path, "a ledger")
		case durable.IsTemp(e.Name()) && bytes.Equal(begins, first):
			continue // left of a beginning that was cut off: nothing was signed under it
		case bytes.HasPrefix(begins, guard):
			return begunAlready(path, "the guard of a ledger")
		}
	}
	return nil
}

func begunAlready(path, what string) error {
	return strict.Errorf(path, "is %s of this very key; a key has one ledger, or it signs an epoch twice", what).
		WithHint("sign with the ledger that the key has, and name it with --ledger. If it is lost, this key never signs again: make a new one")
}

func beginning(path string, n int) ([]byte, error) {
	f, err := durable.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(n)))
}
