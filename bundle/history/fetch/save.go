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

const syncEach = 500 // statements between two fsyncs

// Options say what a run asks for.
type Options struct {
	From uint64                  // where a new file begins; 0: at the namespace's anchor
	All  bool                    // ask again for every epoch that was saved, not for a sample only
	Tell func(done, total int64) // progress; may be nil
}

// Saved is what a run did.
type Saved struct {
	New   int64          // statements that it added
	Again *history.Again // what became of those that were saved before, for history's report
}

// Save asks again for a part of what the file has, and appends every statement
// from the first one that it lacks up to the newest. A statement that isn't the
// one that was saved is appended too: both are evidence. It can be cut off at
// any point and called again.
func (c *Client) Save(ctx context.Context, file string, o Options) (s Saved, err error) {
	x, err := saved.ReadIndex(file, c.Namespace)
	if err != nil {
		return s, err
	}
	have := x.Newest()
	about, err := c.About(ctx)
	if errors.Is(err, errNone) && have > 0 {
		about, err = &About{}, nil // a namespace that is gone is a history that got shorter
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
	// A line cut off is fetched again.
	if err := f.Truncate(x.Size); err != nil {
		return s, err
	}
	if _, err := f.Seek(x.Size, io.SeekStart); err != nil {
		return s, err
	}
	s.Again = &history.Again{Namespace: c.Namespace, Saved: have, Newest: about.Last}
	if have > 0 {
		if err := c.again(ctx, f, x, o, s.Again); err != nil {
			return s, err
		}
	}
	for epoch := first; epoch <= about.Last; epoch++ {
		line, err := c.statement(ctx, epoch)
		if errors.Is(err, errNone) {
			err = fmt.Errorf("%s: there is none, although the newest epoch is later: a gap, or it limits our rate; try again later, with a lower --rate", c.Base.JoinPath(c.path(epoch)))
		}
		if err != nil {
			return s, err
		}
		if _, err := f.Write(append(line, '\n')); err != nil {
			return s, err
		}
		if s.New++; s.New%syncEach == 0 {
			if err := f.Sync(); err != nil {
				return s, err
			}
		}
		o.tell(s.New, int64(about.Last-first+1))
	}
	return s, nil
}

func (o *Options) tell(done, total int64) {
	if o.Tell != nil {
		o.Tell(done, total)
	}
}

func (c *Client) path(epoch uint64) string {
	return fmt.Sprintf("namespaces/%s/audits/%d", c.Namespace, epoch)
}

// statement asks for one epoch and gives the answer on one line. White space
// alone may change: the signature is over the fields. The error is errNone
// where there is none.
func (c *Client) statement(ctx context.Context, epoch uint64) ([]byte, error) {
	path := c.path(epoch)
	data, err := c.get(ctx, path, bundle.MaxStatement)
	for try := 0; errors.Is(err, errNone) && try < 2; try++ {
		// A service under load can answer as if there were a gap.
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
		return nil, err
	}
	if s.Epoch != epoch || s.Namespace != c.Namespace {
		return nil, fmt.Errorf("%s: it answers with epoch %d of %s", c.Base.JoinPath(path), s.Epoch, s.Namespace)
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
