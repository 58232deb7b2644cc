//go:build unix

package tiled

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/transparency-dev/merkle/rfc6962"
)

// MaxEntry is the size in bytes of the largest entry (C2SP tlog-tiles: a
// bundle gives an entry's length in 16 bits).
const MaxEntry = 1<<16 - 1

// Options say where a log's parts are and what makes two entries the same.
type Options struct {
	// Guard is the guard's directory; empty means the log's with .guard
	// appended.
	Guard string

	// KeyOf names what an entry is about, such as namespace, epoch and
	// digest: of entries with the same key only the first is added. An empty
	// key is never the same as another. It must be a function of the bytes
	// alone, since the index is made again by it, and UTF-8. nil means the
	// bytes' SHA-256.
	KeyOf func(leaf []byte) string

	// Timeout is how long Append waits for the lock and then for a signed
	// checkpoint; 0 means 10 s.
	Timeout time.Duration
}

func (o Options) withDefaults(dir string) Options {
	if o.Guard == "" {
		o.Guard = strings.TrimRight(dir, string(filepath.Separator)) + ".guard"
	}
	if o.KeyOf == nil {
		o.KeyOf = func(leaf []byte) string {
			h := sha256.Sum256(leaf)
			return hex.EncodeToString(h[:])
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	return o
}

const (
	configName   = "config"
	indexName    = "index.jsonl"
	logName      = "log"
	guardName    = "guard"
	lockName     = "lock"
	configHeader = "fleetctl log v1"
)

// Init makes a log's directory and its guard; neither may exist. The key is
// Ed25519 (type 0x01), as witnesses of the public network demand, and its name
// is the log's origin. It must be this log's alone and must never have signed
// for another of that name.
func Init(dir, vkey string, o Options) error {
	o = o.withDefaults(dir)
	key, err := auditlog.ParseVKey(vkey)
	if err != nil {
		return err
	}
	if key.Type() != auditlog.Ed25519 {
		return strict.Errorf("", "the log's key has type 0x%02x; the embedded log signs with Ed25519 (0x01)", byte(key.Type()))
	}
	for _, d := range []string{dir, o.Guard} {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			return strict.Errorf(d, "exists already").
				WithHint("A log's key must never sign two histories: take another directory and another key,\nor, if nothing was ever added here, remove %s and %s.", dir, o.Guard)
		}
	}
	for _, d := range []string{o.Guard, dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
		if err := durable.SyncDir(filepath.Dir(filepath.Clean(d))); err != nil {
			return err
		}
	}
	empty := &auditlog.Checkpoint{Origin: key.Name(), Root: [32]byte(rfc6962.DefaultHasher.EmptyRoot())}
	if err := durable.Create(filepath.Join(o.Guard, guardName), guardText(key, empty), 0o644); err != nil {
		return err
	}
	text := fmt.Sprintf("%s\nlog %s\n", configHeader, key)
	return durable.Create(filepath.Join(dir, configName), []byte(text), 0o644)
}

func readConfig(dir string) (*auditlog.Verifier, error) {
	path := filepath.Join(dir, configName)
	data, err := os.ReadFile(path)
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
