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
	left int  // how many more values are allowed
	lf   bool // each member and item has its own line, as EncodeJSON writes

	// plain holds the strings that had escapes, one after another: with room for the
	// whole text from the first on, so that none of them is copied again.
	plain  strings.Builder
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
	members := membersOf(v.Type())
	for i := range members {
		t, before := &members[i], c.rest
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
	v.Set(reflect.MakeSlice(v.Type(), 0, min(room, c.left+1)))
	for n := 0; ; n++ {
		if n == 0 && c.take("]") {
			return true
		}
		if n > 0 && !c.take(",") {
			return c.newline(depth) && c.take("]")
		}
		v.Grow(1)
		v.SetLen(n + 1)
		if !c.newline(depth+1) || !c.value(v.Index(n), t, depth+1) {
			return false
		}
	}
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

// selvesAt counts the bytes that stand for themselves, eight at a time: most of our
// bytes are in long strings.
func selvesAt(text string) int {
	start := 0
	for ; start+8 <= len(text); start += 8 {
		// A byte of odd is not zero where one of the eight is below 0x20, a quote, a
		// backslash or 0xe2, or may be.
		s := text[start : start+8]
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, backslash, e2 := x^'"'*ones, x^'\\'*ones, x^0xe2*ones
		if odd := ((x-0x20*ones)|(quote-ones)|(backslash-ones))&^x | (e2-ones)&^e2; odd&(0x80*ones) != 0 {
			break
		}
	}
	for i := start; i < len(text); i++ {
		if !selves[text[i]] {
			return i
		}
	}
	return len(text)
}

// str takes a string, with no other escapes than those that its one form has.
func (c *canonical) str() (string, bool) {
	if c.left--; c.left < 0 || !c.take(`"`) {
		return "", false
	}
	text, from, begun := c.rest, 0, c.plain.Len()
	for i := selvesAt(text); i < len(text); i += selvesAt(text[i:]) {
		switch x := text[i]; {
		case x == '"':
			c.rest = text[i+1:]
			if from == 0 {
				return text[:i], true
			}
			c.plain.WriteString(text[from:i])
			return c.plain.String()[begun:], true
		case x < 0x20:
			return "", false
		case x == 0xe2 && (strings.HasPrefix(text[i:], "\u2028") || strings.HasPrefix(text[i:], "\u2029")):
			return "", false // they have an escape
		case x != '\\':
			i++
		default:
			if c.plain.Cap() == 0 {
				c.plain.Grow(len(text))
			}
			c.plain.WriteString(text[from:i])
			if i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\') {
				from, i = i+1, i+2 // which stands for itself from here on
				continue
			}
			char, n := unescape(text[i+1:])
			if n == 0 {
				return "", false
			}
			c.plain.WriteString(char)
			i += 1 + n
			from = i
		}
	}
	return "", false
}

// unescape gives the character that an escape other than a quote's or a backslash's
// stands for, and the length of the escape without its backslash; 0 for one that the
// one form of a string never has.
func unescape(s string) (string, int) {
	if s == "" {
		return "", 0
	}
	if at := strings.IndexByte("bfnrt", s[0]); at >= 0 {
		return "\b\f\n\r\t"[at : at+1], 1
	}
	switch {
	case strings.HasPrefix(s, "u2028"):
		return "\u2028", 5
	case strings.HasPrefix(s, "u2029"):
		return "\u2029", 5
	case len(s) >= 5 && strings.HasPrefix(s, "u00") && (s[3] == '0' || s[3] == '1'):
		low := strings.IndexByte(hexDigits, s[4])
		b := (s[3]-'0')<<4 | byte(low)
		if low < 0 || strings.IndexByte("\b\f\n\r\t", b) >= 0 {
			return "", 0
		}
		return string(rune(b)), 5
	}
	return "", 0
}
