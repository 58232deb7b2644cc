package witness

import (
	"bytes"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Request reads what a log's operator sent by file: an add-checkpoint request, or
// a checkpoint, alone or in a proof. A checkpoint alone, without the proof that it
// continues the last one, will do only the first time or if it has the size that
// this witness has cosigned last.
func (w *Witness) Request(file string, data []byte) (*auditlog.Request, error) {
	var c *auditlog.Checkpoint
	switch {
	case bytes.HasPrefix(data, []byte("old ")):
		return auditlog.ParseRequest(file, data)
	case bytes.HasPrefix(data, []byte("c2sp.org/tlog-proof@")):
		p, err := auditlog.ParseProof(file, data)
		if err != nil {
			return nil, err
		}
		c = p.Checkpoint
	default:
		var err error
		if c, err = auditlog.ParseCheckpoint(file, data); err != nil {
			return nil, err
		}
	}
	_, last, err := w.Last(c.Origin)
	if err != nil {
		return nil, err
	}
	if last > 0 && last < c.Size {
		return nil, strict.Errorf(file, "has %d entries, this witness has cosigned %d: it needs a proof that the one continues the other", c.Size, last).
			WithHint("ask the log for\nfleetctl log prove --consistency %d --log LOG --out FILE", last)
	}
	return &auditlog.Request{Old: min(last, c.Size), Checkpoint: c}, nil
}
