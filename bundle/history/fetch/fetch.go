// Package fetch asks a live auditor: one request at a time, at a bounded rate,
// waiting as long as the service asks. It saves a namespace's statements, and after
// an interruption it goes on where it stopped; it asks for one epoch's, and has one
// signed. It verifies nothing: packages history and submit do that with the answers.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	tries    = 5
	maxWait  = 2 * time.Minute
	maxSmall = 1 << 16 // bytes of an answer that isn't a statement
)

// Client asks one auditor about one namespace.
type Client struct {
	Base      *url.URL
	Namespace string
	Rate      float64   // requests a second, at most
	Agent     string    // User-Agent
	Random    io.Reader // by which a run chooses the epochs that it asks for again
	HTTP      *http.Client

	// Again, if set, is called with why, and in what time, a request is repeated.
	Again func(err error, in time.Duration)

	Wait func(ctx context.Context, d time.Duration) error // tests don't wait
	next time.Time
}

// New makes a client. The address is https, or http on this machine.
func New(address, namespace, agent string, rate float64) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no address of an auditor, such as https://plexi.key-transparency.cloudflare.com", address)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("%q is not https; plain http is for this machine only", address)
	}
	if err := strict.CheckToken(namespace); err != nil {
		return nil, fmt.Errorf("the namespace %w", err)
	}
	if rate <= 0 || rate > 1000 {
		return nil, fmt.Errorf("%g requests a second are asked for; it is more than 0 and at most 1000", rate)
	}
	c := &Client{Base: u, Namespace: namespace, Rate: rate, Agent: agent, Wait: wait}
	c.HTTP = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		// A redirect to another server would let that one answer for the auditor.
		if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || len(via) > 3 {
			return errors.New("the auditor sends us to another server")
		}
		return nil
	}}
	return c, nil
}

// Identify has the client show a certificate, and trust these authorities for the
// server's instead of the system's; either may be nil.
func (c *Client) Identify(cert *tls.Certificate, servers *x509.CertPool) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: servers}
	if cert != nil {
		t.TLSClientConfig.Certificates = []tls.Certificate{*cert}
	}
	c.HTTP.Transport = t
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// ErrNone is the error of an answer 404.
var ErrNone = errors.New("the auditor has none")

// get asks until there is an answer, none, or too many tries.
func (c *Client) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	var last error
	for try := range tries {
		if err := c.pace(ctx); err != nil {
			return nil, err
		}
		data, again, err := c.once(ctx, path, limit)
		if err == nil || errors.Is(err, ErrNone) || ctx.Err() != nil {
			return data, err
		}
		last = err
		if again < 0 || try == tries-1 {
			break
		}
		if again == 0 {
			again = time.Second << try
		}
		again = min(again, maxWait)
		if c.Again != nil {
			c.Again(err, again)
		}
		if err := c.Wait(ctx, again); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", c.Base.JoinPath(path), last)
}

// pace waits as long as the rate demands.
func (c *Client) pace(ctx context.Context) error {
	now := time.Now()
	if d := c.next.Sub(now); d > 0 {
		if err := c.Wait(ctx, d); err != nil {
			return err
		}
		now = c.next
	}
	c.next = now.Add(time.Duration(float64(time.Second) / c.Rate))
	return nil
}

// once makes one request. If it fails, again is how long the service asks to wait
// before the next try, 0 if it doesn't say, and less than 0 if another try is of no
// use.
func (c *Client) once(ctx context.Context, path string, limit int64) (data []byte, again time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, -1, err
	}
	resp, err := c.do(c.HTTP, req)
	if Stranger(err) {
		return nil, -1, err
	}
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	data, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, -1, ErrNone
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return nil, retryAfter(resp), fmt.Errorf("answers %s", resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, -1, fmt.Errorf("answers %s", resp.Status)
	case err != nil:
		return nil, 0, err
	case int64(len(data)) > limit:
		return nil, -1, fmt.Errorf("answers with more than %d bytes", limit)
	}
	return data, 0, nil
}

func (c *Client) do(by *http.Client, req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", c.Agent)
	req.Header.Set("Accept", "application/json")
	resp, err := by.Do(req)
	var of *url.Error // whose address our own error has
	if errors.As(err, &of) {
		err = of.Err
	}
	return resp, err
}

// Stranger says that one of the two didn't take the other's certificate: asking again
// changes nothing.
func Stranger(err error) bool {
	var theirs *tls.CertificateVerificationError
	var ours *net.OpError
	return errors.As(err, &theirs) || errors.As(err, &ours) && ours.Op == "remote error"
}

func retryAfter(resp *http.Response) time.Duration {
	s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	// The limit is applied in seconds: a large number of them would overflow as
	// nanoseconds.
	return time.Duration(min(s, uint64(maxWait/time.Second))) * time.Second
}

// About is what the auditor says of the namespace. It only serves to know what to
// ask for.
type About struct {
	Root uint64 // the epoch at which its history begins; 1 if it names none
	Last uint64 // the newest epoch; 0 if there is none
}

// About asks for the namespace.
func (c *Client) About(ctx context.Context) (*About, error) {
	data, err := c.get(ctx, "namespaces/"+c.Namespace, maxSmall)
	if errors.Is(err, ErrNone) {
		return nil, fmt.Errorf("%s knows no namespace %s (%w)", c.Base, c.Namespace, ErrNone)
	}
	if err != nil {
		return nil, err
	}
	n, err := strict.ParseJSON(c.Base.String(), data, maxSmall)
	if err != nil {
		return nil, err
	}
	a := &About{Root: 1}
	if root := n.Get("root"); root != nil && root.Kind == strict.String {
		epoch, _, _ := strings.Cut(root.Text, "/")
		if a.Root, err = strict.ParseUint(epoch); err != nil {
			return nil, fmt.Errorf("%s: its root %q %w", c.Base, root.Text, err)
		}
	}
	last := n.Get("last_verified_epoch")
	if last == nil || last.Kind != strict.Number {
		if data, err = c.get(ctx, "namespaces/"+c.Namespace+"/last-verified-epoch", maxSmall); errors.Is(err, ErrNone) {
			return a, nil
		} else if err != nil {
			return nil, err
		}
		if n, err = strict.ParseJSON(c.Base.String(), data, maxSmall); err != nil {
			return nil, err
		}
		if last = n.Get("epoch"); last == nil {
			return nil, fmt.Errorf("%s names no last epoch", c.Base)
		}
	}
	a.Last, err = strict.ParseUint(last.Text)
	return a, err
}
