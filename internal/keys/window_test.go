package keys

import (
	"testing"
	"time"
)

func TestWindowCounts(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	at := func(d time.Duration, n int) time.Time { return day(n).Add(d) }
	year1, unix := new(time.Time{}), new(time.Unix(0, 0))
	open, both := Window{}, Window{NotBefore: new(day(10)), NotAfter: new(day(20))}
	stolen := Window{NotBefore: new(day(10)), NotAfter: new(day(20)), CompromisedAfter: new(day(15))}
	for _, c := range []struct {
		name      string
		w         Window
		now       time.Time
		witnessed *time.Time
		want      bool
	}{
		{"no ends", open, day(1), nil, true},
		{"inside", both, day(15), nil, true},
		{"at its begin", both, day(10), nil, true},
		{"at its end", both, day(20), nil, true},
		{"just before", both, at(-time.Nanosecond, 10), nil, false},
		{"just after", both, at(time.Nanosecond, 20), nil, false},
		{"after, seen inside", both, day(25), new(day(15)), true},
		{"after, seen at the end", both, day(25), new(day(20)), true},
		{"after, seen after", both, day(25), new(day(21)), false},
		{"after, seen before", both, day(25), new(day(9)), false},
		{"before, seen inside", both, day(5), new(day(15)), true},
		{"inside, seen outside", both, day(15), new(day(25)), true},
		{"before the theft", stolen, day(14), nil, true},
		{"at the theft", stolen, day(15), nil, false},
		{"after the theft", stolen, day(16), nil, false},
		{"after the theft, seen before", stolen, day(16), new(day(14)), true},
		{"after the theft, seen at it", stolen, day(16), new(day(15)), false},
		{"after the theft, seen just before", stolen, day(16), new(at(-time.Nanosecond, 15)), true},
		{"after the theft, seen before its begin", stolen, day(16), new(day(9)), false},
		{"after all, seen after the theft", stolen, day(30), new(day(17)), false},
		{"stolen before its begin", Window{NotBefore: new(day(10)), CompromisedAfter: new(day(5))}, day(12), new(day(12)), false},
		{"only an end, nothing seen", Window{NotAfter: new(day(10))}, day(11), nil, false},
		{"only a theft, nothing seen", Window{CompromisedAfter: new(day(10))}, day(11), nil, false},
		{"stolen in the year 1", Window{CompromisedAfter: year1}, day(11), nil, false},
		{"stolen in the year 1, seen", Window{CompromisedAfter: year1}, day(11), new(day(11)), false},
		{"ended in the year 1", Window{NotAfter: year1}, day(11), new(day(11)), false},
		{"begun in the year 1", Window{NotBefore: year1}, day(11), nil, true},
		{"stolen in 1970", Window{CompromisedAfter: unix}, day(11), new(day(11)), false},
		{"seen in the year 1", both, day(25), year1, false},
		{"ended in the year 1, seen at it", Window{NotAfter: year1}, day(11), year1, true},
		{"in another zone", both, day(20).In(time.FixedZone("", -8*3600)), nil, true},
	} {
		if got := c.w.Counts(c.now, c.witnessed); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
