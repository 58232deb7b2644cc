package bundle

import (
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// The types of keys that this package takes and gives. They are those of package
// auditlog, whose ParsePublicKey reads a key.
type (
	// PublicKey is an admitted public key.
	PublicKey = auditlog.PublicKey

	// Algorithm names a key's kind and with it how it signs.
	Algorithm = auditlog.Algorithm

	// Use is what a key is for: to sign, or to agree on a secret.
	Use = keys.Use

	// Context says what a signature is for. One of ML-DSA verifies for its use alone.
	Context = keys.Context

	// Window is when a pinned key's signatures count. An end that is nil is open.
	Window = auditlog.Window

	// Seen remembers signatures that verified, so that the same one isn't verified
	// twice.
	Seen = keys.Seen
)

// The uses of a key. What a key does in the other use counts for nothing.
const (
	UseSign  Use = keys.Sign
	UseAgree Use = keys.Agree
)

// ForSession is what an HSM signs for when it opens a session with a fleet key, in
// [PublicKey.Verify]. What else a program has signed gets a context of the program's
// own, which begins with its domain's name.
const ForSession Context = keys.ForSession
