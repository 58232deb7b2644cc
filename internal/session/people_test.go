package session

import (
	"testing"
	"time"
)

// TestTheWallsClockAroundMidnight: whoever reads the wall types no date, and
// the day may have changed in between.
func TestTheWallsClockAroundMidnight(t *testing.T) {
	for _, c := range [][3]string{
		{"2026-11-22T14:04:30Z", "14:05", "2026-11-22T14:05:00Z"},
		{"2026-11-22T00:00:20Z", "23:59", "2026-11-21T23:59:00Z"},
		{"2027-01-01T00:01:00Z", "23:59", "2026-12-31T23:59:00Z"},
		{"2026-11-21T23:59:40Z", "00:00", "2026-11-22T00:00:00Z"},
		{"2028-02-28T23:59:40Z", "00:01", "2028-02-29T00:01:00Z"},
		{"2026-11-22T00:00:00Z", "00:00", "2026-11-22T00:00:00Z"},
		{"2026-11-22T18:00:00Z", "06:00", "2026-11-22T06:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, c[0])
		if err != nil {
			t.Fatal(err)
		}
		got, err := nearest(at, c[1])
		if err != nil || got.Format(time.RFC3339) != c[2] {
			t.Errorf("%s at %s is %v, %v; want %s", c[1], c[0], got, err, c[2])
		}
	}
	for _, bad := range []string{"", "24:00", "12:60", "midnight", "12:00:00"} {
		if got, err := nearest(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}
