package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/saved"
	"github.com/fleetctl/fleetctl/internal/durable"
)

const syncEach = 256 << 10 // bytes, or one more statement, between two fsyncs

// Options say what a run asks for.
type Options struct {
	From uint64                  // the epoch at which a new file begins; 0: at the namespace's root
	All  bool                    // ask again for every epoch that was saved, not only for a sample
	Tell func(done, total int64) // progress; may be nil
}

// Saved is what a run did.
type Saved struct {
	New   int64          // how many statements it added
	Again *history.Again // what the auditor now answers for epochs that were saved before
}

// Refusal is the error of an auditor that was reached, and that answered for an epoch
// with what can't be its statement, or with none although it has later ones.
type Refusal struct {
	Epoch uint64
	Err   error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Save asks again for a part of the epochs that the file has, and appends every
// statement that the file lacks, up to the newest. If a statement differs from the
// saved one, it is appended too: together they are evidence. Save can be interrupted
// at any point and called again.
func (c *Client) Save(ctx context.Context, file string, o Options) (s Saved, err error) {
	x, err := saved.ReadIndex(file, c.Namespace)
	if err != nil {
		return s, err
	}
	have := x.Newest()
	about, err := c.About(ctx)
	if errors.Is(err, ErrNone) && have > 0 {
		about, err = &About{}, nil // if the namespace is gone, the history got shorter
	}
	if err != nil {
		return s, err
	}
	first := have + 1
	if have == 0 {
		if first = o.From; first == 0 {
			first = about.Root
		}
	}
	f, err := durable.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return s, err
	}
	defer func() {
		serr := f.Sync()
		if cerr := f.Close(); serr == nil {
			serr = cerr
		}
		if err == nil {
			err = serr
		}
	}()
	// A statement whose line was cut off is fetched again. What is whole may be there
	// for readers alone.
	if err := f.Truncate(x.Size); err != nil {
		return s, err
	}
	if err := durable.SettleFrom(file, max(0, x.Size-2*syncEach)); err != nil {
		return s, err
	}
	if _, err := f.Seek(x.Size, io.SeekStart); err != nil {
		return s, err
	}
	out := &appender{File: f}
	s.Again = &history.Again{Namespace: c.Namespace, Saved: have, Newest: about.Last}
	if have > 0 {
		if err := c.again(ctx, out, x, o, s.Again); err != nil {
			return s, err
		}
	}
	for epoch := first; epoch <= about.Last; epoch++ {
		line, err := c.statement(ctx, epoch)
		if errors.Is(err, ErrNone) {
			err = &Refusal{epoch, fmt.Errorf("%s: the auditor has no such epoch, although it has a later one: there is a gap, or it limits our rate; try again later, with a lower --rate", c.Address(epoch))}
		}
		if err != nil {
			return s, err
		}
		if err := out.add(line); err != nil {
			return s, err
		}
		s.New++
		o.tell(s.New, int64(about.Last-first+1))
	}
	return s, nil
}

// appender adds lines, and syncs them before there are too many.
type appender struct {
	durable.File
	unsynced int
}

func (a *appender) add(line []byte) error {
	n, err := a.Write(append(line, '\n'))
	if a.unsynced += n; err == nil && a.unsynced >= syncEach {
		a.unsynced, err = 0, a.Sync()
	}
	return err
}

func (o *Options) tell(done, total int64) {
	if o.Tell != nil {
		o.Tell(done, total)
	}
}

func (c *Client) path(epoch uint64) string {
	return fmt.Sprintf("namespaces/%s/audits/%d", c.Namespace, epoch)
}

// statement asks for one epoch and gives the answer on one line. Only white space
// changes by that; the signature is over the fields. The error is ErrNone if the
// auditor has no statement.
func (c *Client) statement(ctx context.Context, epoch uint64) ([]byte, error) {
	path := c.path(epoch)
	data, err := c.get(ctx, path, bundle.MaxStatement)
	for try := 0; errors.Is(err, ErrNone) && try < 2; try++ {
		// A service under load may answer that it has no such epoch.
		if err := c.Wait(ctx, 5*time.Second<<try); err != nil {
			return nil, err
		}
		data, err = c.get(ctx, path, bundle.MaxStatement)
	}
	if err != nil {
		return nil, err
	}
	s, err := bundle.ParseServed(path, data)
	if err != nil {
		return nil, &Refusal{epoch, err}
	}
	if s.Epoch != epoch || s.Namespace != c.Namespace {
		return nil, &Refusal{epoch, fmt.Errorf("%s: it answers with epoch %d of %s", c.Address(epoch), s.Epoch, s.Namespace)}
	}
	data = bytes.TrimSpace(data)
	if bytes.ContainsAny(data, "\r\n") {
		var b bytes.Buffer
		if err := json.Compact(&b, data); err != nil {
			return nil, err
		}
		data = b.Bytes()
	}
	return data, nil
}
