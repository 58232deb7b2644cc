package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// bothRelaxations are all that can be tolerated.
var bothRelaxations = []string{token.TryRelaxExtractable, token.TryRelaxSensitive}

// makeLoose makes tokens whose keys can be made weaker.
func makeLoose(list []*testfleet.Token) {
	for _, x := range list {
		x.OnRelaxed = func(*token.Relaxed) {}
	}
}

// The engine stops and destroys, whatever such a token does.
func TestATolerantPlanStillDestroysKeys(t *testing.T) {
	for _, c := range []struct {
		name, want string
		tolerates  []string
		do         func(*testfleet.Token)
	}{
		{"the plan tolerates nothing", "attempt relax-extractable succeeded: the key can leave its HSM", nil, func(*testfleet.Token) {}},
		{"the plan tolerates one of two", "attempt relax-sensitive succeeded: the key can leave its HSM", bothRelaxations[:1], func(*testfleet.Token) {}},
		{"a wrapping succeeded at once", "attempt wrap-aes-kw succeeded: the key can leave its HSM", bothRelaxations, func(x *testfleet.Token) {
			x.OnAttack = func(l []token.Attempt) []token.Attempt { l[1].Code = "CKR_OK"; return l }
		}},
		{"a wrapping succeeds then", "made weaker: attempt wrap-aes-kw succeeded: the key can leave its HSM", bothRelaxations, func(x *testfleet.Token) {
			x.OnRelaxed = func(r *token.Relaxed) { r.Attempts[1].Code = "CKR_OK" }
		}},
		{"it can't be set back", "made weaker by relax-extractable: it was not set back", bothRelaxations, func(x *testfleet.Token) {
			x.OnRelaxed = func(r *token.Relaxed) { r.Restored[0].Code = "CKR_ATTRIBUTE_READ_ONLY" }
		}},
	} {
		f := testfleet.Prepared(t, testfleet.Options{Tolerates: c.tolerates, Tokens: func(l []*testfleet.Token) {
			makeLoose(l[:1])
			c.do(l[0])
		}})
		a, err := run(t, f, context.Background())
		wantError(t, err, c.want)
		wantError(t, err, "the key was destroyed")
		if a.Abort == nil || !strings.Contains(a.Abort.Reason, c.want) || keyCount(f) != 0 {
			t.Errorf("%s: %d keys are left, and the record says %+v", c.name, keyCount(f), a.Abort)
		}
	}
}

// A device that fails while a key is weak leaves an open intent; what is resumed
// destroys the key and makes another.
func TestAKeyLeftWeakIsDestroyedOnResume(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Tolerates: bothRelaxations, Tokens: func(l []*testfleet.Token) { makeLoose(l[:1]) }})
	f.Tokens[0].Before = on("AttackRelaxed", code("CKR_DEVICE_REMOVED"))
	_, err := run(t, f, context.Background())
	wantError(t, err, "trying to take the key out as it is now")
	f.Tokens[0].Before = nil
	a, err := engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("resume")))
	if err != nil {
		t.Fatal(err)
	}
	if n := keyCount(f); n != 3 || len(a.Keys) != 3 || a.Keys[0].Relaxed == nil {
		t.Errorf("%d keys on the tokens, %d on the record", n, len(a.Keys))
	}
	if !slices.Contains(f.Tokens[0].Calls, "Destroy") {
		t.Error("the weak key was not destroyed")
	}
}
