package history

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
)

func TestAWholeHistoryIsGoodAndShowsWhatChanged(t *testing.T) {
	f := newFleet(5)
	o := options()
	o.Trust = trust
	r := check(t, f.archive(), o)
	if !r.Good() || len(r.Problems) > 0 || r.Statements != 5 || r.Files != 10 {
		t.Fatalf("%+v", r)
	}
	ns := r.Namespaces[0]
	if ns.First != 1 || ns.Last != 5 || ns.Epochs != 5 || ns.Artifacts != 5 || ns.Bundles != 5 || len(ns.Rows) != 5 {
		t.Errorf("%+v", ns)
	}
	if row := ns.Rows[0]; !row.First || len(row.Delta.Added) != 3 || row.Kind != "fleet-keys" || !row.Counter {
		t.Errorf("%+v", row)
	}
	for _, row := range ns.Rows[1:] {
		if row.First || row.Delta == nil || len(row.Delta.Replaced) != 1 || row.Delta.Replaced[0].New.HSM != "hsm-1" {
			t.Errorf("%+v", row)
		}
	}
	for _, c := range r.Checks {
		if want := map[string]int64{Readable: 10, Signature: 10, Windows: 5, Contiguous: 5, Unique: 5, TimeOrder: 4, OneDigest: 5, OperatorCopy: 5, ArtifactSeen: 5, Previous: 4, Countersign: 5}[c.Name]; c.Checked != want || c.Bad != 0 {
			t.Errorf("%s: %d checked, %d bad, want %d", c.Name, c.Checked, c.Bad, want)
		}
		if (c.Checked == 0) != (c.Detail != "") {
			t.Errorf("%s: %q", c.Name, c.Detail)
		}
	}
}

func TestOrderAndCoresDoNotMatter(t *testing.T) {
	var forward, backward [][]byte
	for e := uint64(1); e <= 2000; e++ {
		if e%97 == 0 {
			continue // gaps
		}
		forward = append(forward, plain(e))
		backward = append([][]byte{plain(e)}, backward...)
	}
	a, b := check(t, items(forward...), options()), check(t, items(backward...), options())
	for _, r := range []*Report{a, b} {
		r.fresh, r.load = nil, nil
		for i := range r.Problems {
			r.Problems[i].Where, r.Problems[i].ref = nil, 0
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("another order gives another report")
	}
	if a.Faults != 20 {
		t.Errorf("%d faults", a.Faults)
	}
	wantProblem(t, a, Contiguous, "the epoch before it is 96: 1 are missing")
}

func TestWhatIsWrongInAHistoryIsNamed(t *testing.T) {
	f := newFleet(3)
	at := func(e uint64) uint64 { return start + e*3600_000 }
	flip := func(data []byte, after string) []byte {
		out := bytes.Clone(data)
		i := bytes.Index(out, []byte(after)) + len(after)
		out[i] = map[bool]byte{true: '1', false: '0'}[out[i] == '0']
		return out
	}
	other := sealed("tp", space, 2, at(2), digestOf(99)).Raw()
	late := options()
	late.Keys[0].Window.NotAfter = new(time.UnixMilli(start).UTC())
	two := options()
	two.Keys = append(two.Keys, Key{Name: "tp-2", Key: raw("tp-2")})
	trusted := options()
	trusted.Trust = trust
	strange := newFleet(2)
	strange.bundles[1] = must(bundle.Assemble(f.sets[1].Raw(), f.bundles[1].Statements, []bundle.Countersignature{{Key: operatorKey, Form: bundle.FormBound, Signature: ed25519.Sign(edKey("operator"), []byte("another text"))}}, f.bundles[1].Transcript))
	for name, c := range map[string]struct {
		files       memory
		o           Options
		check, what string
	}{
		"equivocation":           {items(plain(1), plain(2), other), options(), OneDigest, "equivocation"},
		"gap":                    {items(plain(1), plain(4)), options(), Contiguous, "the epoch before it is 1: 2 are missing"},
		"digest reuse":           {items(plain(1), sealed("tp", space, 2, at(2), digestOf(1)).Raw()), options(), Unique, "is that of epoch 1 too"},
		"time back":              {items(plain(1), sealed("tp", space, 2, at(0), digestOf(2)).Raw()), options(), TimeOrder, "time went back"},
		"wrong party":            {items(plain(1), sealed("tp-2", space, 2, at(2), digestOf(2)).Raw()), options(), Signature, "no pinned key has signed"},
		"signature":              {items(plain(1), flip(plain(2), `"signature":"`)), options(), Signature, "no pinned key has signed"},
		"digest changed":         {items(flip(f.signed[0].Statement.Raw(), `"digest":"`)), options(), Readable, "serialized_message is not what the other fields give"},
		"window":                 {items(plain(1)), late, Windows, "outside the key's window"},
		"parties disagree":       {items(plain(1), sealed("tp-2", space, 1, at(1), digestOf(2)).Raw()), two, OneDigest, "tp signed digest"},
		"artifact":               {memory{{Data: plain(1)}, {Data: f.sets[0].Raw(), Operator: true}}, options(), ArtifactSeen, "the artifact has digest"},
		"unsigned artifact":      {memory{{Data: plain(1)}, {Data: f.sets[1].Raw()}}, options(), ArtifactSeen, "no pinned third party has signed the artifact"},
		"previous":               {memory{{Data: plain(1)}, {Data: f.bundles[1].Raw()}}, options(), Previous, "the artifact follows digest"},
		"operator's time":        {memory{{Data: f.signed[0].Statement.Raw()}, {Operator: true, Data: sealed("tp", space, 1, at(9), f.sets[0].Digest()).Raw()}}, options(), OperatorCopy, "differs in [timestamp signature]"},
		"operator's digest":      {memory{{Data: plain(1)}, {Operator: true, Data: f.bundles[0].Raw()}}, options(), OperatorCopy, "equivocation"},
		"countersignature":       {strange.archive(), trusted, Countersign, "countersignatures[0] by operator operator"},
		"no file of ours":        {items(plain(1), []byte(`{"format":"x"}`)), options(), Readable, `neither statement nor artifact nor bundle`},
		"garbage":                {items(plain(1), []byte(`"namespace" "signature"`)), options(), Readable, "can't be read"},
		"same fields, re-signed": {items(plain(1), sealed("tp", space, 1, at(1)+1, digestOf(1)).Raw()), options(), OneDigest, "signed two statements"},
	} {
		t.Run(name, func(t *testing.T) {
			wantProblem(t, check(t, c.files, c.o), c.check, c.what)
		})
	}
}

func TestNothingCheckedIsNotGood(t *testing.T) {
	f := newFleet(1)
	if r := check(t, memory{}, options()); r.Good() {
		t.Error("an empty archive is good")
	}
	if r := check(t, items(f.sets[0].Raw()), options()); r.Good() {
		t.Error("an artifact alone is good")
	}
	o := options()
	o.Only = "another"
	if r := check(t, items(plain(1)), o); r.Good() || r.Statements != 0 {
		t.Error("another namespace's statements count")
	}
	o.Keys = nil
	if _, err := Check(context.Background(), items(plain(1)), o); err == nil {
		t.Error("without a key")
	}
	o.Keys = []Key{{Name: "identity", Key: [32]byte{1}}}
	if _, err := Check(context.Background(), items(plain(1)), o); err == nil {
		t.Error("with a key of small order")
	}
}

func TestEquivocationGivesBothStatements(t *testing.T) {
	a, b := plain(2), sealed("tp", space, 2, start+2*3600_000, digestOf(99)).Raw()
	r := check(t, items(plain(1), a, b), options())
	if len(r.Evidence) != 1 {
		t.Fatalf("%+v", r.Evidence)
	}
	e := r.Evidence[0]
	if e.Epoch != 2 || e.Namespace != space || e.Key != "tp" || !bytes.Equal(e.A, a) && !bytes.Equal(e.B, a) || bytes.Equal(e.A, e.B) {
		t.Errorf("%+v", e)
	}
}

// Meta publishes neither its artifacts' schema nor its countersignature.
func TestMetasArtifactsCountByTheirDigest(t *testing.T) {
	artifact := []byte("whatever Meta's fleet key JSON is")
	o := options()
	o.Meta, o.Only, o.Trust = true, MetaNamespace, trust
	s := sealed("tp", MetaNamespace, 1, start, bundle.Digest(artifact))
	r := check(t, items(s.Raw(), artifact), o)
	if !r.Good() || r.Namespaces[0].Artifacts != 1 || r.Namespaces[0].Rows[0].Kind != "opaque" {
		t.Errorf("%+v", r)
	}
	for _, c := range r.Checks {
		if c.Name == Countersign && c.Detail != "the operator's formats are not public" {
			t.Errorf("%+v", c)
		}
	}
	r = check(t, items(s.Raw(), artifact, []byte("another")), o)
	wantProblem(t, r, ArtifactSeen, "no statement signs the file's digest")
}

func TestFilesOfOtherNamespacesAreCountedByTheirNames(t *testing.T) {
	var all [][]byte
	for e := uint64(1); e <= 4; e++ {
		all = append(all, plain(e), sealed("tp", "another.example.v1", e, start+e, digestOf(e)).Raw())
	}
	all = append(all, sealed("nobody", MetaNamespace, 1, start, digestOf(1)).Raw())
	o := options()
	o.Only = space
	r := check(t, items(all...), o)
	want := []Passed{{"another.example.v1", 4}, {MetaNamespace, 1}}
	if !r.Good() || !reflect.DeepEqual(r.PassedOver, want) {
		t.Errorf("passed over %v, want %v", r.PassedOver, want)
	}
	for i := range maxNames + 10 { // whoever makes up names gets no memory for each
		all = append(all, sealed("tp", fmt.Sprintf("made.up-%d", i), 1, start, digestOf(1)).Raw())
	}
	r = check(t, items(all...), o)
	if n := len(r.PassedOver); n != maxNames+1 || r.PassedOver[0].Namespace != "" || r.PassedOver[0].Files < 10 {
		t.Errorf("%d names, of the rest %+v", n, r.PassedOver[0])
	}
}

func TestProblemsAreCountedAndBounded(t *testing.T) {
	var all [][]byte
	for range 6000 {
		all = append(all, []byte("{}"))
	}
	r := check(t, items(append(all, plain(1))...), options())
	if r.Faults != 6000 || len(r.Problems) != maxProblems || r.Problems[0].ref != 0 || r.Problems[999].ref != 999 {
		t.Errorf("%d faults, %d kept, %v", r.Faults, len(r.Problems), r.Problems[999])
	}
}

func TestWindowsAreSavedByARetiredKeysProofOnly(t *testing.T) {
	f := newFleet(2)
	o := options()
	o.Keys[0].Window.CompromisedAfter = new(time.UnixMilli(start).UTC())
	r := check(t, f.archive(), o)
	if r.Faults != 2 {
		t.Errorf("%v", r.Problems)
	}
	if s := fmt.Sprint(r.Problems[0]); s == "" {
		t.Error("a problem has no words")
	}
}
