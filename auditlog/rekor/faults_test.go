package rekor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// faulty stands before a real server and spoils what goes through it.
type faulty struct {
	url string

	mu    sync.Mutex
	spoil func(r *http.Request, a *answered) // of every request, in turn
}

// answered is what the server answered; spoil changes it.
type answered struct {
	code int
	head http.Header
	body []byte
	cut  int // the connection breaks after so many bytes; -1: not at all

	ask func() // hands the request on; spoil may leave it out
}

func newFaulty(t testing.TB, s *server) *faulty {
	t.Helper()
	f := &faulty{}
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		a := &answered{cut: -1, head: http.Header{}}
		asked := false
		a.ask = func() {
			asked = true
			u := *r.URL
			u.Scheme, u.Host = target.Scheme, target.Host
			req, _ := http.NewRequestWithContext(context.Background(), r.Method, u.String(), bytes.NewReader(sent))
			req.Header = r.Header.Clone()
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Errorf("behind the proxy: %v", err)
				return
			}
			defer res.Body.Close()
			a.code, a.head = res.StatusCode, res.Header
			a.body, _ = io.ReadAll(res.Body)
		}
		f.mu.Lock()
		spoil := f.spoil
		f.mu.Unlock()
		spoil(r, a)
		if !asked && a.cut < 0 {
			a.ask()
		}
		a.write(w)
	}))
	t.Cleanup(front.Close)
	f.url = front.URL
	return f
}

func (a *answered) write(w http.ResponseWriter) {
	for name, values := range a.head {
		if name != "Content-Length" {
			w.Header()[name] = values
		}
	}
	if a.cut < 0 {
		w.WriteHeader(a.code)
		w.Write(a.body)
		return
	}
	if a.cut > 0 && a.cut < len(a.body) {
		w.Header().Set("Content-Length", fmt.Sprint(len(a.body)))
		w.WriteHeader(a.code)
		w.Write(a.body[:a.cut])
		w.(http.Flusher).Flush()
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

func (f *faulty) with(spoil func(r *http.Request, a *answered)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoil = spoil
}

// first spoils the first n requests that would log something.
func first(n int, spoil func(a *answered)) func(*http.Request, *answered) {
	return func(r *http.Request, a *answered) {
		if r.Method == http.MethodPost && n > 0 {
			n--
			spoil(a)
		}
	}
}

func TestBrokenConnectionsAreAskedAgainAndNothingIsLoggedTwice(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		f := newFaulty(t, s)
		for name, c := range map[string]struct {
			spoil   func(*http.Request, *answered)
			existed bool
			err     error
		}{
			"before it was logged":       {first(1, func(a *answered) { a.cut = 0 }), false, nil},
			"after it was logged":        {first(1, func(a *answered) { a.ask(); a.cut = 0 }), true, nil},
			"in the midst of the answer": {first(1, func(a *answered) { a.ask(); a.cut = len(a.body) / 2 }), true, nil},
			"twice":                      {first(2, func(a *answered) { a.ask(); a.cut = 0 }), true, nil},
			"each time":                  {first(9, func(a *answered) { a.ask(); a.cut = 0 }), false, errDown},
		} {
			f.with(c.spoil)
			bundle := bundleOf(t, 200)
			envelope := envelopeOf(bundle)
			client := s.client(t, Options{URL: f.url})
			r, err := client.Append(context.Background(), bundle, envelope, submitter(t))
			if c.err != nil {
				wantKind(t, err, c.err)
				// The next run, with the same envelope, finds what got through.
				f.with(func(*http.Request, *answered) {})
				if r, err = client.Append(context.Background(), bundle, envelope, submitter(t)); err == nil && !r.Existed {
					t.Errorf("%s: logged again by the next run", name)
				}
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if c.err == nil && r.Existed != c.existed {
				t.Errorf("%s: existed %v", name, r.Existed)
			}
		}
	})
}

func TestAnswerThatComesTooLate(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		f := newFaulty(t, s)
		release := make(chan struct{})
		// The time is up once the log has the entry and the answer is on its way.
		late := overdue{context.Background(), make(chan struct{})}
		f.with(first(1, func(a *answered) { a.ask(); close(late.done); <-release }))
		bundle := bundleOf(t, 200)
		envelope := envelopeOf(bundle)
		client := s.client(t, Options{URL: f.url})
		_, err := client.Append(late, bundle, envelope, submitter(t))
		close(release)
		wantKind(t, err, errTimeout)
		wantHint(t, err, "Run the same command again")
		r, err := client.Append(context.Background(), bundle, envelope, submitter(t))
		if err != nil || !r.Existed {
			t.Errorf("the next run: %v", err)
		}
		// Interrupted is not late.
		interrupted, interrupt := context.WithCancel(context.Background())
		defer interrupt()
		f.with(first(1, func(a *answered) { interrupt() }))
		other := bundleOf(t, 200)
		if _, err := client.Append(interrupted, other, envelopeOf(other), submitter(t)); !isCanceled(err) {
			t.Errorf("interrupted: %v", err)
		}
	})
}

// overdue is a context whose deadline passes when its channel is closed.
type overdue struct {
	context.Context
	done chan struct{}
}

func (o overdue) Done() <-chan struct{} { return o.done }

func (o overdue) Err() error {
	select {
	case <-o.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func isCanceled(err error) bool {
	e, ok := err.(*serverError)
	return ok && e.Kind == context.Canceled
}

// Whatever becomes of an answer on its way, what is given back has been
// verified; and an entry of another bundle is never taken for ours.
func TestSpoiltAnswersAreNotBelieved(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		f := newFaulty(t, s)
		client := s.client(t, Options{URL: f.url})
		bundle := bundleOf(t, 200)
		envelope := envelopeOf(bundle)
		var good []byte
		f.with(first(1, func(a *answered) { a.ask(); good = a.body }))
		if _, err := client.Append(context.Background(), bundle, envelope, submitter(t)); err != nil || len(good) == 0 {
			t.Fatal(err)
		}
		refused, taken := 0, 0
		for i := 0; i < len(good); i++ {
			spoilt := bytes.Clone(good)
			spoilt[i] ^= 1 << (i % 7)
			f.with(first(1, func(a *answered) {
				a.code, a.body, a.cut = http.StatusCreated, spoilt, -1
				a.head.Set("Content-Type", "application/json")
				a.ask = func() {}
			}))
			r, err := client.Append(context.Background(), bundle, envelope, submitter(t))
			switch {
			case err == nil:
				// What was flipped is not read: a UUID, white space, a field
				// of no use to us. The entry is the same.
				taken++
				if leafHash(r.Entry.Body) != leafHash(mustBody(t, s.version, envelope)) {
					t.Fatalf("byte %d: another body", i)
				}
			case strings.Contains(err.Error(), "negative control"):
				t.Fatal(err)
			default:
				refused++
			}
			if i%7 != 0 && testing.Short() {
				i += 6
			}
		}
		t.Logf("%d changes refused, %d of what isn't read", refused, taken)
		if refused < len(good)/2 {
			t.Errorf("only %d of %d changes refused", refused, len(good))
		}
		other := bundleOf(t, 200)
		f.with(first(1, func(a *answered) {
			a.code, a.body, a.ask = http.StatusCreated, good, func() {}
			a.head.Set("Content-Type", "application/json")
		}))
		_, err := client.Append(context.Background(), other, envelopeOf(other), submitter(t))
		wantKind(t, err, errAnswer)
	})
}
