package paper

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// hexLines is a digest in four lines of four groups, as it is compared by eye.
func hexLines(sum [32]byte) []string {
	var lines []string
	for i := 0; i < len(sum); i += 8 {
		lines = append(lines, fmt.Sprintf("%x %x %x %x", sum[i:i+2], sum[i+2:i+4], sum[i+4:i+6], sum[i+6:i+8]))
	}
	return lines
}

// Short is the beginning of a digest, enough to tell two sheets apart.
func Short(sum []byte) string {
	return fmt.Sprintf("%x %x %x %x", sum[0:2], sum[2:4], sum[4:6], sum[6:8])
}

// qrCode encodes text for bad printers and worse cameras: a quarter of it may
// be lost. Upper case without punctuation stays in the dense mode.
func qrCode(text string) *qr.Code {
	c, err := qr.Encode(text, qr.Q)
	if err != nil {
		return nil // no document has a text too long for it; one that had would lack its QR code only
	}
	return c
}

// qrLines draws a code in half blocks, with the quiet zone around it.
func qrLines(text string) []string {
	c := qrCode(text)
	if c == nil {
		return nil
	}
	var lines []string
	for y := -2; y < c.Size+2; y += 2 {
		var b strings.Builder
		for x := -2; x < c.Size+2; x++ {
			switch {
			case c.Black(x, y) && c.Black(x, y+1):
				b.WriteRune('█')
			case c.Black(x, y):
				b.WriteRune('▀')
			case c.Black(x, y+1):
				b.WriteRune('▄')
			default:
				b.WriteRune(' ')
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}
