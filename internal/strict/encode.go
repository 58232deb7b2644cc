package strict

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// EncodeJSON writes the struct v by the tags that Decode reads it by, members
// in the struct's order, two spaces of indent, LF at the end.
func EncodeJSON(v any) []byte { return encodeJSON(v, "\n") }

// EncodeLine is EncodeJSON on one line, without LF.
func EncodeLine(v any) []byte { return encodeJSON(v, "") }

func encodeJSON(v any, lf string) []byte {
	e := &encoder{lf: lf}
	e.value(reflect.ValueOf(v), tag{}, 0)
	if lf != "" {
		e.b.WriteByte('\n')
	}
	return e.b.Bytes()
}

type encoder struct {
	b  bytes.Buffer
	lf string
}

func (e *encoder) newline(depth int) {
	if e.lf == "" {
		return
	}
	e.b.WriteByte('\n')
	for range depth {
		e.b.WriteString("  ")
	}
}

func (e *encoder) str(s string) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		panic(err)
	}
	e.b.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func (e *encoder) value(v reflect.Value, t tag, depth int) {
	switch {
	case v.Type() == nodeType:
		panic("strict: a Node is not written")
	case v.Type() == timeType:
		e.str(FormatTime(v.Interface().(time.Time)))
	case v.Kind() == reflect.Pointer:
		e.value(v.Elem(), t, depth)
	case v.Kind() == reflect.Struct:
		e.object(v, depth)
	case t.encoding != "" && isBytes(v.Type()):
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		switch {
		case t.empty && v.IsZero():
			e.str("")
		case t.encoding == "hex":
			e.str(hex.EncodeToString(b))
		default:
			e.str(base64.StdEncoding.EncodeToString(b))
		}
	case v.Kind() == reflect.Slice:
		e.list(v, t, depth)
	case v.Kind() == reflect.String:
		e.str(v.String())
	case v.Kind() == reflect.Bool:
		e.b.WriteString(strconv.FormatBool(v.Bool()))
	case v.CanInt():
		e.b.WriteString(strconv.FormatInt(v.Int(), 10))
	case v.CanUint():
		e.b.WriteString(strconv.FormatUint(v.Uint(), 10))
	default:
		panic(fmt.Sprintf("strict: cannot write %s", v.Type())) // a programmer's slip
	}
}

func (e *encoder) object(v reflect.Value, depth int) {
	e.b.WriteByte('{')
	first := true
	for i := range v.NumField() {
		t, ok := parseTag(v.Type().Field(i))
		if !ok || t.optional && v.Field(i).IsZero() {
			continue
		}
		if !first {
			e.b.WriteByte(',')
		}
		first = false
		e.newline(depth + 1)
		e.str(t.name)
		e.b.WriteByte(':')
		if e.lf != "" {
			e.b.WriteByte(' ')
		}
		e.value(v.Field(i), t, depth+1)
	}
	if !first {
		e.newline(depth)
	}
	e.b.WriteByte('}')
}

func (e *encoder) list(v reflect.Value, t tag, depth int) {
	e.b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			e.b.WriteByte(',')
		}
		e.newline(depth + 1)
		e.value(v.Index(i), t, depth+1)
	}
	if v.Len() > 0 {
		e.newline(depth)
	}
	e.b.WriteByte(']')
}
