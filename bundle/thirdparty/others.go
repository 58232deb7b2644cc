package thirdparty

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Equivocation is one key's two statements about one epoch: together they are
// the proof. Both lie in Files.
type Equivocation struct {
	Key       [32]byte
	Namespace string
	Epoch     uint64
	Files     [2]string
}

func (e *Equivocation) Error() string {
	return fmt.Sprintf("the key %x signed two statements about epoch %d of %s: both are kept, in %s and %s; nothing is signed",
		e.Key[:8], e.Epoch, e.Namespace, e.Files[0], e.Files[1])
}

// Meet keeps the statements of others that a request names, each once, in the
// folder beside the ledger, and says when one contradicts what was met before.
// A second statement is kept too. An *Equivocation is the error.
func (l *Ledger) Meet(signed []bundle.Signed) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range signed {
		if s.Key == l.key {
			if err := l.meetOurs(s.Statement); err != nil {
				return err
			}
			continue
		}
		if err := l.keep(s); err != nil {
			return err
		}
	}
	return nil
}

// meetOurs looks at a statement by our own key that somebody else brings.
func (l *Ledger) meetOurs(s *bundle.Statement) error {
	for _, e := range l.entries {
		if e.statement.Namespace == s.Namespace && e.statement.Epoch == s.Epoch && e.statement.Digest != s.Digest {
			if err := l.keep(bundle.Signed{Key: l.key, Statement: e.statement}); err != nil {
				return err
			}
			return l.keep(bundle.Signed{Key: l.key, Statement: s})
		}
	}
	return nil // one that we don't have is for the rules to refuse
}

// othersDir is the folder of statements by others.
func (l *Ledger) othersDir() string { return l.path + ".others" }

func (l *Ledger) keep(s bundle.Signed) error {
	dir := l.othersDir()
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// The first statement has the plain name; a second one, of another digest,
	// has its digest in the name.
	first := filepath.Join(dir, fmt.Sprintf("%s-%d-%x.json", s.Statement.Namespace, s.Statement.Epoch, s.Key[:8]))
	err := durable.Create(first, s.Statement.Raw(), 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Whoever kept it may have been killed before its name was durable.
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	data, err := durable.ReadFile(first)
	if err != nil {
		return err
	}
	if bytes.Equal(data, s.Statement.Raw()) {
		return nil
	}
	known, err := bundle.ParseStatement(first, data)
	if err != nil {
		return err
	}
	if err := known.Verify(s.Key); err != nil {
		return strict.Errorf(first, "was changed since it was kept: %v", err)
	}
	if known.Digest == s.Statement.Digest {
		return nil
	}
	second := filepath.Join(dir, fmt.Sprintf("%s-%d-%x-%x.json", s.Statement.Namespace, s.Statement.Epoch, s.Key[:8], s.Statement.Digest[:8]))
	if err := durable.CreateSame(second, s.Statement.Raw(), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return &Equivocation{Key: s.Key, Namespace: s.Statement.Namespace, Epoch: s.Statement.Epoch, Files: [2]string{first, second}}
}
