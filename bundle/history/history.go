// Package history checks a namespace's whole past: every statement that a
// third party ever signed, against each other, against the artifacts and
// bundles that the operator published, against the logs' proofs, and against
// what an earlier run saw.
//
// Most callers need [Check]. It is pure: files come in through an [Archive]
// (package saved reads folders and JSON lines), the earlier run through a
// [Record]. It uses all cores, and about 100 bytes of memory for each epoch.
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
	Ref      uint64 // number by which the archive finds it again; below 2^63
	Operator bool   // the operator published it, not the third party
	Live     bool   // a live auditor answered with it: see Again
	Data     []byte // valid only during the call
	Proof    []byte // of a bundle: the .tlog-proof beside it; nil if there is none
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
	Trust func(ns string) *bundle.Trust // for whole bundles; nil: countersignatures are not checked
	Log   *auditlog.Policy              // for proofs; nil: inclusion is not checked
	Now   time.Time                     // by which keys' windows are judged
	Only  string                        // the only namespace that is looked at; empty for all
	Meta  bool                          // the operator's own formats are not public: artifacts are known only by digest
	Rows  int                           // for how many of the newest epochs the report has a row
	Tell  func(done int64)              // progress; may be nil; called from one goroutine
	Seen  *Record                       // what earlier runs saw; nil if there were none
	Again *Again                        // what a live auditor answered about its past; nil if none was asked
}

// Again is what a live auditor answered when it was asked once more for epochs
// that were saved before (package fetch).
type Again struct {
	Namespace string
	Asked     int64    // epochs
	Rewritten []uint64 // epochs answered with another statement, which was saved beside the first
	Gone      []uint64 // epochs for which it has no statement any more
	Saved     uint64   // the newest epoch that was saved before; 0 if there was none
	Newest    uint64   // the newest epoch that the auditor says it has; 0 if it doesn't know the namespace
}

// MetaNamespace is the public namespace of Meta's fleet keys.
const MetaNamespace = "meta.encrypted_backups.fleet_keys.v1"

// Check looks at every file of the archive. It returns an error if the archive
// can't be read or what is pinned can't be used. What is wrong in the history is in
// the report.
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
