package paper

import (
	"fmt"
	"strings"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"

	"github.com/fleetctl/fleetctl/internal/words"
)

// The columns of a step: labels, who, and what.
const (
	labelAt, whoAt, textAt = left, left + 19, left + 47
	lineHeight             = 4.6
)

func (p *pdf) draw(b Block) {
	switch b := b.(type) {
	case Cover:
		p.cover(b)
	case Heading:
		p.y += 3
		p.font(bold, large)
		p.para(left, inner, 6.5, string(b))
		p.y += 1.5
	case Para:
		p.font(regular, body)
		p.para(left, inner, lineHeight+0.3, string(b))
		p.y += 2
	case Fields:
		p.fields(b)
	case Table:
		p.table(b)
	case Digest:
		p.digest(b)
	case Code:
		p.font(regular, body)
		p.para(left, inner, lineHeight+0.3, b.Label)
		if c := qrCode(b.Text, decoder.ErrorCorrectionLevel_M); c != nil {
			// The quiet zone that ISO/IEC 18004 wants is 4 modules.
			quiet := 4 * inner / float64(c.size+8)
			p.qr(c, left+quiet, p.y+quiet, inner-2*quiet)
			p.y += inner
		}
	case Step:
		p.step(b)
	case Parts:
		p.parts(b)
	case Blanks:
		p.blanks(b)
	case Initials:
		p.initials(b)
	case Choice:
		p.choice(b)
	case Lines:
		p.lines(b)
	case Keep:
		for _, part := range b {
			p.draw(part)
		}
	}
}

func (p *pdf) cover(b Cover) {
	p.y += 4
	p.font(bold, huge)
	p.para(left, inner, 11, b.Title)
	p.y += 1
	p.font(regular, large)
	for _, l := range b.Lines {
		p.para(left, inner, 6.4, l)
	}
	p.y += 4
	h := 15.0
	p.rect(left, p.y, inner, h, 1.2)
	p.font(bold, huge)
	mark := strings.Join(strings.Split(p.doc.Mark, ""), " ")
	p.text(left+(inner-p.c.width(mark))/2, p.y, h, mark)
	p.y += h + 5
}

func (p *pdf) fields(rows Fields) {
	p.font(bold, body)
	col := 0.0
	for _, r := range rows {
		col = max(col, p.c.width(r[0]))
	}
	col += 6
	for _, r := range rows {
		p.font(bold, body)
		p.text(left, p.y, lineHeight+0.4, r[0])
		p.font(regular, body)
		p.para(left+col, inner-col, lineHeight+0.4, r[1])
	}
	p.y += 2
}

func (p *pdf) table(b Table) {
	total := 0
	for _, s := range b.Share {
		total += s
	}
	row := func(cells []string, head bool) {
		x, deepest, y := left, p.y, p.y
		for i, cell := range cells {
			w := inner * float64(b.Share[i]) / float64(total)
			switch {
			case head:
				p.font(bold, small)
			case b.Mono == i+1:
				p.font(fixed, small-0.5)
			default:
				p.font(regular, body)
			}
			p.y = y + 1
			p.para(x, w-2, lineHeight, cell)
			deepest = max(deepest, p.y)
			x += w
		}
		p.y = deepest + 1
		if b.Tall && !head {
			p.y = max(p.y, y+9)
		}
		p.rule(p.y, map[bool]float64{true: 0.4, false: 0.1}[head])
	}
	row(b.Head, true)
	for _, r := range b.Rows {
		if !p.dry && p.y+8 > floor {
			p.page()
			row(b.Head, true)
		}
		row(r, false)
	}
	p.y += 3
}

func (p *pdf) digest(b Digest) {
	const edge = 42.0
	p.font(bold, body)
	p.para(left, inner, 6, b.Label)
	p.font(fixed, 13)
	y := p.y
	for _, l := range hexLines(b.Sum) {
		p.para(left, inner, 7, l)
	}
	p.y += 2
	p.font(regular, small)
	p.para(left, inner-edge-8, 4, "QR code: "+b.Code)
	p.qr(qrCode(b.Code, decoder.ErrorCorrectionLevel_Q), pageWidth-right-edge, y, edge)
	p.y = max(p.y, y+edge) + 4
	list := words.Encode(b.Sum[:])
	for i := 0; i < len(list); i += 4 {
		for j, w := range list[i : i+4] {
			x := left + float64(j)*inner/4
			p.font(regular, small)
			p.text(x, p.y, 5.4, fmt.Sprint(i+j+1))
			p.font(bold, body+0.5)
			p.text(x+6, p.y, 5.4, w)
		}
		p.y += 5.4
	}
	p.y += 3
}

func (p *pdf) qr(c *code, x, y, edge float64) {
	if c != nil && !p.dry {
		p.c.squares(x, y, edge, c.size, c.black)
	}
}

func (p *pdf) step(b Step) {
	p.y += 3
	p.rule(p.y, 0.7)
	p.y += 1
	p.font(regular, small)
	w := p.c.width(b.Time)
	p.text(pageWidth-right-w, p.y, 7, b.Time)
	p.font(bold, large)
	number := fmt.Sprintf("%d", b.Number)
	p.text(left, p.y, 7, number)
	p.font(regular, small)
	p.text(left+8.5, p.y+0.4, 7, fmt.Sprintf("of %d", b.Of))
	p.font(bold, large)
	p.para(whoAt, inner-(whoAt-left)-w-4, 7, b.Title)
	p.y += 1
}

func (p *pdf) parts(b Parts) {
	for i, part := range b.Rows {
		if i == 0 {
			p.font(bold, small)
			p.text(labelAt, p.y, lineHeight, b.Label)
		}
		x := whoAt
		if part.Who != "" {
			style := regular
			if part.Mine {
				style = bold
				p.rect(whoAt-3.2, p.y+1.2, 2, 2, 0.6)
			}
			p.font(style, body)
			p.text(whoAt, p.y, lineHeight, part.Who)
			x = textAt
		}
		said := part.Text
		if b.Aloud && !strings.HasPrefix(said, "(") {
			said = "“" + said + "”"
		}
		p.font(map[bool]int{true: bold}[part.Mine], body)
		p.para(x, pageWidth-right-x, lineHeight, said)
	}
	p.y += 1
}

// blanks draws two blanks on a line if both labels leave enough room to write.
func (p *pdf) blanks(b Blanks) {
	p.font(regular, small)
	const half = inner / 2
	room := func(s string) bool { return p.c.width(s) < half-35 }
	blank := func(x, w float64, s string) {
		p.text(x, p.y+3, 5, s)
		p.line(x+p.c.width(s)+2, p.y+7.5, x+w, p.y+7.5, 0.2)
	}
	for i := 0; i < len(b); i++ {
		if i+1 < len(b) && room(b[i]) && room(b[i+1]) {
			blank(left, half-4, b[i])
			blank(left+half, half, b[i+1])
			i++
		} else {
			blank(left, inner, b[i])
		}
		p.y += 8
	}
	p.y += 1
}

func (p *pdf) initials(b Initials) {
	const w, h = 40.5, 10.0
	p.font(regular, small-1.5)
	for i, who := range b {
		x := left + float64(i%4)*(w+4)
		if i > 0 && i%4 == 0 {
			p.y += h + 2
		}
		p.rect(x, p.y+1, w, h, 0.2)
		p.text(x+1, p.y+1.3, 3, who+", initials")
	}
	p.y += h + 3
}

func (p *pdf) choice(b Choice) {
	for _, c := range b {
		p.rect(left, p.y+0.8, 3.6, 3.6, 0.3)
		p.font(regular, body)
		p.para(left+6, inner-6, 5.4, c)
		p.y += 0.8
	}
	p.y += 1
}

func (p *pdf) lines(b Lines) {
	p.font(regular, small)
	p.para(left, inner, 4.4, b.Label)
	h := float64(b.N) * 8
	p.rect(left, p.y, inner, h, 0.3)
	for i := 1; i < b.N; i++ {
		p.line(left+2, p.y+float64(i)*8, pageWidth-right-2, p.y+float64(i)*8, 0.05)
	}
	p.y += h + 3
}
