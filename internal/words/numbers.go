package words

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Short is the beginning of a digest in groups that can be compared by eye:
// sixteen hexadecimal digits, enough to tell two files apart. It goes beside a
// name, never alone.
func Short(digest []byte) string {
	return Hex(digest[:min(8, len(digest))])
}

// Hex is a digest whole, in the same groups.
func Hex(digest []byte) string {
	b := make([]byte, 0, 3*len(digest))
	for i := range digest {
		if i > 0 && i%2 == 0 {
			b = append(b, ' ')
		}
		b = hex.AppendEncode(b, digest[i:i+1])
	}
	return string(b)
}

// Size is a number of bytes in decimal units, as disks and networks are sold: 412 kB.
func Size(n int64) string {
	if n < 1000 {
		return Count(n, "byte", "bytes")
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < len(units)-1 {
		v, unit = v/1000, unit+1
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %s", v, units[unit])
	}
	return fmt.Sprintf("%.0f %s", v, units[unit])
}

var units = [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}

// Count is a number of things in words that agree with it: 1 file, 61 files.
func Count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}

// Number sets long numbers off in thousands: 118,400. A comma, not a space,
// so that none is ever broken across lines or read as two.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(s, "-")
	sign := s[:len(s)-len(digits)]
	if len(digits) < 5 { // 1024 and 2026 are easier to read whole
		return s
	}
	head := (len(digits)-1)%3 + 1
	out := digits[:head]
	for i := head; i < len(digits); i += 3 {
		out += "," + digits[i:i+3]
	}
	return sign + out
}
