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
	errTooLarge   = errors.New("it is too large for the Rekor server")
	errRefused    = errors.New("the Rekor server refused it")
	errKeyChanged = errors.New("the log's key is not the pinned one")
	errAnswer     = errors.New("the Rekor server's answer is not to be believed")
	// errTorn is a connection that broke before the answer was whole: whether
	// the entry was logged is open, and asking again finds out.
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
	againHint   = "Run the same command again: the bundle is not logged twice, an entry that got through is found."
	startHint   = "Is the server up, and is this its URL? Nothing was stored; run the same command again later."
	changedHint = "Either this is another log, or its key was changed: a server without a signer of its own makes a new key at each start.\n" +
		"Confirm the key with the log's operator over another channel before you pin a new one."
)

// transport makes an error of ours from what the way to the server said.
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
		return c.fail(errAnswer, "A Rekor server never says that much: is this one?", "more than %d MB", maxAnswer>>20)
	case errors.Is(err, context.Canceled) && ctx.Err() == context.Canceled:
		return &serverError{context.Canceled, strict.Errorf(c.base.Redacted(), "interrupted").WithHint("%s", againHint)}
	case errors.Is(err, context.DeadlineExceeded), timeout:
		return c.fail(errTimeout, againHint, "%s", c.timeout)
	case errors.As(err, &cert), errors.As(err, &unknown):
		return c.fail(errDown, "Its certificate is not trusted here: SSL_CERT_FILE names a file of further roots.", "%v", cause(err))
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &op) && op.Op == "dial":
		return c.fail(errDown, startHint, "%v", cause(err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), strings.Contains(err.Error(), "connection was forcibly closed"):
		e := c.fail(errDown, againHint, "%v", errTorn)
		e.Kind = errTorn
		return e
	}
	return c.fail(errAnswer, "Is this URL a Rekor server's, and of this version?", "%v", strict.Said(cause(err).Error()))
}

// cause leaves out the request's line, which says what we know already.
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
		return c.fail(errDown, againHint, "HTTP %d from what stands before it: %s", code, says)
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusNotImplemented:
		return c.fail(errRefused, "Is it of this version (--rekor-version), and does it still take entries?", "HTTP %d: %s", code, says)
	}
	return c.fail(errRefused, "", "HTTP %d: %s", code, says)
}
