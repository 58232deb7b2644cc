package rekor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	// DefaultTimeout is for all requests of one append. Version 2 answers only
	// when a checkpoint covers the entry, and some servers publish one every ten
	// seconds.
	DefaultTimeout = 60 * time.Second
	// LeastTimeout is the shortest that makes sense.
	LeastTimeout = 20 * time.Second
	// maxAnswer is far above any answer to one entry: a body of digests, 63
	// hashes and a checkpoint.
	maxAnswer = 4 << 20
	// attempts at a request whose answer didn't arrive.
	attempts = 3
)

// Options say where the server is.
type Options struct {
	URL string // of the server
	// TilesURL is where a log of version 2 serves its checkpoint and tiles:
	// URL/api/v2 if empty. Needed only for an entry that is there already.
	TilesURL string
	Timeout  time.Duration // DefaultTimeout if 0
	// Transport is http.DefaultTransport if nil.
	Transport http.RoundTripper
}

// Client submits entries to one server, whose log is pinned.
type Client struct {
	log         *auditlog.RekorLog
	base, tiles *url.URL
	timeout     time.Duration
	http        *http.Client
}

// Result is an entry that was logged and verified.
type Result struct {
	Entry     *auditlog.RekorEntry
	Inclusion *auditlog.RekorInclusion
	Existed   bool // it was in the log before
}

// New makes a client. It connects to nothing yet.
func New(log *auditlog.RekorLog, o Options) (*Client, error) {
	c := &Client{log: log, timeout: o.Timeout}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.timeout < LeastTimeout {
		return nil, strict.Errorf("", "the deadline is %s; it is at least %s", strict.FormatDuration(c.timeout), strict.FormatDuration(LeastTimeout)).
			WithHint("A log of version 2 answers once a checkpoint covers the entry, which takes up to its checkpoint interval.")
	}
	var err error
	if c.base, err = parseURL(o.URL); err != nil {
		return nil, err
	}
	if o.TilesURL == "" {
		o.TilesURL = c.base.JoinPath("api/v2/").String()
	}
	if c.tiles, err = parseURL(o.TilesURL); err != nil {
		return nil, err
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	c.http = &http.Client{
		Transport: &limited{o.Transport},
		// A redirected POST becomes a GET, and an entry is sent only to the
		// server that was named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, strict.Errorf("", "%q is no URL of a server: http or https, host, perhaps a path", strict.Said(s))
	}
	return u, nil
}

// Append submits an envelope of the bundle and gives the entry, verified. An
// envelope that is in the log already is found there, so after any failure Append
// may be called again with the same envelope.
func (c *Client) Append(ctx context.Context, bundle, envelope []byte, submitter *keys.Public) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if submitter.Algorithm() != keys.P256 {
		return nil, strict.Errorf("", "the submitter's key is %s; Rekor of both versions takes ecdsa-p256", submitter.Algorithm())
	}
	if err := auditlog.CheckRekorEnvelope(envelope, bundle, submitter); err != nil {
		return nil, strict.Errorf("", "%v", err)
	}
	add := c.addV1
	if c.log.Version() == auditlog.RekorV2 {
		add = c.addV2
	}
	var entry *auditlog.RekorEntry
	var existed bool
	err := c.retry(ctx, func() (err error) {
		entry, existed, err = add(ctx, envelope, submitter)
		return err
	})
	if err != nil {
		return nil, err
	}
	entry.Version, entry.Envelope = c.log.Version(), envelope
	in, entry, err := c.verify(bundle, entry, submitter)
	if err != nil {
		return nil, err
	}
	return &Result{entry, in, existed}, nil
}

// verify reads the entry as any verifier would read its file.
func (c *Client) verify(bundle []byte, e *auditlog.RekorEntry, submitter *keys.Public) (*auditlog.RekorInclusion, *auditlog.RekorEntry, error) {
	if e.LogID != c.log.ID() {
		return nil, nil, c.fail(errKeyChanged, changedHint, "its id is %x, the pinned key's is %x", e.LogID, c.log.ID())
	}
	parsed, err := auditlog.ParseRekorEntry("", e.Marshal())
	if err != nil {
		return nil, nil, c.fail(errAnswer, "", "%v", err)
	}
	in, err := c.log.Verify(bundle, parsed, []*keys.Public{submitter}, nil)
	if err != nil {
		return nil, nil, c.fail(errAnswer, "Nothing was stored. Keep this message, and ask the log's operator.", "%v", err)
	}
	return in, parsed, nil
}

// retry asks again where an answer didn't arrive whole: the envelope is the
// same, so that an entry that got through is found and not made twice.
func (c *Client) retry(ctx context.Context, ask func() error) error {
	wait := 200 * time.Millisecond
	for n := 1; ; n++ {
		err := ask()
		if err == nil || n == attempts || !errors.Is(err, errTorn) && !errors.Is(err, errBusy) {
			return c.whole(err)
		}
		if err := c.sleep(ctx, wait); err != nil {
			return err
		}
		wait *= 4
	}
}

// whole gives an error that callers know, errDown, for a connection that broke at
// every attempt.
func (c *Client) whole(err error) error {
	var e *serverError
	if errors.As(err, &e) && e.Kind == errTorn {
		return &serverError{errDown, e.Err}
	}
	return err
}

func (c *Client) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return c.transport(ctx, ctx.Err())
	}
}

// limited keeps a server from filling our memory.
type limited struct{ next http.RoundTripper }

var errLong = errors.New("the answer is too long")

func (l *limited) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "fleetctl")
	res, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limitedBody{res.Body, maxAnswer}
	// A proxy in front of a server doesn't answer in JSON when it fails, and
	// rekor's client would only complain about that.
	if res.StatusCode >= 400 && !strings.Contains(res.Header.Get("Content-Type"), "json") {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 400))
		res.Body.Close()
		return nil, &statusError{res.StatusCode, string(text)}
	}
	return res, nil
}

// statusError is a failure of which only the HTTP status and a text are known.
type statusError struct {
	code int
	says string
}

func (e *statusError) Error() string { return http.StatusText(e.code) }

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// hashesOf gives a path's hashes, and says whether each has the 32 bytes of a
// SHA-256.
func hashesOf(list [][]byte) ([][32]byte, bool) {
	hashes := make([][32]byte, len(list))
	for i, h := range list {
		if len(h) != 32 {
			return nil, false
		}
		hashes[i] = [32]byte(h)
	}
	return hashes, true
}

// trim is a server's own URL without the slash at its end.
func trim(u *url.URL) string { return strings.TrimSuffix(u.Path, "/") }
