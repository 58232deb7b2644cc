package thirdparty

import (
	"os"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// clockTolerance is how far our clock may be behind the operator's.
const clockTolerance = 5 * time.Minute

// Sign answers an inspected request. The signature is in the ledger, on the
// disk, before it is returned; the same request gets the same answer.
func Sign(in *Inspection, l *Ledger, now time.Time, sign func(message []byte) ([]byte, error)) (*bundle.Response, error) {
	core := in.Request.Core
	if s := l.answered(core); s != nil {
		return bundle.NewResponse(bundle.Signed{Key: l.key, Statement: s})
	}
	if _, err := l.check("request", core); err != nil {
		return nil, err // another request was signed since the inspection
	}
	// The operator takes no statement from before its release, and an epoch is
	// signed once: with a clock that is behind, it would be used up for nothing.
	if released := in.Account.ReleaseTime; now.Before(released.Add(-clockTolerance)) {
		return nil, strict.Errorf("request", "was released at %s, and the clock says %s", strict.FormatTime(released), strict.FormatTime(now)).WithHint("set the clock right")
	}
	set := core.KeySet
	for _, e := range l.entries {
		if now.Before(e.statement.Time()) {
			return nil, strict.Errorf(l.path, "its last time is %s, and the clock says %s: time never goes back",
				e.statement.Time().Format(time.RFC3339), now.UTC().Format(time.RFC3339)).WithHint("set the clock right")
		}
	}
	s, err := bundle.NewStatement(in.Party.Ciphersuite, set.Namespace, uint64(now.UnixMilli()), set.Epoch, set.Digest())
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
	if err := l.append(core, s); err != nil {
		return nil, err
	}
	return bundle.NewResponse(bundle.Signed{Key: l.key, Statement: s})
}

func (l *Ledger) append(core *bundle.Core, s *bundle.Statement) error {
	if l.broken != nil {
		return strict.Errorf(l.path, "could not be written before: %v", l.broken)
	}
	e := entry{N: len(l.entries) + 1, Prev: l.head, Core: core.Subject(), Statement: s.Raw()}
	line := strict.EncodeLine(e)
	if err := l.write(append(line, '\n')); err != nil {
		// What is on the disk is unknown: the ledger has to be read anew.
		l.broken = err
		return strict.Errorf(l.path, "can't be written, so nothing was signed: %v", err)
	}
	return l.readEntry(e.N, line)
}

func (l *Ledger) write(line []byte) error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(l.path))
	}
	return err
}
