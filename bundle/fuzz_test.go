package bundle

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// seeds gives the vectors of a kind to a fuzzer.
func seeds(f *testing.F, kind string) {
	list, err := testvectors.All(kind)
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range list {
		data, err := c.File(kind)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 16<<10 {
			f.Add(data)
		}
	}
}

func FuzzKeySet(f *testing.F) {
	seeds(f, "keyset")
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseKeySet("f", data)
		if err != nil {
			if s != nil {
				t.Fatal("a key set came with the error")
			}
			return
		}
		if !bytes.Equal(s.Raw(), data) {
			t.Fatal("Raw is not what was read")
		}
		again, err := ParseKeySet("f", s.Encode())
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if !bytes.Equal(again.Encode(), s.Encode()) || !Diff(s, again).Empty() {
			t.Fatal("reads back as another key set")
		}
		again.raw = s.raw
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v reads back as %+v", s, again)
		}
	})
}

func FuzzStatement(f *testing.F) {
	seeds(f, "statement")
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseStatement("f", data)
		if err != nil {
			if s != nil {
				t.Fatal("a statement came with the error")
			}
			return
		}
		served, err := ParseServed("f", data)
		if err != nil || !reflect.DeepEqual(s, served) {
			t.Fatalf("the lenient reader reads %+v, %v", served, err)
		}
		again, err := ParseStatement("f", s.Encode(s.Signature))
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		again.raw = s.raw
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v reads back as %+v", s, again)
		}
		if err := s.Verify(edRaw("tp-1")); err == nil && len(s.Message()) == 0 {
			t.Fatal("a signature over nothing verifies")
		}
	})
}

func FuzzStatementMessage(f *testing.F) {
	for _, suite := range []uint32{Protobuf, Bincode} {
		for _, ns := range []string{"a", "whatsapp.key-transparency.v1"} {
			f.Add(must(NewStatement(suite, ns, statementAt, 489193, [32]byte(seed("digest")))).Message())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseMessage("f", data)
		if err != nil {
			if s != nil {
				t.Fatal("a statement came with the error")
			}
			return
		}
		if !bytes.Equal(s.Message(), data) {
			t.Fatalf("%x reads as %+v and writes as %x", data, s, s.Message())
		}
		if _, err := NewStatement(s.Ciphersuite, s.Namespace, s.Timestamp, s.Epoch, s.Digest); err != nil {
			t.Fatalf("no statement could be made of it: %v", err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	seeds(f, "bundle")
	w := newWorld()
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBundle("f", data)
		if err != nil {
			if b != nil {
				t.Fatal("a bundle came with the error")
			}
			return
		}
		res, err := b.Verify(w.trust, now, nil)
		if (res == nil) == (err == nil) {
			t.Fatalf("result %v and error %v", res, err)
		}
		if err == nil && !bytes.Equal(b.KeySet.Raw(), w.set.Raw()) && !bytes.Contains(data, []byte(b64(b.KeySet.Raw()))) {
			t.Fatal("verifies for an artifact that isn't in it")
		}
		again, err := Assemble(b.KeySet.Raw(), b.Statements, b.Countersignatures, b.Transcript)
		if err != nil {
			// Without its free white space it is no larger, but ours may be.
			if len(encodeBundle(b.KeySet.Raw(), b.Statements, b.Countersignatures, b.Transcript)) <= MaxBundle {
				t.Fatalf("what was written is refused: %v", err)
			}
			return
		}
		again.raw, again.file = b.raw, b.file
		if !reflect.DeepEqual(b, again) {
			t.Fatalf("%+v reads back as %+v", b, again)
		}
	})
}

func FuzzRequest(f *testing.F) {
	seeds(f, "request")
	seeds(f, "core")
	seeds(f, "response")
	core := newRequestWorld().core
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := ParseCore("f", data); err != nil {
			if c != nil {
				t.Fatal("a core came with the error")
			}
		} else if again, err := ParseCore("f", c.encode()); err == nil {
			again.raw = c.raw
			if !reflect.DeepEqual(c, again) {
				t.Fatalf("%+v reads back as %+v", c, again)
			}
		} else if len(c.encode()) <= maxCore {
			t.Fatalf("what was written is refused: %v", err)
		}
		if r, err := ParseRequest("f", data); err != nil {
			if r != nil {
				t.Fatal("a request came with the error")
			}
		} else if again, err := NewRequest(r.Core, r.Files); err != nil || len(again.Files) != len(r.Files) || again.Core.Subject() != r.Core.Subject() {
			t.Fatalf("reads back as %+v, %v", again, err)
		}
		r, err := ParseResponse("f", data)
		if err != nil {
			if r != nil {
				t.Fatal("a response came with the error")
			}
			return
		}
		if again, err := NewResponse(r.Signed); err != nil || !reflect.DeepEqual(again.Signed, r.Signed) {
			t.Fatalf("reads back as %+v, %v", again, err)
		}
		if r.Check(core, r.Key) == nil && r.Statement.Digest != core.KeySet.Digest() {
			t.Fatal("answers another request")
		}
	})
}
