package drill

import (
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/report"
)

// seen is a history of one device, one thing after the other.
func seen(list ...any) *history {
	h := &history{}
	for i := 0; i < len(list); i += 2 {
		at := h.begin()
		h.end(1, list[i].(asked), at, list[i+1].(told))
	}
	return h
}

func guess(n byte) asked { return asked{Account: "drill.a", What: didGuess, Attempt: [32]byte{n}} }

func TestAHistoryIsWhatOneGuessCounterWouldHaveAnswered(t *testing.T) {
	registered := []any{asked{Account: "drill.a", What: didRegister, Epoch: 1}, told{Left: 2, Limit: 2}}
	right := func(n byte) asked { return asked{Account: "drill.a", What: didSucceed, Attempt: [32]byte{n}} }
	erase, next := asked{Account: "drill.a", What: didErase}, asked{Account: "drill.a", What: didRegister, Epoch: 2}
	for _, c := range []struct {
		name string
		list []any
		good bool
	}{
		{"two guesses, then the lock", []any{guess(1), told{Left: 1}, guess(2), told{Left: 0}, guess(3), told{Code: "locked"}, guess(1), told{Code: "locked"}}, true},
		{"a right one at the last guess", []any{guess(1), told{Left: 1}, guess(2), told{Left: 0}, right(2), told{Left: 2, Limit: 2, Secret: true}, guess(3), told{Left: 1}}, true},
		{"the same guess said again", []any{guess(1), told{Left: 1}, guess(1), told{Left: 1}, guess(2), told{Left: 0}}, true},
		{"an answer that was lost", []any{guess(1), told{Lost: true}, guess(2), told{Left: 0}, guess(3), told{Code: "locked"}}, true},
		{"an answer that was lost and not counted", []any{guess(1), told{Lost: true}, guess(2), told{Left: 1}}, true},
		{"a guess given back", []any{guess(1), told{Left: 1}, guess(2), told{Left: 1}}, false},
		{"a key after the lock", []any{guess(1), told{Left: 1}, guess(2), told{Left: 0}, guess(3), told{Code: "locked"}, right(2), told{Left: 2, Limit: 2, Secret: true}}, false},
		{"a key without a guess", []any{right(1), told{Left: 2, Limit: 2, Secret: true}}, false},
		{"two counted as one", []any{guess(1), told{Left: 1}, guess(2), told{Left: 0}, guess(3), told{Left: 0}}, false},
		{"an earlier epoch's record, erased, and the next epoch", []any{
			guess(1), told{Left: 1}, next, told{Code: "erase-first"}, erase, told{Left: 1, Limit: 2}, guess(2), told{Code: "erased"}, next, told{Left: 1, Limit: 2}, guess(3), told{Left: 0}}, true},
		{"the next epoch with the earlier one's record", []any{next, told{Left: 2, Limit: 2}}, false},
		{"a guess given back with the next epoch", []any{guess(1), told{Left: 1}, erase, told{Left: 1, Limit: 2}, next, told{Left: 2, Limit: 2}}, false},
		{"an answer of an erased record", []any{erase, told{Left: 2, Limit: 2}, guess(1), told{Left: 1}}, false},
		{"a lock too early", []any{guess(1), told{Left: 1}, guess(2), told{Code: "locked"}}, false},
	} {
		want := report.NotLinearizable
		if c.good {
			want = report.Linearizable
		}
		if got := seen(append(registered, c.list...)...).judge("h", 2, time.Minute); got.Result != want || got.Operations != 1+len(c.list)/2 {
			t.Errorf("%s: %+v, want %s", c.name, got, want)
		}
	}
}

func TestWhatIsNotDecidedInTimeIsNotLinearizable(t *testing.T) {
	h := &history{}
	at := h.begin()
	for n := range byte(60) { // all at the same time, each answered as the last one: no order is right
		h.end(int(n), guess(n), at, told{Left: 0})
	}
	if got := h.judge("h", 90, time.Nanosecond); got.Result == report.Linearizable {
		t.Errorf("%+v", got)
	}
}
