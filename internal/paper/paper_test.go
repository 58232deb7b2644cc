package paper

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// sample has every kind of block, and enough of them for several pages.
func sample(mark string) *Doc {
	sum := sha256.Sum256([]byte("plan"))
	d := &Doc{Title: "A title · 1", Mark: mark, Foot: "plan 1234"}
	d.Add(Cover{"Large", []string{"a line"}}, Digest{"A label", sum, mark + " PLAN SHA256 00FF"},
		Fields{{"name", "value"}}, Page{}, Page{}, Code{"A code", mark + ":" + strings.Repeat("CODE", 400)}, Heading("Section"), Para(strings.Repeat("running text ", 60)),
		Table{Head: []string{"a", "b"}, Share: []int{1, 2}, Mono: 2, Rows: [][]string{{"cell", strings.Repeat("wide", 60)}}},
		Table{Head: []string{"by", "hand"}, Share: []int{1, 1}, Tall: true, Rows: [][]string{{"", ""}}},
		Choice{"agree"}, Lines{"Because", 3})
	var long Table
	long.Head, long.Share = []string{"n"}, []int{1}
	for i := range 80 {
		long.Rows = append(long.Rows, []string{fmt.Sprintf("row %d", i)})
	}
	d.Add(long)
	for i := range 9 {
		d.Add(Keep{Step{i + 1, 9, "What is done", "+0:00"}, Parts{"do", []Part{{"witness", "Looks", true}, {"auditor", "Reads", false}}, false},
			Parts{"say", []Part{{"witness", "Aloud", false}, {"", "(reads)", false}}, true}, Blanks{"Short", "Another", strings.Repeat("long ", 12)}, Initials{"a", "b", "c", "d", "e"}})
	}
	return d
}

func TestTheSameDocumentGivesTheSameBytes(t *testing.T) {
	first := sample("REHEARSAL").PDF()
	text := sample("REHEARSAL").Text()
	for range 20 { // Go's maps have another order each time
		again := sample("REHEARSAL").PDF()
		if !bytes.Equal(first, again) || !bytes.Equal(text, sample("REHEARSAL").Text()) {
			t.Fatal("the same document gave other bytes")
		}
	}
	for _, never := range []string{"CreationDate", "ModDate", "/ID", "FlateDecode"} {
		if bytes.Contains(first, []byte(never)) {
			t.Errorf("the PDF has %q in it", never)
		}
	}
}

// inPDF counts a text as the PDF writes it: in glyphs of one of its fonts.
func inPDF(pdf []byte, s string) (n int) {
	for _, f := range newCanvas("").fonts {
		var glyphs strings.Builder
		for _, r := range s {
			fmt.Fprintf(&glyphs, "%04X", f.glyph(r))
		}
		n += bytes.Count(pdf, []byte(glyphs.String()))
	}
	return n
}

func TestTheMarkIsOnEveryPage(t *testing.T) {
	for _, mark := range []string{"REHEARSAL", "PRODUCTION"} {
		pdf := sample(mark).PDF()
		pages := bytes.Count(pdf, []byte("/Type /Page /Parent"))
		if n := inPDF(pdf, mark); pages < 5 || n < 2*pages {
			t.Errorf("%d pages, %s is there %d times; it is at the head and foot of each", pages, mark, n)
		}
		other := map[string]string{"REHEARSAL": "PRODUCTION", "PRODUCTION": "REHEARSAL"}[mark]
		if mark == "PRODUCTION" && inPDF(pdf, other) > 0 {
			t.Errorf("a %s document says %s", mark, other)
		}
		for i, page := range strings.Split(string(sample(mark).Text()), "\f") {
			if first, _, _ := strings.Cut(strings.TrimSpace(page), "\n"); !strings.HasSuffix(first, mark) {
				t.Errorf("page %d of the text begins %q", i+1, first)
			}
		}
	}
}

func TestTextAndPDFHaveTheSameWords(t *testing.T) {
	pdf := sample("REHEARSAL").PDF()
	text := string(sample("REHEARSAL").Text())
	for _, s := range []string{"What is done", "Looks", "Reads", "Because", "Another", "row 79", "cell", "agree", "value", "Aloud", "+0:00"} {
		if inPDF(pdf, s) == 0 || !strings.Contains(text, s) {
			t.Errorf("%q: %d times in the PDF, in the text: %t", s, inPDF(pdf, s), strings.Contains(text, s))
		}
	}
	for line := range strings.Lines(text) {
		if n := width(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
}

func TestFoldLosesNothing(t *testing.T) {
	for _, s := range []string{"", "a", "a b", strings.Repeat("x", 200), "short " + strings.Repeat("ö", 61) + " end"} {
		got := fold(s, 20)
		if strings.ReplaceAll(strings.Join(got, ""), " ", "") != strings.ReplaceAll(s, " ", "") {
			t.Errorf("fold(%q) = %q", s, got)
		}
		for _, l := range got {
			if width(l) > 20 {
				t.Errorf("fold(%q) has a line of %d", s, width(l))
			}
		}
	}
}

func TestHostileTextSteersNoTerminal(t *testing.T) {
	d := &Doc{Title: "t", Mark: "REHEARSAL"}
	d.Add(Para("a\x1b[2Jb\u202ec"), Table{Head: []string{"serial"}, Share: []int{1}, Rows: [][]string{{"x\x07\x9by"}}})
	text := string(d.Text())
	if strings.ContainsAny(text, "\x1b\x07\u009b\u202e") || !strings.Contains(text, "a?[2Jb?c") {
		t.Errorf("%q", text)
	}
	if len(d.PDF()) == 0 {
		t.Error("no PDF")
	}
}
