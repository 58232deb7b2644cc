package token

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLabelsAreInTheOrderInWhichPeopleCount, whatever order a module gives.
func TestLabelsAreInTheOrderInWhichPeopleCount(t *testing.T) {
	want := []string{"", "1", "02", "2", "2a", "10", "99999999999999999999", "100000000000000000000", "fleet", "fleet-", "fleet-1", "fleet-01x", "fleet-1x", "fleet-2", "fleet-2-b1", "fleet-2-b12", "fleet-10", "fleet-10a", "fleet-a", "g"}
	for range 200 {
		got := slices.Clone(want)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, naturally)
		if !slices.Equal(got, want) {
			t.Fatalf("got %q", got)
		}
	}
}

func TestTokensWithoutALabelComeLast(t *testing.T) {
	want := []Info{{Label: "fleet-2", Serial: "9"}, {Label: "fleet-2", Serial: "10"}, {Label: "fleet-10"}, {Serial: "1"}, {Serial: "3"}}
	for range 50 {
		got := slices.Clone(want)
		rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		slices.SortFunc(got, Order)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v", got)
		}
	}
}
