package media_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence/media"
)

const good = `fleetctl media v1
medium room-1.mp4
sha256 0101010101010101010101010101010101010101010101010101010101010101
size 1000
start 2026-11-21T10:00:00Z
within 00:01:00
at 00:00:05 record 1
at 01:12:40 record 3
medium room-2.mp4
sha256 0202020202020202020202020202020202020202020202020202020202020202
size 5
start 2026-11-21T10:00:30Z
within 00:15:00
at 00:00:00 record 2
`

// TestAnIndexHasOneFormAndItsPlacesRise: whatever is otherwise is refused.
func TestAnIndexHasOneFormAndItsPlacesRise(t *testing.T) {
	x, err := media.Parse("m", []byte(good))
	if err != nil || len(x.Media) != 2 || x.Media[0].Places[1] != (media.Place{Offset: time.Hour + 12*time.Minute + 40*time.Second, Record: 3}) {
		t.Fatalf("%+v, %v", x, err)
	}
	for what, c := range map[string][3]string{
		"another format":          {"media v1", "media v2", "fleetctl media v1"},
		"no recording":            {good[strings.Index(good, "medium"):], "", "names no recording"},
		"a path":                  {"medium room-1.mp4", "medium ../room-1.mp4", ""},
		"one name twice":          {"room-2.mp4", "room-1.mp4", "is in it twice"},
		"one digest twice":        {strings.Repeat("02", 32), strings.Repeat("01", 32), "is in it twice"},
		"an empty recording":      {"size 5", "size 0", "has 0 bytes"},
		"places out of order":     {"at 01:12:40", "at 00:00:05", "not in rising order"},
		"records out of order":    {"record 3", "record 0", "is no place"},
		"a record before it":      {"at 00:00:05 record 1", "at 00:00:05 record 4", "and was made before it"},
		"no place":                {"at 00:00:00 record 2\n", "", "has no place in the transcript"},
		"61 seconds":              {"01:12:40", "01:12:61", "is no time in a recording"},
		"too long":                {"at 01:12:40", "at 49:12:40", "is no time in a recording"},
		"a sign":                  {"at 01:12:40", "at +1:12:40", "is no time in a recording"},
		"something behind it":     {"record 3", "record 3 words", "one form"},
		"a number with zeros":     {"record 3", "record 03", "one form"},
		"a difference of an hour": {"within 00:15:00", "within 01:00:00", "at most 00:15:00"},
		"no difference":           {"within 00:01:00", "within 00:00:00", "more than nothing"},
		"a time of another zone":  {"10:00:30Z", "10:00:30+01:00", "start"},
	} {
		_, err := media.Parse("m", []byte(strings.Replace(good, c[0], c[1], 1)))
		if err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v, want %q", what, err, c[2])
		}
	}
}

// TestPlacesAgreeWithTheRecordsTimes within what the index says, and no further.
func TestPlacesAgreeWithTheRecordsTimes(t *testing.T) {
	x, err := media.Parse("m", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	third := start.Add(time.Hour + 12*time.Minute + 40*time.Second)
	for what, c := range map[string]struct {
		records []time.Time
		want    string
	}{
		"as they were":      {[]time.Time{start, start, third}, ""},
		"a minute after":    {[]time.Time{start, start, third.Add(time.Minute)}, ""},
		"a minute before":   {[]time.Time{start, start, third.Add(-time.Minute)}, ""},
		"a little more":     {[]time.Time{start, start, third.Add(time.Minute + time.Second)}, "more than 00:01:00 apart"},
		"a record missing":  {[]time.Time{start, start}, "there is no record 3"},
		"nothing of it":     {nil, "there is no record 1"},
		"each by its own":   {[]time.Time{start, start.Add(15*time.Minute + 30*time.Second), third}, ""},
		"and not by others": {[]time.Time{start.Add(10 * time.Minute), start, third}, "room-1.mp4, at 00:00:05 record 1"},
	} {
		if err := x.Check("m", c.records); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	seen := map[string]media.Seen{"room-2.mp4": {x.Media[1].SHA256, 5}, "room-1.mp4": {x.Media[0].SHA256, 1000}}
	get := func(name string) (media.Seen, error) {
		if s, ok := seen[name]; ok {
			return s, nil
		}
		return media.Seen{}, errors.New("no such file")
	}
	if err := x.Compare("m", get); err != nil {
		t.Error(err)
	}
	seen["room-2.mp4"] = media.Seen{x.Media[1].SHA256, 6}
	if err := x.Compare("m", get); err == nil || !strings.Contains(err.Error(), "names the recording room-2.mp4 with 5 bytes") {
		t.Error(err)
	}
	seen["room-2.mp4"] = media.Seen{[32]byte{9}, 5}
	if err := x.Compare("m", get); err == nil || !strings.Contains(err.Error(), "names the recording room-2.mp4 with 5 bytes") {
		t.Error(err)
	}
	delete(seen, "room-1.mp4")
	if err := x.Compare("m", get); err == nil || !strings.Contains(err.Error(), "room-1.mp4, and the one given can't be read: no such file") {
		t.Error(err)
	}
}

// What is read is written again as it was.
func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("fleetctl media v1\nmedium a\n"))
	f.Add([]byte("01:12:40"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := media.ParseOffset(string(data)); err == nil && (media.Place{Offset: d, Record: 1}).String() != string(data)+" record 1" {
			t.Fatal("an offset is written otherwise than it was read")
		}
		x, err := media.Parse("m", data)
		if err != nil {
			if x != nil {
				t.Fatal("an index came with the error")
			}
			return
		}
		if string(x.Marshal()) != string(data) {
			t.Fatal("is written otherwise than it was read")
		}
		_ = x.Check("m", []time.Time{time.Now()})
	})
}
