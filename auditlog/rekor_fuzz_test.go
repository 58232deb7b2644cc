package auditlog

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// FuzzRekorEntry: nothing panics, what parses marshals to the same bytes, and
// nothing but an entry of the bundle verifies.
func FuzzRekorEntry(f *testing.F) {
	var worlds []*rekorWorld
	for _, version := range []int{RekorV1, RekorV2} {
		w := newRekorWorld(f, version)
		worlds = append(worlds, w)
		f.Add(w.entry.File())
		f.Add(w.log.Append([]byte("another"), testrekor.Submitter("us")).File())
		f.Add(testrekor.New(version, "other").Append(rekorBundle, testrekor.Submitter("us")).File())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseRekorEntry("f", data)
		if isStrict(t, err) {
			if e != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if !bytes.Equal(e.Marshal(), data) {
			t.Fatalf("%q comes back as %q", data, e.Marshal())
		}
		for _, w := range worlds {
			in, err := w.pinned.Verify(rekorBundle, e, w.submitters, nil)
			if isStrict(t, err) {
				continue
			}
			if !bytes.Equal(e.Body, w.entry.Body) || in.Submitter == nil {
				t.Fatalf("verifies, and is another entry: %q", data)
			}
		}
	})
}

// FuzzRekorCheckpoint: what a server gives, of either version.
func FuzzRekorCheckpoint(f *testing.F) {
	for _, version := range []int{RekorV1, RekorV2} {
		l := testrekor.New(version, "rekor.test")
		f.Add(version, []byte(l.Checkpoint()))
		f.Add(version, []byte(l.Checkpoint("Timestamp: 1692374735595899989\n")))
	}
	for _, p := range readPublicEntries(f) {
		f.Add(RekorV1, []byte(p.Checkpoint))
	}
	v1, v2 := pinRekor(f, testrekor.New(1, "rekor.test")), pinRekor(f, testrekor.New(2, "rekor.test"))
	f.Fuzz(func(t *testing.T, version int, data []byte) {
		c, err := ParseRekorCheckpoint("f", version, data)
		if isStrict(t, err) {
			if c != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if !bytes.Equal(c.Marshal(), data) {
			t.Fatalf("%q comes back as %q", data, c.Marshal())
		}
		for _, l := range []*RekorLog{v1, v2} {
			_, err := l.VerifyCheckpoint(c)
			isStrict(t, err)
		}
	})
}

// FuzzPublicKey: a key has PEM and base64, and both admit the same.
func FuzzPublicKey(f *testing.F) {
	for _, version := range []int{RekorV1, RekorV2} {
		l := testrekor.New(version, "rekor.test")
		f.Add(l.PEM())
		f.Add(b64(l.SPKI()))
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParsePublicKey(text)
		if err != nil {
			if k != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		again, err := ParsePublicKey(b64(k.SPKI()))
		if err != nil || again.Fingerprint() != k.Fingerprint() {
			t.Fatalf("%q admits a key that its own base64 does not: %v", text, err)
		}
		for _, version := range []int{RekorV1, RekorV2} {
			if l, err := NewRekorLog(version, "rekor.test", text); err == nil && !l.SameKey(text) {
				t.Fatalf("%q is pinned as another key", text)
			}
		}
	})
}
