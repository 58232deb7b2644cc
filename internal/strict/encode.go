package strict

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// EncodeJSON writes the struct v by the tags that Decode reads it by, members
// in the struct's order, two spaces of indent, LF at the end.
func EncodeJSON(v any) []byte {
	e := &encoder{lf: true}
	e.value(addressable(v), &tag{}, 0)
	return append(e.b, '\n')
}

// EncodeNode writes what was read, members in their order, as EncodeJSON does. What
// ParseYAML read is so the same file in JSON: ParseYAML reads that alike.
func EncodeNode(n *Node) []byte {
	e := &encoder{lf: true}
	e.node(n, 0)
	return append(e.b, '\n')
}

func (e *encoder) node(n *Node, depth int) {
	switch n.Kind {
	case Object:
		e.many('{', '}', len(n.Fields), depth, func(i int) {
			e.str(n.Fields[i].Name)
			e.b = append(e.b, ": "...)
			e.node(n.Fields[i].Value, depth+1)
		})
	case Array:
		e.many('[', ']', len(n.Items), depth, func(i int) { e.node(n.Items[i], depth+1) })
	case String:
		e.str(n.Text)
	case Null:
		e.b = append(e.b, "null"...)
	default:
		e.b = append(e.b, n.Text...)
	}
}

// many writes n values between two brackets.
func (e *encoder) many(open, end byte, n, depth int, one func(i int)) {
	e.b = append(e.b, open)
	for i := range n {
		if i > 0 {
			e.b = append(e.b, ',')
		}
		e.newline(depth + 1)
		one(i)
	}
	if n > 0 {
		e.newline(depth)
	}
	e.b = append(e.b, end)
}

// EncodeLine is EncodeJSON on one line, without LF.
func EncodeLine(v any) []byte { return appendLine(nil, v) }

// appendLine appends what EncodeLine gives.
func appendLine(b []byte, v any) []byte {
	e := &encoder{b: b}
	e.value(addressable(v), &tag{}, 0)
	return e.b
}

// addressable is what v is or points to, so that the bytes of its arrays can be
// read where they are.
func addressable(v any) reflect.Value {
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer {
		return r.Elem()
	}
	p := reflect.New(r.Type())
	p.Elem().Set(r)
	return p.Elem()
}

type encoder struct {
	b  []byte
	lf bool // each member and item has its own line
}

func (e *encoder) newline(depth int) {
	if !e.lf {
		return
	}
	e.b = append(e.b, '\n')
	for range depth {
		e.b = append(e.b, "  "...)
	}
}

const hexDigits = "0123456789abcdef"

// str writes a string in its one form (SPEC 1.1).
func (e *encoder) str(s string) {
	b := append(e.b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		escape := ""
		switch {
		case r == utf8.RuneError && size == 1:
			escape = `\ufffd`
		case r == '\u2028':
			escape = `\u2028`
		case r == '\u2029':
			escape = `\u2029`
		}
		if escape != "" {
			b = append(append(b, s[start:i]...), escape...)
			start = i + size
		}
		i += size
	}
	e.b = append(append(b, s[start:]...), '"')
}

func (e *encoder) value(v reflect.Value, t *tag, depth int) {
	switch typ := v.Type(); {
	case typ == nodeType:
		panic("strict: a Node is not written")
	case typ == timeType:
		e.b = append(AppendTime(append(e.b, '"'), *v.Addr().Interface().(*time.Time)), '"')
	case v.Kind() == reflect.Pointer:
		e.value(v.Elem(), t, depth)
	case v.Kind() == reflect.Struct:
		e.object(v, depth)
	case t.encoding != "" && isBytes(typ):
		e.bytes(v, t)
	case v.Kind() == reflect.Slice:
		e.list(v, t, depth)
	case v.Kind() == reflect.String:
		e.str(v.String())
	case v.Kind() == reflect.Bool:
		e.b = strconv.AppendBool(e.b, v.Bool())
	case v.CanInt():
		e.b = strconv.AppendInt(e.b, v.Int(), 10)
	case v.CanUint():
		e.b = strconv.AppendUint(e.b, v.Uint(), 10)
	default:
		panic(fmt.Sprintf("strict: cannot write %s", typ)) // a programmer's slip
	}
}

func (e *encoder) bytes(v reflect.Value, t *tag) {
	e.b = append(e.b, '"')
	if raw := v.Bytes(); !t.empty || !v.IsZero() {
		if t.encoding == "hex" {
			e.b = hex.AppendEncode(e.b, raw)
		} else {
			e.b = base64.StdEncoding.AppendEncode(e.b, raw)
		}
	}
	e.b = append(e.b, '"')
}

func (e *encoder) object(v reflect.Value, depth int) {
	e.b = append(e.b, '{')
	first := true
	for _, t := range membersOf(v.Type()) {
		field := v.Field(t.field)
		if t.optional && field.IsZero() {
			continue
		}
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		e.newline(depth + 1)
		e.str(t.name)
		e.b = append(e.b, ':')
		if e.lf {
			e.b = append(e.b, ' ')
		}
		e.value(field, &t.tag, depth+1)
	}
	if !first {
		e.newline(depth)
	}
	e.b = append(e.b, '}')
}

func (e *encoder) list(v reflect.Value, t *tag, depth int) {
	e.many('[', ']', v.Len(), depth, func(i int) { e.value(v.Index(i), t, depth+1) })
}
