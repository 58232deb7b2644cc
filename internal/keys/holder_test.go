package keys

import (
	"errors"
	"slices"
	"testing"
)

func TestARosterGivesEachKeyOneHolder(t *testing.T) {
	olga, omar, tp := Holder{PartPerson, "olga"}, Holder{PartPerson, "omar"}, Holder{PartThirdParty, "tp"}
	var r Roster
	if err := r.Add(olga, "a", "b"); err != nil {
		t.Fatal(err)
	}
	before := r.Clone()
	for _, c := range []struct {
		h      Holder
		points []Point
		says   string
	}{
		{omar, []Point{"b"}, `person "omar" has the key of "olga"`},
		{omar, []Point{"c", "a"}, `person "omar" has the key of "olga"`}, // a part of a composite key
		{olga, []Point{"a"}, `person "olga" has the key of "olga"`},
		{tp, []Point{"a"}, `third party "tp" has the key of person "olga"`},
	} {
		err := r.Add(c.h, c.points...)
		var shared *Shared
		if !errors.As(err, &shared) || err.Error() != c.says {
			t.Errorf("%v, want %s", err, c.says)
		}
	}
	if len(r.Keys(omar)) != 0 || len(r.Holders("c")) != 0 || len(r.Keys(olga)) != 2 {
		t.Error("what is refused is entered")
	}
	r.Allow(tp, olga)
	if err := r.Add(tp, "a"); err != nil || !r.Allows(olga, tp) || !r.Allows(tp, olga) || r.Allows(tp, omar) {
		t.Errorf("allowed: %v", err)
	}
	if !slices.Equal(r.Holders("a"), []Holder{olga, tp}) {
		t.Errorf("%v", r.Holders("a"))
	}
	if err := r.Add(omar, "a"); err == nil {
		t.Error("a third holder comes along")
	}
	if len(before.Holders("a")) != 1 || before.Allows(tp, olga) {
		t.Error("a clone goes along")
	}
}
