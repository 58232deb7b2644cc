package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// requestWorld is epoch 2 asked for after epoch 1, which tp-1 and tp-2 signed.
type requestWorld struct {
	*world
	next *KeySet
	core *Core
}

func newRequestWorld() *requestWorld {
	w := newWorld()
	digest := w.set.Digest()
	next := parsed(fleet(2, digest[:], 5, keys.Ed25519, keys.P256))
	core := must(NewCore(next, w.set, w.statements, Head{[32]byte(seed("release")), 61}))
	return &requestWorld{w, next, core}
}

func (w *requestWorld) response(name string, timestamp uint64) *Response {
	s := must(NewStatement(Protobuf, w.next.Namespace, timestamp, w.next.Epoch, w.next.Digest()))
	return must(NewResponse(Signed{Key: edRaw(name), Statement: must(s.Seal(edRaw(name), ed25519.Sign(edKey(name), s.Message())))}))
}

var requestFiles = []File{{"approvals/1", []byte("text\n")}, {"approvals/1.sig", []byte("signature")}, {"empty", nil}, {"plan.yaml", []byte("mode: production\n")}}

func coreVectors(t *testing.T) []vector {
	w := newRequestWorld()
	first := must(NewCore(w.set, nil, nil, Head{[32]byte(seed("release")), 61}))
	list := []vector{{"good", "ok", w.core.Raw()}, {"good-first-epoch", "ok", first.Raw()}}
	with := func(name, want string, change func(*Core)) {
		c := *w.core
		change(&c)
		list = append(list, vector{name, want, c.encode()})
	}
	digest, last := w.set.Digest(), w.next.Digest()
	forged := *w.statements[0].Statement
	forged.raw, forged.Timestamp = nil, forged.Timestamp+1
	with("good-new-third-party", "ok", func(c *Core) { c.Previous = nil })
	with("predecessor-missing", "predecessor is empty, but the artifact is epoch 2", func(c *Core) { c.Predecessor = nil })
	with("predecessor-at-epoch-1", "predecessor is given, but nothing comes before epoch 1", func(c *Core) { c.KeySet = w.set })
	with("predecessor-of-another-digest", "but the artifact's previous is", func(c *Core) { c.Predecessor = parsed(fleet(1, nil, 3, keys.Ed25519)) })
	with("predecessor-of-another-namespace", "is of namespace example.elsewhere", func(c *Core) {
		other := fleet(1, nil, 5, keys.Ed25519)
		other.Namespace = "example.elsewhere"
		c.Predecessor, c.Previous = parsed(other), nil
		other2 := *w.next
		digest := c.Predecessor.Digest()
		other2.raw, other2.Previous = nil, digest[:]
		c.KeySet = &other2
	})
	with("epoch-skipped", "is epoch 2, the artifact is epoch 4", func(c *Core) { c.KeySet, c.Predecessor = parsed(fleet(4, last[:], 5, keys.Ed25519)), w.next })
	with("plan-of-another-ceremony", "but the artifact names plan", func(c *Core) { c.Plan = [32]byte{1} })
	with("release-0", "release.n is 0", func(c *Core) { c.Release.N = 0 })
	with("previous-at-epoch-1", "previous_statements[0] is given, but nothing comes before epoch 1", func(c *Core) { c.KeySet, c.Predecessor = w.set, nil })
	with("previous-about-the-new-epoch", "is about epoch 2, the artifact is epoch 1", func(c *Core) { c.Previous = []Signed{signed("tp-1", w.next)} })
	with("previous-about-another-artifact", "is about digest", func(c *Core) { c.Previous = []Signed{signed("tp-1", parsed(fleet(1, nil, 3, keys.Ed25519)))} })
	with("previous-not-signed", "previous_statements[0] the signature does not verify", func(c *Core) { c.Previous = []Signed{{Key: edRaw("tp-1"), Statement: &forged}} })
	with("previous-by-another-key", "the signature does not verify", func(c *Core) {
		st := *w.statements[0].Statement
		st.raw, st.KeyID = nil, nil
		c.Previous = []Signed{{Key: edRaw("tp-2"), Statement: &st}}
	})
	with("previous-twice", "is that of the statement before", func(c *Core) { c.Previous = []Signed{w.statements[0], w.statements[0]} })
	list = append(list, vector{"head-short", "release.head", swap(t, w.core.Raw(), hex.EncodeToString(seed("release")), "00")},
		vector{"predecessor-of-another-kind", `predecessor:2: format is "fleetctl request-core v1"`, swap(t, w.core.Raw(), b64(w.set.Raw()), b64(first.Raw()))},
		vector{"digest-in-place-of-artifact", "artifact", swap(t, w.core.Raw(), b64(w.next.Raw()), b64(digest[:]))})
	return list
}

func requestVectors(t *testing.T) []vector {
	w := newRequestWorld()
	small := must(NewCore(parsed(fleet(1, nil, 1, keys.Ed25519)), nil, nil, Head{N: 1}))
	list := []vector{{"good", "ok", must(NewRequest(w.core, requestFiles)).Raw()}}
	with := func(name, want string, files ...File) {
		list = append(list, vector{name, want, strict.EncodeJSON(&requestFile{requestFormat, small.Raw(), files})})
	}
	with("no-files", "ok")
	with("unsorted", "files[1].path is \"a\", which doesn't come after \"b\"", File{"b", nil}, File{"a", nil})
	with("twice", "files[1].path is \"a\", which doesn't come after \"a\"", File{"a", nil}, File{"a", nil})
	with("path-absolute", `is "/a"; a segment is empty`, File{"/a", nil})
	with("path-folder", `is "a/"; a segment is empty`, File{"a/", nil})
	with("path-up", `is "a/../b"; the segment ".." is not allowed`, File{"a/../b", nil})
	with("path-dot", `is "./a"; the segment "." is not allowed`, File{"./a", nil})
	with("path-backslash", "allowed are", File{`a\b`, nil})
	with("path-drive", "allowed are", File{"c:", nil})
	with("path-empty", "files[0].path is empty", File{"", nil})
	with("core-malformed", "core:1")
	list[len(list)-1].data = swap(t, list[len(list)-1].data, b64(small.Raw()), b64([]byte("{}")))
	return list
}

func responseVectors(t *testing.T) []vector {
	w := newRequestWorld()
	good := w.response("tp-1", statementAt).Raw()
	return []vector{
		{"good", "ok", good},
		{"key-small-order", "small order", swap(t, good, b64(edKey("tp-1")[32:]), b64(smallOrder))},
		{"key-of-another", "key_id is", swap(t, good, b64(edKey("tp-1")[32:]), b64(edKey("tp-2")[32:]))},
		{"key-short", "has 31 bytes, not 32", swap(t, good, b64(edKey("tp-1")[32:]), b64(make([]byte, 31)))},
		{"good-addition", "ok", must(NewResponse(added(w.response("tp-1", statementAt).Signed, mldsaKey(keys.MLDSA44, "tp-1 pq"), keys.ForThirdParty))).Raw()},
		{"addition-by-a-classical-key", "a third party adds a signature of ML-DSA", bytes.Replace(good, []byte("\n}\n"), fmt.Appendf(nil, ",\n  \"addition\": {\n    \"key\": %q,\n    \"signature\": %q\n  }\n}\n", b64(spki(keys.P256, "x")), b64(make([]byte, 70))), 1)},
		{"too-large", "18433 bytes", bytes.Replace(good, []byte("{\n"), append([]byte("{\n"), bytes.Repeat([]byte(" "), maxResponse+1-len(good))...), 1)},
	}
}
