package hsm

import (
	"testing"

	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/token"
)

func TestAURISelectsAToken(t *testing.T) {
	u, err := uri.Parse("pkcs11:serial=7;token=a;model=m;manufacturer=f;library-version=3")
	if want := (Selector{Serial: "7", Label: "a", Model: "m", Manufacturer: "f", Library: token.Library{Version: "3"}}); err != nil || Select(u) != want {
		t.Errorf("selects %+v, %v", Select(u), err)
	}
}
