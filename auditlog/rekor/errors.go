package rekor

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
	"strings"
	"syscall"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// What can go wrong, by name.
var (
	errDown       = errors.New("the Rekor server can't be reached")
	errTimeout    = errors.New("the Rekor server did not answer in time")
	errBusy       = errors.New("the Rekor server has too much to do")
	errTooLarge   = errors.New("the entry is too large for the Rekor server")
	errRefused    = errors.New("the Rekor server refused the entry")
	errKeyChanged = errors.New("the log's key is not the pinned one")
	errAnswer     = errors.New("the Rekor server's answer can't be believed")
	// errTorn is a connection that broke before the answer was complete. Whether
	// the entry was logged isn't known; asking again tells.
	errTorn = errors.New("the connection broke")
)

// serverError is what went wrong with a server: its kind is one of the above, and
// the rest is for people.
type serverError struct {
	Kind error
	Err  *strict.Error
}

func (e *serverError) Error() string        { return e.Err.Error() }
func (e *serverError) Is(target error) bool { return target == e.Kind }
func (e *serverError) Unwrap() error        { return e.Err }

func (c *Client) fail(kind error, hint, format string, args ...any) *serverError {
	what := kind.Error()
	if detail := fmt.Sprintf(format, args...); detail != "" {
		what += ": " + detail
	}
	return &serverError{kind, strict.Errorf(c.base.Redacted(), "%s", what).WithHint("%s", hint)}
}

const (
	againHint   = "Run the same command again: if the entry was logged, it is found; the bundle is not logged twice."
	startHint   = "Is the server up, and is this its URL? Nothing was stored; run the same command again later."
	changedHint = "Either this is another log, or its key was changed: a server without a signer of its own makes a new key at each start.\n" +
		"Confirm the key with the log's operator over another channel before you pin a new one."
)

// transport makes an error of ours from an error of the connection.
func (c *Client) transport(ctx context.Context, err error) *serverError {
	var mine *serverError
	var status *statusError
	var dns *net.DNSError
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var ue *url.Error
	timeout := errors.As(err, &ue) && ue.Timeout()
	switch {
	case errors.As(err, &mine):
		return mine
	case errors.As(err, &status):
		return c.status(status.code, status.says)
	case errors.Is(err, errLong):
		return c.fail(errAnswer, "A Rekor server never answers with so much: is this one?", "more than %d MB", maxAnswer>>20)
	case errors.Is(err, context.Canceled) && ctx.Err() == context.Canceled:
		return &serverError{context.Canceled, strict.Errorf(c.base.Redacted(), "interrupted").WithHint("%s", againHint)}
	case errors.Is(err, context.DeadlineExceeded), timeout:
		return c.fail(errTimeout, againHint, "%s", strict.FormatDuration(c.timeout))
	case errors.As(err, &cert), errors.As(err, &unknown):
		return c.fail(errDown, "Its certificate is not trusted here. To trust further roots, name their file in SSL_CERT_FILE.", "%v", cause(err))
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &op) && op.Op == "dial":
		return c.fail(errDown, startHint, "%v", cause(err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), strings.Contains(err.Error(), "connection was forcibly closed"):
		e := c.fail(errDown, againHint, "%v", errTorn)
		e.Kind = errTorn
		return e
	}
	return c.fail(errAnswer, "Is this URL a Rekor server's, and of this version?", "%v", strict.Said(cause(err).Error()))
}

// cause leaves out the request's method and URL, which the message has already.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// status makes an error of ours from an HTTP status and what came with it.
func (c *Client) status(code int, says string) *serverError {
	says = strict.Said(says)
	switch {
	case code == http.StatusRequestEntityTooLarge, strings.Contains(says, "request body too large"), strings.Contains(says, "larger than max"):
		return c.fail(errTooLarge, "The server's operator sets the limit (rekor-server: --max_request_body_size).", "HTTP %d: %s", code, says)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return c.fail(errBusy, againHint, "HTTP %d: %s", code, says)
	case code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		return c.fail(errDown, againHint, "HTTP %d from a proxy in front of it: %s", code, says)
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusNotImplemented:
		return c.fail(errRefused, "Is it of this version (--rekor-version), and does it still take entries?", "HTTP %d: %s", code, says)
	}
	return c.fail(errRefused, "", "HTTP %d: %s", code, says)
}
