package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Address is where the auditor serves an epoch's statement.
func (c *Client) Address(epoch uint64) string { return c.Base.JoinPath(c.path(epoch)).String() }

// Served asks for an epoch's statement and gives the answer byte for byte. The error
// is ErrNone if the auditor has none.
func (c *Client) Served(ctx context.Context, epoch uint64) ([]byte, error) {
	return c.get(ctx, c.path(epoch), bundle.MaxStatement)
}

// ErrHuge is the error of an answer that is larger than any statement.
var ErrHuge = errors.New("answers with too many bytes")

// Reply is what an auditor answered to a submission.
type Reply struct {
	Code  int
	Body  []byte        // at most bundle.MaxStatement bytes
	After time.Duration // how long it asks to wait, bounded; 0 if it doesn't say
}

// Status is the answer's code in words.
func (r *Reply) Status() string { return fmt.Sprintf("%d %s", r.Code, http.StatusText(r.Code)) }

type submissionJSON struct {
	Epoch  uint64   `strict:"epoch"`
	Digest [32]byte `strict:"digest,hex"`
}

// Submit asks once for an epoch to be signed. After an error nobody knows whether
// the auditor took the submission, unless it is asked for the epoch.
func (c *Client) Submit(ctx context.Context, epoch uint64, digest [32]byte) (*Reply, error) {
	if err := c.pace(ctx); err != nil {
		return nil, err
	}
	address := c.Base.JoinPath("namespaces/" + c.Namespace + "/audits").String()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(strict.EncodeLine(&submissionJSON{epoch, digest})))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	here := *c.HTTP
	here.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // what is submitted goes to the address that was given, and nowhere else
	}
	resp, err := c.do(&here, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bundle.MaxStatement+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", address, err)
	case len(body) > bundle.MaxStatement:
		return nil, fmt.Errorf("%s: %w: %d are allowed", address, ErrHuge, bundle.MaxStatement)
	}
	return &Reply{Code: resp.StatusCode, Body: body, After: retryAfter(resp)}, nil
}
