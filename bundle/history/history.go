// Package history checks a namespace's whole past: every statement that a
// third party ever signed, against each other, against the artifacts and
// bundles that the operator published, against the logs' proofs, and against
// what an earlier run saw.
//
// Most callers need [Check]. It is pure: files come in through an [Archive]
// (package saved reads folders and JSON lines), the earlier run through a
// [Record]. It takes about 100 bytes of memory an epoch and all cores.
package history

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Item is one saved file: a statement, an artifact or a bundle.
type Item struct {
	Ref      uint64 // by which the archive finds it again; below 2^63
	Operator bool   // the operator published it, not the third party
	Live     bool   // a live auditor answers with it: see Again
	Data     []byte // not to be kept after the call
	Proof    []byte // of a bundle: the .tlog-proof beside it; nil where there is none
}

// Archive is where saved files come from.
type Archive interface {
	// Each hands every file to f, in any order, one at a time.
	Each(ctx context.Context, f func(Item) error) error
	// Load gives a file's bytes again.
	Load(ref uint64) ([]byte, error)
	// Name says where a file is, for people.
	Name(ref uint64) string
}

// Key is a pinned third party.
type Key struct {
	Name   string
	Key    [32]byte
	Window bundle.Window
}

// Options say what is pinned and what is looked for.
type Options struct {
	Keys  []Key                         // whose statements count; admitted
	Trust func(ns string) *bundle.Trust // for whole bundles; nil: countersignatures are not shown
	Log   *auditlog.Policy              // for proofs; nil: inclusion is not shown
	Now   time.Time                     // for windows of keys
	Only  string                        // the one namespace that is looked at; empty for all
	Meta  bool                          // the operator's own formats are not public: artifacts by digest alone
	Rows  int                           // of how many epochs, the newest, the report has a row
	Tell  func(done int64)              // progress; may be nil; called from one goroutine
	Seen  *Record                       // what earlier runs saw; nil where there was none
	Again *Again                        // what a live auditor answers about its past; nil where none was asked
}

// Again is what a live auditor answered when it was asked once more for epochs
// that were saved before (package fetch).
type Again struct {
	Namespace string
	Asked     int64    // epochs
	Rewritten []uint64 // answered with another statement, which was saved beside the first
	Gone      []uint64 // answered with none
	Saved     uint64   // the newest epoch that was saved before; 0 where there was none
	Newest    uint64   // the newest that the auditor says it has; 0 where it knows no such namespace
}

// MetaNamespace is where Meta's fleet keys are logged, in public.
const MetaNamespace = "meta.encrypted_backups.fleet_keys.v1"

// Check looks at every file of the archive. The error is that the archive
// can't be read or that what is pinned can't be used; what is wrong in the
// history is in the report.
func Check(ctx context.Context, a Archive, o Options) (*Report, error) {
	if len(o.Keys) == 0 {
		return nil, fmt.Errorf("no third party's key is pinned, so nothing can be checked")
	}
	if len(o.Keys) > maxNames {
		return nil, fmt.Errorf("%d keys are pinned, %d are allowed", len(o.Keys), maxNames)
	}
	for _, k := range o.Keys {
		if err := keys.AdmitEd25519(k.Key[:]); err != nil {
			return nil, fmt.Errorf("the key of %s %w", k.Name, err)
		}
	}
	c := newCollector(a, o)
	if o.Seen != nil {
		if err := c.remember(o.Seen); err != nil {
			return nil, err
		}
	}
	if err := c.collect(ctx, max(1, runtime.GOMAXPROCS(0))); err != nil {
		return nil, err
	}
	return c.judge()
}
