package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestCoreReadsBackAsMade(t *testing.T) {
	w := newRequestWorld()
	c, err := ParseCore("request-core.json", w.core.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, w.core) || c.Plan != w.next.Ceremony.Plan || c.Release.N != 61 || len(c.Previous) != 2 {
		t.Errorf("read %+v", c)
	}
	if !bytes.Equal(c.KeySet.Raw(), w.next.Raw()) || !bytes.Equal(c.Predecessor.Raw(), w.set.Raw()) {
		t.Error("the artifacts' bytes changed")
	}
	if c.Subject() != sha256.Sum256(w.core.Raw()) {
		t.Error("the subject isn't SHA-256 of the core")
	}
}

func TestRequestReadsBackAsMade(t *testing.T) {
	w := newRequestWorld()
	r := must(NewRequest(w.core, requestFiles))
	back, err := ParseRequest("request.json", r.Raw())
	if err != nil || !reflect.DeepEqual(back, r) || len(back.Files) != len(requestFiles) || string(back.Files[0].Data) != "text\n" {
		t.Errorf("read %+v, %v", back, err)
	}
	_, err = ParseRequest("request.json", make([]byte, MaxRequest+1))
	wantError(t, err, "16777217 bytes, 16777216 are allowed")
}

func TestResponseIsCheckedAgainstExactlyItsRequest(t *testing.T) {
	w := newRequestWorld()
	tp1 := edRaw("tp-1")
	good := w.response("tp-1", statementAt)
	if err := good.Check(w.core, tp1); err != nil {
		t.Fatal(err)
	}
	respond := func(set *KeySet, by string) *Response {
		s := signed("tp-1", set)
		st := *s.Statement
		st.raw, st.Signature = nil, [64]byte(ed25519.Sign(edKey(by), st.Message()))
		return must(NewResponse(Signed{Key: s.Key, Statement: &st}))
	}
	other := parsed(fleet(2, seed("previous"), 5, keys.Ed25519, keys.P256))
	for name, c := range map[string]struct {
		r    *Response
		key  [32]byte
		want string
	}{
		"another pinned key":           {good, edRaw("tp-2"), "is pinned"},
		"another artifact":             {respond(other, "tp-1"), tp1, "is about digest"},
		"the epoch before":             {respond(w.set, "tp-1"), tp1, "is about epoch 1, the artifact is epoch 2"},
		"signed by another":            {respond(w.next, "forger"), tp1, "the signature does not verify"},
		"older than its last":          {w.response("tp-1", statementAt-1), tp1, "before that of the same key's last statement"},
		"new signer at an early time?": {w.response("tp-3", statementAt-1), edRaw("tp-3"), ""},
	} {
		err := c.r.Check(w.core, c.key)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantError(t, err, c.want)
	}
}

// What goes out can always come back: the responses together make the bundle.
func TestRequestToBundle(t *testing.T) {
	w := newRequestWorld()
	var statements []Signed
	for _, name := range []string{"tp-1", "tp-2"} {
		r := w.response(name, statementAt+5)
		if err := r.Check(w.core, edRaw(name)); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, r.Signed)
	}
	b := must(Assemble(w.core.KeySet.Raw(), statements, []Countersignature{countersigned(keys.P256, "operator", FormBound, w.core.KeySet, statements...)}, aRecord))
	if err := w.verify(b.Raw()); err != nil {
		t.Error(err)
	}
}

func TestLongestTokensStillMakeACore(t *testing.T) {
	set := fleet(1, nil, 1, keys.Ed25519)
	set.Fleet, set.Namespace, set.Ceremony.ID = strings.Repeat("f", 128), strings.Repeat("n", 128), strings.Repeat("c", 128)
	core, err := NewCore(parsed(set), nil, nil, Head{N: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := must(NewStatement(Bincode, set.Namespace, statementAt, 1, core.KeySet.Digest()))
	r := must(NewResponse(Signed{Key: edRaw("tp-1"), Statement: must(s.Seal(edRaw("tp-1"), ed25519.Sign(edKey("tp-1"), s.Message())))}))
	if err := r.Check(core, edRaw("tp-1")); err != nil {
		t.Error(err)
	}
	if n := len(r.Statement.Raw()); n > MaxStatement {
		t.Errorf("the longest statement has %d bytes", n)
	}
}
