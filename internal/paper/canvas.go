package paper

import (
	"bytes"
	"encoding/ascii85"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
)

// canvas writes a PDF (ISO 32000-1, version 1.4 of the format): pages of text in embedded
// fonts, lines and rectangles. It writes no date and no identifier, compresses nothing, and
// goes through maps in order, so that the same drawing always gives the same bytes.
type canvas struct {
	title   string
	pages   []*bytes.Buffer
	fonts   []*font
	current int
	size    float64 // of type, in points
}

// The fonts, by their number on a canvas.
const (
	regular = iota
	bold
	fixed
)

// mm is a millimetre in points, the unit of a PDF.
const mm = 72 / 25.4

func newCanvas(title string) *canvas {
	return &canvas{title: title, fonts: []*font{
		parseFont("GoRegular", goregular.TTF), parseFont("GoBold", gobold.TTF), parseFont("GoMono", gomono.TTF),
	}}
}

func (c *canvas) add(format string, args ...any) {
	fmt.Fprintf(c.pages[len(c.pages)-1], format+"\n", args...)
}

func (c *canvas) addPage() { c.pages = append(c.pages, &bytes.Buffer{}) }

func (c *canvas) setFont(number int, size float64) { c.current, c.size = number, size }

// width is a text's width in the current font, in millimetres.
func (c *canvas) width(s string) float64 { return c.fonts[c.current].width(s) * c.size / mm }

// text writes a line; its baseline is y millimetres below the page's upper edge.
func (c *canvas) text(x, y float64, s string) {
	f := c.fonts[c.current]
	var glyphs strings.Builder
	for _, r := range s {
		g := f.glyph(r)
		if _, ok := f.used[g]; !ok {
			f.used[g] = r
		}
		fmt.Fprintf(&glyphs, "%04X", g)
	}
	c.add("BT /F%d %.2f Tf %.2f %.2f Td <%s> Tj ET", c.current, c.size, x*mm, (pageHeight-y)*mm, glyphs.String())
}

func (c *canvas) line(x1, y1, x2, y2, w float64) {
	c.add("%.2f w %.2f %.2f m %.2f %.2f l S", w*mm, x1*mm, (pageHeight-y1)*mm, x2*mm, (pageHeight-y2)*mm)
}

// rect draws a rectangle's frame, or with a stroke of 0 a filled rectangle.
func (c *canvas) rect(x, y, w, h, stroke float64) {
	op := "f"
	if stroke > 0 {
		op = "S"
		c.add("%.2f w", stroke*mm)
	}
	c.add("%.3f %.3f %.3f %.3f re %s", x*mm, (pageHeight-y-h)*mm, w*mm, h*mm, op)
}

// squares draws the black squares of n by n. They are one path, and a run of them in a row
// is one rectangle: if they were drawn one by one, a renderer that smooths edges would show
// seams between them.
func (c *canvas) squares(x, y, edge float64, n int, black func(x, y int) bool) {
	m := edge * mm / float64(n)
	c.add("q %.5f 0 0 %.5f %.3f %.3f cm", m, -m, x*mm, (pageHeight-y)*mm)
	for row := range n {
		for col := 0; col < n; {
			run := 0
			for col+run < n && black(col+run, row) {
				run++
			}
			if run > 0 {
				c.add("%d %d %d 1 re", col, row, run)
			}
			col += max(run, 1)
		}
	}
	c.add("f Q")
}

// output returns the file.
func (c *canvas) output() []byte {
	w := &objects{}
	w.b.WriteString("%PDF-1.4\n")
	const fixedObjects, perFont = 3, 5
	firstPage := fixedObjects + perFont*len(c.fonts) + 1
	w.object("<</Type /Catalog /Pages 2 0 R>>")
	var kids, fonts strings.Builder
	for i := range c.pages {
		fmt.Fprintf(&kids, "%d 0 R ", firstPage+2*i)
	}
	for i := range c.fonts {
		fmt.Fprintf(&fonts, "/F%d %d 0 R ", i, fixedObjects+1+perFont*i)
	}
	w.object("<</Type /Pages /Count %d /Kids [%s] /MediaBox [0 0 %.2f %.2f] /Resources <</Font <<%s>>>>>>",
		len(c.pages), strings.TrimSpace(kids.String()), pageWidth*mm, pageHeight*mm, strings.TrimSpace(fonts.String()))
	w.object("<</Title <FEFF%s> /Producer (fleetctl)>>", utf16Hex(c.title))
	for _, f := range c.fonts {
		w.font(f)
	}
	for i, page := range c.pages {
		w.object("<</Type /Page /Parent 2 0 R /Contents %d 0 R>>", firstPage+2*i+1)
		w.stream("", page.Bytes())
	}
	return w.finish()
}

// objects are a PDF's objects, numbered from 1 in their order.
type objects struct {
	b  bytes.Buffer
	at []int
}

func (w *objects) object(format string, args ...any) int {
	w.at = append(w.at, w.b.Len())
	fmt.Fprintf(&w.b, "%d 0 obj\n", len(w.at))
	fmt.Fprintf(&w.b, format, args...)
	w.b.WriteString("\nendobj\n")
	return len(w.at)
}

func (w *objects) stream(more string, data []byte) int {
	return w.object("<<%s/Length %d>>\nstream\n%s\nendstream", more, len(data), data)
}

// font writes a font's five objects (ISO 32000-1, 9.7). Texts are written as glyph numbers;
// the map to Unicode makes it possible to search and copy them.
func (w *objects) font(f *font) {
	n := len(w.at) + 1
	glyphs := slices.Sorted(maps.Keys(f.used))
	scale := func(v int) int { return v * 1000 / f.upem }
	hhea, head := f.tables["hhea"], f.tables["head"]
	signed := func(t []byte, at int) int { return scale(int(int16(u16(t[at:])))) }
	w.object("<</Type /Font /Subtype /Type0 /BaseFont /FLEETC+%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R>>", f.name, n+1, n+4)
	var widths strings.Builder
	for _, g := range glyphs {
		fmt.Fprintf(&widths, "%d [%d] ", g, scale(f.advance[g]))
	}
	w.object("<</Type /Font /Subtype /CIDFontType2 /BaseFont /FLEETC+%s /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) /Supplement 0>> /FontDescriptor %d 0 R /CIDToGIDMap /Identity /W [%s]>>",
		f.name, n+2, strings.TrimSpace(widths.String()))
	w.object("<</Type /FontDescriptor /FontName /FLEETC+%s /Flags 4 /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d /CapHeight 700 /StemV 80 /FontFile2 %d 0 R>>",
		f.name, signed(head, 36), signed(head, 38), signed(head, 40), signed(head, 42), signed(hhea, 4), signed(hhea, 6), n+3)
	ttf := f.subset()
	var ascii bytes.Buffer
	enc := ascii85.NewEncoder(&ascii)
	enc.Write(ttf) // into memory
	enc.Close()
	w.stream(fmt.Sprintf("/Filter /ASCII85Decode /Length1 %d ", len(ttf)), append(ascii.Bytes(), "~>"...))
	var m strings.Builder
	m.WriteString("/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /F def /CMapType 2 def\n1 begincodespacerange <0000> <FFFF> endcodespacerange\n")
	for part := range slices.Chunk(glyphs, 100) {
		fmt.Fprintf(&m, "%d beginbfchar\n", len(part))
		for _, g := range part {
			fmt.Fprintf(&m, "<%04X> <%s>\n", g, utf16Hex(string(f.used[g])))
		}
		m.WriteString("endbfchar\n")
	}
	m.WriteString("endcmap CMapName currentdict /CMap defineresource pop end end")
	w.stream("", []byte(m.String()))
}

// finish writes the cross-reference table and the trailer.
func (w *objects) finish() []byte {
	xref := w.b.Len()
	fmt.Fprintf(&w.b, "xref\n0 %d\n0000000000 65535 f \n", len(w.at)+1)
	for _, at := range w.at {
		fmt.Fprintf(&w.b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&w.b, "trailer\n<</Size %d /Root 1 0 R /Info 3 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(w.at)+1, xref)
	return w.b.Bytes()
}

func utf16Hex(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}
