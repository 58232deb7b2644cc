package bundle

import (
	"bytes"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func retirement(after *KeySet) *Notice {
	return &Notice{
		Format: RetirementFormat, Mode: after.Mode, Fleet: after.Fleet, Namespace: after.Namespace, Epoch: after.Epoch + 1,
		Previous: after.Digest(), Created: now, Effective: new(now.Add(24 * time.Hour)), Reason: "the fleet is replaced by backup-2027a",
	}
}

// noticed is a bundle of a notice, signed as the world's bundle is.
func noticed(n *Notice) *Bundle {
	n = must(ParseNotice("notice.json", n.Encode()))
	var st []Signed
	for _, name := range []string{"tp-1", "tp-2"} {
		s := must(NewStatement(Protobuf, n.Namespace, statementAt, n.Epoch, n.Digest()))
		st = append(st, Signed{Key: edRaw(name), Statement: must(s.Seal(edRaw(name), sign(keys.Ed25519, name, s.Message())))})
	}
	msg := must(CountersignNotice(FormBound, n, st))
	return must(Assemble(n.Raw(), st, []Countersignature{{public(keys.P256, "operator"), FormBound, sign(keys.P256, "operator", msg)}}, nil))
}

// A device that saw one history of its fleet is shown another, signed by all:
// a key set, a retirement and a void that follow a second artifact of the epoch
// it remembers.
func TestADeviceRefusesAnEpochThatFollowsAnother(t *testing.T) {
	w := newWorld()
	log := logPolicy(t, both)
	check := func(b *Bundle, s *DeviceState) (*Accepted, error) {
		return Check(b.Raw(), logged(b.Raw(), now, now), w.trust, log, s, now, time.Hour)
	}
	brought := func(set *KeySet) *Bundle {
		st := []Signed{signed("tp-1", set), signed("tp-2", set)}
		return must(Assemble(set.Raw(), st, []Countersignature{countersigned(keys.P256, "operator", FormBound, set, st...)}, aRecord))
	}
	seen := must(check(w.bundle, nil)).State
	other := parsed(fleet(1, nil, 5, keys.Ed25519, keys.P256))
	if other.Digest() == seen.Digest {
		t.Fatal("the other artifact is the same one")
	}
	void := func(after *KeySet) *Notice {
		n := retirement(after)
		n.Format, n.Effective = VoidFormat, nil
		return n
	}
	follow := func(after *KeySet) map[string]*Bundle {
		digest := after.Digest()
		return map[string]*Bundle{
			"key set":    brought(parsed(fleet(2, digest[:], 5, keys.Ed25519))),
			"retirement": noticed(retirement(after)),
			"void":       noticed(void(after)),
		}
	}
	for name, b := range follow(w.set) {
		if _, err := check(b, &seen); err != nil {
			t.Errorf("%s that follows what was seen: %v", name, err)
		}
	}
	for name, b := range follow(other) {
		got, err := check(b, &seen)
		wantError(t, err, "is epoch 2 of fleet backup-2026a and follows another artifact of epoch 1 than the one that this device has seen: the signers equivocate")
		if got != nil {
			t.Errorf("%s: a result came with the error", name)
		}
		if _, err := check(b, nil); err != nil {
			t.Errorf("%s at first contact: %v", name, err)
		}
	}
	// Over a gap nothing can be compared.
	digest := other.Digest()
	if _, err := check(brought(parsed(fleet(3, digest[:], 5, keys.Ed25519))), &seen); err != nil {
		t.Errorf("an epoch further on: %v", err)
	}
}

func TestADeviceHonoursARetirement(t *testing.T) {
	w := newWorld()
	log := logPolicy(t, both)
	check := func(b *Bundle, s *DeviceState) (*Accepted, error) {
		return Check(b.Raw(), logged(b.Raw(), now, now), w.trust, log, s, now, time.Hour)
	}
	first := must(check(w.bundle, nil))
	end := noticed(retirement(w.set))
	got, err := check(end, &first.State)
	if err != nil {
		t.Fatal(err)
	}
	if !got.State.Retired || got.State.Epoch != 2 || got.Bundle.KeySet != nil || !got.Bundle.Notice.Effective.Equal(now.Add(24*time.Hour)) {
		t.Errorf("%+v", got)
	}
	if again, err := check(end, &got.State); err != nil || again.State != got.State {
		t.Errorf("the retirement with a newer proof: %v", err)
	}
	_, err = check(w.bundle, &got.State)
	wantError(t, err, "which was retired")
	next := fleet(3, got.State.Digest[:], 5, keys.Ed25519)
	set := parsed(next)
	st := []Signed{signed("tp-1", set), signed("tp-2", set)}
	later := must(Assemble(set.Raw(), st, []Countersignature{countersigned(keys.P256, "operator", FormBound, set, st...)}, aRecord))
	_, err = check(later, &got.State)
	wantError(t, err, "which was retired")

	// A void takes an epoch and retires nothing.
	v := retirement(w.set)
	v.Format, v.Effective, v.Reason = VoidFormat, nil, "abandoned: one third party is gone"
	void, err := check(noticed(v), &first.State)
	if err != nil || void.State.Retired || void.State.Epoch != 2 {
		t.Fatalf("%+v, %v", void, err)
	}
	_, err = check(w.bundle, &void.State)
	wantError(t, err, "is epoch 1 of fleet backup-2026a, which was declared void")
	_, err = check(end, &void.State)
	wantError(t, err, "is a second artifact for epoch 2")
}

func TestABundleOfKeysIsNoNotice(t *testing.T) {
	end := noticed(retirement(newWorld().set))
	_, err := ParseBundle("bundle.json", end.Raw())
	wantError(t, err, `bundle.json: its artifact is a "fleetctl fleet-retirement v1", which brings no keys`)
	// One whose signature is over another notice isn't taken.
	b := must(ParseAny("bundle.json", end.Raw()))
	other := *b.Notice
	other.Reason, other.raw = "another", nil
	_, err = Assemble(other.Encode(), b.Statements, b.Countersignatures, nil)
	wantError(t, err, "is about digest")
}

func TestNoticesAreStrict(t *testing.T) {
	good := retirement(newWorld().set)
	for name, c := range map[string]struct {
		change func(*Notice)
		want   string
	}{
		"first epoch":       {func(n *Notice) { n.Epoch = 1 }, "notice.json:6: epoch is 1; there has to be an epoch before it"},
		"no effective":      {func(n *Notice) { n.Effective = nil }, "effective is missing"},
		"void with time":    {func(n *Notice) { n.Format = VoidFormat }, "effective is given, but a void has none"},
		"void in year 1":    {func(n *Notice) { n.Format, n.Effective = VoidFormat, new(time.Time{}) }, "effective is given, but a void has none"},
		"mode":              {func(n *Notice) { n.Mode = "test" }, `mode is "test"`},
		"rehearsal":         {func(n *Notice) { n.Mode = Rehearsal }, "namespace is"},
		"lines in a reason": {func(n *Notice) { n.Reason = "a\nb" }, "it is one line"},
		"no reason":         {func(n *Notice) { n.Reason = "" }, "reason is empty"},
		"long reason":       {func(n *Notice) { n.Reason = string(bytes.Repeat([]byte("x"), 1001)) }, "longer than 1000 bytes"},
	} {
		n := *good
		c.change(&n)
		_, err := ParseNotice("notice.json", n.Encode())
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantError(t, err, c.want)
	}
	if _, err := ParseNotice("n", newWorld().set.Raw()); err == nil {
		t.Error("a key set is taken for a notice")
	}
}

func FuzzNotice(f *testing.F) {
	n := retirement(newWorld().set)
	f.Add(n.Encode())
	n.Format, n.Effective = VoidFormat, nil
	f.Add(n.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseNotice("n", data)
		if err != nil {
			return
		}
		if !bytes.Equal(n.Raw(), data) {
			t.Fatal("Raw isn't what was read")
		}
		again, err := ParseNotice("n", n.Encode())
		if err != nil || !bytes.Equal(again.Encode(), n.Encode()) {
			t.Fatalf("what was encoded reads otherwise: %v", err)
		}
	})
}
