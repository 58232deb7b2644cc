//go:build !cgo || !unix

package hsm

import (
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestWithoutCgoEverythingSaysSo(t *testing.T) {
	_, err := Open("/usr/lib/softhsm/libsofthsm2.so", Options{})
	if !errors.Is(err, ErrLeftOut) || !strings.Contains(err.Error(), "CGO_ENABLED=1") {
		t.Errorf("got %v", err)
	}
	var tok *Token
	if _, err := tok.Sign("ed25519", nil, keys.ForTest, nil); !errors.Is(err, ErrLeftOut) {
		t.Errorf("got %v", err)
	}
}
