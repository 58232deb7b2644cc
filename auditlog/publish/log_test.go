//go:build unix

package publish

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestWhatIsInTheLogIsNotAddedAgain(t *testing.T) {
	l := newLog(t)
	if e, err := l.Find(t.Context(), ending("c.1", evidence.EndingClosed, 1)); e != nil || err != nil {
		t.Errorf("found in an empty log: %+v, %v", e, err)
	}
	l.mustAppend(t, "other.1")
	if e := l.mustAppend(t, "c.1"); e.Index != 1 || e.Duplicate {
		t.Errorf("%+v", e)
	}
	if e := l.mustAppend(t, "c.1"); e.Index != 1 || !e.Duplicate {
		t.Errorf("%+v", e)
	}
	e := must(l.Find(t.Context(), ending("c.1", evidence.EndingClosed, 1)))(t)
	if e == nil || e.Index != 1 || e.VKey() != l.VKey() || l.Origin() != origin {
		t.Errorf("%+v", e)
	}
}

// TestOneCeremonyEndsOnceAndReleasesOneArtifact: of two entries about the same,
// the second is refused, and the refusal says what stands there.
func TestOneCeremonyEndsOnceAndReleasesOneArtifact(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "publish"})
	released := f.Files[ceremony.BundleFile]
	b := must(bundle.ParseAny("", released))(t)
	id := b.About().Ceremony
	another := testfleet.New(t, testfleet.Options{Name: "publish another"}).Files[ceremony.BundleFile]
	for name, c := range map[string]struct {
		first, second []byte
		says          string
	}{
		"the same end with another head": {ending(id, evidence.EndingClosed, 1), ending(id, evidence.EndingClosed, 2), "this package says closed with 02"},
		"closed, then aborted":           {ending(id, evidence.EndingClosed, 1), ending(id, evidence.EndingAborted, 1), "ended closed with 01"},
		"an end with other signatures": {ending(id, evidence.EndingClosed, 1),
			(&evidence.Leaf{Mode: ceremony.Rehearsal, Namespace: testfleet.Namespace, Epoch: 1, Ceremony: id, Ending: evidence.EndingClosed, Head: [32]byte{1}, Signatures: [32]byte{1}}).Marshal(),
			"is this ending of " + id + ", with other signatures"},
		"aborted, then released": {ending(id, evidence.EndingAborted, 1), released, "was aborted; this is a bundle that it released"},
		"released, then aborted": {released, ending(id, evidence.EndingAborted, 1), "is the bundle that the ceremony " + id + " released"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t)
			must(l.Append(t.Context(), logSigner(t), c.first))(t)
			_, err := l.Append(t.Context(), logSigner(t), c.second)
			wantRefusal(t, err, c.says)
			_, err = l.Find(t.Context(), c.second)
			wantRefusal(t, err, c.says)
			if at := must(l.reader.Checkpoint())(t); at.Size != 1 {
				t.Errorf("the log has %d entries", at.Size)
			}
		})
	}
	// What no two bundles of one ceremony can be made to show here is put in words
	// as the log would be asked about them.
	wantRefusal(t, &Refusal{otherEntry(3, another, released)}, "entry 3 of the log is another artifact that the same ceremony released")
	wantRefusal(t, &Refusal{otherEntry(3, released, released)}, "in another bundle, with other signatures")
	wantRefusal(t, &Refusal{otherEntry(3, []byte("junk"), released)}, "is not the one that was to be logged")
	wantRefusal(t, &Refusal{otherEntry(3, released, []byte("junk"))}, "is not the one that was to be logged")
	// A release that was closed is two entries: neither keeps the other out.
	l := newLog(t)
	must(l.Append(t.Context(), logSigner(t), released))(t)
	must(l.Append(t.Context(), logSigner(t), ending(id, evidence.EndingClosed, 1)))(t)
}

func TestTheLogTakesBundlesAndEndingsAlone(t *testing.T) {
	l := newLog(t)
	for _, leaf := range []string{"", "junk", "fleetctl evidence v2\nrehearsal\n"} {
		_, err := l.Append(t.Context(), logSigner(t), []byte(leaf))
		wantRefusal(t, err, "is neither a bundle nor how a ceremony ended")
	}
	_, err := l.Request(t.Context(), 0)
	wantRefusal(t, err, "does not exist")
}

func TestALeafIsABundlesBytesOrItsCeremonysEnd(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "publish"})
	b := f.Files[ceremony.BundleFile]
	if leaf, err := Leaf("bundle.json", b); err != nil || !bytes.Equal(leaf, b) {
		t.Errorf("%q, %v", leaf, err)
	}
	archive := must(evidence.Pack(f.Files))(t)
	l, err := evidence.ParseLeaf("", must(Leaf("evidence.tar", archive))(t))
	if err != nil || l.Ending != evidence.EndingClosed {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := Leaf("junk", []byte("junk")); err == nil {
		t.Error("junk is logged")
	}
}

func TestARequestContinuesWhatTheWitnessHasCosigned(t *testing.T) {
	l := newLog(t)
	l.mustAppend(t, "c.1")
	l.mustAppend(t, "c.2")
	r := must(l.Request(t.Context(), 1))(t)
	if r.Old != 1 || r.Checkpoint.Size != 2 || len(r.Hashes) != 1 {
		t.Errorf("%+v", r)
	}
	_, err := l.Request(t.Context(), 3)
	wantRefusal(t, err, "fewer than the 3 that the witness is said to have cosigned")
}
