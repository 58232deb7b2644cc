package strict

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseJSON reads one JSON value (RFC 8259): UTF-8, no repeated member names,
// no lone surrogates, nothing after it but white space, at most limit bytes, and
// at most as many values as maxValues allows for that limit.
//
// encoding/json can't serve: it takes repeated members, member names in
// another case and invalid UTF-8, and forgets where a value stood.
func ParseJSON(file string, data []byte, limit int) (*Node, error) {
	if len(data) > limit {
		return nil, Errorf(file, "has %d bytes, %d are allowed", len(data), limit)
	}
	return parseJSON(file, string(data), limit)
}

// maxValues is how many values a file may hold whose format allows limit bytes.
// A value can take two bytes of the file, and takes a hundred of memory, so that
// the tree of a file full of zeros would be fifty times the file's size. Our
// files have one value in thirty bytes.
func maxValues(limit int) int { return min(max(256, limit/16), 1<<18) }

func parseJSON(file, text string, limit int) (*Node, error) {
	if len(text) > limit {
		return nil, Errorf(file, "has %d bytes, %d are allowed", len(text), limit)
	}
	if !utf8.ValidString(text) {
		return nil, Errorf(file, "is not UTF-8")
	}
	p := &jsonParser{file: file, data: text, left: maxValues(limit), oneLine: strings.IndexByte(text, '\n') < 0}
	p.space()
	n := p.value(0)
	p.space()
	if p.err == nil && p.pos < len(text) {
		p.failf("has more after its end")
	}
	if p.err != nil {
		return nil, p.err
	}
	return n, nil
}

type jsonParser struct {
	file string
	data string
	pos  int
	err  error
	left int // how many more values are allowed

	// Values come out of slabs, and an object's or a list's parts gather on a
	// stack until it is known how many there are.
	slab   []Node
	fields []Field
	items  []*Node
	buf    []byte // a string with escapes, as far as it was read

	// line counts the line breaks up to seen, so that lines cost one pass.
	oneLine    bool
	line, seen int
}

func (p *jsonParser) node() *Node {
	if p.left--; p.left < 0 {
		p.failf("holds more values than any file of its kind")
	}
	if len(p.slab) == 0 {
		// As many as may come: a value stands before each comma, and one at each
		// end of a list or object. Most of ours have few, and long ones.
		rest := p.data[p.pos:min(len(p.data), p.pos+1<<14)]
		few := 1 + strings.Count(rest, ",") + strings.Count(rest, "{") + strings.Count(rest, "[")
		p.slab = make([]Node, min(few, 256))
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	return n
}

func (p *jsonParser) lineNow() int {
	if !p.oneLine {
		p.line += strings.Count(p.data[p.seen:p.pos], "\n")
		p.seen = p.pos
	}
	return p.line + 1
}

func (p *jsonParser) failf(format string, args ...any) {
	if p.err == nil {
		p.err = At(p.file, p.lineNow(), format, args...)
	}
}

func (p *jsonParser) peek() byte {
	if p.err != nil || p.pos >= len(p.data) {
		return 0
	}
	return p.data[p.pos]
}

func (p *jsonParser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *jsonParser) value(depth int) *Node {
	n := p.node()
	n.Line = p.lineNow()
	if depth > maxDepth {
		p.failf("nests more than %d deep", maxDepth)
		return n
	}
	switch c := p.peek(); {
	case c == '{':
		n.Kind = Object
		p.object(n, depth)
	case c == '[':
		n.Kind = Array
		p.array(n, depth)
	case c == '"':
		n.Kind, n.Quoted = String, true
		n.Text = p.str()
	case c == '-' || c >= '0' && c <= '9':
		n.Kind = Number
		n.Text = p.number()
	case p.word("true"), p.word("false"):
		n.Kind = Bool
		n.Text = "false"
		if c == 't' {
			n.Text = "true"
		}
	case p.word("null"):
		n.Kind = Null
	case p.pos >= len(p.data):
		p.failf("ends in the middle of its JSON")
	default:
		p.failf("is not JSON at %q", Clip(p.data[p.pos:]))
	}
	return n
}

func (p *jsonParser) word(w string) bool {
	if p.err == nil && strings.HasPrefix(p.data[p.pos:], w) {
		p.pos += len(w)
		return true
	}
	return false
}

// next takes a comma and says true, or takes the closing byte and says false.
func (p *jsonParser) next(closing byte) bool {
	p.space()
	switch p.peek() {
	case ',':
		p.pos++
		p.space()
		return true
	case closing:
		p.pos++
	default:
		p.failf("lacks a comma or %q", closing)
	}
	return false
}

func (p *jsonParser) object(n *Node, depth int) {
	p.pos++
	p.space()
	if p.peek() == '}' {
		p.pos++
		return
	}
	var seen names
	base := len(p.fields)
	for p.err == nil {
		if p.peek() != '"' {
			p.failf("lacks a member name")
			return
		}
		f := Field{Line: p.lineNow(), Name: p.str()}
		if p.err == nil && seen.has(p.fields[base:], f.Name) {
			p.failf("has %q twice", Clip(f.Name))
		}
		p.space()
		if p.peek() != ':' {
			p.failf("lacks a colon after %q", Clip(f.Name))
			return
		}
		p.pos++
		p.space()
		f.Value = p.value(depth + 1)
		p.fields = append(p.fields, f)
		if !p.next('}') {
			n.Fields = slices.Clone(p.fields[base:])
			p.fields = p.fields[:base]
			return
		}
	}
}

// names finds repeated member names: by looking at all before it in a small
// object, which most are, by a map in one that a stranger made large.
type names map[string]bool

func (seen *names) has(before []Field, name string) bool {
	const small = 16
	if len(before) < small {
		return slices.ContainsFunc(before, func(f Field) bool { return f.Name == name })
	}
	if *seen == nil {
		*seen = names{}
		for _, f := range before {
			(*seen)[f.Name] = true
		}
	}
	twice := (*seen)[name]
	(*seen)[name] = true
	return twice
}

func (p *jsonParser) array(n *Node, depth int) {
	p.pos++
	p.space()
	if p.peek() == ']' {
		p.pos++
		return
	}
	base := len(p.items)
	for p.err == nil {
		p.items = append(p.items, p.value(depth+1))
		if !p.next(']') {
			n.Items = slices.Clone(p.items[base:])
			p.items = p.items[:base]
			return
		}
	}
}

// jsonNumber is RFC 8259's grammar, section 6.
var jsonNumber = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`) })

// isUint spares nearly every number the regular expression.
func isUint(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) == 1 || len(s) > 1 && s[0] != '0'
}

// number takes any number that JSON has. The field that it belongs to decides
// which numbers are allowed; none of ours takes a fraction or an exponent.
func (p *jsonParser) number() string {
	start := p.pos
	for p.pos < len(p.data) && strings.IndexByte("+-.eE0123456789", p.data[p.pos]) >= 0 {
		p.pos++
	}
	s := p.data[start:p.pos]
	if !isUint(s) && !jsonNumber().MatchString(s) {
		p.failf("has %q, which is no JSON number", Clip(s))
	}
	return s
}

func (p *jsonParser) str() string {
	p.pos++
	start, escaped := p.pos, false
	for p.pos < len(p.data) {
		p.pos += plainBytes(p.data[p.pos:])
		if p.pos == len(p.data) {
			break
		}
		switch c := p.data[p.pos]; {
		case c == '"' && !escaped:
			p.pos++
			return p.data[start : p.pos-1]
		case c == '"':
			p.buf = append(p.buf, p.data[start:p.pos]...)
			p.pos++
			return string(p.buf)
		case c == '\\':
			if !escaped {
				p.buf, escaped = p.buf[:0], true
			}
			p.buf = append(p.buf, p.data[start:p.pos]...)
			p.buf = p.escape(p.buf)
			if p.err != nil {
				return ""
			}
			start = p.pos
		default:
			p.failf("has a control character in a string")
			return ""
		}
	}
	p.failf("ends in the middle of a string")
	return ""
}

const ones = 0x0101010101010101

// plainBytes counts the bytes that stand for themselves in a string. Most of our
// bytes are in long strings: base64 within base64.
func plainBytes(data string) int {
	start := 0
	for ; start+8 <= len(data); start += 8 {
		// A byte of odd is not zero where one of the eight is below 0x20, a quote
		// or a backslash, or may be.
		s := data[start : start+8]
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, backslash := x^'"'*ones, x^'\\'*ones
		if odd := (x - 0x20*ones) | (quote - ones) | (backslash - ones); odd&^x&(0x80*ones) != 0 {
			break
		}
	}
	for i := start; i < len(data); i++ {
		if c := data[i]; c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return len(data)
}

func (p *jsonParser) escape(b []byte) []byte {
	p.pos++
	if p.pos >= len(p.data) {
		p.failf("ends in the middle of an escape")
		return b
	}
	c := p.data[p.pos]
	p.pos++
	switch c {
	case '"', '\\', '/':
		return append(b, c)
	case 'b':
		return append(b, '\b')
	case 'f':
		return append(b, '\f')
	case 'n':
		return append(b, '\n')
	case 'r':
		return append(b, '\r')
	case 't':
		return append(b, '\t')
	case 'u':
		r, err := p.hex4()
		if err == nil && utf16.IsSurrogate(r) {
			var low rune
			if !p.word(`\u`) {
				err = fmt.Errorf("has half a surrogate pair")
			} else if low, err = p.hex4(); err == nil {
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					err = fmt.Errorf("has half a surrogate pair")
				}
			}
		}
		if err != nil {
			p.failf("%v", err)
			return b
		}
		return utf8.AppendRune(b, r)
	}
	p.failf("has an escape that JSON doesn't know")
	return b
}

func (p *jsonParser) hex4() (rune, error) {
	if p.pos+4 > len(p.data) {
		return 0, fmt.Errorf("ends in the middle of an escape")
	}
	n, err := strconv.ParseUint(p.data[p.pos:p.pos+4], 16, 32)
	if err != nil {
		return 0, fmt.Errorf("has an escape that is no hex number")
	}
	p.pos += 4
	return rune(n), nil
}
