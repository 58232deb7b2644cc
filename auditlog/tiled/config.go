//go:build unix

package tiled

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxEntry is the size in bytes of the largest entry (C2SP tlog-tiles: a
// bundle gives an entry's length in 16 bits).
const maxEntry = 1<<16 - 1

// Options say where a log's parts are and what makes two entries the same.
type Options struct {
	// Guard is the guard's directory; empty means the log's with .guard
	// appended.
	Guard string

	// Keys name what an entry is about. If neither of its fields is set, they
	// are [BytesAlone].
	Keys Keys

	// Timeout is how long Append waits for the lock, and then again for a
	// signed checkpoint; 0 means 10 s. Making the index again from the entries,
	// if it is gone or damaged, has no time limit.
	Timeout time.Duration

	// Reading is called with how many entries were read, of how many, if more
	// than a few have to be read to make the index again. It may be nil.
	Reading func(done, total uint64)
}

func (o Options) withDefaults(dir string) Options {
	if o.Guard == "" {
		o.Guard = strings.TrimRight(dir, string(filepath.Separator)) + ".guard"
	}
	if o.Keys.Of == nil && o.Keys.Scheme == "" {
		o.Keys = BytesAlone
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	return o
}

const (
	configName   = "config"
	logName      = "log"
	guardName    = "guard"
	lockName     = "lock"
	configHeader = "fleetctl log v1"
)

// Init makes a log's directory and its guard; neither may exist. The key is
// Ed25519 (type 0x01), as the witnesses of the public network demand, or ML-DSA-44
// (type 0x06), and its name
// is the log's origin. Only this log may use the key, and the key must never have
// signed for another log of that name.
func Init(dir, vkey string, o Options) error {
	o = o.withDefaults(dir)
	key, err := auditlog.ParseVKey(vkey)
	if err != nil {
		return err
	}
	if key.Type() != auditlog.Ed25519 && key.Type() != auditlog.MLDSA44Cosignature {
		return strict.Errorf("", "the log's key has type 0x%02x; the embedded log signs with Ed25519 (0x01) or ML-DSA-44 (0x06)", byte(key.Type()))
	}
	for _, d := range []string{dir, o.Guard} {
		if _, err := durable.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			return strict.Errorf(d, "exists already").
				WithHint("A log's key must never sign two histories: take another directory and another key,\nor, if nothing was ever added here, remove %s and %s.", dir, o.Guard)
		}
	}
	for _, d := range []string{o.Guard, dir} {
		if err := durable.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := durable.Create(filepath.Join(o.Guard, guardName), guardText(key, emptyHead(key.Name())), 0o644); err != nil {
		return err
	}
	text := fmt.Sprintf("%s\nlog %s\n", configHeader, key)
	return durable.Create(filepath.Join(dir, configName), []byte(text), 0o644)
}

func readConfig(dir string) (*auditlog.Verifier, error) {
	path := filepath.Join(dir, configName)
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(path, "does not exist: %s is no log", dir).WithHint("Make one with `fleetctl log init`.")
	}
	if err != nil {
		return nil, err
	}
	l := strict.NewLines(path, data)
	l.Literal(configHeader)
	key, err := auditlog.ParseVKey(l.After("log "))
	l.Check(err)
	if err := l.Done(); err != nil {
		return nil, err
	}
	return key, nil
}
