package bundle

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestResultSaysWhoSigned(t *testing.T) {
	w := newWorld()
	three := append(w.statements, signed("tp-3", w.set))
	b := must(Assemble(w.set.Raw(), three, []Countersignature{countersigned(keys.P256, "operator", FormBound, w.set, three...)}, aRecord))
	got, err := b.Verify(w.trust, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(statementAt).UTC()
	tp1, tp2, tp3 := edRaw("tp-1"), edRaw("tp-2"), edRaw("tp-3")
	want := &Result{
		ThirdParties: []Signer{{"tp-2", b64(tp2[:]), at}, {"tp-1", b64(tp1[:]), at}}, // by raw key
		Operators:    []Signer{{"operator", b64(spki(keys.P256, "operator")), time.Time{}}},
		Ignored:      []string{b64(tp3[:])},
	}
	if string(tp1[:]) < string(tp2[:]) {
		want.ThirdParties[0], want.ThirdParties[1] = want.ThirdParties[1], want.ThirdParties[0]
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("result is %+v, not %+v", got, want)
	}
}

func TestAssembleSortsWhateverTheOrder(t *testing.T) {
	w := newWorld()
	turned := []Signed{w.statements[1], w.statements[0]}
	b, err := Assemble(w.set.Raw(), turned, w.counter, aRecord)
	if err != nil || string(b.Raw()) != string(w.bundle.Raw()) {
		t.Errorf("another bundle, or none: %v", err)
	}
	if string(CountersignText(w.set, turned)) != string(CountersignText(w.set, w.statements)) {
		t.Error("the text depends on the order given")
	}
}

func TestCountersignTextIsExactlyThis(t *testing.T) {
	w := newWorld()
	s := w.bundle.Statements
	digest := w.set.Digest()
	want := "fleetctl countersignature v1\nproduction\nexample.backup.fleet_keys.v1\n1\n" + fmt.Sprintf("%x", digest) + "\n" +
		"signer " + b64(s[0].Key[:]) + " " + b64(s[0].Statement.Signature[:]) + "\n" +
		"signer " + b64(s[1].Key[:]) + " " + b64(s[1].Statement.Signature[:]) + "\n"
	if got := string(CountersignText(w.set, s)); got != want {
		t.Errorf("text is %q, not %q", got, want)
	}
}

func TestCountersignMessageRefusals(t *testing.T) {
	w := newWorld()
	for _, c := range []struct {
		form       string
		statements []Signed
		want       string
	}{
		{FormBound, nil, "no statement"},
		{FormSignature, nil, "no statement"},
		{FormSignature, w.statements, "exactly one statement; there are 2"},
		{"both", w.statements, `form is "both"`},
	} {
		msg, err := CountersignMessage(c.form, w.set, c.statements)
		wantError(t, err, c.want)
		if msg != nil {
			t.Errorf("%s: a message came with the error", c.form)
		}
	}
}

func TestEveryKindOfOperatorKeyAndForm(t *testing.T) {
	w := newWorld()
	w.trust.Needed = 1
	for _, alg := range keys.Algorithms {
		if !alg.CanSign() {
			continue
		}
		for form, statements := range map[string][]Signed{FormBound: w.statements, FormSignature: w.statements[:1]} {
			w.trust.Operators = []Operator{{Name: "operator", Key: public(alg, "op-"+string(alg)), Form: form}}
			good := countersigned(alg, "op-"+string(alg), form, w.set, statements...)
			if err := w.verify(w.assemble(statements, good)); err != nil {
				t.Errorf("%s %s: %v", alg, form, err)
			}
			// The same signature in the other form.
			other := Countersignature{good.Key, FormSignature, good.Signature}
			if form == FormSignature {
				other.Form = FormBound
			}
			if w.verify(w.assemble(statements[:1], other)) == nil {
				t.Errorf("%s: form %s passes as form %s", alg, form, other.Form)
			}
		}
	}
}

func TestWindows(t *testing.T) {
	w := newWorld()
	// The artifact is of the 21st: nobody saw it before.
	day := func(d int) time.Time { return time.Date(2026, 11, d+2, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		window    keys.Window
		now       time.Time
		witnessed *time.Time
		counts    bool
	}{
		"open":                              {keys.Window{}, day(22), nil, true},
		"inside":                            {keys.Window{NotBefore: new(day(20)), NotAfter: new(day(23))}, day(22), nil, true},
		"too early":                         {keys.Window{NotBefore: new(day(23))}, day(22), nil, false},
		"expired, never witnessed":          {keys.Window{NotAfter: new(day(21))}, day(22), nil, false},
		"expired, witnessed before":         {keys.Window{NotAfter: new(day(21))}, day(22), new(day(20)), true},
		"expired, witnessed after":          {keys.Window{NotAfter: new(day(20))}, day(22), new(day(21)), false},
		"compromised, its own word is good": {keys.Window{CompromisedAfter: new(day(22))}, day(25), nil, false},
		"compromised, witnessed before":     {keys.Window{CompromisedAfter: new(day(22))}, day(25), new(day(21)), true},
		"compromised, witnessed then":       {keys.Window{CompromisedAfter: new(day(22))}, day(25), new(day(22)), false},
		"compromised in year 1":             {keys.Window{CompromisedAfter: new(time.Time{})}, day(22), nil, false},
		"over in year 1, witnessed":         {keys.Window{NotAfter: new(time.Time{})}, day(22), new(day(20)), false},
		"witnessed before it began":         {keys.Window{NotBefore: new(day(21))}, day(22), new(day(20)), false},
		"witnessed once it had begun":       {keys.Window{NotBefore: new(day(19))}, day(22), new(day(20)), true},
		"begun in year 1":                   {keys.Window{NotBefore: new(time.Time{})}, day(22), nil, true},
	} {
		for _, who := range []string{"third party", "operator"} {
			trust := *newWorld().trust
			if who == "operator" {
				trust.Operators[0].Window = c.window
			} else {
				trust.ThirdParties[0].Window = c.window
			}
			res, err := w.bundle.Verify(&trust, c.now, c.witnessed)
			if c.counts {
				if err != nil {
					t.Errorf("%s %s: %v", name, who, err)
				}
				continue
			}
			var short *Short
			if !errors.As(err, &short) || res != nil || len(short.Result.Expired) != 1 || short.Countersigned != (who != "operator") {
				t.Errorf("%s %s: error is %v, result %+v", name, who, err, res)
			}
		}
	}
}

// A signature that doesn't count for its time must verify all the same.
func TestBadSignatureOutsideItsWindowStillRejects(t *testing.T) {
	w := newWorld()
	w.trust.Needed = 1
	w.trust.ThirdParties[1].Window.NotAfter = new(now.Add(-time.Hour))
	bad := *w.statements[1].Statement
	bad.raw, bad.Signature[40] = nil, bad.Signature[40]^1
	statements := []Signed{w.statements[0], {Key: w.statements[1].Key, Statement: &bad}}
	err := w.verify(w.assemble(statements, countersigned(keys.P256, "operator", FormBound, w.set, statements...)))
	wantError(t, err, "by third party tp-2")
	if errors.As(err, new(*Short)) {
		t.Error("a wrong bundle passes as a short one")
	}
}

func TestShortIsToldFromWrong(t *testing.T) {
	w := newWorld()
	err := w.verify(w.assemble(w.statements[:1], countersigned(keys.P256, "operator", FormBound, w.set, w.statements[0])))
	var short *Short
	if !errors.As(err, &short) || !short.Countersigned || short.Needed != 2 || len(short.Result.ThirdParties) != 1 {
		t.Errorf("error is %#v", err)
	}
	for name, v := range map[string]error{
		"wrong": w.verify(w.assemble(w.statements, countersigned(keys.P256, "operator", FormBound, w.set, w.statements[0]))),
		"empty": w.verify(nil),
	} {
		if v == nil || errors.As(v, &short) || errors.Is(v, ErrTrust) {
			t.Errorf("%s: error is %v", name, v)
		}
	}
}

func TestUnusableTrust(t *testing.T) {
	w := newWorld()
	for want, change := range map[string]func(*Trust){
		`the mode is ""`:                                func(t *Trust) { t.Mode = "" },
		"the namespace is empty":                        func(t *Trust) { t.Namespace = "" },
		"0 third parties must sign, and 2 are pinned":   func(t *Trust) { t.Needed = 0 },
		"-1 third parties must sign":                    func(t *Trust) { t.Needed = -1 },
		"3 third parties must sign, and 2 are pinned":   func(t *Trust) { t.Needed = 3 },
		"1 third parties must sign, and 0 are pinned":   func(t *Trust) { t.Needed, t.ThirdParties = 1, nil },
		"no operator's key is pinned":                   func(t *Trust) { t.Operators = nil },
		"tp-1 and tp-2 have the same key":               func(t *Trust) { t.ThirdParties[1].Key = t.ThirdParties[0].Key },
		"2 third parties must sign, and 1 are pinned":   func(t *Trust) { t.ThirdParties[1].Name = "tp-1" },
		"operator operator has no key":                  func(t *Trust) { t.Operators[0].Key = nil },
		"operator operator has no key that can sign":    func(t *Trust) { t.Operators[0].Key = public(keys.X25519, "x") },
		`is pinned with form ""`:                        func(t *Trust) { t.Operators[0].Form = "" },
		"tp-1 and operator have the same key":           func(t *Trust) { t.Operators[0].Key = public(keys.Ed25519, "tp-1") },
		"the key of third party tp-2 is an Ed25519":     func(t *Trust) { t.ThirdParties[1].Key = [32]byte{1} },
		"with a torsion part":                           func(t *Trust) { t.ThirdParties[1].Key = [32]byte(mixedOrder) },
		"operator and operator-2 have the same key":     func(t *Trust) { t.Operators = append(t.Operators, t.Operators[0]); t.Operators[1].Name = "operator-2" },
		"pinned can't be used: the mode is \"testing\"": func(t *Trust) { t.Mode = "testing" },
	} {
		trust := *newWorld().trust
		change(&trust)
		err := trust.Check()
		wantError(t, err, want)
		if !errors.Is(err, ErrTrust) {
			t.Errorf("%v is no ErrTrust", err)
		}
		if res, err := w.bundle.Verify(&trust, now, &now); err == nil || res != nil {
			t.Errorf("%s: a bundle verifies under it", want)
		}
	}
	if res, err := w.bundle.Verify(w.trust, time.Time{}, &now); !errors.Is(err, keys.ErrNoTime) || res != nil {
		t.Errorf("without a time: %v", err)
	}
	if res, err := w.bundle.Verify(nil, now, &now); !errors.Is(err, ErrTrust) || res != nil {
		t.Errorf("without trust: %v", err)
	}
	if err := w.trust.Check(); err != nil {
		t.Error(err)
	}
}

// With the identity for a key, the signature (identity, 0) verifies any message
// by the equation alone. No reader may let it in.
func TestSmallOrderKeyCannotSignAnything(t *testing.T) {
	w := newWorld()
	identity := [32]byte{1}
	st := must(NewStatement(Protobuf, w.set.Namespace, statementAt, 1, w.set.Digest()))
	st.Signature = [64]byte{1} // R the identity, S zero
	statements := []Signed{{Key: identity, Statement: st}}
	w.trust = &Trust{Mode: Production, Namespace: w.set.Namespace, Needed: 1,
		ThirdParties: []ThirdParty{{Name: "tp", Key: identity}}, Operators: w.trust.Operators}
	wantError(t, w.verify(w.assemble(statements, countersigned(keys.P256, "operator", FormBound, w.set, statements...))), "small order")
	wantError(t, st.Verify(identity), "small order")
}

func TestErrorsNameFileAndLine(t *testing.T) {
	w := newWorld()
	_, err := ParseBundle("some/bundle.json", swap(t, w.bundle.Raw(), `"form": "bound"`, `"form": "loose"`))
	if err == nil || !strings.HasPrefix(err.Error(), "some/bundle.json:17: ") {
		t.Errorf("error is %v", err)
	}
}
