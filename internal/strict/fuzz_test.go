package strict

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fleetctl/fleetctl/internal/await"
)

const fuzzLimit = 64 << 10

// FuzzParseJSON holds ParseJSON against encoding/json: it takes nothing that
// encoding/json refuses, reads the same values, and refuses more only for the
// reasons it states, which must then be so.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2.5e3,true,false,null,"x\u00e9\ud83d\ude00"]}`, `{"a":1,"a":2}`, `"\ud800"`, `"\`, `"\u12`, "01", "1.", "-", "[[[[]]]]", "{}x", "\ufeff1", "\"\xff\"",
		strings.Repeat("[", 40) + strings.Repeat("]", 40), `{"a":{"b":{}},"c":[{},{}]}`, " \t\r\n1 ", `"\/\b"`, "1e1 ", `{"a" : "b" , "c" : [ ] }`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseJSON("f", data, fuzzLimit)
		plainMessage(t, err)
		if len(data) > fuzzLimit {
			return
		}
		if err == nil {
			if !json.Valid(data) {
				t.Fatalf("accepted, encoding/json refuses: %q", data)
			}
			dec := json.NewDecoder(bytes.NewReader(data))
			dec.UseNumber()
			var v any
			if err := dec.Decode(&v); err != nil || !reflect.DeepEqual(v, plain(n)) {
				t.Fatalf("read differently: %q", data)
			}
			return
		}
		if n != nil {
			t.Fatal("an error and a tree")
		}
		if !json.Valid(data) {
			return
		}
		msg := err.(*Error).Msg
		switch {
		case msg == "is not UTF-8" && !utf8.Valid(data):
		case msg == "has half a surrogate pair" && strings.Contains(strings.ToLower(string(data)), `\ud`):
		case strings.HasSuffix(msg, " twice") && repeats(json.NewDecoder(bytes.NewReader(data))):
		case strings.HasPrefix(msg, "nests more") && bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxDepth:
		case strings.HasPrefix(msg, "holds more values") && len(data) > maxValues(fuzzLimit):
		default:
			t.Fatalf("refused without reason: %q: %v", data, err)
		}
	})
}

// plain is what encoding/json makes of a value.
func plain(n *Node) any {
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Number:
		return json.Number(n.Text)
	case String:
		return n.Text
	case Array:
		list := []any{}
		for _, item := range n.Items {
			list = append(list, plain(item))
		}
		return list
	case Object:
		m := map[string]any{}
		for _, f := range n.Fields {
			m[f.Name] = plain(f.Value)
		}
		return m
	}
	return nil
}

// repeats says whether an object in the stream has a member twice.
func repeats(dec *json.Decoder) bool {
	tok, err := dec.Token()
	if err != nil {
		return false
	}
	found := false
	switch tok {
	case json.Delim('{'):
		seen := map[any]bool{}
		for dec.More() {
			k, _ := dec.Token()
			found = found || seen[k]
			seen[k] = true
			found = repeats(dec) || found
		}
		_, _ = dec.Token()
	case json.Delim('['):
		for dec.More() {
			found = repeats(dec) || found
		}
		_, _ = dec.Token()
	}
	return found
}

// FuzzParseYAML: no panic, no hang, and what is JSON too says the same as JSON.
func FuzzParseYAML(f *testing.F) {
	for _, s := range []string{
		"a: 1\nb: [x, 'y', \"z\"]\nc:\n  - d: e\n", "a: &x 1\nb: *x\n", "<<: {a: 1}\n", "!!str 7", "a: ! 7", "%YAML 1.1\n---\na: 1\n", "a: |\n  x\n  y\nb: >-\n  z\n", "? a\n: b\n",
		"a: \"\\x41\\u00e9\\U0001F600\\N\"\n", "a: 'it''s'\n", "# c\n\n--- # d\na: 1 # e\n...\n", "{a: {b: [1, {c: d}]}}", "- - - a\n", `{"a":[1,true,null,"x"]}`, "a:\n\t- b", "a: x\n  y\n", "\ufeffa: 1", "---",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := await.Processor()
		n, err := ParseYAML("f", data, fuzzLimit)
		if d := await.Processor() - before; d > 10*time.Second {
			t.Fatalf("took %s", d)
		}
		plainMessage(t, err)
		if err != nil {
			if n != nil {
				t.Fatal("an error and a tree")
			}
			return
		}
		if text := EncodeNode(n); utf8.Valid(text) {
			if m, err := ParseYAML("f", text, 8*fuzzLimit+64); err == nil && !bytes.Equal(EncodeNode(m), text) {
				t.Fatalf("%q in JSON is read otherwise: %q", data, text)
			}
		}
		lines := 1 + bytes.Count(data, []byte("\n"))
		var walk func(*Node)
		walk = func(n *Node) {
			if n.Line < 1 || n.Line > lines || !utf8.ValidString(n.Text) {
				t.Fatalf("%q: line %d, text %q", data, n.Line, n.Text)
			}
			for _, item := range n.Items {
				walk(item)
			}
			for _, field := range n.Fields {
				walk(field.Value)
			}
		}
		walk(n)
		if j, err := ParseJSON("f", data, fuzzLimit); err == nil && !sameValue(n, j) {
			t.Fatalf("means another thing as JSON: %q", data)
		}
	})
}

// sameValue compares all but lines; numbers that no field takes may differ in
// kind.
func sameValue(a, b *Node) bool {
	if _, err := ParseUint(b.Text); b.Kind == Number && err != nil {
		return a.Text == b.Text
	}
	if a.Kind != b.Kind || a.Kind != Null && a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !sameValue(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !sameValue(a.Fields[i].Value, b.Fields[i].Value) {
			return false
		}
	}
	return true
}

// FuzzDecode: what decodes, encodes to something that decodes to the same, and
// whose encoding is the same bytes from then on.
func FuzzDecode(f *testing.F) {
	f.Add(EncodeJSON(full()))
	f.Add(EncodeLine(full()))
	f.Add(EncodeJSON(least()))
	f.Add([]byte("text: x\nyes: true\nint: 1\nat: 2026-11-21T10:00:00Z\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, y every
		err := DecodeJSON("f", data, fuzzLimit, &v)
		plainMessage(t, err)
		if _, yerr := DecodeYAML("f", data, fuzzLimit, &y); yerr == nil {
			again(t, y)
			if err == nil && !reflect.DeepEqual(v, y) {
				t.Fatalf("JSON and YAML differ: %q", data)
			}
		} else {
			plainMessage(t, yerr)
		}
		if err == nil {
			again(t, v)
		}
	})
}

func again(t *testing.T, v every) {
	for _, encode := range []func(any) []byte{EncodeJSON, EncodeLine} {
		b := encode(v)
		var w every
		if err := DecodeJSON("again", b, 8*fuzzLimit, &w); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if b2 := encode(w); !bytes.Equal(b, b2) || !reflect.DeepEqual(normal(v), normal(w)) && !strings.Contains(string(b), "[]") {
			t.Fatalf("%s\n%s\n%+v\n%+v", b, b2, v, w)
		}
	}
}

// FuzzLines: a text read to its end is the lines that were given, and no more.
func FuzzLines(f *testing.F) {
	f.Add([]byte("v1\ntoken a\nn 7\nb YQ==\n"))
	f.Add([]byte("a\r\n"))
	f.Add([]byte("\n\nx"))
	f.Add([]byte("b Y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := NewLines("f", data)
		var b bytes.Buffer
		for l.More() {
			s, _ := l.Peek()
			if got := l.Next(); got != s || strings.ContainsAny(got, "\r\n") {
				t.Fatalf("%q, peeked %q", got, s)
			}
			b.WriteString(s + "\n")
		}
		err := l.Done()
		plainMessage(t, err)
		if err == nil && !bytes.Equal(b.Bytes(), data) || err != nil && b.Len() > 0 {
			t.Fatalf("%q read as %q: %v", data, b.Bytes(), err)
		}
		l = NewLines("f", data)
		l.Literal("v1")
		tok, n, raw, rest := l.Token("token "), l.Uint("n "), l.Base64("b "), l.Rest()
		if l.Done() != nil {
			plainMessage(t, l.Done())
			return
		}
		want := "v1\ntoken " + tok + "\nn " + strconv.FormatUint(n, 10) + "\nb " + base64.StdEncoding.EncodeToString(raw) + "\n" + string(rest)
		if want != string(data) {
			t.Fatalf("%q has two spellings", data)
		}
	})
}

// FuzzScalars: no scalar has two spellings.
func FuzzScalars(f *testing.F) {
	for _, s := range []string{"0", "7", "01", "ab", "YQ==", "YR==", "2026-11-21T10:00:00Z", "2026-11-21T10:00:00.0Z", "a.b", "9007199254740992", strings.Repeat("0a", 32)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseUint(s); err == nil && (strconv.FormatUint(n, 10) != s || n > MaxInt) {
			t.Fatalf("integer %q", s)
		}
		if b, err := ParseBase64(s); err == nil && base64.StdEncoding.EncodeToString(b) != s {
			t.Fatalf("base64 %q", s)
		}
		if b, err := ParseHex(s, len(s)/2); err == nil && hex.EncodeToString(b) != s {
			t.Fatalf("hex %q", s)
		}
		if h, err := ParseHash(s); err == nil && hex.EncodeToString(h[:]) != s {
			t.Fatalf("hash %q", s)
		}
		if tm, err := ParseTime(s); err == nil && (FormatTime(tm) != s || tm.Nanosecond() != 0) {
			t.Fatalf("time %q", s)
		}
		if CheckToken(s) == nil && (s == "" || len(s) > 128 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "") {
			t.Fatalf("token %q", s)
		}
	})
}

// FuzzWritten holds the quick reader of both written forms to the careful one, as
// FuzzCanonical does.
func FuzzWritten(f *testing.F) {
	for _, v := range []every{full(), least()} {
		for _, text := range [][]byte{EncodeJSON(&v), EncodeLine(&v)} {
			f.Add(text)
			for _, change := range [][2]string{{"\n", ""}, {"\n", "\r\n"}, {"\n  ", "\n   "}, {"\n    ", "\n   "}, {"\n  ", "\n\t"}, {`": `, `":`}, {`": `, `":  `}, {",\n", ", \n"},
				{`[]`, "[\n  ]"}, {"[\n", "["}, {"\n  ]", "]"}, {`"list"`, `"lists"`}, {"}", "}\n"}, {"\n}", "}"}} {
				f.Add([]byte(strings.Replace(string(text), change[0], change[1], 1)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var quick, careful every
		taken := DecodeWritten(string(data), fuzzLimit, &quick)
		err := DecodeText("f", string(data), fuzzLimit, &careful)
		want := err == nil && (bytes.Equal(EncodeLine(&careful), data) || bytes.Equal(EncodeJSON(&careful), data))
		if taken != want {
			t.Fatalf("taken %v, want %v (%v): %s", taken, want, err, data)
		}
		if taken && !reflect.DeepEqual(quick, careful) {
			t.Fatalf("read differently: %s\n%+v\n%+v", data, quick, careful)
		}
	})
}

// FuzzCanonical holds the quick reader of canonical lines to the careful one:
// it takes exactly what is decoded and encoded again to the same bytes, and
// reads the same.
func FuzzCanonical(f *testing.F) {
	for _, v := range []every{full(), least()} {
		f.Add(EncodeLine(&v))
		for _, change := range [][2]string{{`"yes":true`, `"yes":false`}, {`"int":`, `"int":0`}, {`é`, `\u00e9`}, {`\u0000`, `\u000a`}, {`\u2028`, "\u2028"}, {`[]`, `[ ]`}, {`,"`, `, "`}, {`"list"`, `"lists"`}} {
			f.Add([]byte(strings.Replace(string(EncodeLine(&v)), change[0], change[1], 1)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var quick, careful every
		taken := DecodeCanonical(string(data), fuzzLimit, &quick)
		err := DecodeText("f", string(data), fuzzLimit, &careful)
		want := err == nil && bytes.Equal(EncodeLine(&careful), data)
		if taken != want {
			t.Fatalf("taken %v, want %v (%v): %s", taken, want, err, data)
		}
		if taken && !reflect.DeepEqual(quick, careful) {
			t.Fatalf("read differently: %s\n%+v\n%+v", data, quick, careful)
		}
	})
}
