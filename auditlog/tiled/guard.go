//go:build unix

package tiled

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const guardHeader = "fleetctl log guard v1"

func guardText(key *auditlog.Verifier, head *auditlog.Checkpoint) []byte {
	return fmt.Appendf(nil, "%s\nlog %s\nsize %d\nroot %s\n",
		guardHeader, key, head.Size, base64.StdEncoding.EncodeToString(head.Root[:]))
}

// readGuard gives the newest tree head that the key has signed or may have.
// A missing file is a refusal: without it nothing is known.
func readGuard(path string, key *auditlog.Verifier) (*auditlog.Checkpoint, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(path, "does not exist: nothing is known of what the log's key has signed").WithHint("%s", lostGuard(key))
	}
	if err != nil {
		return nil, err
	}
	l := strict.NewLines(path, data)
	l.Literal(guardHeader)
	if l.After("log ") != key.String() {
		l.Failf("is the guard of another log")
	}
	head := &auditlog.Checkpoint{Origin: key.Name(), Size: l.Uint("size ")}
	root := l.Base64("root ")
	if len(root) != len(head.Root) {
		l.Failf("the root has %d bytes, a SHA-256 digest has %d", len(root), len(head.Root))
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	copy(head.Root[:], root)
	return head, nil
}

// lostGuard says what to do where the guard is gone or older than the log.
func lostGuard(key *auditlog.Verifier) string {
	return fmt.Sprintf("Put the guard back if it was moved. If it is lost, ask every witness and monitor of %s for the\n"+
		"newest checkpoint it has seen. If the log holds nothing older than that, write the guard by hand:\n"+
		"%s\nlog %s\nsize <size of that checkpoint>\nroot <its root>\n"+
		"If the log is older, it was restored from a copy: end it and start one with another key.", key.Name(), guardHeader, key)
}

// guardedSigner signs tree heads, each a continuation of all before it.
type guardedSigner struct {
	note.Signer
	path string // of the guard's file
	key  *auditlog.Verifier
	tree *tree

	mu      sync.Mutex
	closed  bool
	refused error                // the first refusal, which Tessera only logs
	signed  *auditlog.Checkpoint // the last one signed here
}

// Sign is called by Tessera, from a goroutine of its own.
func (g *guardedSigner) Sign(msg []byte) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errors.New("the log was closed")
	}
	sig, err := g.sign(msg)
	if err != nil && g.refused == nil {
		g.refused = err
	}
	return sig, err
}

func (g *guardedSigner) sign(msg []byte) ([]byte, error) {
	next, err := auditlog.ParseTreeHead("", msg)
	if err != nil {
		return nil, err
	}
	last, err := readGuard(g.path, g.key)
	if err != nil {
		return nil, err
	}
	if err := g.tree.continues(context.Background(), last, next); err != nil {
		return nil, forked(g.path, last, err)
	}
	if next.Size != last.Size {
		// Before the signature: a crash in between leaves a guard that is
		// ahead of what was signed, which refuses nothing honest.
		if err := durable.Replace(g.path, guardText(g.key, next), 0o644); err != nil {
			return nil, err
		}
	}
	sig, err := g.Signer.Sign(msg)
	if err != nil {
		return nil, err
	}
	g.signed = next
	return sig, nil
}

// refusal is the first error met while signing.
func (g *guardedSigner) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// close ends signing and gives the last tree head signed, or nil. When it
// returns no signature is under way, and none will be.
func (g *guardedSigner) close() *auditlog.Checkpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return g.signed
}

func forked(path string, last *auditlog.Checkpoint, err error) error {
	return strict.Errorf(path, "refused to sign, the log does not continue the tree of size %d it has signed: %v", last.Size, err).
		WithHint("The log's directory was restored from an older copy, or is damaged. Put back its newest copy, one that\n" +
			"holds all of the entries. Do not remove the guard: a second history under the same key can't be undone.")
}
