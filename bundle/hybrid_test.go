package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// added is a statement with its third party's post-quantum signature, by a key and for
// a use.
func added(s Signed, key *keys.MLDSA, as keys.Context) Signed {
	s.Addition = &Addition{key.Public(), must(key.Sign(as, s.Statement.Message()))}
	return s
}

// hybridWorld is newWorld in which both signatures are required of tp-1 and of the
// operator, and are there.
func hybridWorld() *world {
	w := newWorld()
	w.trust.RequireAll = []string{"tp-1", "operator"}
	w.trust.Additional = []AdditionalKey{{Name: "tp-1", Key: mldsaKey(keys.MLDSA44, "tp-1 pq").Public()}}
	w.trust.Operators = append(w.trust.Operators, Operator{Name: "operator", Key: public(keys.MLDSA44, "operator pq"), Form: FormBound})
	w.statements[0] = added(w.statements[0], mldsaKey(keys.MLDSA44, "tp-1 pq"), keys.ForThirdParty)
	w.sign()
	return w
}

// sign has the operator countersign what the world has by now, with both keys.
func (w *world) sign() {
	w.counter = []Countersignature{
		countersigned(keys.P256, "operator", FormBound, w.set, w.statements...),
		countersigned(keys.MLDSA44, "operator pq", FormBound, w.set, w.statements...),
	}
}

// try is what comes of the world's parts.
func (w *world) try() error { return w.verify(w.assemble(w.statements, w.counter...)) }

func TestAHybridBundleVerifiesAndSaysWhoSigned(t *testing.T) {
	w := hybridWorld()
	b := must(Assemble(w.set.Raw(), w.statements, w.counter, aRecord))
	res, err := b.Verify(w.trust, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.ThirdParties) != 2 || len(res.Operators) != 2 || len(res.Incomplete)+len(res.Ignored)+len(res.Expired) > 0 {
		t.Errorf("%+v", res)
	}
	// Who pins nothing of it takes it too, and is told what was not verified.
	classical := newWorld()
	if res, err = b.Verify(classical.trust, now, nil); err != nil || len(res.Ignored) != 2 {
		t.Errorf("under a classical trust: %+v, %v", res, err)
	}
}

func TestTheBoundTextNamesTheAdditions(t *testing.T) {
	w := hybridWorld()
	text := string(CountersignText(w.set, w.statements))
	a := w.statements[0].Addition
	key := w.statements[0].Key
	line := "signer " + b64(key[:]) + " " + b64(w.statements[0].Statement.Signature[:]) + "\n" +
		fmt.Sprintf("addition %x %x\n", Digest(a.Key.SPKI()), Digest(a.Signature))
	if strings.Count(text, line) != 1 || strings.Count(text, "addition ") != 1 {
		t.Errorf("%s\ndoesn't have\n%s", text, line)
	}
}

// forgery is what somebody does to a hybrid bundle who has these private keys and no
// others. The bundle's parts are public: everybody has those that were made.
type forgery struct {
	has, does, want string // want is empty where the forgery passes
	forge           func(w *world)
}

func forgeries() []forgery {
	stranger := mldsaKey(keys.MLDSA44, "stranger")
	p256, pq, tpPQ := "the operator's P-256 key", "the operator's ML-DSA key", "tp-1's ML-DSA key"
	return []forgery{
		{"no key", "leaves out the post-quantum countersignature", "operator gave its classical countersignature, and no post-quantum one that counts", func(w *world) { w.counter = w.counter[:1] }},
		{"no key", "leaves out the classical countersignature", "operator gave its post-quantum countersignature, and no classical one that counts", func(w *world) { w.counter = w.counter[1:] }},
		{"no key", "leaves out both", "no pinned operator", func(w *world) { w.counter = nil }},
		{"no key", "strips the addition", "countersignatures[0] by operator operator: the signature does not verify", func(w *world) { w.statements[0].Addition = nil }},
		{"no key", "moves the addition to the other statement", "statements[", func(w *world) {
			w.statements[1].Addition, w.statements[0].Addition = w.statements[0].Addition, nil
		}},
		{"no key", "puts the countersignatures in each other's place", "countersignatures[0] by operator operator: ", func(w *world) {
			w.counter[0].Signature, w.counter[1].Signature = w.counter[1].Signature[:72], w.counter[0].Signature
		}},
		{"no key", "adds a signature of its own", "tp-1 has a post-quantum signature beside its statement by a key that isn't pinned", func(w *world) {
			w.statements[0] = added(w.statements[0], stranger, keys.ForThirdParty)
			w.sign() // and the operator takes it
		}},
		{"no key", "replays the addition of another epoch", "the post-quantum signature beside it: the signature does not verify", func(w *world) {
			old := signed("tp-1", parsed(fleet(2, seed("previous"), 5, keys.Ed25519)))
			w.statements[0].Addition = added(old, mldsaKey(keys.MLDSA44, "tp-1 pq"), keys.ForThirdParty).Addition
			w.sign()
		}},
		{"no key", "takes the operator's post-quantum signature for the third party's", "the post-quantum signature beside it: the signature does not verify", func(w *world) {
			key := mldsaKey(keys.MLDSA44, "tp-1 pq")
			w.statements[0] = added(w.statements[0], key, keys.ForCountersignature)
			w.sign()
		}},
		{p256, "countersigns what it stripped", "operator gave its classical countersignature, and no post-quantum one that counts", func(w *world) {
			w.statements[0].Addition = nil
			w.counter = []Countersignature{countersigned(keys.P256, "operator", FormBound, w.set, w.statements...)}
		}},
		{p256, "countersigns what it stripped, and leaves the other", "countersignatures[1] by operator operator: the signature does not verify", func(w *world) {
			w.statements[0].Addition = nil
			w.counter[0] = countersigned(keys.P256, "operator", FormBound, w.set, w.statements...)
		}},
		{pq, "countersigns what it stripped", "operator gave its post-quantum countersignature, and no classical one that counts", func(w *world) {
			w.statements[0].Addition = nil
			w.counter = []Countersignature{countersigned(keys.MLDSA44, "operator pq", FormBound, w.set, w.statements...)}
		}},
		{pq, "countersigns in the context of a third party", "countersignatures[1] by operator operator: the signature", func(w *world) {
			w.counter[1].Signature = must(mldsaKey(keys.MLDSA44, "operator pq").Sign(keys.ForThirdParty, CountersignText(w.set, w.statements)))
		}},
		{p256 + " and " + pq, "countersign what they stripped", "tp-1 gave no post-quantum signature beside its statement", func(w *world) {
			w.statements[0].Addition = nil
			w.sign()
		}},
		{tpPQ, "adds its signature to a statement of its own making", "statements[", func(w *world) {
			s := w.statements[0]
			forged := *s.Statement
			forged.Timestamp++
			s.Statement = must(ParseStatement("", forged.Encode(forged.Signature)))
			w.statements[0] = added(s, mldsaKey(keys.MLDSA44, "tp-1 pq"), keys.ForThirdParty)
			w.sign()
		}},
		{"tp-1's Ed25519 key", "signs another statement beside the addition that there is", "the post-quantum signature beside it: the signature does not verify", func(w *world) {
			s := must(NewStatement(Protobuf, w.set.Namespace, statementAt+1, w.set.Epoch, w.set.Digest()))
			w.statements[0].Statement = must(s.Seal(edRaw("tp-1"), sign(keys.Ed25519, "tp-1", s.Message())))
			w.sign()
		}},
		{"all four keys", "sign", "", func(w *world) { w.sign() }},
	}
}

func TestWhoCanForgeAHybridBundle(t *testing.T) {
	for _, c := range forgeries() {
		w := hybridWorld()
		c.forge(w)
		if err := w.try(); c.want == "" && err != nil {
			t.Errorf("%s, who has %s: %v", c.does, c.has, err)
		} else if c.want != "" {
			if err == nil {
				t.Errorf("who has %s %s, and the bundle verifies", c.has, c.does)
				continue
			}
			wantError(t, err, c.want)
		}
	}
}

// Each key of a group has its own window: neither lends the other its time.
func TestEachKeyOfAHybridSignerHasItsWindow(t *testing.T) {
	past := keys.Window{NotAfter: new(now.Add(-24 * time.Hour))}
	for name, c := range map[string]struct {
		close func(*Trust)
		want  string
	}{
		"the addition's":              {func(x *Trust) { x.Additional[0].Window = past }, "tp-1 added a post-quantum signature by a key outside its window"},
		"the statement's":             {func(x *Trust) { x.ThirdParties[0].Window = past }, "1 of the 2 pinned third parties needed"},
		"the operator's classical":    {func(x *Trust) { x.Operators[0].Window = past }, "operator gave its post-quantum countersignature, and no classical one that counts"},
		"the operator's post-quantum": {func(x *Trust) { x.Operators[1].Window = past }, "operator gave its classical countersignature, and no post-quantum one that counts"},
	} {
		w := hybridWorld()
		c.close(w.trust)
		err := w.try()
		var short *Short
		if !errors.As(err, &short) || len(short.Result.Expired) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantError(t, err, c.want)
	}
}

// Keys of one group are alternatives, as they are where only one group is required.
func TestKeysOfOneGroupAreAlternatives(t *testing.T) {
	w := hybridWorld()
	next := mldsaKey(keys.MLDSA87, "tp-1 pq 2")
	w.trust.Additional = append(w.trust.Additional, AdditionalKey{Name: "tp-1", Key: next.Public()})
	w.trust.Operators = append(w.trust.Operators, Operator{Name: "operator", Key: public(keys.MLDSA87, "operator pq 2"), Form: FormBound})
	w.statements[0] = added(w.statements[0], next, keys.ForThirdParty)
	w.counter = []Countersignature{countersigned(keys.P256, "operator", FormBound, w.set, w.statements...), countersigned(keys.MLDSA87, "operator pq 2", FormBound, w.set, w.statements...)}
	if err := w.try(); err != nil {
		t.Error(err)
	}
}

func TestATrustThatOnlySeemsHybridIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Trust)
		want   string
	}{
		"an operator without a post-quantum key": {func(x *Trust) { x.Operators = x.Operators[:1] }, "both signatures are required of operator, and its keys are all of one kind"},
		"an operator without a classical key":    {func(x *Trust) { x.Operators = x.Operators[1:] }, "both signatures are required of operator, and its keys are all of one kind"},
		"a third party without an added key":     {func(x *Trust) { x.Additional = nil }, "both signatures are required of tp-1, and its keys are all of one kind"},
		"an added key of which nothing is asked": {func(x *Trust) { x.RequireAll = x.RequireAll[1:] }, "third party tp-1 has a post-quantum key, and nothing requires its signature"},
		"two keys of an operator as before":      {func(x *Trust) { x.RequireAll = x.RequireAll[:1] }, `the name "operator" is pinned twice`},
		"a name that nobody has":                 {func(x *Trust) { x.RequireAll = append(x.RequireAll, "tp-9") }, `both signatures are required of "tp-9", and nobody of this name is pinned`},
		"a name twice":                           {func(x *Trust) { x.RequireAll = append(x.RequireAll, "tp-1") }, "both signatures are required of tp-1 twice"},
		"an added key of nobody":                 {func(x *Trust) { x.Additional[0].Name = "tp-9" }, `an additional key is pinned for "tp-9", and no third party has this name`},
		"an added key that is classical":         {func(x *Trust) { x.Additional[0].Key = public(keys.P256, "x") }, "the additional key of third party tp-1 is none of ML-DSA"},
		"no added key":                           {func(x *Trust) { x.Additional[0].Key = nil }, "the additional key of third party tp-1 is none of ML-DSA"},
		"form signature":                         {func(x *Trust) { x.Operators[1].Form = FormSignature }, "operator operator is pinned with form signature, and where both signatures are required it is bound"},
		"one key added by two": {func(x *Trust) {
			x.Additional = append(x.Additional, AdditionalKey{Name: "tp-1", Key: x.Additional[0].Key})
		}, "have the same key"},
		"one key of third party and operator": {func(x *Trust) { x.Additional[0].Key = x.Operators[1].Key }, "have the same key"},
		"an operator with a third party's name": {func(x *Trust) {
			for i := range x.Operators {
				x.Operators[i].Name = "tp-1"
			}
			x.RequireAll = []string{"tp-1"}
		}, `the name "tp-1" is pinned twice`},
	} {
		w := hybridWorld()
		c.change(w.trust)
		err := w.try()
		if !errors.Is(err, ErrTrust) || w.trust.Check() == nil {
			t.Errorf("%s: %v", name, err)
		}
		wantError(t, err, c.want)
	}
}

// A hybrid bundle says of no byte that it may be another: neither of an addition nor
// of a post-quantum countersignature.
func TestNoByteOfAHybridBundleIsFree(t *testing.T) {
	w := hybridWorld()
	good := w.assemble(w.statements, w.counter...)
	from := bytes.Index(good, []byte(`"addition"`))
	to := bytes.Index(good, []byte(`"transcript"`))
	step := (to - from) / 400
	for i := from; i < to; i += max(step, 1) {
		data := slices.Clone(good)
		data[i] ^= 1
		if isSpace(data[i]) && isSpace(good[i]) {
			continue
		}
		if w.verify(data) == nil {
			t.Errorf("verifies with byte %d changed from %q to %q", i, good[i], data[i])
		}
	}
}

func TestAdditionsThatAreNoneAreRefusedOnReading(t *testing.T) {
	w := hybridWorld()
	for name, c := range map[string]struct {
		change func(s []Signed)
		want   string
	}{
		"a classical key":     {func(s []Signed) { s[0].Addition = &Addition{public(keys.P256, "x"), make([]byte, 70)} }, "addition's key is of kind ecdsa-p256; a third party adds a signature of ML-DSA"},
		"a short signature":   {func(s []Signed) { s[0].Addition.Signature = s[0].Addition.Signature[1:] }, "addition's signature has 2419 bytes; one of ml-dsa-44 has 2420"},
		"one key two parties": {func(s []Signed) { s[1] = added(s[1], mldsaKey(keys.MLDSA44, "tp-1 pq"), keys.ForThirdParty) }, "addition has the key of another statement's"},
	} {
		statements := slices.Clone(w.statements)
		a := *statements[0].Addition
		statements[0].Addition = &a
		c.change(statements)
		_, err := ParseBundle("bundle.json", w.assemble(statements, w.counter...))
		wantError(t, err, c.want)
		if err == nil {
			t.Error(name)
		}
	}
}
