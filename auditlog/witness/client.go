package witness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Limits of an exchange with a witness.
const (
	maxAnswer      = 64 << 10 // bytes; a cosignature with ML-DSA-44 has 3.3 kB
	maxRounds      = 3        // a witness that others ask as well may have moved on, twice
	defaultTimeout = 10 * time.Second
	maxAhead       = 10 * time.Minute // by which a witness's clock may be ahead of ours
	sizeType       = "text/x.tlog.size"
)

// Client asks witnesses for cosignatures. Its zero value is ready to use.
type Client struct {
	HTTP    *http.Client
	Timeout time.Duration    // for one witness with all its rounds; 0 means 10 s
	Now     func() time.Time // nil means the clock
}

// Prover gives the proof that the tree of the newer size continues the older one.
type Prover func(ctx context.Context, older, newer uint64) ([][32]byte, error)

// ask gets one witness's cosignature. last is the tree size that it is thought to
// have cosigned last; if that is wrong, the witness answers with the right one
// (status 409).
func (cl *Client) ask(ctx context.Context, w auditlog.Witness, c *auditlog.Checkpoint, last uint64, prove Prover) (auditlog.Signature, error) {
	var none auditlog.Signature
	fail := func(err error, format string, args ...any) (auditlog.Signature, error) {
		return none, &Error{Witness: w.Name, Err: err, Detail: fmt.Sprintf(format, args...)}
	}
	if w.URL == "" {
		return fail(ErrNoURL, "")
	}
	timeout := cl.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for range maxRounds {
		r := &auditlog.Request{Old: last, Checkpoint: c}
		if last > 0 && last < c.Size {
			var err error
			if r.Hashes, err = prove(ctx, last, c.Size); err != nil {
				return none, err
			}
		}
		status, kind, body, err := cl.post(ctx, w.URL, r.Marshal())
		if err != nil {
			return fail(ErrUnreachable, "%v", err)
		}
		words := strict.Said(string(body))
		switch status {
		case http.StatusOK:
			return cl.accept(w, c, body)
		case http.StatusConflict:
			size, err := strict.ParseUint(strings.TrimSuffix(string(body), "\n"))
			switch {
			case kind != sizeType || err != nil || size == last:
				return fail(ErrMalformed, "409 with %q (%s)", words, kind)
			case size > c.Size:
				return none, &Error{Witness: w.Name, Err: ErrAhead, Detail: fmt.Sprintf("%d entries, this one has %d", size, c.Size), Size: size}
			}
			last = size
		case http.StatusNotFound:
			return fail(ErrUnknownLog, "%s", words)
		case http.StatusForbidden:
			return fail(ErrKey, "%s", words)
		case http.StatusUnprocessableEntity:
			return fail(ErrFork, "%s", words)
		default:
			return fail(ErrRefused, "%d %s", status, words)
		}
	}
	return fail(ErrMalformed, "it named another size %d times", maxRounds)
}

// accept takes the signature line by the pinned key, verifies it, and ignores all
// others.
func (cl *Client) accept(w auditlog.Witness, c *auditlog.Checkpoint, body []byte) (auditlog.Signature, error) {
	list, err := auditlog.ParseSignatures("its answer", body)
	if err != nil {
		return auditlog.Signature{}, &Error{Witness: w.Name, Err: ErrMalformed, Detail: err.Error()}
	}
	now := time.Now
	if cl.Now != nil {
		now = cl.Now
	}
	for _, s := range list {
		if s.Name != w.Key.Name() || s.KeyHash != w.Key.KeyHash() {
			continue
		}
		t, err := w.Key.Check(c, s.Raw)
		if err == nil && t.After(now().Add(maxAhead)) {
			err = fmt.Errorf("its time %s is ahead of the clock here", strict.FormatTime(t))
		}
		if err != nil {
			return auditlog.Signature{}, &Error{Witness: w.Name, Err: ErrMalformed, Detail: err.Error()}
		}
		return s, nil
	}
	return auditlog.Signature{}, &Error{Witness: w.Name, Err: ErrMalformed, Detail: fmt.Sprintf("no line of its %d is by the policy's key", len(list))}
}

func (cl *Client) post(ctx context.Context, prefix string, body []byte) (status int, kind string, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(prefix, "/")+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("User-Agent", "fleetctl")
	h := http.Client{}
	if cl.HTTP != nil {
		h = *cl.HTTP
	}
	// A witness is where the policy says; no redirect may change that.
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := h.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), answer, err
}
