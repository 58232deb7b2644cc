// Package media reads the index of a ceremony's recordings: a small file in its package
// that names each recording by digest, size and start, and says at which place of it which
// record was made. The recordings themselves are in no package.
package media

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// File is the index's path in a ceremony's folder and in its package.
const File = "media.txt"

const (
	format = "fleetctl media v1"
	// maxFile is the largest index in bytes, maxMedia and maxPlaces bound what is in it.
	maxFile   = 256 << 10
	maxMedia  = 64
	maxPlaces = 4096
	// maxLength is the longest recording, MaxWithin the largest difference between a
	// recording's clock and the transcript's.
	maxLength = 48 * time.Hour
	MaxWithin = 15 * time.Minute
)

// Index is what a file says.
type Index struct{ Media []Medium }

// Medium is a recording.
type Medium struct {
	Name   string // of its file, a token
	SHA256 [32]byte
	Size   uint64 // bytes
	Start  time.Time
	// Within is how far a place's time may be from its record's.
	Within time.Duration
	Places []Place // in rising order
}

// Place is where in a recording a record is made: in words and acts shortly before the
// record's own time.
type Place struct {
	Offset time.Duration // whole seconds
	Record int           // its number
}

// At is the place's time by the recording's own start.
func (m *Medium) At(p Place) time.Time { return m.Start.Add(p.Offset) }

// Parse reads an index as Marshal writes it, and refuses any other form.
func Parse(file string, data []byte) (*Index, error) {
	if len(data) > maxFile {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), maxFile)
	}
	l := strict.NewLines(file, data)
	l.Literal(format)
	x := &Index{}
	for l.More() {
		m := parseMedium(l)
		if slices.ContainsFunc(x.Media, func(o Medium) bool { return o.Name == m.Name || o.SHA256 == m.SHA256 }) {
			l.Failf("the recording %q is in it twice, by name or by digest", m.Name)
		}
		if x.Media = append(x.Media, m); len(x.Media) > maxMedia {
			l.Failf("names more than %d recordings", maxMedia)
		}
	}
	if len(x.Media) == 0 {
		l.Failf("names no recording")
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	if string(x.Marshal()) != string(data) {
		return nil, strict.Errorf(file, "is not written in the one form that there is")
	}
	return x, nil
}

func parseMedium(l *strict.Lines) (m Medium) {
	m.Name, m.SHA256, m.Size = l.Token("medium "), l.Hash("sha256 "), l.Uint("size ")
	if m.Size == 0 {
		l.Failf("the recording %s has 0 bytes", m.Name)
	}
	start, err := strict.ParseTime(l.After("start "))
	if m.Start = start; err != nil {
		l.Failf("start %v", err)
	}
	if m.Within = parseOffset(l, l.After("within ")); m.Within <= 0 || m.Within > MaxWithin {
		l.Failf("within is more than nothing, and at most %s", offsetText(MaxWithin))
	}
	last := time.Duration(-1)
	for {
		line, ok := l.Peek()
		if !ok || !strings.HasPrefix(line, "at ") {
			break
		}
		at, record, found := strings.Cut(l.After("at "), " record ")
		p := Place{Offset: parseOffset(l, at)}
		if _, err := fmt.Sscanf(record, "%d", &p.Record); !found || err != nil || p.Record < 1 {
			l.Failf("is no place: at HH:MM:SS record N")
		}
		switch {
		case p.Offset <= last:
			l.Failf("the places of %s are not in rising order", m.Name)
		case len(m.Places) > 0 && p.Record < m.Places[len(m.Places)-1].Record:
			l.Failf("record %d comes after record %d in %s, and was made before it", p.Record, m.Places[len(m.Places)-1].Record, m.Name)
		}
		last = p.Offset
		if m.Places = append(m.Places, p); len(m.Places) > maxPlaces {
			l.Failf("the recording %s has more than %d places", m.Name, maxPlaces)
			return m
		}
	}
	if len(m.Places) == 0 {
		l.Failf("the recording %s has no place in the transcript", m.Name)
	}
	return m
}

// parseOffset reads HH:MM:SS.
func parseOffset(l *strict.Lines, text string) time.Duration {
	d, err := ParseOffset(text)
	if err != nil {
		l.Failf("%v", err)
	}
	return d
}

// ParseOffset reads a time from a recording's start: HH:MM:SS, at most two days.
func ParseOffset(text string) (time.Duration, error) {
	var h, m, s int
	n, err := fmt.Sscanf(text, "%2d:%2d:%2d", &h, &m, &s)
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	if err != nil || n != 3 || h < 0 || m < 0 || s < 0 || m > 59 || s > 59 || d > maxLength || offsetText(d) != text {
		return 0, fmt.Errorf("%q is no time in a recording, such as 01:12:40", strict.Clip(text))
	}
	return d, nil
}

func offsetText(d time.Duration) string {
	s := int64(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// String is the place as it stands in the file.
func (p Place) String() string { return fmt.Sprintf("%s record %d", offsetText(p.Offset), p.Record) }

// Marshal is the file.
func (x *Index) Marshal() []byte {
	b := []byte(format + "\n")
	for _, m := range x.Media {
		b = fmt.Appendf(b, "medium %s\nsha256 %x\nsize %d\nstart %s\nwithin %s\n", m.Name, m.SHA256, m.Size, strict.FormatTime(m.Start), offsetText(m.Within))
		for _, p := range m.Places {
			b = fmt.Appendf(b, "at %s\n", p)
		}
	}
	return b
}

// Check holds the places against the records' times, by number from 1: the records are
// there, and each was made when the recording says, within what it says.
func (x *Index) Check(file string, records []time.Time) error {
	var faults strict.Errors
	for _, m := range x.Media {
		for _, p := range m.Places {
			if p.Record > len(records) {
				faults.Add(strict.Errorf(file, "%s, at %s: there is no record %d", m.Name, p, p.Record))
				continue
			}
			at, made := m.At(p), records[p.Record-1]
			if d := at.Sub(made).Abs(); d > m.Within {
				faults.Add(strict.Errorf(file, "%s, at %s: that is %s by its start, and the record was made at %s, which is more than %s apart", m.Name, p, strict.FormatTime(at), strict.FormatTime(made), offsetText(m.Within)))
			}
		}
	}
	return faults.Err()
}

// Seen is a recording that somebody has: its file was read.
type Seen struct {
	SHA256 [32]byte
	Size   uint64
}

// Compare demands every recording that the index names, with its digest. get reads one, by
// the name of its file.
func (x *Index) Compare(file string, get func(name string) (Seen, error)) error {
	var faults strict.Errors
	for _, m := range x.Media {
		seen, err := get(m.Name)
		switch {
		case err != nil:
			faults.Add(strict.Errorf(file, "names the recording %s, and the one given can't be read: %v", m.Name, err))
		case seen.SHA256 != m.SHA256 || seen.Size != m.Size:
			faults.Add(strict.Errorf(file, "names the recording %s with %d bytes and digest %x…; the one given has %d bytes and %x…", m.Name, m.Size, m.SHA256[:8], seen.Size, seen.SHA256[:8]))
		}
	}
	return faults.Err()
}
