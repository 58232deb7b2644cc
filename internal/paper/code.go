package paper

import (
	"fmt"
	"strings"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// hexLines is a digest in four lines of four groups, for people to compare.
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

// code is a QR code's modules, without the quiet zone around them.
type code struct {
	size   int
	matrix *encoder.ByteMatrix
}

func (c *code) black(x, y int) bool {
	return x >= 0 && y >= 0 && x < c.size && y < c.size && c.matrix.Get(x, y) == 1
}

// qrCode encodes a text (ISO/IEC 18004). At level Q a quarter of the code may be damaged,
// for bad printers and cameras; at level M, for large codes, 15 %. A text of upper-case
// letters and digits gives a smaller code. It returns nil for a text that is too long for a
// code; the document then has only its words.
func qrCode(text string, level decoder.ErrorCorrectionLevel) *code {
	q, err := encoder.Encoder_encodeWithoutHint(text, level)
	if err != nil {
		return nil
	}
	return &code{q.GetMatrix().GetWidth(), q.GetMatrix()}
}

// qrLines draws a code with half-block characters, with a quiet zone around it.
func qrLines(text string) []string {
	c := qrCode(text, decoder.ErrorCorrectionLevel_Q)
	if c == nil {
		return nil
	}
	var lines []string
	for y := -2; y < c.size+2; y += 2 {
		var b strings.Builder
		for x := -2; x < c.size+2; x++ {
			switch {
			case c.black(x, y) && c.black(x, y+1):
				b.WriteRune('█')
			case c.black(x, y):
				b.WriteRune('▀')
			case c.black(x, y+1):
				b.WriteRune('▄')
			default:
				b.WriteRune(' ')
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}
