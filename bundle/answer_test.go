package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// asServed is what a live service may make of a statement: white space around it, and
// a member that we don't know.
func asServed(t testing.TB, raw []byte) []byte {
	return fmt.Appendf(nil, "\n%s\n\n", swap(t, raw, `"epoch"`, `"proof":{"kind":"none"},"epoch"`))
}

func TestStatementsOfCloudflareAreAnswersUnderAPinnedKey(t *testing.T) {
	suites := map[uint32]bool{}
	for _, v := range plexiVectors(t) {
		key := [32]byte(must(hex.DecodeString(v.PublicKey)))
		for _, text := range [][]byte{v.served(), asServed(t, v.served()), []byte(strings.Replace(string(v.served()), `"`+v.Message+`"`, "null", 1))} {
			r, err := ParseAnswer("answer", text, [][32]byte{edRaw("tp-1"), key})
			if err != nil {
				t.Fatal(v.ID, err)
			}
			if r.Key != key || !r.AsServed() || !bytes.Equal(r.Raw(), text) || !bytes.Equal(r.Statement.Raw(), text) {
				t.Errorf("%s: it is not kept as it came: %s", v.ID, r.Raw())
			}
			if err := r.CheckConcerns("cloudflare", v.Namespace, v.Epoch, v.Ciphersuite); err != nil {
				t.Error(err)
			}
			wantError(t, r.CheckConcerns("cloudflare", v.Namespace, v.Epoch+1, v.Ciphersuite), fmt.Sprintf("answer: cloudflare's statement is about epoch %d of", v.Epoch))
			wantError(t, r.CheckConcerns("cloudflare", "other", v.Epoch, v.Ciphersuite), "of other was asked for")
			wantError(t, r.CheckConcerns("cloudflare", v.Namespace, v.Epoch, 3-v.Ciphersuite), "has ciphersuite")
		}
		suites[v.Ciphersuite] = true
	}
	if len(suites) != 2 {
		t.Errorf("ciphersuites %v", suites)
	}
}

func TestAnAnswerThatIsNoneIsRefusedByName(t *testing.T) {
	w := newWorld()
	good := signed("tp-1", w.set)
	raw := good.Statement.Raw()
	key := edRaw("tp-1")
	for _, c := range []struct {
		data []byte
		want string
	}{
		{raw, ""},
		{nil, "answer"},
		{[]byte("<html>not found</html>"), "answer:1: "},
		{[]byte(`{"error":"there is none"}`), "namespace is missing"},
		{raw[:len(raw)-20], "ends in the middle"},
		{append(bytes.Clone(raw), raw...), "answer:1: "},
		{swap(t, raw, `"epoch":1`, `"epoch":1,"epoch":1`), "epoch"},
		{swap(t, raw, `"epoch":1`, `"note":1,"note":2,"epoch":1`), "note"},
		{swap(t, raw, `"epoch":1`, `"Digest":"00","epoch":1`), "Digest is not a field"},
		{swap(t, raw, `"version":1,"ciphersuite":1,`, ``), "version and ciphersuite are both missing; one is needed"},
		{swap(t, raw, `"ciphersuite":1,`, `"ciphersuite":2,`), "they name the same thing"},
		{swap(t, swap(t, raw, `"version":1,"ciphersuite":1,`, `"version":2,"ciphersuite":2,`), fmt.Sprintf(`,"serialized_message":"%x"`, good.Statement.Message()), ``), "verifies under none of the pinned keys, of which there are 1"},
		{swap(t, raw, fmt.Sprintf(`"key_id":%d`, key[31]), fmt.Sprintf(`"key_id":%d`, key[31]^1)), "key_id is"},
		{signed("tp-2", w.set).Statement.Raw(), "verifies under none of the pinned keys, of which there are 1"},
		{append(bytes.Clone(raw), bytes.Repeat([]byte(" "), MaxStatement)...), "4096"},
		{must(NewResponse(good)).Raw(), ""},
	} {
		r, err := ParseAnswer("answer", c.data, [][32]byte{key})
		switch {
		case c.want == "":
			if err != nil || r.Key != key {
				t.Errorf("%v", err)
			}
		case r != nil:
			t.Errorf("an answer came with the error about %q", c.want)
			fallthrough
		default:
			wantError(t, err, c.want)
		}
	}
	if _, err := ParseAnswer("answer", raw, nil); err == nil {
		t.Error("no key is pinned, and it is taken")
	}
}

// Files of ours have no members that a reader doesn't know: what is put into them is
// the same statement without these.
func TestWhatALiveServiceAddsDoesNotGetIntoABundle(t *testing.T) {
	w := newWorld()
	var served []Signed
	for _, s := range w.statements {
		r := must(ParseAnswer("answer", asServed(t, s.Statement.Raw()), [][32]byte{s.Key}))
		served = append(served, r.Signed)
	}
	b, err := Assemble(w.set.Raw(), served, w.counter, aRecord)
	if err != nil || !bytes.Equal(b.Raw(), w.bundle.Raw()) {
		t.Errorf("%v: it is not the bundle of the same statements", err)
	}
	r, err := NewResponse(served[0])
	if err != nil || !bytes.Equal(r.Statement.Raw(), w.statements[0].Statement.Raw()) {
		t.Error(err)
	}
	next := newRequestWorld()
	core, err := NewCore(next.next, next.set, served, Head{[32]byte(seed("release")), 61})
	if err != nil || !bytes.Equal(core.Raw(), next.core.Raw()) {
		t.Error(err)
	}
	// What a file of ours may have stays as it came, another order of members too.
	var members map[string]any
	check := json.Unmarshal(w.statements[0].Statement.Raw(), &members)
	other := must(json.Marshal(members))
	s, err := ParseServed("answer", other)
	if check != nil || err != nil || bytes.Equal(other, w.statements[0].Statement.Raw()) || !bytes.Equal(s.filed(), other) {
		t.Errorf("%v, %v: %s", check, err, other)
	}
}

func FuzzAnswer(f *testing.F) {
	seeds(f, "statement")
	seeds(f, "response")
	w := newWorld()
	pinned := [][32]byte{edRaw("tp-1"), edRaw("tp-2")}
	f.Add(asServed(f, w.statements[0].Statement.Raw()))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseAnswer("f", data, pinned)
		if err != nil {
			if r != nil {
				t.Fatal("an answer came with the error")
			}
			return
		}
		if !bytes.Equal(r.Raw(), data) {
			t.Fatal("Raw is not what was read")
		}
		if r.AsServed() && !ed25519.Verify(r.Key[:], r.Statement.Message(), r.Statement.Signature[:]) {
			t.Fatal("it is taken as a key's that has not signed it")
		}
		if _, err := ParseResponse("f", must(NewResponse(r.Signed)).Raw()); err != nil {
			t.Fatalf("as a response it is refused: %v", err)
		}
	})
}
