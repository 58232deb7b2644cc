package keys

import (
	"errors"
	"fmt"
	"strings"
)

// Context says what a signature is for. An ML-DSA signature has it as its context
// string (FIPS 204, section 5.2), so that one made for one use never verifies for
// another, whatever its text. For the other algorithms the text alone says it.
type Context string

// The contexts of this project's signatures, of SPEC section 2.
const (
	ForPossession       Context = "fleetctl/possession/v1"
	ForCountersignature Context = "fleetctl/countersignature/v1"
	ForThirdParty       Context = "fleetctl/third-party/v1"
	ForSession          Context = "fleetctl/session/v1"
	ForRekor            Context = "fleetctl/rekor/v1" // where ML-DSA doesn't come: Rekor takes P-256
	ForCertificate      Context = "fleetctl/certificate/v1"
	ForLog              Context = "c2sp.org"         // logs and witnesses: C2SP has them sign with an empty context
	ForTest             Context = "fleetctl/test/v1" // shows that a token signs, and nothing else
)

var contexts = []Context{ForPossession, ForCountersignature, ForThirdParty, ForSession, ForRekor, ForCertificate, ForLog, ForTest}

const (
	ourContexts = "fleetctl/"
	maxContext  = 255 // bytes, FIPS 204
)

// FIPS204 is the context string of a signature that is for this.
func (c Context) FIPS204() string {
	if c == ForLog {
		return ""
	}
	return string(c)
}

// Check refuses what can't be a context, and one of ours that isn't listed. Programs
// that use the library may have contexts of their own.
func (c Context) Check() error {
	switch {
	case c == "":
		return errors.New("no context says what the signature is for")
	case len(c) > maxContext:
		return fmt.Errorf("the context has %d bytes; FIPS 204 allows %d", len(c), maxContext)
	case !strings.HasPrefix(string(c), ourContexts):
		return nil
	}
	for _, known := range contexts {
		if c == known {
			return nil
		}
	}
	return fmt.Errorf("%q is no context of fleetctl's", string(c))
}
