package strict

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxInt is the largest integer any of our formats may carry: JSON readers in
// other languages hold numbers as doubles.
const MaxInt = 1<<53 - 1

const maxToken = 128

// CheckToken says whether s may be a name, role, namespace or id.
func CheckToken(s string) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	if len(s) > maxToken {
		return fmt.Errorf("has %d bytes, %d are allowed", len(s), maxToken)
	}
	for i := 0; i < len(s); i++ {
		if !isTokenByte(s[i]) {
			odd := fmt.Sprintf("%q", s[i])
			if s[i] >= 0x80 { // part of a character, or of none
				odd = fmt.Sprintf("0x%02x", s[i])
			}
			return fmt.Errorf("%q has byte %s; allowed are A-Z a-z 0-9 . _ -", s, odd)
		}
	}
	return nil
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// ParseUint reads a decimal integer: no sign, no leading zero, at most MaxInt.
func ParseUint(s string) (uint64, error) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is not a decimal integer without leading zero", Clip(s))
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%q is not a decimal integer", Clip(s))
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > MaxInt {
		return 0, fmt.Errorf("%s is above 2^53-1", Clip(s))
	}
	return n, nil
}

// ParseHex reads exactly n bytes in lowercase hex.
func ParseHex(s string, n int) ([]byte, error) {
	if len(s) != 2*n {
		return nil, fmt.Errorf("has %d characters, %d bytes in lowercase hex have %d", len(s), n, 2*n)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil, fmt.Errorf("%q is not lowercase hex", c)
		}
	}
	return hex.DecodeString(s)
}

// ParseHash reads a SHA-256 digest in lowercase hex.
func ParseHash(s string) (h [32]byte, err error) {
	b, err := ParseHex(s, len(h))
	if err != nil {
		return h, err
	}
	return [32]byte(b), nil
}

var canonicalBase64 = base64.StdEncoding.Strict()

// ParseBase64 reads standard, padded base64 and takes only the one spelling
// that encoding the same bytes gives.
func ParseBase64(s string) ([]byte, error) {
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 { // encoding/base64 skips them
		return nil, fmt.Errorf("base64 has a line break")
	}
	b, err := canonicalBase64.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("is not canonical base64 (standard alphabet, padded)")
	}
	return b, nil
}

// FormatDuration writes a duration as people say it, exactly: 30 days; 1 hour 5
// seconds. Below a second it is in milliseconds, and what is less is left out.
func FormatDuration(d time.Duration) string {
	if d < 0 {
		return "minus " + FormatDuration(d.Abs())
	}
	var parts []string
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}, {"millisecond", time.Millisecond}} {
		n := d / u.d
		d -= n * u.d
		if n == 0 && (u.d != time.Second || len(parts) > 0 || d >= time.Millisecond) {
			continue
		}
		if n != 1 {
			u.name += "s"
		}
		parts = append(parts, fmt.Sprintf("%d %s", int64(n), u.name))
	}
	return strings.Join(parts, " ")
}

// timeLayout is RFC 3339 in UTC with whole seconds.
const timeLayout = "2006-01-02T15:04:05Z"

// ParseTime reads a time in timeLayout.
func ParseTime(s string) (time.Time, error) {
	if t, ok := parseTime(s); ok {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time like 2026-11-21T10:00:00Z (RFC 3339, UTC, whole seconds)", Clip(s))
}

// parseTime does what time.Parse does, for one layout and much faster: each
// record has a time.
func parseTime(s string) (t time.Time, ok bool) {
	if len(s) != len(timeLayout) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != 'Z' {
		return t, false
	}
	var n [6]int
	for i, at := range [...]struct{ from, to int }{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		for _, c := range []byte(s[at.from:at.to]) {
			if c < '0' || c > '9' {
				return t, false
			}
			n[i] = n[i]*10 + int(c-'0')
		}
	}
	t = time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	year, month, day := t.Date() // a 31st of June would have become another day
	hour, minute, second := t.Clock()
	return t, year == n[0] && int(month) == n[1] && day == n[2] && hour == n[3] && minute == n[4] && second == n[5]
}

// FormatTime writes t in timeLayout.
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// AppendTime appends what FormatTime gives: UTC's zone is a Z in the layout that the
// standard library writes fastest.
func AppendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339) }
