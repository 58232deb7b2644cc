package paper

import (
	"fmt"
	"strings"
)

// A4 in millimetres, and the room inside the margins.
const (
	pageWidth, pageHeight = 210.0, 297.0
	left, right           = 18.0, 18.0
	top, bottom           = 27.0, 20.0
	inner                 = pageWidth - left - right
	floor                 = pageHeight - bottom
)

// The sizes of type, in points.
const (
	huge, large, body, small = 24.0, 12.5, 9.5, 8.0
)

// PDF returns the document as a PDF of A4 pages with embedded fonts.
func (d *Doc) PDF() []byte {
	// Draw it twice: first to count the pages, then with their number at each foot.
	first := &pdf{doc: d, c: newCanvas("")}
	first.all()
	p := &pdf{doc: d, c: newCanvas(d.Title + " · " + d.Mark), of: len(first.c.pages)}
	p.all()
	return p.c.output()
}

type pdf struct {
	doc *Doc
	c   *canvas
	of  int
	y   float64
	dry bool // measure only
}

func (p *pdf) all() {
	p.page()
	for _, b := range p.doc.Body {
		p.place(b)
	}
}

// place draws a block, if there is no room for it on a new page.
func (p *pdf) place(b Block) {
	if _, ok := b.(Page); ok {
		if p.y > top {
			p.page()
		}
		return
	}
	h := p.measure(b)
	if _, ok := b.(Table); ok {
		h = min(h, 30) // a table continues on the next page
	}
	if p.y+h > floor && p.y > top {
		if keep, ok := b.(Keep); ok && h > floor-top {
			for _, part := range keep { // too high for a single page
				p.place(part)
			}
			return
		}
		p.page()
	}
	p.draw(b)
}

func (p *pdf) measure(b Block) float64 {
	y := p.y
	p.dry = true
	p.draw(b)
	h := p.y - y
	p.y, p.dry = y, false
	return h
}

// page begins a page. The mark is at its head and foot, so that no sheet of a rehearsal can
// be taken for one of production.
func (p *pdf) page() {
	p.c.addPage()
	p.font(bold, large+1)
	w := p.c.width(p.doc.Mark) + 8
	p.rect(pageWidth-right-w, 9.5, w, 8, 0.8)
	p.text(pageWidth-right-w+4, 9.5, 8, p.doc.Mark)
	p.font(regular, small)
	p.text(left, 9.5, 8, p.doc.Title)
	p.rule(20, 0.2)
	p.rule(pageHeight-15, 0.2)
	p.text(left, pageHeight-14, 5, p.doc.Foot)
	p.font(bold, small)
	number := fmt.Sprintf("%s · page %d of %d", p.doc.Mark, len(p.c.pages), p.of)
	p.text(pageWidth-right-p.c.width(number), pageHeight-14, 5, number)
	p.y = top
}

func (p *pdf) font(number int, size float64) { p.c.setFont(number, size) }

// text writes one line of height h, whose upper edge is at y.
func (p *pdf) text(x, y, h float64, s string) {
	if p.dry {
		return
	}
	p.c.text(x, y+h/2+0.33*p.c.size/mm, s)
}

func (p *pdf) rule(y, w float64) { p.line(left, y, pageWidth-right, y, w) }

func (p *pdf) line(x1, y1, x2, y2, w float64) {
	if p.dry {
		return
	}
	p.c.line(x1, y1, x2, y2, w)
}

func (p *pdf) rect(x, y, w, h, stroke float64) {
	if p.dry {
		return
	}
	p.c.rect(x, y, w, h, stroke)
}

// para writes a text in the current font in lines from x to x+w, and moves y below it.
func (p *pdf) para(x, w, h float64, s string) {
	for _, l := range p.fold(s, w) {
		p.text(x, p.y, h, l)
		p.y += h
	}
}

// fold breaks a text into lines at spaces. It cuts a word that is longer than a line.
func (p *pdf) fold(s string, w float64) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		for p.c.width(word) > w {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			r := []rune(word)
			n := len(r) - 1
			for n > 1 && p.c.width(string(r[:n])) > w {
				n--
			}
			lines, word = append(lines, string(r[:n])), string(r[n:])
		}
		if line != "" && p.c.width(line+" "+word) > w {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
