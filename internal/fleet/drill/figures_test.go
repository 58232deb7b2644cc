package drill

import (
	"testing"
	"time"
)

func TestAFailOverEndsWithTheFirstGuessThatAnotherNodeAnswers(t *testing.T) {
	var m meter
	m.answered("a", time.Now())
	if len(m.failOvers) != 0 {
		t.Error("nobody was killed")
	}
	m.fall("a")
	fell := m.fell
	m.answered("a", time.Now()) // was on its way
	if len(m.failOvers) != 0 {
		t.Error("the killed node's own answer counts")
	}
	m.answered("b", time.Now())
	m.answered("c", time.Now())
	if len(m.failOvers) != 1 || m.failOvers[0] <= 0 || m.failOvers[0] > time.Since(fell) {
		t.Errorf("%v since %s", m.failOvers, time.Since(fell))
	}
	m.fall("b")
	m.back()
	m.answered("b", time.Now())
	if len(m.failOvers) != 2 {
		t.Error("a node that was started again leads, and what it answers doesn't count")
	}
	m.fall("c")
	m.settle()
	m.answered("a", time.Now())
	if len(m.failOvers) != 2 {
		t.Error("a guess of a later test counts")
	}
	if got := len(m.take()); got != 6 || len(m.take()) != 0 {
		t.Errorf("%d guesses, then again", got)
	}
}

func TestAQuantileIsOneOfTheTimesThatWereMeasured(t *testing.T) {
	var list []time.Duration
	for i := range 100 {
		list = append(list, time.Duration(100-i))
	}
	for of, want := range map[float64]time.Duration{0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(list, of); got != want {
			t.Errorf("%v: %d, not %d", of, got, want)
		}
	}
	if got := quantile(list[:1], 0.5); got != 100 {
		t.Errorf("of one: %d", got)
	}
	if got := quantile(list[:3], 0.5); got != 99 {
		t.Errorf("of three: %d", got)
	}
}
