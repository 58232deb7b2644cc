// Package paper lays documents out for people who hold them in their hands:
// the script of a ceremony, its worksheet, receipts. A [Doc] is a list of
// blocks; [Doc.Text] and [Doc.PDF] render the same blocks, so that whoever has
// only a terminal has every word.
//
// The same document gives the same bytes: no date, no random identifier, no
// compression whose output changes with the compiler. Everything is black on
// white and drawn in lines, since ceremonies have the printer that is there.
package paper

// Doc is a document. Mark stands on every page and at its head: PRODUCTION or
// REHEARSAL.
type Doc struct {
	Title string
	Mark  string
	Foot  string // at the foot of every page, beside its number
	Body  []Block
}

// Add appends blocks.
func (d *Doc) Add(b ...Block) { d.Body = append(d.Body, b...) }

// Block is a part of a document: one of the types below.
type Block any

type (
	// Cover is the title, large, with lines below it.
	Cover struct {
		Title string
		Lines []string
	}
	// Heading begins a section.
	Heading string
	// Para is running text.
	Para string
	// Fields are labels with their values.
	Fields [][2]string
	// Table has columns whose widths follow from Share, parts of the line.
	Table struct {
		Head  []string
		Rows  [][]string
		Share []int
		Mono  int  // the column, from 1, in a font of fixed width; 0: none
		Tall  bool // its rows are written into by hand
	}
	// Digest is 32 bytes in hex, in words, and as a QR code of Code.
	Digest struct {
		Label string
		Sum   [32]byte
		Code  string
	}
	// Code is a text for a camera, as large a QR code as the page is wide. In
	// plain text it is the text itself.
	Code struct {
		Label, Text string
	}
	// Step is the head of a step.
	Step struct {
		Number, Of int
		Title      string
		Time       string
	}
	// Parts are who does or says what, under a label.
	Parts struct {
		Label string
		Rows  []Part
		Aloud bool
	}
	// Blanks are lines to be filled in by hand.
	Blanks []string
	// Initials are boxes, one for each of the people named.
	Initials []string
	// Choice is boxes to tick.
	Choice []string
	// Lines is empty room for writing, so many lines high, in a frame.
	Lines struct {
		Label string
		N     int
	}
	// Keep holds together on a page what belongs together.
	Keep []Block
	// Page begins a new one.
	Page struct{}
)

// Part is one line of Parts. Mine marks the reader's own.
type Part struct {
	Who, Text string
	Mine      bool
}
