package history

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func extended(t *testing.T, r *Report, old []byte, at time.Time) []byte {
	t.Helper()
	var rec *Record
	if old != nil {
		rec = opened(t, old)
	}
	var b bytes.Buffer
	if err := r.Extend(&b, rec, at); err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(old), b.Bytes()...)
}

func opened(t *testing.T, data []byte) *Record {
	t.Helper()
	r, err := OpenRecord("record", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLaterRewritingIsCaughtWithBothVersions(t *testing.T) {
	one := extended(t, check(t, items(plain(1), plain(2)), options()), nil, now)

	// The next run sees the newer epochs only: the record has the rest.
	o := options()
	o.Seen = opened(t, one)
	r := check(t, items(plain(2), plain(3)), o)
	if !r.Good() || r.Statements != 3 || r.Namespaces[0].First != 1 {
		t.Fatalf("%+v", r)
	}
	two := extended(t, r, one, now)
	if o.Seen = opened(t, two); o.Seen.Runs != 2 || bytes.Count(two, []byte("\ns ")) != 3 {
		t.Fatalf("%s", two)
	}

	// Epoch 2 rewritten, validly signed.
	forged := sealed("tp", space, 2, start+2*3600_000, digestOf(99)).Raw()
	r = check(t, items(plain(1), forged, plain(3)), o)
	wantProblem(t, r, Unchanged, "is rewritten: an earlier run saw digest")
	if len(r.Evidence) != 1 || !bytes.Equal(r.Evidence[0].B, forged) {
		t.Fatalf("%+v", r.Evidence)
	}
	if !bytes.Contains(r.Evidence[0].A, []byte(`"epoch":2`)) || bytes.Equal(r.Evidence[0].A, forged) {
		t.Errorf("%s", r.Evidence[0].A)
	}
	// The record stands: the forged one isn't taken into it.
	if third := extended(t, r, two, now); !bytes.Equal(third, two) {
		t.Error("the record took the rewritten statement")
	}
	// Time and digests are compared over both.
	r = check(t, items(sealed("tp", space, 4, start, digestOf(1)).Raw()), o)
	wantProblem(t, r, TimeOrder, "time went back")
	wantProblem(t, r, Unique, "is that of epoch 1 too")
	r = check(t, items(plain(5)), o)
	wantProblem(t, r, Contiguous, "the epoch before it is 3")
	// An operator's copy that differs is the operator's fault.
	r = check(t, memory{{Data: forged, Operator: true}}, o)
	wantProblem(t, r, OperatorCopy, "differs in [digest signature]: equivocation")
}

func TestARecordIsAChain(t *testing.T) {
	data := extended(t, check(t, items(plain(1), plain(2)), options()), nil, now)
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 1
		r, err := OpenRecord("record", bytes.NewReader(changed), int64(len(changed)))
		if err == nil && (r.Runs != 1 || r.Size != int64(len(data))) {
			continue // the last line feed: the run is cut off
		}
		if err == nil && i < len(data)-len("2027-01-01T00:00:00Z  \n")-64 {
			t.Fatalf("byte %d (%q) changed, and the record opens", i, data[i])
		}
	}
	for n := range data {
		r, err := OpenRecord("record", bytes.NewReader(data[:n]), int64(n))
		if n > 0 && err == nil {
			t.Fatalf("cut at %d: %+v", n, r)
		}
	}
	// A second run that is cut off is told from a whole one.
	o := options()
	o.Seen = opened(t, data)
	two := extended(t, check(t, items(plain(1), plain(2), plain(3)), o), data, now)
	for n := len(data); n < len(two); n++ {
		if r := opened(t, two[:n]); r.Runs != 1 || r.Size != int64(len(data)) {
			t.Fatalf("cut at %d: %+v", n, r)
		}
	}
	// Lines can't be taken out.
	without := bytes.Join(append(append([][]byte{}, lines[:3]...), lines[4:]...), nil)
	if _, err := OpenRecord("record", bytes.NewReader(without), int64(len(without))); err == nil || !strings.Contains(err.Error(), "record:5: the digest of all lines before it does not fit") {
		t.Errorf("a line taken out: %v", err)
	}
}

// A power cut can leave what a run wrote last, and not what it wrote before. Zero
// bytes in a run that was ended are no power cut's.
func TestZeroBytesAreOfARunThatWasCutOffWhereNoneWasEndedBehindThem(t *testing.T) {
	one := extended(t, check(t, items(plain(1)), options()), nil, now)
	two := extended(t, check(t, items(plain(2), plain(3)), options()), one, now)
	three := extended(t, check(t, items(plain(4)), options()), two, now)
	hole := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		clear(data[at : at+100])
		return data
	}
	for name, data := range map[string][]byte{"in its first line": hole(three[:bytes.LastIndex(three, []byte("run "))], len(two)), "up to its end": hole(three, len(three)-100), "to the end": append(bytes.Clone(two), make([]byte, 1<<17)...)} {
		if r := opened(t, data); r.Runs != 2 || r.Size != int64(len(two)) || r.Last != int64(len(one)) {
			t.Errorf("%s: %d runs, the last from %d to %d", name, r.Runs, r.Last, r.Size)
		}
	}
	for name, data := range map[string][]byte{"in the run before": hole(three, len(one)), "in the run before, to its end": hole(three, len(two)-100), "in the first run": hole(three, 30), "in a run that was ended": hole(three, len(two))} {
		if r, err := OpenRecord("record", bytes.NewReader(data), int64(len(data))); err == nil {
			t.Errorf("%s: opened with %d runs", name, r.Runs)
		}
	}
}

func FuzzRecord(f *testing.F) {
	r, err := Check(f.Context(), items(plain(1), plain(2)), options())
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Extend(&b, nil, now); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := OpenRecord("record", bytes.NewReader(data), int64(len(data)))
		if err == nil && (r.Size > int64(len(data)) || r.Size > 0 && data[r.Size-1] != '\n') {
			t.Fatal("its size is not that of whole lines")
		}
	})
}

// What an archive holds is a stranger's: nothing in it may stop a run.
func FuzzCheck(f *testing.F) {
	fl := newFleet(2)
	for _, it := range fl.archive() {
		f.Add(it.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := options()
		o.Trust = trust
		r, err := Check(t.Context(), items(plain(1), data), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Statements == 0 {
			t.Fatal("the good statement is gone")
		}
	})
}
