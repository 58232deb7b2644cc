package ceremony_test

import (
	"encoding/hex"
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func init() { hostile = append(hostile, hostileKeys...) }

// hostileKeys are transcripts in which a key isn't the one that it is said to be.
var hostileKeys = []struct {
	name, want string
	edit       func(*forger)
}{
	{"a key that was destroyed, generated once more", "hsm-1 session has the key of hsm-1 session, record", func(x *forger) {
		at := x.at(ceremony.KindIntent, 0)
		intent, made := *x.entries[at].content.(*ceremony.Intent), *x.get(ceremony.KindOutcome, 0).content.(*ceremony.Outcome)
		intent.ID, made.Intent = slices.Repeat([]byte{7}, 16), at+1
		x.insert(at, &intent)
		x.insert(at+1, &made)
		x.insert(at+2, &ceremony.Outcome{Intent: at + 1, Result: ceremony.Destroyed, Reason: "the room was left"})
	}},
	{"attributes read of another public key", "that was read back is not the key that was generated", readPublic("EC_POINT", func(x *forger) string {
		key := must(keys.ParseSPKI(x.get(ceremony.KindOutcome, 2).content.(*ceremony.Outcome).PublicKey))
		raw, _ := key.Ed25519()
		return "0420" + hex.EncodeToString(raw[:])
	})},
	{"attributes read of no public key", "that was read back is not the key that was generated", readPublic("EC_POINT", func(*forger) string { return "0420" })},
	{"attributes read of what is no hex", "that was read back is not the key that was generated", readPublic("EC_POINT", func(*forger) string { return "true" })},
}

// readPublic adds a reading to the first key's public half.
func readPublic(name string, value func(*forger) string) func(*forger) {
	return func(x *forger) {
		e := x.get(ceremony.KindAttributes, 0)
		c := e.content.(*ceremony.Attributes)
		c.Public = append(c.Public, ceremony.Attribute{Name: name, Value: value(x)})
	}
}
