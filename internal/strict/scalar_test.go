package strict

import (
	"strings"
	"testing"
	"time"
)

func TestADurationIsWrittenInWordsAndExactly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 720 * time.Hour: "30 days", 25*time.Hour + 5*time.Second: "1 day 1 hour 5 seconds",
		90 * time.Minute: "1 hour 30 minutes", 250 * time.Millisecond: "250 milliseconds", 1001 * time.Millisecond: "1 second 1 millisecond",
		-10 * time.Minute: "minus 10 minutes", 10 * time.Microsecond: "0 seconds",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v is %q, not %q", d, got, want)
		}
	}
}

func TestScalarRefusals(t *testing.T) {
	uint := func(s string) error { _, err := ParseUint(s); return err }
	hex2 := func(s string) error { _, err := ParseHex(s, 2); return err }
	hash := func(s string) error { _, err := ParseHash(s); return err }
	b64 := func(s string) error { _, err := ParseBase64(s); return err }
	tm := func(s string) error { _, err := ParseTime(s); return err }
	const noB64 = "is not canonical base64 (standard alphabet, padded)"
	const lf = "base64 has a line break"
	noTime := func(s string) string {
		return `"` + s + `" is not a time like 2026-11-21T10:00:00Z (RFC 3339, UTC, whole seconds)`
	}
	for _, c := range []struct {
		parse    func(string) error
		in, want string
	}{
		{uint, "", `"" is not a decimal integer without leading zero`},
		{uint, "00", `"00" is not a decimal integer without leading zero`},
		{uint, "07", `"07" is not a decimal integer without leading zero`},
		{uint, "-1", `"-1" is not a decimal integer`},
		{uint, "-0", `"-0" is not a decimal integer`},
		{uint, "+1", `"+1" is not a decimal integer`},
		{uint, " 1", `" 1" is not a decimal integer`},
		{uint, "1 ", `"1 " is not a decimal integer`},
		{uint, "1.0", `"1.0" is not a decimal integer`},
		{uint, "1e3", `"1e3" is not a decimal integer`},
		{uint, "0x1", `"0x1" is not a decimal integer without leading zero`},
		{uint, "1_0", `"1_0" is not a decimal integer`},
		{uint, "١", `"١" is not a decimal integer`},
		{uint, "9007199254740992", `9007199254740992 is above 2^53-1`},
		{uint, "18446744073709551616", `18446744073709551616 is above 2^53-1`},
		{uint, strings.Repeat("9", 99), strings.Repeat("9", 60) + `… is above 2^53-1`},
		{hex2, "", `has 0 characters, 2 bytes in lowercase hex have 4`},
		{hex2, "abc", `has 3 characters, 2 bytes in lowercase hex have 4`},
		{hex2, "abcde", `has 5 characters, 2 bytes in lowercase hex have 4`},
		{hex2, "abCd", `'C' is not lowercase hex`},
		{hex2, "abcg", `'g' is not lowercase hex`},
		{hex2, "0xab", `'x' is not lowercase hex`},
		{hex2, "ab\nc", `'\n' is not lowercase hex`},
		{hash, strings.Repeat("0", 63), `has 63 characters, 32 bytes in lowercase hex have 64`},
		{hash, strings.Repeat("A", 64), `'A' is not lowercase hex`},
		{b64, "YQ", noB64},
		{b64, "YQ=", noB64},
		{b64, "YR==", noB64}, // same byte as YQ==
		{b64, "YWJ=", noB64}, // spare bits set
		{b64, "YQ== ", noB64},
		{b64, "YQ==YQ==", noB64},
		{b64, "YQ===", noB64},
		{b64, "=", noB64},
		{b64, "-_-_", noB64},
		{b64, "Y Q=", noB64},
		{b64, "YQ==\n", lf},
		{b64, "Y\nQ==", lf},
		{b64, "Y\rQ==", lf},
		{tm, "", noTime("")},
		{tm, "2026-11-21T10:00:00+00:00", noTime("2026-11-21T10:00:00+00:00")},
		{tm, "2026-11-21T10:00:00+01:00", noTime("2026-11-21T10:00:00+01:00")},
		{tm, "2026-11-21T10:00:00.5Z", noTime("2026-11-21T10:00:00.5Z")},
		{tm, "2026-11-21T10:00:00.0Z", noTime("2026-11-21T10:00:00.0Z")},
		{tm, "2026-11-21T10:00:00,5Z", noTime("2026-11-21T10:00:00,5Z")},
		{tm, "2016-12-31T23:59:60Z", noTime("2016-12-31T23:59:60Z")},
		{tm, "2026-11-21T24:00:00Z", noTime("2026-11-21T24:00:00Z")},
		{tm, "2026-02-29T10:00:00Z", noTime("2026-02-29T10:00:00Z")},
		{tm, "2026-11-21t10:00:00z", noTime("2026-11-21t10:00:00z")},
		{tm, "2026-11-21 10:00:00Z", noTime("2026-11-21 10:00:00Z")},
		{tm, "2026-11-21T9:00:00Z", noTime("2026-11-21T9:00:00Z")},
		{tm, "2026-11-21", noTime("2026-11-21")},
		{tm, "12026-11-21T10:00:00Z", noTime("12026-11-21T10:00:00Z")},
		{CheckToken, "", `is empty`},
		{CheckToken, "a b", `"a b" has byte ' '; allowed are A-Z a-z 0-9 . _ -`},
		{CheckToken, "a/b", `"a/b" has byte '/'; allowed are A-Z a-z 0-9 . _ -`},
		{CheckToken, "a\x00", `"a\x00" has byte '\x00'; allowed are A-Z a-z 0-9 . _ -`},
		{CheckToken, "é", `"é" has byte 0xc3; allowed are A-Z a-z 0-9 . _ -`},
		{CheckToken, strings.Repeat("a", 129), `has 129 bytes, 128 are allowed`},
	} {
		if err := c.parse(c.in); err == nil {
			t.Errorf("%q was accepted", c.in)
		} else if err.Error() != c.want {
			t.Errorf("%q\n got: %s\nwant: %s", c.in, err, c.want)
		}
	}
}

func TestScalarsRead(t *testing.T) {
	for s, want := range map[string]uint64{"0": 0, "7": 7, "9007199254740991": MaxInt} {
		if n, err := ParseUint(s); err != nil || n != want {
			t.Errorf("%s: %d, %v", s, n, err)
		}
	}
	for _, s := range []string{"a", "Z", "0", ".", "..", "_", "-", strings.Repeat("a", 128)} {
		if err := CheckToken(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for s, want := range map[string]string{"": "", "YQ==": "a", "YWI=": "ab", "YWJj": "abc", "+/+/": "\xfb\xff\xbf"} {
		if b, err := ParseBase64(s); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", s, b, err)
		}
	}
	for _, s := range []string{"2026-11-21T10:00:00Z", "2024-02-29T23:59:59Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
		if tm, err := ParseTime(s); err != nil || FormatTime(tm) != s || tm.Location() != time.UTC {
			t.Errorf("%s: %v, %v", s, tm, err)
		}
	}
	cet := time.FixedZone("CET", 3600)
	if got := FormatTime(time.Date(2026, 11, 21, 11, 0, 0, 999, cet)); got != "2026-11-21T10:00:00Z" {
		t.Error(got)
	}
}
