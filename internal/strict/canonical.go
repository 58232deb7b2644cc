package strict

import (
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// DecodeCanonical reads a text into the struct that v points to, and says
// whether the text is in the one form that EncodeLine writes. A text that it
// accepts, DecodeText accepts too, with the same result, and EncodeLine writes
// it again byte for byte. It is fast because it builds no tree and encodes
// nothing again. It doesn't say why it refuses a text: ask DecodeText for that.
//
// Strings in v share the text's memory.
func DecodeCanonical(text string, limit int, v any) bool {
	if len(text) > limit || !utf8.ValidString(text) {
		return false
	}
	c := &canonical{rest: text, left: maxValues(limit)}
	return c.object(reflect.ValueOf(v).Elem(), 0) && c.rest == ""
}

// DecodeWritten is DecodeCanonical for a text in either of the two forms that we
// write: EncodeJSON's, which ends with LF, or EncodeLine's. Strings in v are
// copies, so that keeping one doesn't keep the whole text in memory.
func DecodeWritten(text string, limit int, v any) bool {
	body, lines := strings.CutSuffix(text, "\n")
	if len(text) > limit || !utf8.ValidString(text) {
		return false
	}
	c := &canonical{rest: body, left: maxValues(limit), lf: lines, copies: true}
	return c.object(reflect.ValueOf(v).Elem(), 0) && c.rest == ""
}

type canonical struct {
	rest string
	left int    // how many more values are allowed
	lf   bool   // each member and item has its own line, as EncodeJSON writes
	buf  []byte // a string with escapes

	copies bool // give strings as copies, not as parts of the text
}

// newline takes the end of a line and the next line's indent, if the form has lines.
func (c *canonical) newline(depth int) bool {
	if !c.lf {
		return true
	}
	if !c.take("\n") {
		return false
	}
	for range depth {
		if !c.take("  ") {
			return false
		}
	}
	return true
}

// take takes want, if that comes next.
func (c *canonical) take(want string) bool {
	rest, ok := strings.CutPrefix(c.rest, want)
	c.rest = rest
	return ok
}

func (c *canonical) object(v reflect.Value, depth int) bool {
	if c.left--; c.left < 0 || !c.take("{") {
		return false
	}
	first := true
	for _, t := range membersOf(v.Type()) {
		before := c.rest
		if !((first || c.take(",")) && c.newline(depth+1) && c.take(t.key) && (!c.lf || c.take(" "))) {
			if !t.optional {
				return false
			}
			c.rest = before
			continue
		}
		first = false
		field := v.Field(t.field)
		if !c.value(field, &t.tag, depth+1) || t.optional && field.IsZero() {
			return false
		}
	}
	return (first || c.newline(depth)) && c.take("}")
}

func (c *canonical) value(v reflect.Value, t *tag, depth int) bool {
	switch typ := v.Type(); {
	case typ == timeType:
		s, ok := c.str()
		at, valid := parseTime(s)
		*v.Addr().Interface().(*time.Time) = at
		return ok && valid
	case typ == nodeType:
		return false
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		return c.value(v.Elem(), t, depth)
	case v.Kind() == reflect.Struct:
		return c.object(v, depth)
	case t.encoding != "" && isBytes(typ):
		return c.bytes(v, t)
	case v.Kind() == reflect.Slice:
		return c.list(v, t, depth)
	case v.Kind() == reflect.String:
		s, ok := c.str()
		if !ok || s == "" && !t.empty || t.token && CheckToken(s) != nil {
			return false
		}
		if c.copies {
			s = strings.Clone(s)
		}
		v.SetString(s)
		return true
	case v.Kind() == reflect.Bool:
		c.left--
		yes := c.take("true")
		v.SetBool(yes)
		return c.left >= 0 && (yes || c.take("false"))
	case v.CanInt() || v.CanUint():
		return c.integer(v)
	}
	return false
}

func (c *canonical) list(v reflect.Value, t *tag, depth int) bool {
	if c.left--; c.left < 0 || !c.take("[") {
		return false
	}
	// Make room for an estimate: the number is known only when all are read.
	mark := ","
	if v.Type().Elem().Kind() == reflect.Struct {
		mark = "{"
	}
	room := strings.Count(c.rest[:max(0, strings.IndexByte(c.rest, ']'))], mark) + 1
	list := reflect.MakeSlice(v.Type(), 0, min(room, c.left+1))
	for n := 0; ; n++ {
		if n == 0 && c.take("]") {
			break
		}
		if n > 0 && !c.take(",") {
			if !c.newline(depth) || !c.take("]") {
				return false
			}
			break
		}
		if !c.newline(depth + 1) {
			return false
		}
		if n == list.Cap() {
			wider := reflect.MakeSlice(v.Type(), n, max(4, 2*n))
			reflect.Copy(wider, list)
			list = wider
		}
		list = list.Slice(0, n+1)
		if !c.value(list.Index(n), t, depth+1) {
			return false
		}
	}
	v.Set(list)
	return true
}

func (c *canonical) integer(v reflect.Value) bool {
	c.left--
	end := 0
	for end < len(c.rest) && c.rest[end] >= '0' && c.rest[end] <= '9' {
		end++
	}
	u, err := ParseUint(c.rest[:end])
	if c.left < 0 || err != nil {
		return false
	}
	c.rest = c.rest[end:]
	if v.CanInt() {
		v.SetInt(int64(u))
		return !v.OverflowInt(int64(u))
	}
	v.SetUint(u)
	return !v.OverflowUint(u)
}

func (c *canonical) bytes(v reflect.Value, t *tag) bool {
	s, ok := c.str()
	switch {
	case !ok || s == "" && !t.empty:
		return false
	case s == "":
		v.SetZero()
		return true
	}
	array := v.Kind() == reflect.Array
	if t.encoding == "base64" {
		b, err := ParseBase64(s)
		if err != nil || array && len(b) != v.Len() {
			return false
		}
		if !array {
			v.SetBytes(b)
			return true
		}
		copy(v.Bytes(), b)
		return !t.empty || !v.IsZero()
	}
	if len(s)%2 != 0 || array && len(s) != 2*v.Len() {
		return false
	}
	if !array {
		v.SetBytes(make([]byte, len(s)/2))
	}
	return unhex(v.Bytes(), s) && (!array || !t.empty || !v.IsZero())
}

// unhex reads lowercase hex into b, which has room for exactly as much.
func unhex(b []byte, s string) bool {
	for i := range b {
		high, low := nibble[s[2*i]], nibble[s[2*i+1]]
		if high|low > 15 {
			return false
		}
		b[i] = high<<4 | low
	}
	return true
}

// nibble is what a lowercase hex digit stands for, 255 for any other byte.
var nibble = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range hexDigits {
		t[hexDigits[i]] = byte(i)
	}
	return t
}()

// selves are the bytes that stand for themselves in a string and need no second
// look.
var selves = func() (t [256]bool) {
	for i := 0x20; i < 256; i++ {
		t[i] = i != '"' && i != '\\' && i != 0xe2 // which begins U+2028
	}
	return t
}()

// str takes a string, with no other escapes than those that its one form has.
func (c *canonical) str() (string, bool) {
	if c.left--; c.left < 0 || !c.take(`"`) {
		return "", false
	}
	text, escaped, from := c.rest, false, 0
	for i := 0; i < len(text); {
		if selves[text[i]] {
			i++
			continue
		}
		switch x := text[i]; {
		case x == '"':
			c.rest = text[i+1:]
			if !escaped {
				return text[:i], true
			}
			c.buf = append(c.buf, text[from:i]...)
			return string(c.buf), true
		case x < 0x20:
			return "", false
		case x == 0xe2 && (strings.HasPrefix(text[i:], "\u2028") || strings.HasPrefix(text[i:], "\u2029")):
			return "", false // they have an escape
		case x != '\\':
			i++
		default:
			if !escaped {
				c.buf, escaped = c.buf[:0], true
			}
			c.buf = append(c.buf, text[from:i]...)
			n := c.escape(text[i+1:])
			if n == 0 {
				return "", false
			}
			i += 1 + n
			from = i
		}
	}
	return "", false
}

// escape appends the character that an escape stands for, and gives the length
// of the escape without its backslash; 0 for an escape that the one form of a
// string never has.
func (c *canonical) escape(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case '"', '\\':
		c.buf = append(c.buf, s[0])
		return 1
	case 'b':
		c.buf = append(c.buf, '\b')
		return 1
	case 'f':
		c.buf = append(c.buf, '\f')
		return 1
	case 'n':
		c.buf = append(c.buf, '\n')
		return 1
	case 'r':
		c.buf = append(c.buf, '\r')
		return 1
	case 't':
		c.buf = append(c.buf, '\t')
		return 1
	}
	switch {
	case strings.HasPrefix(s, "u2028"):
		c.buf = append(c.buf, "\u2028"...)
		return 5
	case strings.HasPrefix(s, "u2029"):
		c.buf = append(c.buf, "\u2029"...)
		return 5
	case len(s) >= 5 && strings.HasPrefix(s, "u00") && (s[3] == '0' || s[3] == '1'):
		low := strings.IndexByte(hexDigits, s[4])
		b := int(s[3]-'0')<<4 | low
		if low < 0 || strings.IndexByte("\b\f\n\r\t", byte(b)) >= 0 {
			return 0
		}
		c.buf = append(c.buf, byte(b))
		return 5
	}
	return 0
}
