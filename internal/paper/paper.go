// Package paper makes printed documents: the script of a ceremony, its worksheet, receipts.
// A [Doc] is a list of blocks; [Doc.Text] and [Doc.PDF] render the same blocks, so that the
// text has every word of the PDF.
//
// The same document gives the same bytes: it has no date, no random identifier and no
// compression. Everything is black on white, for any printer.
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
	// Table has columns whose widths are proportional to Share.
	Table struct {
		Head  []string
		Rows  [][]string
		Share []int
		Mono  int  // the number, from 1, of the column in a font of fixed width; 0: none
		Tall  bool // people write into its rows by hand
	}
	// Digest is 32 bytes in hex, in words, and as a QR code of Code.
	Digest struct {
		Label string
		Sum   [32]byte
		Code  string
	}
	// Code is a QR code as wide as the page, for a camera. In plain text it is the text
	// itself.
	Code struct {
		Label, Text string
	}
	// Step is the head of a step.
	Step struct {
		Number, Of int
		Title      string
		Time       string
	}
	// Parts say who does or says what, under a label.
	Parts struct {
		Label string
		Rows  []Part
		Aloud bool
	}
	// Blanks are labelled lines that people fill in by hand.
	Blanks []string
	// Initials are boxes, one for each of the people named.
	Initials []string
	// Choice has a box to tick for each text.
	Choice []string
	// Lines is a frame of N lines to write into.
	Lines struct {
		Label string
		N     int
	}
	// Keep keeps blocks together on a page.
	Keep []Block
	// Page begins a new page.
	Page struct{}
)

// Part is one line of Parts. Mine marks the reader's own part.
type Part struct {
	Who, Text string
	Mine      bool
}
