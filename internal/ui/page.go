package ui

import (
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"github.com/fleetctl/fleetctl/internal/words"
)

// Page renders for one stream: its width, whether it has colour, whether it
// wants words only. Whatever text its methods are given is cleaned first.
type Page struct {
	width  int
	color  bool
	plain  bool
	folded bool // somebody reads lines of this width, so long messages are folded to it
}

// Lines shorter than minWidth can't hold the columns, longer ones than
// maxWidth can't be read.
const (
	minWidth     = 60
	defaultWidth = 80
	maxWidth     = 120
)

func newPage(o Options, w io.Writer) Page {
	p := Page{width: defaultWidth, plain: o.Plain}
	tty := isTerminal(w)
	if tty {
		if cols, _, err := term.GetSize(int(fileOf(w).Fd())); err == nil && cols > 0 {
			p.width = cols
		}
	}
	if o.Width > 0 {
		p.width = o.Width
	}
	p.folded = tty || o.Width > 0
	p.width = max(minWidth, min(p.width, maxWidth))
	// A console that doesn't know escape sequences would print them.
	p.color = wantsColor(o, tty) && (!tty || speaksANSI(fileOf(w)))
	return p
}

// wantsColor follows the order that users of other tools expect, the nearest
// wish first.
func wantsColor(o Options, tty bool) bool {
	switch {
	case o.Plain:
		return false
	case o.Color == "always":
		return true
	case o.Color == "never", o.Env("NO_COLOR") != "", o.Env("TERM") == "dumb":
		return false
	case o.Env("CLICOLOR_FORCE") != "" && o.Env("CLICOLOR_FORCE") != "0":
		return true
	}
	return tty
}

// Width is how many columns lines are laid out for.
func (p Page) Width() int { return p.width }

// Plain says whether only words are wanted.
func (p Page) Plain() bool { return p.plain }

// Style is what a piece of text means; how that styles is decided here.
type Style int

// The meanings. The first four are the grades of a claim.
const (
	Text     Style = iota // nothing in particular
	Proven                // follows from signatures and hashes under pinned keys
	Attested              // somebody who is pinned says so
	Device                // the device says so of itself
	NotShown              // nobody says so
	Wrong                 // contradicts what is demanded
	Where                 // a place, a hint: for those who look closer
	Name                  // what a thing is called
	Heading               // what follows is about this
)

// look is a meaning's look. The colours are the terminal's own sixteen, so that they suit
// its theme.
func (s Style) look() lipgloss.Style {
	l := lipgloss.NewStyle().Inline(true)
	switch s {
	case Proven:
		return l.Foreground(lipgloss.Green)
	case Attested:
		return l.Foreground(lipgloss.Cyan)
	case Device:
		return l.Foreground(lipgloss.Yellow)
	case Wrong:
		return l.Bold(true).Foreground(lipgloss.Red)
	case Name, Heading:
		return l.Bold(true)
	case NotShown, Where:
		return l.Faint(true)
	}
	return l
}

// Style gives the text its meaning's look.
func (p Page) Style(s Style, text string) string { return p.paint(s, words.Clean(text)) }

// paint is Style for text that has been cleaned.
func (p Page) paint(s Style, text string) string {
	if !p.color || text == "" || s <= Text || s > Heading {
		return text
	}
	return s.look().Render(text)
}

// width counts columns, in which a wide character takes two.
func width(s string) int {
	if plainASCII(s) {
		return len(s)
	}
	return lipgloss.Width(s)
}

// plainASCII says whether each byte takes a column, as in most texts.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// pad fills up to n columns.
func pad(s string, n int) string { return s + spaces(n-width(s)) }

func spaces(n int) string { return strings.Repeat(" ", max(0, n)) }

// wrap breaks a cleaned text into lines of at most n columns, and a little
// earlier where that keeps the last word from standing alone. What fits stays
// as it is.
func wrap(s string, n int) []string {
	if width(s) <= n {
		return []string{s}
	}
	lines := fold(s, n)
	for m := n - 1; m > n*2/3 && !strings.Contains(lines[len(lines)-1], " "); m-- {
		narrower := fold(s, m)
		if len(narrower) > len(lines) {
			break
		}
		lines = narrower
	}
	return lines
}

// fold breaks at spaces. A word longer than a line is cut, never dropped.
func fold(s string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && width(line)+1+width(word) <= n {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for width(word) > n {
			head := ansi.Truncate(word, n, "")
			if head == "" { // a wide character where there is room for half
				break
			}
			lines, word = append(lines, head), word[len(head):]
		}
		line = word
	}
	return append(lines, line)
}
