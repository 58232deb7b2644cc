package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// These tests drive the engine with tokens in memory that are told to
// misbehave: no token that can be installed does what they do.

// run runs a fleet's ceremony and gives what is on the disk afterwards.
func run(t *testing.T, f *testfleet.Fleet, ctx context.Context) (*ceremony.Account, error) {
	t.Helper()
	_, err := engine.Run(ctx, f.Config(f.Dir, testfleet.Random("run")))
	a, rerr := folder.ReadToLastRecord(f.Dir)
	if rerr != nil {
		t.Fatalf("what the run left can't be replayed: %v", rerr)
	}
	return a, err
}

func resume(t *testing.T, f *testfleet.Fleet) *ceremony.Account {
	t.Helper()
	a, err := engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("resumed")))
	if err != nil {
		t.Fatalf("it can't be resumed: %v", err)
	}
	if a.FleetCheck == nil || a.Fault != "" || len(a.Keys) != len(f.Plan.HSMs) {
		t.Errorf("resumed, and not at its fleet check: %+v", a)
	}
	for i, tok := range f.Tokens {
		if tok.Keys() != 1 {
			t.Errorf("token %d holds %d keys, not 1", i+1, tok.Keys())
		}
	}
	return a
}

func keyCount(f *testfleet.Fleet) (n int) {
	for _, tok := range f.Tokens {
		n += tok.Keys()
	}
	return n
}

func code(c string) func(string) error {
	return func(string) error { return testfleet.Coded(c) }
}

// on runs a hook for one method alone.
func on(method string, do func(string) error) func(string) error {
	return func(call string) error {
		if call == method {
			return do(call)
		}
		return nil
	}
}

// A check that fails destroys every key made so far, says so, and ends it.
func TestAFailedCheckDestroysEveryKey(t *testing.T) {
	for _, c := range []struct {
		name, want string
		keys       int // made before, and at, the failure
		do         func(second *testfleet.Token)
	}{
		{"an attack succeeds", "attempt copy-extractable succeeded: the key can leave its HSM", 2, func(x *testfleet.Token) {
			x.OnAttack = func(l []token.Attempt) []token.Attempt { l[4].Code = "CKR_OK"; return l }
		}},
		{"an attack ends oddly", "ended with CKR_DEVICE_ERROR, which does not mean a refusal", 2, func(x *testfleet.Token) {
			x.OnAttack = func(l []token.Attempt) []token.Attempt { l[0].Code = "CKR_DEVICE_ERROR"; return l }
		}},
		{"an attack is left out", "attempts to take the key out, 8 are demanded", 2, func(x *testfleet.Token) {
			x.OnAttack = func(l []token.Attempt) []token.Attempt { return l[:3] }
		}},
		{"an attribute is wrong", `EXTRACTABLE is "true", the plan says false`, 2, func(x *testfleet.Token) {
			x.OnAttributes = func(l []token.Reading) []token.Reading {
				for i := range l {
					if l[i].Name == token.Extractable {
						l[i].Value = "true"
					}
				}
				return l
			}
		}},
		{"a required attribute is dropped", "was generated without SENSITIVE", 2, func(x *testfleet.Token) {
			x.OnGenerate = func(g token.Generated) token.Generated { g.Dropped = []string{token.Sensitive}; return g }
		}},
		{"the signature is wrong", "its proof of possession", 2, func(x *testfleet.Token) {
			x.OnSign = func(s []byte) []byte { s[0] ^= 1; return s }
		}},
		{"a new process finds another key", "a new process found another public key", 2, func(x *testfleet.Token) {
			x.OnProbe = func(_ []byte, o []token.Object) ([]byte, []token.Object) {
				return testfleet.SoftSigner("ed25519", "another").Public.SPKI(), o
			}
		}},
		{"a new process finds something foreign", "which this ceremony did not make", 2, func(x *testfleet.Token) {
			x.OnProbe = func(k []byte, o []token.Object) ([]byte, []token.Object) {
				return k, append(o, token.Object{Class: "secret", ID: []byte{9}})
			}
		}},
		{"a token isn't empty", "is not empty: 1 objects", 1, func(x *testfleet.Token) {
			x.Foreign = []token.Object{{Class: "data"}}
		}},
		{"a token is another", "reports serial", 0, func(x *testfleet.Token) { x.About.Serial = "0000" }},
	} {
		f := testfleet.Prepared(t, testfleet.Options{})
		c.do(f.Tokens[1])
		a, err := run(t, f, context.Background())
		wantError(t, err, c.want)
		wantError(t, err, "the ceremony is aborted")
		if a.Abort == nil || a.Fault == "" || !strings.Contains(a.Abort.Reason, c.want) {
			t.Errorf("%s: the transcript doesn't end with the abort: %+v", c.name, a.Abort)
			continue
		}
		if n := keyCount(f); n != 0 {
			t.Errorf("%s: %d keys are left", c.name, n)
		}
		if slices.Contains(f.Tokens[2].Calls, "Generate") || slices.Contains(f.Tokens[2].Calls, "Login") {
			t.Errorf("%s: the next HSM was still used: %v", c.name, f.Tokens[2].Calls)
		}
		made := 0
		for _, tok := range f.Tokens {
			made += strings.Count(strings.Join(tok.Calls, " "), "Generate")
		}
		if made != c.keys {
			t.Errorf("%s: %d keys were generated, not %d", c.name, made, c.keys)
		}
		for _, k := range a.Abort.Keys {
			if k.State != ceremony.Destroyed && k.State != "absent" {
				t.Errorf("%s: of %s the abort says %q", c.name, k.HSM, k.State)
			}
		}
		if _, err := engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("x"))); err == nil {
			t.Errorf("%s: resumed after its abort", c.name)
		}
		if _, err := a.Artifact(); err == nil {
			t.Errorf("%s: there is an artifact all the same", c.name)
		}
	}
}

// While a key can't be destroyed the ceremony isn't over by itself: it ends once
// the key can be, or by hand, and then says what is still there.
func TestAKeyThatCantBeDestroyedIsNamed(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	f.Tokens[0].Before = on("Destroy", code("CKR_ACTION_PROHIBITED"))
	f.Tokens[1].Before = on("Destroy", code("CKR_DEVICE_ERROR"))
	f.Tokens[1].OnAttack = func(l []token.Attempt) []token.Attempt { l[0].Code = "CKR_OK"; return l }
	a, err := run(t, f, context.Background())
	wantError(t, err, "could not be destroyed")
	if a.Abort != nil {
		t.Fatalf("aborted with keys left: %+v", a.Abort)
	}
	a, err = engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("again")))
	if wantError(t, err, "is not destroyed: CKR_ACTION_PROHIBITED"); a.Abort != nil {
		t.Fatalf("aborted with keys left: %+v", a.Abort)
	}
	f.Tokens[1].Before = nil
	if a, err = engine.Abort(context.Background(), f.Config(f.Dir, testfleet.Random("by hand")), "hsm-1 keeps its key"); err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprint(a.Abort.Keys)
	for _, want := range []string{"hsm-1", "not destroyed: CKR_ACTION_PROHIBITED", "hsm-2", "destroyed"} {
		if !strings.Contains(said, want) {
			t.Errorf("the abort says %s, not %q", said, want)
		}
	}
	for _, o := range f.Tokens[2].Calls {
		if o == "Generate" {
			t.Error("the next HSM made a key")
		}
	}
}

// What fails without saying anything about a key leaves the ceremony where it
// stands, to be resumed.
func TestAFailureLeavesItToBeResumed(t *testing.T) {
	for _, method := range []string{"Open", "Info", "Login", "Objects", "Generate", "Attributes", "Attack", "Sign", "Probe"} {
		for _, after := range []bool{false, true} {
			f := testfleet.Prepared(t, testfleet.Options{})
			second := f.Tokens[1]
			if after {
				second.After = on(method, code("CKR_DEVICE_ERROR"))
			} else {
				second.Before = on(method, code("CKR_DEVICE_ERROR"))
			}
			name := fmt.Sprintf("%s, after it did its work: %v", method, after)
			a, err := run(t, f, context.Background())
			if err == nil || a.Abort != nil || a.Fault != "" {
				t.Errorf("%s: %v, %+v", name, err, a.Abort)
				continue
			}
			if slices.Contains(f.Tokens[2].Calls, "Login") {
				t.Errorf("%s: the next HSM was still used: %v", name, f.Tokens[2].Calls)
			}
			if slices.Contains(second.Calls, "Destroy") {
				t.Errorf("%s: something was destroyed for it", name)
			}
			second.Before, second.After = nil, nil
			// Before the first login it is run again; after it, resumed.
			if method == "Open" || method == "Info" {
				if _, err := engine.Run(context.Background(), f.Config(f.Dir, testfleet.Random("again"))); err != nil {
					t.Errorf("%s: it can't be run again: %v", name, err)
				}
				continue
			}
			resume(t, f)
		}
	}
}

func TestAWrongPINIsTriedOnce(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	f.Tokens[0].Before = on("Login", code("CKR_PIN_INCORRECT"))
	a, err := run(t, f, context.Background())
	wantError(t, err, "CKR_PIN_INCORRECT")
	if n := strings.Count(strings.Join(f.Tokens[0].Calls, " "), "Login"); n != 1 || a.Abort != nil {
		t.Errorf("%d logins, abort %v", n, a.Abort)
	}
	data := must(os.ReadFile(filepath.Join(f.Dir, ceremony.TranscriptFile)))
	if !bytes.Contains(data, []byte(`\"result\":\"CKR_PIN_INCORRECT\"`)) || bytes.Contains(data, []byte("canary")) {
		t.Error("the wrong PIN isn't on the transcript, or the PIN is")
	}
	f.Tokens[0].Before = nil
	resume(t, f)
}

// Stopped at any call to any token: nothing more is done, nothing is lost.
func TestItStopsWhereItIsTold(t *testing.T) {
	whole := testfleet.New(t, testfleet.Options{HSMs: 2, To: testfleet.ToFleetRun})
	calls := 0
	for _, tok := range whole.Tokens {
		calls += len(tok.Calls)
	}
	for n := 1; n < calls; n += 3 {
		f := testfleet.Prepared(t, testfleet.Options{HSMs: 2})
		ctx, cancel := context.WithCancel(context.Background())
		seen := 0
		for _, tok := range f.Tokens {
			tok.Before = func(call string) error {
				if seen++; seen == n {
					cancel()
				}
				return nil
			}
		}
		a, err := run(t, f, ctx)
		cancel()
		if err == nil {
			continue // the last steps: there was nothing left to stop before
		}
		wantError(t, err, "stopped before")
		if a.Abort != nil || a.Fault != "" {
			t.Errorf("stopped at call %d: %+v", n, a.Abort)
		}
		if _, rerr := engine.Resume(context.Background(), f.Config(f.Dir, testfleet.Random("c"))); rerr != nil {
			if _, rerr = engine.Run(context.Background(), f.Config(f.Dir, testfleet.Random("r"))); rerr != nil {
				t.Errorf("stopped at call %d, it goes on neither way: %v", n, rerr)
			}
		}
	}
}
