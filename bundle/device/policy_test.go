package device

import (
	"bytes"
	"errors"
	"go/format"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestAWitnessWithAnotherKeyIsNamedAsThat(t *testing.T) {
	b := made{}.bundle()
	other := bytes.ReplaceAll(fresh(b), []byte(witness2.name+" "+b64(witness2.hash())[:4]), []byte(witness2.name+" AAAA"))
	_, err := Judge(b.Raw(), other, policy(Pins{}), nil, now)
	wantError(t, err, "lacks a quorum of pinned witnesses: 1 cosigned, missing are [\"two\"]; w2.example signed with the key 000000")
}

func TestAPolicyIsWrittenAsItIsRead(t *testing.T) {
	tr := trust()
	tr.ThirdParties[0].Window.NotAfter = new(hour(24))
	log := logPolicy()
	if err := log.SetWindow(witness2.vkey(), auditlog.Window{NotBefore: new(hour(-24))}); err != nil {
		t.Fatal(err)
	}
	one := made{}.bundle()
	p, err := NewPolicy(tr, log, 24*time.Hour, Pins{Artifacts: [][32]byte{one.About().Digest}, Keys: [][]byte{one.KeySet.Keys[0].SPKI}}, []string{"log"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePolicy("policy", p.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if again.Digest != p.Digest || again.MaxAge != 24*time.Hour || *again.Trust.ThirdParties[0].Window.NotAfter != hour(24) || len(again.Log.Windows()) != 1 || len(again.Artifacts) != 1 || len(again.Keys) != 1 || again.Unconfirmed[0] != "log" {
		t.Errorf("%s", again.Raw())
	}
	written := must(NewPolicy(again.Trust, again.Log, again.MaxAge, Pins{Artifacts: again.Artifacts, Keys: again.Keys}, again.Unconfirmed))
	if !bytes.Equal(written.Raw(), p.Raw()) {
		t.Errorf("%s", written.Raw())
	}
}

func TestADeviceTakesNoPolicyThatItCannotHold(t *testing.T) {
	discounted := logPolicy()
	if err := discounted.Discount("one", "it is of tp-1"); err != nil {
		t.Fatal(err)
	}
	shared := trust()
	shared.Shares = []auditlog.Shared{{Holder: keys.Holder{Part: "witness", Name: "one"}, Other: keys.Holder{Part: "third party", Name: "tp-1"}}}
	witnessOfTheParty := logPolicyWith(noteKey{"tp-1", 4})
	for want, c := range map[string]struct {
		trust *bundle.Trust
		log   *auditlog.Policy
		age   time.Duration
	}{
		"no log is pinned":                              {trust(), nil, time.Hour},
		"one key is allowed to be":                      {shared, logPolicy(), time.Hour},
		"one: it is of tp-1":                            {trust(), discounted, time.Hour},
		"tp-1 and one have the same key":                {trust(), witnessOfTheParty, time.Hour},
		"the greatest age is 0 seconds":                 {trust(), logPolicy(), 0},
		"the greatest age is 1 second 500 milliseconds": {trust(), logPolicy(), 1500 * time.Millisecond},
		"max_age is 631152000; it is in seco":           {trust(), logPolicy(), 631152000 * time.Second},
	} {
		p, err := NewPolicy(c.trust, c.log, c.age, Pins{}, nil)
		if wantError(t, err, want); p != nil {
			t.Errorf("%s: a policy came with the error", want)
		}
	}
}

func logPolicyWith(one noteKey) *auditlog.Policy {
	return must(auditlog.ParsePolicy("log.policy", []byte("log "+logKey.vkey()+"\nwitness one "+one.vkey()+"\nquorum one\n")))
}

func TestOnlyKeysThatADeviceWouldAcceptArePinned(t *testing.T) {
	one := made{}.bundle()
	p := policy(Pins{})
	pins, err := Pin(one.Raw(), fresh(one), p, "session", now)
	if err != nil || len(pins.Keys) != 3 || pins.Artifact != one.About().Digest || pins.Epoch != 1 {
		t.Fatalf("%+v, %v", pins, err)
	}
	again := must(ParsePins("pins", pins.Encode()))
	var by Pins
	if err := by.Add("pins", again); err != nil {
		t.Fatal(err)
	}
	if _, err := Judge(one.Raw(), fresh(one), policy(by), nil, now); err != nil {
		t.Errorf("by its own pins: %v", err)
	}
	if got := string(pins.Curl()); strings.Count(got, "sha256//") != 3 || strings.Count(got, ";") != 2 {
		t.Error(got)
	}
	source := must(pins.Go("fleet"))
	if formatted, err := format.Source(source); err != nil || !bytes.Equal(formatted, source) || bytes.Count(source, []byte("hsm-")) != 3 {
		t.Errorf("%v\n%s", err, source)
	}
	for _, name := range []string{"", "_", "1", "func", "a b", "a\nvar x = 1"} {
		if _, err := pins.Go(name); err == nil {
			t.Errorf("a package named %q", name)
		}
	}
	var r *bundle.Refusal
	unsigned := made{signers: []string{"tp-1"}}.bundle()
	if _, err := Pin(unsigned.Raw(), fresh(unsigned), p, "", now); !errors.As(err, &r) || r.Reason != bundle.ReasonSignatures {
		t.Error(err)
	}
	end := made{after: one, notice: bundle.RetirementFormat}.bundle()
	if _, err := Pin(end.Raw(), fresh(end), p, "", now); !errors.As(err, &r) || r.Reason != ReasonPinned {
		t.Error(err)
	}
	if _, err := Pin(one.Raw(), fresh(one), p, "backup", now); !errors.Is(err, bundle.ErrTrust) {
		t.Error(err)
	}
	for what, bad := range map[string]string{
		"another key's digest": swap(string(pins.Encode()), b64(pins.Keys[0].SHA256[:]), b64(pins.Keys[1].SHA256[:])),
		"another algorithm":    strings.Replace(string(pins.Encode()), `"ed25519"`, `"x25519"`, 1),
		"no keys":              string(pins.Encode()[:bytes.Index(pins.Encode(), []byte(`"keys"`))]) + "\"keys\": []\n}\n",
	} {
		if _, err := ParsePins("pins", []byte(bad)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// A policy accepts no bundle of which it pins some keys only: an app that is built with
// the pins of one role, or of another namespace's fleet, would refuse its own.
func TestPinsThatWouldRefuseTheirOwnFleetMakeNoPolicy(t *testing.T) {
	two := made{backup: true}.bundle()
	p := policy(Pins{})
	var pins Pins
	part := must(Pin(two.Raw(), fresh(two), p, "session", now))
	part = must(ParsePins("pins.json", part.Encode()))
	if wantError(t, pins.Add("pins.json", part), "pins.json: has the keys of the role session alone"); part.Role != "session" || len(part.Keys) != 3 || len(pins.Keys) > 0 {
		t.Errorf("%+v, %+v", part, pins)
	}
	all := must(Pin(two.Raw(), fresh(two), p, "", now))
	if err := pins.Add("pins.json", all); err != nil || all.Role != "" {
		t.Fatal(err)
	}
	if _, err := Judge(two.Raw(), fresh(two), policy(pins), nil, now); err != nil {
		t.Error(err)
	}
	other := trust()
	other.Namespace = "example.other.v1"
	_, err := NewPolicy(other, logPolicy(), time.Hour, pins, nil)
	wantError(t, err, "pins.json has keys of the namespace "+namespace+", production")
}

// Whoever compiles keys in has to read that somebody's key was never compared.
func TestPinsNameTheKeysThatNobodyConfirmed(t *testing.T) {
	one := made{}.bundle()
	p := must(NewPolicy(trust(), logPolicy(), 24*time.Hour, Pins{}, []string{"third party tp-1"}))
	pins := must(ParsePins("pins", must(Pin(one.Raw(), fresh(one), p, "", now)).Encode()))
	if !slices.Equal(pins.Unconfirmed, p.Unconfirmed) || !strings.Contains(string(must(pins.Go("fleet"))), "\n// UNPINNED: third party tp-1\n") {
		t.Errorf("%+v\n%s", pins, must(pins.Go("fleet")))
	}
	if source := must(pins.Go("fleet")); !bytes.Equal(must(format.Source(source)), source) {
		t.Errorf("%s", source)
	}
}

func TestAPolicyIsNarrowedOnce(t *testing.T) {
	one := made{}.bundle()
	p, pins := policy(Pins{}), Pins{Artifacts: [][32]byte{one.About().Digest}}
	if same, err := p.Narrowed(Pins{}); same != p || err != nil {
		t.Error(same, err)
	}
	n := must(p.Narrowed(pins))
	if !bytes.Equal(n.Raw(), policy(pins).Raw()) {
		t.Errorf("%s", n.Raw())
	}
	_, err := n.Narrowed(pins)
	wantError(t, err, "pins artifacts, keys or a role of sessions already")
	// What pins a role of sessions alone isn't widened either.
	n = must(p.Narrowed(Pins{SessionPostQuantum: "session-pq"}))
	if n.SessionPostQuantum != "session-pq" || must(ParsePolicy("again", n.Raw())).SessionPostQuantum != "session-pq" {
		t.Errorf("%s", n.Raw())
	}
	_, err = n.Narrowed(pins)
	wantError(t, err, "pins artifacts, keys or a role of sessions already")
	_, err = ParsePolicy("policy", bytes.Replace(n.Raw(), []byte(`"session-pq"`), []byte(`""`), 1))
	wantError(t, err, "session_post_quantum")
}
