package history

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// by is a party's statement of an epoch, some hours later than usual.
func by(party string, epoch, late uint64) []byte {
	return sealed(party, space, epoch, start+(epoch+late)*3600_000, digestOf(epoch)).Raw()
}

func threeParties() Options {
	o := options()
	o.Keys = nil
	for _, name := range []string{"a", "b", "c"} {
		o.Keys = append(o.Keys, Key{Name: name, Key: raw(name)})
	}
	return o
}

func TestAnAbsentPartyIsNoFaultAndIsNamed(t *testing.T) {
	// b joins at epoch 2 and misses 4 and 5; c signs all, 2 and 3 late, after
	// epoch 4 was signed by a; nobody but a signs epoch 6.
	m := items(by("a", 1, 0), by("a", 2, 0), by("a", 3, 0), by("a", 4, 0), by("a", 5, 0), by("a", 6, 0), by("a", 7, 0),
		by("b", 2, 0), by("b", 3, 0), by("b", 7, 0),
		by("c", 1, 0), by("c", 2, 3), by("c", 3, 3), by("c", 4, 3), by("c", 5, 3))
	want := []PartyRun{
		{Name: "a", First: 1, Last: 7, Epochs: 7},
		{Name: "c", First: 1, Last: 5, Epochs: 5, Missed: 2, Absent: []Span{{6, 7}}},
		{Name: "b", First: 2, Last: 7, Epochs: 3, Missed: 3, Absent: []Span{{4, 6}}},
	}
	for range 2 {
		r := check(t, m, threeParties())
		if !r.Good() || !reflect.DeepEqual(r.Namespaces[0].Parties, want) {
			t.Fatalf("%+v\n%+v", r.Problems, r.Namespaces[0].Parties)
		}
		row := r.Namespaces[0].Rows[1]
		if row.Epoch != 2 || row.Time != start+2*3600_000 || !slices.Equal(row.Signers, []string{"a", "b", "c"}) {
			t.Errorf("%+v", row)
		}
		slices.Reverse(m)
	}
}

func TestTwoKeysOfAPartyAreOneRun(t *testing.T) {
	o := threeParties()
	o.Keys[1].Name = "a" // the old key
	r := check(t, items(by("b", 1, 0), by("b", 2, 0), by("a", 2, 1), by("a", 3, 0), by("a", 5, 0), by("c", 4, 0)), o)
	want := []PartyRun{{Name: "a", First: 1, Last: 5, Epochs: 4, Missed: 1, Absent: []Span{{4, 4}}}, {Name: "c", First: 4, Last: 4, Epochs: 1, Missed: 1, Absent: []Span{{5, 5}}}}
	if !r.Good() || !reflect.DeepEqual(r.Namespaces[0].Parties, want) {
		t.Errorf("%+v %+v", r.Problems, r.Namespaces[0].Parties)
	}
	if s := r.Namespaces[0].Rows[1].Signers; !slices.Equal(s, []string{"a"}) {
		t.Errorf("epoch 2 by %v", s)
	}
}

func TestWhatALatecomerMayNotDo(t *testing.T) {
	base := [][]byte{by("a", 1, 0), by("a", 2, 0), by("a", 3, 0)}
	for name, c := range map[string]struct {
		more  [][]byte
		check string
		want  string
	}{
		"another digest":   {[][]byte{sealed("b", space, 2, start+9*3600_000, digestOf(77)).Raw()}, OneDigest, "b signed"},
		"out of order":     {[][]byte{by("b", 3, 0), by("b", 2, 5)}, TimeOrder, "time went back"},
		"twice, and later": {[][]byte{by("b", 2, 0), by("b", 2, 5)}, OneDigest, "b signed two statements"},
		"a hole in all":    {[][]byte{by("b", 5, 0)}, Contiguous, "1 are missing"},
	} {
		r := check(t, items(append(slices.Clone(base), c.more...)...), threeParties())
		if r.Good() || !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Check == c.check && strings.Contains(p.What, c.want) }) {
			t.Errorf("%s: %+v", name, r.Problems)
		}
	}
}

func TestAPartysAbsencesAreBounded(t *testing.T) {
	m := items()
	for e := uint64(1); e <= 500; e++ {
		m = append(m, Item{Data: by("a", e, 0)})
		if e%2 == 1 {
			m = append(m, Item{Data: by("b", e, 0)})
		}
	}
	p := check(t, m, threeParties()).Namespaces[0].Parties[1]
	if p.Name != "b" || p.Missed != 250 || len(p.Absent) != maxSpans || fmt.Sprint(p.Absent[99]) != "{200 200}" {
		t.Errorf("%s %d %d %v", p.Name, p.Missed, len(p.Absent), p.Absent[len(p.Absent)-1])
	}
}
