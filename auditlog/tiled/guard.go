//go:build unix

package tiled

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	guardHeader = "fleetctl log guard v1"

	// maxGuard is the size at which the guard is written anew, with only its
	// last tree head.
	maxGuard = 32 << 10
)

func guardText(key *auditlog.Verifier, head *auditlog.Checkpoint) []byte {
	return fmt.Appendf(nil, "%s\nlog %s\n%s", guardHeader, key, guardRecord(head))
}

func guardRecord(head *auditlog.Checkpoint) []byte {
	return fmt.Appendf(nil, "size %d\nroot %s\n", head.Size, base64.StdEncoding.EncodeToString(head.Root[:]))
}

// guard is what the guard's file says. Each tree head is appended to it: that takes
// one flush of the disk, for which entries wait; replacing the file takes two.
type guard struct {
	head  *auditlog.Checkpoint // the last one: the newest that the key has signed or may have signed
	bytes int                  // of the file
	torn  []byte               // the beginning of another one: a power cut came while it was written, so before it was signed
}

// readGuard reads a guard. A missing file is an error, because without it nothing
// is known of what the key has signed.
func readGuard(path string, key *auditlog.Verifier) (*guard, error) {
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(path, "does not exist: nothing is known of what the log's key has signed").WithHint("%s", lostGuard(key))
	}
	if err != nil {
		return nil, err
	}
	g := &guard{bytes: len(data)}
	data, g.torn = wholeRecords(data)
	l := strict.NewLines(path, data)
	l.Literal(guardHeader)
	if l.After("log ") != key.String() {
		l.Failf("is the guard of another log")
	}
	for first := true; first || l.More(); first = false {
		head := &auditlog.Checkpoint{Origin: key.Name(), Size: l.Uint("size ")}
		root := l.Base64("root ")
		switch {
		case len(root) != len(head.Root):
			l.Failf("the root has %d bytes, a SHA-256 digest has %d", len(root), len(head.Root))
		case g.head != nil && head.Size <= g.head.Size:
			l.Failf("size %d follows size %d", head.Size, g.head.Size)
		default:
			head.Root = [32]byte(root)
		}
		g.head = head
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	return g, nil
}

// wholeRecords splits a guard's text behind its last whole record. The header has
// two lines, and so has each record. A text without a whole record is left as it
// is, to be refused.
func wholeRecords(data []byte) (whole, torn []byte) {
	lines := bytes.Count(data, []byte("\n"))
	if lines < 4 {
		return data, nil
	}
	end := 0
	for range lines - lines%2 {
		end += bytes.IndexByte(data[end:], '\n') + 1
	}
	return data[:end], data[end:]
}

// add makes a tree head the newest one, durably.
func (g *guard) add(path string, key *auditlog.Verifier, head *auditlog.Checkpoint) error {
	record := guardRecord(head)
	if g.bytes+len(record) > maxGuard {
		return durable.Replace(path, guardText(key, head), 0o644)
	}
	return durable.Append(path, record)
}

// mend finishes a record that a power cut interrupted. The tree was on the disk
// before its record was begun, so the record must be the beginning of that of the
// log's own tree head, which must be newer than the last whole one. Anything else
// is damage.
func (g *guard) mend(path string, key *auditlog.Verifier, tree *auditlog.Checkpoint) error {
	if len(g.torn) == 0 {
		return nil
	}
	if tree.Size <= g.head.Size || !bytes.HasPrefix(guardRecord(tree), g.torn) {
		return strict.Errorf(path, "ends in the middle of a tree head that is not the log's").WithHint("%s", lostGuard(key))
	}
	return durable.Replace(path, guardText(key, tree), 0o644)
}

// lostGuard says what to do where the guard is gone or older than the log.
func lostGuard(key *auditlog.Verifier) string {
	return fmt.Sprintf("Put the guard back if it was moved. If it is lost, ask every witness and every monitor of %s for the\n"+
		"newest checkpoint it has seen. If the log holds nothing older than that, write the guard by hand:\n"+
		"%s\nlog %s\nsize <size of that checkpoint>\nroot <its root>\n"+
		"If the log is older, it was restored from a copy: end it and start one with another key.", key.Name(), guardHeader, key)
}

// guardedSigner signs tree heads, each only if it continues all earlier ones.
type guardedSigner struct {
	note.Signer
	path string // of the guard's file
	key  *auditlog.Verifier
	tree *tree

	mu      sync.Mutex
	closed  bool
	refused error                // the first refusal, which Tessera only logs
	signed  *auditlog.Checkpoint // the last one signed here
	news    chan struct{}        // of capacity 1; a value says that something was signed or refused
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
	select {
	case g.news <- struct{}{}:
	default:
	}
	return sig, err
}

// covering waits until a tree head that covers entry n is signed, and gives the
// newest one. It returns an error if a tree head was refused.
func (g *guardedSigner) covering(ctx context.Context, n uint64) (*auditlog.Checkpoint, error) {
	for {
		g.mu.Lock()
		signed, err := g.signed, g.refused
		g.mu.Unlock()
		if err != nil || signed != nil && signed.Size > n {
			return signed, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-g.news:
		}
	}
}

func (g *guardedSigner) sign(msg []byte) ([]byte, error) {
	next, err := auditlog.ParseTreeHead("", msg)
	if err != nil {
		return nil, err
	}
	file, err := readGuard(g.path, g.key)
	if err != nil {
		return nil, err
	}
	if len(file.torn) > 0 {
		return nil, strict.Errorf(g.path, "ends in the middle of a tree head").WithHint("Run it again: the head is compared with the log's.")
	}
	last := file.head
	if err := g.tree.continues(context.Background(), last, next); err != nil {
		return nil, forked(g.path, last, err)
	}
	if next.Size != last.Size {
		// This comes before the signature. After a crash in between, the guard knows
		// a head that was never signed; that makes it refuse nothing honest.
		if err := file.add(g.path, g.key, next); err != nil {
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

// close ends signing and gives the last tree head signed, or nil. After it has
// returned nothing is being signed, and nothing will be.
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
