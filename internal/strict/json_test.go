package strict

import (
	"strings"
	"testing"
)

func TestParseJSONRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", `f:1: ends in the middle of its JSON`},
		{"white space alone", "\n\n ", `f:3: ends in the middle of its JSON`},
		{"a byte order mark", "\ufeff{}", `f:1: is not JSON at "\ufeff{}"`},
		{"invalid UTF-8", "\"a\xff\"", `f: is not UTF-8`},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", `f: is not UTF-8`},
		{"a repeated member", "{\"a\":1,\n\"a\":1}", `f:2: has "a" twice`},
		{"a member repeated by escapes", `{"a":1,"\u0061":1}`, `f:1: has "a" twice`},
		{"a member repeated further in", `{"b":[{"a":1,"a":2}]}`, `f:1: has "a" twice`},
		{"a second value", "{}\n{}", `f:2: has more after its end`},
		{"a trailing byte", "{}\x00", `f:1: has more after its end`},
		{"a word run on", "truefalse", `f:1: has more after its end`},
		{"a comma at the end of an object", "{\"a\":1,\n}", `f:2: lacks a member name`},
		{"a comma at the end of a list", "[1,\n]", `f:2: is not JSON at "]"`},
		{"no comma", `[1 2]`, `f:1: lacks a comma or ']'`},
		{"no comma between members", `{"a":1 "b":2}`, `f:1: lacks a comma or '}'`},
		{"no colon", `{"a" 1}`, `f:1: lacks a colon after "a"`},
		{"no member name", `{1:1}`, `f:1: lacks a member name`},
		{"single quotes", `{'a':1}`, `f:1: lacks a member name`},
		{"an open object", "{\n", `f:2: lacks a member name`},
		{"an open list", "[1\n", `f:2: lacks a comma or ']'`},
		{"a missing value", `{"a":`, `f:1: ends in the middle of its JSON`},
		{"a word cut short", `tru`, `f:1: is not JSON at "tru"`},
		{"a word in capitals", `True`, `f:1: is not JSON at "True"`},
		{"a comment", "// c\n{}", `f:1: is not JSON at "// c\n{}"`},
		{"another white space", "\f1", `f:1: is not JSON at "\f1"`},
		{"a NUL", "\x00", `f:1: is not JSON at "\x00"`},
		{"NaN", "NaN", `f:1: is not JSON at "NaN"`},
		{"a plus sign", "+1", `f:1: is not JSON at "+1"`},
		{"a leading point", ".5", `f:1: is not JSON at ".5"`},
		{"a high surrogate alone", `"\ud800"`, `f:1: has half a surrogate pair`},
		{"a low surrogate alone", `"\udc00"`, `f:1: has half a surrogate pair`},
		{"two high surrogates", `"\ud800\ud800"`, `f:1: has half a surrogate pair`},
		{"surrogates the wrong way round", `"\udc00\ud800"`, `f:1: has half a surrogate pair`},
		{"a high surrogate and a letter", `"\ud800\u0041"`, `f:1: has half a surrogate pair`},
		{"a high surrogate and a plain escape", `"\ud800\n"`, `f:1: has half a surrogate pair`},
		{"a pair cut short", `"\ud83d\ude`, `f:1: ends in the middle of an escape`},
		{"an escape without hex", `"\u00g0"`, `f:1: has an escape that is no hex number`},
		{"an escape with a sign", `"\u+041"`, `f:1: has an escape that is no hex number`},
		{"an escape with an underscore", `"\u0_41"`, `f:1: has an escape that is no hex number`},
		{"an unknown escape", `"\x41"`, `f:1: has an escape that JSON doesn't know`},
		{"an escape at the end", `"\`, `f:1: ends in the middle of an escape`},
		{"a hex escape at the end", `"\u`, `f:1: ends in the middle of an escape`},
		{"an open string", "\"abc", `f:1: ends in the middle of a string`},
		{"a line break in a string", "\"a\nb\"", `f:1: has a control character in a string`},
		{"a tab in a string", "\"a\tb\"", `f:1: has a control character in a string`},
		{"a NUL in a member name", "{\"\x00\":1}", `f:1: has a control character in a string`},
		{"a long token", strings.Repeat("x", 70), `f:1: is not JSON at "` + strings.Repeat("x", 60) + `…"`},
		{"a cut inside a character", strings.Repeat("x", 59) + "éé", `f:1: is not JSON at "` + strings.Repeat("x", 59) + `…"`},
		{"34 lists", strings.Repeat("[", 34) + strings.Repeat("]", 34), `f:1: nests more than 32 deep`},
		{"34 objects", strings.Repeat(`{"a":`, 34) + "1" + strings.Repeat("}", 34), `f:1: nests more than 32 deep`},
		{"a million brackets", strings.Repeat("[", 1e6), `f:1: nests more than 32 deep`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := ParseJSON("f", []byte(c.in), 1<<20)
			if n != nil {
				t.Errorf("gave a tree of kind %s", n.Kind)
			}
			wantError(t, err, c.want)
		})
	}
}

func TestParseJSONRefusesMoreThanItsLimit(t *testing.T) {
	if _, err := ParseJSON("f", []byte("[1]"), 3); err != nil {
		t.Error(err)
	}
	_, err := ParseJSON("f", []byte("[1]\n"), 3)
	wantError(t, err, "f: has 4 bytes, 3 are allowed")
}

// Numbers that a field won't ever see must be JSON too: they can stand in a
// *Node, where nothing else looks at them.
func TestMalformedNumbersAreRefusedWhereverTheyStand(t *testing.T) {
	for _, s := range []string{
		"-", "--1", "1.", "-.5", "01", "-01", "00", "1e", "1e+", "1.e1", "1.5.5", "1e1e1", "1-1", "1+1", "-e1", "1.0e-", "0-", "1ee5", "0.", "1.-5", "0e+-1",
	} {
		for _, in := range []string{s, "[" + s + "]", `{"x":` + s + `}`, `{"x":{"y":[` + s + `]}}`} {
			n, err := ParseJSON("f", []byte(in), 100)
			if n != nil {
				t.Errorf("%s gave a tree", in)
			}
			wantError(t, err, `f:1: has "`+s+`", which is no JSON number`)
		}
		var v struct {
			X *Node `strict:"x"`
		}
		if err := DecodeJSON("f", []byte(`{"x":`+s+`}`), 100, &v); err == nil || v.X != nil {
			t.Errorf("%s slipped into a *Node", s)
		}
	}
	for _, s := range []string{"0", "-0", "1", "10", "-1", "0.5", "1e5", "1E+05", "1e-5", "-0.0e0", "123.456e789"} {
		n, err := ParseJSON("f", []byte(s), 100)
		if err != nil || n.Kind != Number || n.Text != s {
			t.Errorf("%s: %v, %v", s, n, err)
		}
	}
}

func TestParseJSONReadsAsWritten(t *testing.T) {
	n, err := ParseJSON("f", []byte("\t{\r\n \"a\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\u0000\x7f\",\n\n\"\": [true, false, null, -1.5e3]\n}\n"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	a, list := n.Get("a"), n.Get("")
	if n.Kind != Object || n.Line != 1 || n.Get("A") != nil {
		t.Errorf("root: %+v", n)
	}
	if a.Text != "\"\\/\b\f\n\r\té😀\x00\x7f" || a.Kind != String || a.Line != 2 {
		t.Errorf("a: %+v", a)
	}
	if n.Fields[1].Line != 4 || list.Kind != Array || len(list.Items) != 4 || list.Items[3].Text != "-1.5e3" {
		t.Errorf("list: %+v", list)
	}
	if list.Items[0].Text != "true" || list.Items[1].Text != "false" || list.Items[2].Kind != Null {
		t.Errorf("words: %+v", list)
	}
	if _, err := ParseJSON("f", []byte(strings.Repeat("[", 33)+strings.Repeat("]", 33)), 1000); err != nil {
		t.Errorf("33 lists: %v", err)
	}
}

// wantError compares the whole message, and asks that it can't act on a
// terminal.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("was accepted, want: %s", want)
	}
	if err.Error() != want {
		t.Errorf("\n got: %s\nwant: %s", err, want)
	}
	plainMessage(t, err)
}
