package keys

import (
	"testing"
	"time"
)

func TestWindowCounts(t *testing.T) {
	day := func(n int) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC)
	}
	at := func(d time.Duration, n int) time.Time { return day(n).Add(d) }
	open, both := Window{}, Window{NotBefore: day(10), NotAfter: day(20)}
	stolen := Window{NotBefore: day(10), NotAfter: day(20), CompromisedAfter: day(15)}
	for _, c := range []struct {
		name           string
		w              Window
		now, witnessed time.Time
		want           bool
	}{
		{"no ends", open, day(1), day(0), true},
		{"inside", both, day(15), day(0), true},
		{"at its begin", both, day(10), day(0), true},
		{"at its end", both, day(20), day(0), true},
		{"just before", both, at(-time.Nanosecond, 10), day(0), false},
		{"just after", both, at(time.Nanosecond, 20), day(0), false},
		{"after, seen inside", both, day(25), day(15), true},
		{"after, seen at the end", both, day(25), day(20), true},
		{"after, seen after", both, day(25), day(21), false},
		{"after, seen before", both, day(25), day(9), false},
		{"before, seen inside", both, day(5), day(15), true},
		{"inside, seen outside", both, day(15), day(25), true},
		{"before the theft", stolen, day(14), day(0), true},
		{"at the theft", stolen, day(15), day(0), false},
		{"after the theft", stolen, day(16), day(0), false},
		{"after the theft, seen before", stolen, day(16), day(14), true},
		{"after the theft, seen at it", stolen, day(16), day(15), false},
		{"after the theft, seen just before", stolen, day(16), at(-time.Nanosecond, 15), true},
		{"after the theft, seen before its begin", stolen, day(16), day(9), false},
		{"after all, seen after the theft", stolen, day(30), day(17), false},
		{"stolen before its begin", Window{NotBefore: day(10), CompromisedAfter: day(5)}, day(12), day(12), false},
		{"only an end, nothing seen", Window{NotAfter: day(10)}, day(11), day(0), false},
		{"only a theft, nothing seen", Window{CompromisedAfter: day(10)}, day(11), day(0), false},
		{"in another zone", both, day(20).In(time.FixedZone("", -8*3600)), day(0), true},
	} {
		if got := c.w.Counts(c.now, c.witnessed); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
