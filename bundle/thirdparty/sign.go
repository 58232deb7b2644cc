package thirdparty

import (
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Sign answers an inspected request. The signature is in the ledger, on the
// disk, before it is returned; the same request gets the same answer.
func Sign(in *Inspection, l *Ledger, now time.Time, sign func(message []byte) ([]byte, error)) (*bundle.Response, error) {
	if in.Party == nil {
		return nil, strict.Errorf(in.file, "was not held against the ledger, and nothing is signed before that")
	}
	if err := in.adds(); err != nil {
		return nil, err
	}
	w := in.wanted("request")
	w.after, w.agreed, w.adder = in.Account.ReleaseTime, in.agreed, in.adder
	return l.sign(w, in.policy.others, in.Party.Ciphersuite, in.policy.clockBound(), now, sign)
}

func (l *Ledger) sign(w *wanted, others *others, suite uint32, bound time.Duration, now time.Time, sign func(message []byte) ([]byte, error)) (*bundle.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unlock == nil {
		return nil, strict.Errorf(l.path, "was opened for reading only")
	}
	if s := l.answered(w.subject); s != nil {
		if err := l.advance(); err != nil {
			return nil, err
		}
		return l.answer(s, w.adder)
	}
	_, gap, err := l.check(w, others)
	if err != nil {
		return nil, err // another request was signed since the inspection
	}
	if gap != nil && !sameGap(gap, w.agreed) {
		return nil, strict.Errorf(w.file, "is not signed without consent to its gap: %v", gap).
			WithHint("agree to it with --gap %d, or answer the question at the terminal", gap.Epoch)
	}
	if err := l.clock(w, now, bound); err != nil {
		return nil, err
	}
	if err := l.stands(); err != nil {
		return nil, err
	}
	s, err := bundle.NewStatement(suite, w.namespace, uint64(now.UnixMilli()), w.epoch, w.digest)
	if err != nil {
		return nil, err
	}
	sig, err := sign(s.Message())
	if err != nil {
		return nil, err
	}
	if s, err = s.Seal(l.key, sig); err != nil {
		return nil, err
	}
	if err := l.append(w.subject, s, gap); err != nil {
		return nil, err
	}
	if err := l.advance(); err != nil {
		return nil, err
	}
	return l.answer(s, w.adder)
}

// answer is the response with a statement of the ledger's. The ledger doesn't keep what
// is added: it is made again, over the same bytes.
func (l *Ledger) answer(s *bundle.Statement, by *Adder) (*bundle.Response, error) {
	signed := bundle.Signed{Key: l.key, Statement: s}
	if by != nil {
		sig, err := by.Sign(s.Message())
		if err == nil {
			signed, err = signed.Seal(by.Key, sig)
		}
		if err != nil {
			return nil, strict.Errorf(l.path, "the statement of epoch %d stands in it, and the post-quantum signature beside it could not be made: %v", s.Epoch, err).Because(err).
				WithHint("run the same command again: the statement stays the same")
		}
	}
	return bundle.NewResponse(signed)
}

func sameGap(a, b *Gap) bool {
	return b != nil && a.Last == b.Last && a.Epoch == b.Epoch && a.Digest == b.Digest
}

func (l *Ledger) append(subject [32]byte, s *bundle.Statement, gap *Gap) error {
	if l.broken != nil {
		return strict.Errorf(l.path, "could not be written before: %v", l.broken)
	}
	e := entry{N: len(l.entries) + 1, Prev: l.head, Core: subject, Statement: s.Raw(), Gap: gap.file()}
	line := strict.EncodeLine(e)
	if err := l.write(append(line, '\n')); err != nil {
		// What is on the disk is unknown: the ledger has to be read anew.
		l.broken = err
		return strict.Errorf(l.path, "can't be written, so nothing was signed: %v", err).Because(err)
	}
	return l.readEntry(e.N, line)
}

func (l *Ledger) write(line []byte) error {
	if err := durable.Append(l.path, line); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(l.path))
}
