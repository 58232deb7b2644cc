package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
)

// Reasons for which a session is refused, beside those of packages bundle and
// bundle/device. Each is the reason of a *bundle.Refusal.
const (
	ReasonTLS         bundle.Reason = "tls"         // the other side speaks no TLS 1.3
	ReasonALPN        bundle.Reason = "alpn"        // it speaks another protocol inside TLS
	ReasonCertificate bundle.Reason = "certificate" // it shows a certificate without having its key, or one that shows no key
	ReasonAnswer      bundle.Reason = "answer"      // the node's first frame can't be read
	ReasonNode        bundle.Reason = "node"        // its key is not the bundle's key of this node in the session role
	// ReasonPostQuantum: the session isn't signed by the node's ML-DSA key, as its bundle
	// or the device's policy demands, or by whom and for what isn't certain.
	ReasonPostQuantum bundle.Reason = "post-quantum"
)

func refuse(why bundle.Reason, format string, args ...any) error {
	return &bundle.Refusal{Reason: why, Err: fmt.Errorf(format, args...)}
}

// shaken names why a handshake failed. Go's TLS has no types for its alerts, only
// texts, which the tests of this package hold.
func shaken(err error) error {
	if r := (*bundle.Refusal)(nil); errors.As(err, &r) {
		return err
	}
	text := err.Error()
	for _, known := range []struct {
		text string
		why  bundle.Reason
		says string
	}{
		{"protocol version not supported", ReasonTLS, "the other side doesn't take TLS 1.3, which is the only version that is spoken here"},
		{"offered only unsupported versions", ReasonTLS, "the other side doesn't offer TLS 1.3, which is the only version that is spoken here"},
		{"unsupported protocol version", ReasonTLS, "the other side chose another version than TLS 1.3, which is the only one that is spoken here"},
		{"application protocol", ReasonALPN, "the two sides speak different protocols"},
		{"requested unsupported application protocols", ReasonALPN, "the two sides speak different protocols"},
		{"invalid signature by the", ReasonCertificate, "the other side doesn't have the private key of the certificate that it shows"},
		{"didn't provide a certificate", ReasonCertificate, "the other side shows no certificate"},
	} {
		if strings.Contains(text, known.text) {
			return refuse(known.why, "%s: %w", known.says, err)
		}
	}
	return fmt.Errorf("the TLS handshake failed: %w", err)
}
