package site

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"strings"
)

//go:embed style.css
var style string

// markup is a page's HTML under construction.
type markup struct{ strings.Builder }

// add appends HTML and texts in turn, HTML first. Texts are escaped, and none of them
// can be read as the name of a part of a page.
func (m *markup) add(parts ...string) {
	for i, s := range parts {
		if i%2 == 1 {
			s = strings.ReplaceAll(html.EscapeString(s), "{", "&#123;")
		}
		m.WriteString(s)
	}
}

// hashed is a source of a content security policy: that text and no other.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// head begins a page. Its content security policy takes the style and the scripts that
// it holds, by their digests, and nothing else from anywhere: also from file://, where
// no page has an origin.
func (m *markup) head(title string, scripts ...string) {
	policy := "default-src 'none'; style-src " + hashed(style) + "; base-uri 'none'; form-action 'none'"
	if len(scripts) > 0 {
		policy += "; script-src"
		for _, s := range scripts {
			policy += " " + hashed(s)
		}
		policy += "; require-trusted-types-for 'script'; trusted-types 'none'"
	}
	m.add("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta http-equiv=\"Content-Security-Policy\" content=\"" + policy + "\">\n" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>")
	m.add("", title, "</title>\n<style>"+style+"</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the content</a>\n")
}

// section is a part of a page that its list of contents names.
type section struct{ id, title, body string }

// sections writes a list of contents, and the sections.
func (m *markup) sections(list []section) {
	m.add("<nav aria-label=\"Contents\" class=\"contents\">\n<ol>\n")
	for _, s := range list {
		m.add("<li><a href=\"#", s.id, "\">", s.title, "</a></li>\n")
	}
	m.add("</ol>\n</nav>\n")
	for _, s := range list {
		m.add("<section aria-labelledby=\"", s.id, "\">\n<h2 id=\"", s.id, "\">", s.title, "</h2>\n"+s.body+"</section>\n")
	}
}

// manyRows are too many to be read past: a table of so many scrolls downwards too.
const manyRows = 20

// box is a table of so many rows that scrolls inside its own box, which the keyboard
// reaches.
func box(label string, rows int, body string) string {
	var m markup
	class := "scroll"
	if rows > manyRows {
		class += " tall"
	}
	m.add("<div class=\""+class+"\" role=\"region\" tabindex=\"0\" aria-label=\"", label, "\">\n"+body+"</div>\n")
	return m.String()
}

// digits is a digest that unfolds: its beginning, which can be told apart by eye, and
// all of it.
func digits(label string, sum [32]byte) string {
	var m markup
	m.add("<details class=\"digest\"><summary>", label+" ", fmt.Sprintf("<code>%x</code>…</summary><code class=\"whole\">%x</code></details>", sum[:8], sum))
	return m.String()
}
