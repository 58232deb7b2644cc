package site

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/internal/words"
)

// fleet shows where the HSMs stand, as a diagram and as a list. A plan names sites and
// no places: so nothing here pretends to be a map of anywhere.
func (e *epoch) fleet() string {
	names, hsms := e.sites()
	most := names[0]
	for _, name := range names {
		if len(hsms[name]) > len(hsms[most]) {
			most = name
		}
	}
	all := len(e.plan.HSMs)
	var m markup
	m.add("<p>", fmt.Sprintf("%s stand at %s. A majority is %d. ", words.Count(int64(all), "HSM", "HSMs"), words.Count(int64(len(names)), "site", "sites"), e.plan.Majority))
	switch at := len(hsms[most]); {
	case len(names) == 1:
		m.add("", "They are all at one site: whoever holds it holds them all.")
	case at >= e.plan.Majority:
		m.add("", fmt.Sprintf("The site with the most, %s, has %d of them: a majority by itself.", most, at))
	default:
		m.add("", fmt.Sprintf("The site with the most, %s, has %d of them: no site has a majority.", most, at))
	}
	m.add("</p>\n")
	d := diagram{epoch: e, names: names, hsms: hsms}
	m.WriteString("<div class=\"diagram wide-only\">\n" + d.draw(3) + "</div>\n<div class=\"diagram narrow-only\">\n" + d.draw(1) + "</div>\n")
	m.add("<p class=\"dim\">A scheme, not a map: the plan names sites, and doesn't say where they are.</p>\n")
	var list markup
	for _, name := range names {
		list.add("<li><strong>", name, "</strong> ("+words.Count(int64(len(hsms[name])), "HSM", "HSMs")+"): ", strings.Join(hsms[name], ", "), "</li>\n")
	}
	if all > named {
		m.WriteString("<details>\n<summary>The HSMs of each site by name</summary>\n<ul class=\"sites\">\n" + list.String() + "</ul>\n</details>\n")
	} else {
		m.WriteString("<ul class=\"sites\">\n" + list.String() + "</ul>\n")
	}
	return m.String()
}

// named is how many HSMs a diagram names one by one.
const named = 30

// Lengths of the diagram, in units of the picture.
const (
	plateWide = 276
	gutter    = 26 // to the left of a column of plates, for its line
	plateHead = 34
	cellHigh  = 26
	top       = 64 // above the first plates: the fleet, and the line to the columns
)

// diagram is a fleet: a line from the fleet to each of its sites, on which its HSMs
// stand.
type diagram struct {
	*epoch
	names []string
	hsms  map[string][]string
}

// perRow and high say how a site's HSMs are laid out.
func (d *diagram) perRow() int {
	if len(d.plan.HSMs) > named {
		return 12
	}
	return 3
}

func (d *diagram) high(site string) int {
	rows := (len(d.hsms[site]) + d.perRow() - 1) / d.perRow()
	return plateHead + rows*cellHigh + 8
}

// draw draws the fleet in so many columns.
func (d *diagram) draw(columns int) string {
	columns = min(columns, len(d.names))
	var m markup
	y, bottoms := top, make([]int, columns)
	for i := 0; i < len(d.names); i += columns {
		tallest := 0
		for c, name := range d.names[i:min(i+columns, len(d.names))] {
			x, middle := c*(plateWide+gutter)+gutter, y+plateHead/2
			bottoms[c] = middle
			m.add(fmt.Sprintf("<path class=\"line\" d=\"M%d %dH%d\"/><circle class=\"stop\" cx=\"%d\" cy=\"%d\" r=\"5\"/>\n", x-gutter+8, middle, x, x-gutter+8, middle))
			d.plate(&m, x, y, name)
			tallest = max(tallest, d.high(name))
		}
		y += tallest + 16
	}
	lines := fmt.Sprintf("<path class=\"line\" d=\"M8 44H%d\"/>", (columns-1)*(plateWide+gutter)+8)
	for c, bottom := range bottoms {
		lines += fmt.Sprintf("<path class=\"line\" d=\"M%d 44V%d\"/>", c*(plateWide+gutter)+8, bottom)
	}
	var svg markup
	wide := columns*(plateWide+gutter) + 1
	svg.add(fmt.Sprintf("<svg width=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", wide, wide, y), d.inWords(), "\">\n"+lines+"\n"+
		"<circle class=\"hub\" cx=\"8\" cy=\"20\" r=\"7\"/><path class=\"line\" d=\"M8 27V44\"/>\n<text class=\"strong\" x=\"26\" y=\"25\">", clip(d.plan.Fleet, 26), "</text>\n"+
		m.String()+"</svg>\n")
	return svg.String()
}

// plate draws a site with its HSMs.
func (d *diagram) plate(m *markup, x, y int, name string) {
	hsms := d.hsms[name]
	m.add(fmt.Sprintf("<rect class=\"plate\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/>", x, y, plateWide, d.high(name)))
	m.add(fmt.Sprintf("<text class=\"strong\" x=\"%d\" y=\"%d\">", x+12, y+22), clip(name, 20), fmt.Sprintf("</text><text class=\"count\" text-anchor=\"end\" x=\"%d\" y=\"%d\">", x+plateWide-12, y+22),
		words.Count(int64(len(hsms)), "HSM", "HSMs"), "</text>\n")
	wide := (plateWide - 24 + 6) / d.perRow()
	for i, hsm := range hsms {
		cx, cy := x+12+i%d.perRow()*wide, y+plateHead+i/d.perRow()*cellHigh
		m.add(fmt.Sprintf("<rect class=\"hsm\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>", cx, cy, wide-6, cellHigh-6))
		if d.perRow() < 12 {
			m.add(fmt.Sprintf("<text class=\"name\" text-anchor=\"middle\" x=\"%d\" y=\"%d\">", cx+(wide-6)/2, cy+14), clip(hsm, 11), "</text>\n")
		}
	}
}

// inWords is the diagram for those who don't see it.
func (d *diagram) inWords() string {
	var parts []string
	for _, name := range d.names {
		parts = append(parts, fmt.Sprintf("%s with %s", name, words.Count(int64(len(d.hsms[name])), "HSM", "HSMs")))
	}
	return "Diagram of the fleet: " + strings.Join(parts, ", ") + ". The list below names them."
}

// clip is the beginning of a name that would be too long for its place.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// timeBar draws when the ceremony went on and when it stood still.
func (e *epoch) timeBar() string {
	s := e.story
	whole := s.Last.Sub(s.Began)
	if whole <= 0 {
		return ""
	}
	at := func(n int) string { // a record's place, in thousandths
		return fmt.Sprintf("%.1f%%", 100*float64(s.Records[n-1].Time.Sub(s.Began))/float64(whole))
	}
	var m markup
	var said []string
	from := "0.0%"
	running := func(to string) {
		m.add("<line class=\"on\" x1=\"" + from + "\" x2=\"" + to + "\" y1=\"12\" y2=\"12\"/>")
	}
	for _, p := range s.Pauses {
		running(at(p.From.N))
		from = at(p.To.N)
		m.add("<line class=\"off\" x1=\"" + at(p.From.N) + "\" x2=\"" + from + "\" y1=\"12\" y2=\"12\"/>")
		said = append(said, "from "+p.From.Time.UTC().Format(clock)+" to "+p.To.Time.UTC().Format(clock))
	}
	running("100%")
	for _, x := range s.Events {
		if x.Record != nil && !x.Record.Kind.Restricted() {
			m.add("<circle class=\"event\" cx=\"" + at(x.Record.N) + "\" cy=\"12\" r=\"5\"/>")
		}
	}
	label := "no standstill"
	if n := len(s.Pauses); n > 0 {
		label = words.Count(int64(n), "standstill", "standstills")
	}
	var bar markup
	bar.add("<figure class=\"bar\">\n<svg width=\"100%\" height=\"24\" role=\"img\" aria-label=\"", "The ceremony's time: "+label, "\">"+m.String()+"</svg>\n<figcaption><span>",
		s.Began.UTC().Format(clock), "</span><span>", s.Last.UTC().Format(clock), "</span></figcaption>\n</figure>\n")
	if len(said) > 0 {
		bar.add("<p>It stood still ", strings.Join(said, ", "), ".</p>\n")
	}
	bar.add("<p class=\"dim\">A thick line is work, a dashed one a standstill, a ring something that went otherwise than planned. All of it is in the table.</p>\n")
	return bar.String()
}

const clock = "2006-01-02 15:04"
