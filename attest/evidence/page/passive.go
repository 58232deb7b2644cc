package page

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// A page of a version that this verifier doesn't know may say anything. It may do
// nothing: it lies beside evidence, and people open it in a browser. So it is read
// by a grammar of its own, of what only shows text, and whatever doesn't fit that
// is refused: scripts, handlers, links, forms, frames, images, everything that
// leads or loads from elsewhere, and everything that isn't known here.

// shown are the elements that a page may have. None of them runs, loads or leads
// anywhere, and none but style and title changes how what is in it is read.
func shown(element string) bool {
	switch element {
	case "html", "head", "meta", "title", "style", "body", "header", "footer", "main", "section", "article",
		"div", "span", "p", "h1", "h2", "h3", "h4", "h5", "h6", "dl", "dt", "dd", "ul", "ol", "li", "table",
		"caption", "colgroup", "col", "thead", "tbody", "tfoot", "tr", "th", "td", "code", "pre", "em", "strong",
		"b", "i", "small", "sub", "sup", "br", "hr", "details", "summary", "time", "abbr", "blockquote":
		return true
	}
	return false
}

// plainAttributes are those that any of them may have.
func plainAttributes(key string) bool {
	switch key {
	case "class", "id", "lang", "dir", "title", "colspan", "rowspan", "scope", "span", "datetime", "open":
		return true
	}
	return false
}

// metaNames are those of a meta element that tell something of the page.
func metaNames(name string) bool {
	switch name {
	case "generator", "viewport", "color-scheme", "description", "author":
		return true
	}
	return false
}

// maxStrange bounds a page that is read by this grammar, in bytes.
const maxStrange = 4 << 20

// Passive says what in a page may act or lead elsewhere, or isn't known here.
// generator is the version that the page names; empty where it names none.
func Passive(page []byte) (generator string, err error) {
	if len(page) > maxStrange {
		return "", fmt.Errorf("has %d bytes, %d are allowed", len(page), maxStrange)
	}
	if !utf8.Valid(page) {
		return "", fmt.Errorf("is not UTF-8")
	}
	p := &pageReader{rest: string(page), size: len(page)}
	for _, c := range p.rest {
		if c < 0x20 && c != '\n' && c != '\t' || c >= 0x7f && c <= 0x9f || c == 0xfeff {
			return "", fmt.Errorf("has the character %U", c)
		}
	}
	if !p.begins("<!doctype html>") {
		return "", fmt.Errorf("does not begin with <!doctype html>")
	}
	for p.text() {
		if err := p.tag(); err != nil {
			return "", fmt.Errorf("%w, at byte %d", err, p.size-len(p.rest))
		}
	}
	return p.generator, nil
}

type pageReader struct {
	rest      string
	size      int
	generator string
}

// begins takes a text without regard to case.
func (p *pageReader) begins(text string) bool {
	if len(p.rest) < len(text) || !strings.EqualFold(p.rest[:len(text)], text) {
		return false
	}
	p.rest = p.rest[len(text):]
	return true
}

// text passes over text; false at the page's end.
func (p *pageReader) text() bool {
	i := strings.IndexByte(p.rest, '<')
	if i < 0 {
		i = len(p.rest)
	}
	p.rest = p.rest[i:]
	return p.rest != ""
}

// name takes a name of letters, digits and hyphens that a letter begins, in lower
// case; empty where none stands there.
func (p *pageReader) name() string {
	i := 0
	for i < len(p.rest) && (isLetter(p.rest[i]) || i > 0 && (p.rest[i] == '-' || p.rest[i] >= '0' && p.rest[i] <= '9')) {
		i++
	}
	name := p.rest[:i]
	p.rest = p.rest[i:]
	return strings.ToLower(name)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// space passes over white space.
func (p *pageReader) space() (some bool) {
	rest := strings.TrimLeft(p.rest, " \n\t")
	some, p.rest = len(rest) < len(p.rest), rest
	return some
}

func (p *pageReader) tag() error {
	p.begins("<")
	closing := p.begins("/")
	name := p.name()
	switch {
	case name == "":
		return fmt.Errorf("has a < that begins no tag")
	case !shown(name):
		return fmt.Errorf("has the element %.20q, which does more than show text or is not known", name)
	}
	given, err := p.given()
	if err != nil {
		return err
	}
	if !p.begins(">") {
		return fmt.Errorf("has an element %q that is not written as here", name)
	}
	if closing {
		if len(given) > 0 {
			return fmt.Errorf("has an attribute at the end of %q", name)
		}
		return nil
	}
	if err := p.attributes(name, given); err != nil {
		return err
	}
	return p.inside(name)
}

// given takes a tag's attributes, each with a value in double quotes or none, and
// the white space behind them.
func (p *pageReader) given() (map[string]string, error) {
	var given map[string]string
	for p.space() {
		key := p.name()
		if key == "" {
			break
		}
		if _, twice := given[key]; twice {
			return nil, fmt.Errorf("has the attribute %.20q twice", key)
		}
		if given == nil {
			given = map[string]string{}
		}
		given[key] = ""
		if !p.begins(`="`) {
			continue
		}
		i := strings.IndexAny(p.rest, `"<>`)
		if i < 0 || p.rest[i] != '"' {
			return nil, fmt.Errorf("has an attribute %.20q that is not written as here", key)
		}
		given[key], p.rest = p.rest[:i], p.rest[i+1:]
	}
	return given, nil
}

func (p *pageReader) attributes(name string, given map[string]string) error {
	if name == "meta" {
		return p.meta(given)
	}
	for key := range given {
		if !plainAttributes(key) {
			return fmt.Errorf("has an attribute at %q that does more than show text or is not known", name)
		}
	}
	return nil
}

// meta takes what tells of the page; one that refreshes it leads elsewhere.
func (p *pageReader) meta(given map[string]string) error {
	charset, isCharset := given["charset"]
	about, isName := given["name"]
	policy, isPolicy := given["http-equiv"]
	content, hasContent := given["content"]
	switch {
	case isCharset && len(given) == 1 && strings.EqualFold(charset, "utf-8"):
	case isPolicy && hasContent && len(given) == 2 && strings.EqualFold(policy, "Content-Security-Policy"):
	case isName && hasContent && len(given) == 2 && metaNames(strings.ToLower(about)):
		if strings.ToLower(about) != "generator" {
			return nil
		}
		if p.generator != "" || content == "" {
			return fmt.Errorf("names its version twice, or none")
		}
		p.generator = content
	default:
		return fmt.Errorf("has a meta element that does more than tell of the page")
	}
	return nil
}

// inside passes over what a browser doesn't read as elements: a title's text and a
// style's rules, up to their own end.
func (p *pageReader) inside(name string) error {
	if name != "title" && name != "style" {
		return nil
	}
	i := strings.IndexByte(p.rest, '<')
	if i < 0 {
		i = len(p.rest)
	}
	content := p.rest[:i]
	p.rest = p.rest[i:]
	if !p.begins("</" + name + ">") {
		return fmt.Errorf("has a %s that holds more than text", name)
	}
	if name == "style" {
		return passiveStyle(content)
	}
	return nil
}

// styleRules finds the rules and the calls of a style.
var styleRules struct {
	once     sync.Once
	at, call *regexp.Regexp
}

// styleCalls are what calculates a colour or a length. url, src, image-set, attr and
// whatever comes yet are not among them.
func styleCalls(function string) bool {
	switch function {
	case "var", "calc", "min", "max", "clamp", "minmax", "repeat", "rgb", "rgba", "hsl", "hsla", "not", "and",
		"or":
		return true
	}
	return false
}

// passiveStyle refuses rules that load something.
func passiveStyle(css string) error {
	if strings.ContainsAny(css, `\`) {
		return fmt.Errorf("has a style with an escape in it")
	}
	styleRules.once.Do(func() {
		styleRules.at, styleRules.call = regexp.MustCompile(`@([A-Za-z-]*)`), regexp.MustCompile(`([A-Za-z_-][A-Za-z0-9_-]*)\(`)
	})
	for _, m := range styleRules.at.FindAllStringSubmatch(css, -1) {
		if m[1] != "media" {
			return fmt.Errorf("has a style with the rule @%.20s", m[1])
		}
	}
	for _, m := range styleRules.call.FindAllStringSubmatch(css, -1) {
		if !styleCalls(strings.ToLower(m[1])) {
			return fmt.Errorf("has a style that calls %.20s()", m[1])
		}
	}
	return nil
}
