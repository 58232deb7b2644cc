package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// partiesWorld pins n third parties of which needed must sign.
func partiesWorld(n, needed int) *world {
	w := newWorld()
	w.trust.Needed, w.trust.ThirdParties, w.statements = needed, nil, nil
	for i := range n {
		name := fmt.Sprintf("tp-%d", i+1)
		w.trust.ThirdParties = append(w.trust.ThirdParties, ThirdParty{Name: name, Key: edRaw(name)})
		w.statements = append(w.statements, signed(name, w.set))
	}
	return w
}

// of is a bundle that these of the world's third parties signed.
func (w *world) of(at ...int) []byte {
	var list []Signed
	for _, i := range at {
		list = append(list, w.statements[i])
	}
	return w.assemble(list, countersigned(keys.P256, "operator", FormBound, w.set, list...))
}

func (w *world) device(t *testing.T, data []byte, witnessed time.Time) (*Accepted, error) {
	t.Helper()
	return Check(data, logged(data, witnessed, witnessed), w.trust, logPolicy(t, both), nil, now, 24*time.Hour)
}

func names(list []Signer) (names []string) {
	for _, s := range list {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// Any k of the pinned third parties will do, and no k−1 of them.
func TestAnyKOfN(t *testing.T) {
	const n = 4
	for needed := 1; needed <= n; needed++ {
		w := partiesWorld(n, needed)
		for set := 1; set < 1<<n; set++ {
			var at []int
			var who []string
			for i := range n {
				if set>>i&1 == 1 {
					at, who = append(at, i), append(who, fmt.Sprintf("tp-%d", i+1))
				}
			}
			got, err := w.device(t, w.of(at...), now)
			var short *Short
			switch {
			case len(at) >= needed && err != nil:
				t.Errorf("%d of %d by %v: %v", needed, n, who, err)
			case len(at) < needed && (got != nil || !errors.As(err, &short) || len(short.Result.ThirdParties) != len(at) || len(short.Result.Absent) != n-len(at)):
				t.Errorf("%d of %d by %v: %+v, %v", needed, n, who, got, err)
			case err == nil && (!slices.Equal(names(got.Signers.ThirdParties), who) || len(got.Signers.Absent) != n-len(at)):
				t.Errorf("%d of %d by %v: %+v", needed, n, who, got.Signers)
			}
		}
	}
}

func TestWhatDoesNotMakeAnotherParty(t *testing.T) {
	w := partiesWorld(3, 2)
	both := w.of(0, 1)
	for name, c := range map[string]struct {
		edit func(*Trust)
		want string
	}{
		"its own second key":         {func(t *Trust) { t.ThirdParties[1].Name = "tp-1" }, "1 of the 2 pinned third parties needed have signed"},
		"a key not pinned":           {func(t *Trust) { t.ThirdParties[1].Key = edRaw("tp-9") }, "1 of the 2 pinned third parties needed have signed"},
		"a key that expired":         {func(t *Trust) { t.ThirdParties[1].Window.NotAfter = new(now.Add(-48 * time.Hour)) }, "outside their key's window 1"},
		"a key that was compromised": {func(t *Trust) { t.ThirdParties[1].Window.CompromisedAfter = new(now.Add(-48 * time.Hour)) }, "outside their key's window 1"},
		"one key under two names":    {func(t *Trust) { t.ThirdParties[2].Key = t.ThirdParties[0].Key }, "tp-1 and tp-3 have the same key"},
		"the operator's name":        {func(t *Trust) { t.Operators[0].Name = "tp-1" }, `the name "tp-1" is pinned twice`},
		"three of two names":         {func(t *Trust) { t.ThirdParties[1].Name, t.Needed = "tp-1", 3 }, "3 third parties must sign, and 2 are pinned"},
	} {
		x := partiesWorld(3, 2)
		c.edit(x.trust)
		got, err := x.device(t, both, now)
		if wantError(t, err, c.want); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// The witnesses' time counts for each as it does for one.
	w.trust.ThirdParties[1].Window.CompromisedAfter = new(now.Add(-time.Hour))
	if _, err := w.device(t, both, now.Add(-2*time.Hour)); err != nil {
		t.Error(err)
	}
	// Of a party's two keys the one that counts is enough.
	x := partiesWorld(3, 2)
	x.trust.ThirdParties[1].Name = "tp-1"
	x.trust.ThirdParties[1].Window.NotAfter = new(now.Add(-48 * time.Hour))
	got, err := x.device(t, x.of(0, 1, 2), now)
	if err != nil || !slices.Equal(names(got.Signers.ThirdParties), []string{"tp-1", "tp-3"}) || len(got.Signers.Expired) != 1 || len(got.Signers.Repeated) != 0 {
		t.Errorf("%+v %v", got, err)
	}
	x.trust.ThirdParties[1].Window = keys.Window{}
	if got, err = x.device(t, x.of(0, 1, 2), now); err != nil || len(got.Signers.Repeated) != 1 || len(got.Signers.ThirdParties) != 2 {
		t.Errorf("%+v %v", got, err)
	}
}

// However many are good, one bad signature by a pinned party, or a statement
// about something else, spoils the bundle, by its party's name.
func TestOneBadAmongKGood(t *testing.T) {
	w := partiesWorld(3, 2)
	list := slices.Clone(w.statements)
	bad := *list[1].Statement
	bad.Signature[40] ^= 1
	list[1].Statement = must(ParseStatement("", bad.Encode(bad.Signature)))
	data := w.assemble(list, countersigned(keys.P256, "operator", FormBound, w.set, list...))
	_, err := w.device(t, data, now)
	wantError(t, err, "by third party tp-2: ")

	other := parsed(fleet(1, nil, 3, keys.Ed25519))
	list[1] = signed("tp-2", other)
	data = w.assemble(list, countersigned(keys.P256, "operator", FormBound, w.set, list...))
	_, err = w.device(t, data, now)
	wantError(t, err, "is about digest")

	list[1] = list[0] // one statement twice
	list = sorted(list)
	data = w.assemble(list, countersigned(keys.P256, "operator", FormBound, w.set, list...))
	_, err = w.device(t, data, now)
	wantError(t, err, "key is that of the statement before")

	// A latecomer put into a bundle that was countersigned without it.
	two := w.statements[:2]
	data = w.assemble(w.statements, countersigned(keys.P256, "operator", FormBound, w.set, two...))
	_, err = w.device(t, data, now)
	wantError(t, err, "countersignatures[0] by operator operator")
	if bytes.Equal(data, w.of(0, 1)) {
		t.Error("nothing was added")
	}
}
