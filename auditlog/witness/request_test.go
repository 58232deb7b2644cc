//go:build unix

package witness_test

import (
	"context"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
)

func TestARequestByFileCarriesAProofWhereOneIsNeeded(t *testing.T) {
	l := newLog(t)
	w, _, _ := ours(t, l, "w.example/1")
	first := l.grow(t, "a", 3)
	proof, err := l.Prove(context.Background(), 1)
	check(t, err)
	for name, data := range map[string][]byte{
		"a request": l.request(t, 0).Marshal(), "a checkpoint": first.Marshal(), "a checkpoint in a proof": proof,
	} {
		r, err := w.Request("file", data)
		if err != nil || r.Old != 0 || r.Checkpoint.Text() != first.Text() {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	must(w.Cosign(must(w.Request("file", first.Marshal()))))
	if r, err := w.Request("file", first.Marshal()); err != nil || r.Old != 3 {
		t.Errorf("the same size again: %+v, %v", r, err)
	}
	grown := l.grow(t, "b", 1)
	_, err = w.Request("file", grown.Marshal())
	if err == nil || !strings.Contains(err.Error(), "file: has 4 entries, this witness has cosigned 3: it needs a proof") {
		t.Errorf("a larger checkpoint without a proof: %v", err)
	}
	must(w.Cosign(must(w.Request("file", l.request(t, 3).Marshal()))))
	// An older checkpoint is read, and refused when it is to be cosigned.
	r := must(w.Request("file", first.Marshal()))
	if _, err := w.Cosign(r); err == nil || !strings.Contains(err.Error(), "it doesn't go back") {
		t.Errorf("%v", err)
	}
	for _, data := range []string{"", "junk", "old junk", "c2sp.org/tlog-proof@junk"} {
		if _, err := w.Request("file", []byte(data)); err == nil {
			t.Errorf("%q is read as a request", data)
		}
	}
	c := *first
	c.Origin = "other.example"
	c.Signatures = []auditlog.Signature{}
	if _, err := w.Request("file", c.Marshal()); err == nil {
		t.Error("a checkpoint of a log that is not known is read")
	}
}
