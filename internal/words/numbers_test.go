package words

import (
	"bytes"
	"testing"
)

func TestNumbers(t *testing.T) {
	digest := bytes.Repeat([]byte{0x5f, 0x2c, 0x91, 0xaa, 0x03, 0xd7, 0x77, 0xe1}, 4)
	for got, want := range map[string]string{
		Short(digest):                "5f2c 91aa 03d7 77e1",
		Short(digest[:3]):            "5f2c 91",
		Size(1):                      "1 byte",
		Size(999):                    "999 bytes",
		Size(1000):                   "1.0 kB",
		Size(9949):                   "9.9 kB",
		Size(9950):                   "10 kB",
		Size(412345):                 "412 kB",
		Size(999499):                 "999 kB",
		Size(999500):                 "1.0 MB",
		Size(1 << 62):                "4.6 EB",
		Count(0, "entry", "entries"): "0 entries",
		Count(1, "entry", "entries"): "1 entry",
		Number(2026):                 "2026",
		Number(118400):               "118,400",
		Number(-1234567):             "-1,234,567",
		Number(-9223372036854775808): "-9,223,372,036,854,775,808",
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if got := Short(nil); got != "" {
		t.Errorf("%q", got)
	}
}
