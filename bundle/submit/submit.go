// Package submit has a live auditor sign an epoch, with the API of Cloudflare's. What
// is sent is written down before, and asked for before it is sent again, so that a
// submission that was interrupted is found and not made a second time.
package submit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history/fetch"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

const (
	tries     = 3                // submissions in one run
	pause     = 30 * time.Second // between two questions, where the auditor doesn't say
	maxReason = 300              // bytes of what the auditor says
)

// Submission is an epoch for one third party.
type Submission struct {
	Dir    string // where its state is kept, and what contradicts it
	Party  string
	Key    [32]byte // the third party's, pinned
	Client *fetch.Client
	Epoch  uint64
	Digest [32]byte // of the artifact
	Now    func() time.Time

	// Told, if set, is called with what is going on.
	Told func(what string)

	// Kept is the file of a statement about another digest.
	Kept string
}

// Pending is the error of a submission that the auditor took and has not signed yet.
type Pending struct {
	After time.Duration // when to ask again
}

func (p *Pending) Error() string { return "it is submitted, and not signed yet" }

// Run asks for the epoch's statement, submits the epoch where there is none, and
// gives the answer, under the pinned key. What the statement is about the caller
// judges. The error is a *Pending if the auditor wants to be asked again.
func (s *Submission) Run(ctx context.Context) (*bundle.Response, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	since, err := s.begin()
	if err != nil {
		return nil, err
	}
	if !since.IsZero() {
		s.tell("it was submitted before, at " + strict.FormatTime(since) + ": it is asked for first")
	}
	var last error
	for try := range tries {
		if r, err := s.ask(ctx); !errors.Is(err, fetch.ErrNone) {
			return r, err
		}
		reply, err := s.Client.Submit(ctx, s.Epoch, s.Digest)
		wait := time.Second << (2 * try)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, fetch.ErrHuge), fetch.Stranger(err):
			return nil, err
		case err != nil:
			last = err // nobody knows whether it arrived
		case reply.Code == http.StatusOK || reply.Code == http.StatusCreated:
			return s.read(reply.Body)
		case reply.Code == http.StatusAccepted:
			return nil, &Pending{cmp.Or(reply.After, pause)}
		case reply.Code == http.StatusTooManyRequests || reply.Code >= 500:
			last = s.refused(reply)
			wait = cmp.Or(reply.After, wait)
		default:
			return s.afterRefusal(ctx, reply)
		}
		if try == tries-1 {
			break
		}
		s.tell(fmt.Sprintf("no answer, asking again in %s: %v", strict.FormatDuration(wait), last))
		if err := s.Client.Wait(ctx, wait); err != nil {
			return nil, err
		}
	}
	return nil, last
}

// Await asks for the statement of what was submitted until it is there, for at most
// this long: as often as the auditor wishes.
func (s *Submission) Await(ctx context.Context, p *Pending, most time.Duration) (*bundle.Response, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for left := most; left >= p.After; left -= p.After {
		s.tell(fmt.Sprintf("not signed yet, asking again in %s", strict.FormatDuration(p.After)))
		if err := s.Client.Wait(ctx, p.After); err != nil {
			return nil, err
		}
		if r, err := s.ask(ctx); !errors.Is(err, fetch.ErrNone) {
			return r, err
		}
	}
	return nil, p
}

// ask asks for the statement; the error is fetch.ErrNone where there is none.
func (s *Submission) ask(ctx context.Context) (*bundle.Response, error) {
	data, err := s.Client.Served(ctx, s.Epoch)
	if err != nil {
		return nil, err
	}
	return s.read(data)
}

// read takes an answer for a statement only if the pinned key has signed it.
func (s *Submission) read(data []byte) (*bundle.Response, error) {
	r, err := bundle.ParseAnswer(s.Client.Address(s.Epoch), data, [][32]byte{s.Key})
	if err != nil {
		return nil, err
	}
	if !r.AsServed() {
		return nil, strict.Errorf(s.Client.Address(s.Epoch), "it answers with a file of fleetctl's, and not with a statement")
	}
	return r, s.keep(r)
}

// afterRefusal asks once more: an auditor that took the submission of a run that was
// interrupted signs no epoch twice, and refuses the second.
func (s *Submission) afterRefusal(ctx context.Context, reply *fetch.Reply) (*bundle.Response, error) {
	r, err := s.ask(ctx)
	if errors.Is(err, fetch.ErrNone) {
		return nil, s.refused(reply)
	}
	return r, err
}

func (s *Submission) refused(reply *fetch.Reply) error {
	e := strict.Errorf(s.Client.Base.String(), "answers %s to the submission of epoch %d", reply.Status(), s.Epoch)
	if said := reason(reply.Body); said != "" {
		return e.WithHint("it says: %s", said)
	}
	return e
}

// reason is what an auditor says, fit to be shown.
func reason(body []byte) string {
	if n, err := strict.ParseJSON("", body, bundle.MaxStatement); err == nil {
		if e := n.Get("error"); e != nil && e.Kind == strict.String {
			body = []byte(e.Text)
		}
	}
	return words.Clean(string(body[:min(len(body), maxReason)]))
}

func (s *Submission) tell(what string) {
	if s.Told != nil {
		s.Told(what)
	}
}

// lock keeps a second process from submitting to the same third party.
func (s *Submission) lock() (func(), error) {
	if err := durable.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(s.path() + ".lock")
	if errors.Is(err, durable.ErrLocked) {
		return nil, strict.Errorf(s.path(), "another fleetctl submits to %s", s.Party).WithHint("one at a time: wait for it, or find it with\nfuser %s.lock", s.path())
	}
	return unlock, err
}
