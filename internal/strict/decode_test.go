package strict

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Name string `strict:"name,token"`
	N    uint64 `strict:"n"`
}

type small struct {
	Text  string    `strict:"text"`
	Yes   bool      `strict:"yes,optional"`
	N     uint64    `strict:"n,optional"`
	Tiny  int8      `strict:"tiny,optional"`
	At    time.Time `strict:"at,optional"`
	Hash  [32]byte  `strict:"hash,hex,optional"`
	Prev  [2]byte   `strict:"prev,hex,empty,optional"`
	Hex   []byte    `strict:"hex,hex,optional"`
	B64   []byte    `strict:"b64,base64,optional"`
	Key   [2]byte   `strict:"key,base64,optional"`
	In    *inner    `strict:"in,optional,null"`
	List  []inner   `strict:"list,optional"`
	Words []string  `strict:"words,optional,token"`
	Any   *Node     `strict:"any,optional"`

	notRead string
}

func TestDecodeRefuses(t *testing.T) {
	zeros := strings.Repeat("0", 64)
	for _, c := range []struct{ name, in, want string }{
		{"another root", `[]`, `f:1: the document is a list, not an object`},
		{"null for the root", `null`, `f:1: the document is null, not an object`},
		{"a missing field", "\n{}", `f:2: text is missing`},
		{"null where a string is due", `{"text":null}`, `f:1: text is null, not a string`},
		{"null for an optional field", `{"text":"x","n":null}`, `f:1: n is null, not an integer`},
		{"an empty string", `{"text":""}`, `f:1: text is empty`},
		{"a number for a string", `{"text":1}`, `f:1: text is a number, not a string`},
		{"an unknown field", "{\"text\":\"x\",\n\"txet\":1}", `f:2: txet is not a field of this format`},
		{"an unknown field in another case", `{"text":"x","YES":true}`, `f:1: YES is not a field of this format; did you mean "yes"?`},
		{"a Kelvin sign", `{"text":"x","Key":"YWI="}`, `f:1: "Key" is not a field of this format; did you mean "key"?`},
		{"a field that has no tag", `{"text":"x","notRead":"y"}`, `f:1: notRead is not a field of this format`},
		{"an unknown field without name", `{"text":"x","":1}`, `f:1: "" is not a field of this format`},
		{"a name that acts on the terminal", `{"text":"x","\u001b[2J\nok":1}`, `f:1: "\x1b[2J\nok" is not a field of this format`},
		{"a name that speaks for us", `{"text":"x","all good":1}`, `f:1: "all good" is not a field of this format`},
		{"a string for a boolean", `{"text":"x","yes":"true"}`, `f:1: yes is a string, not true or false`},
		{"a number for a boolean", `{"text":"x","yes":1}`, `f:1: yes is a number, not true or false`},
		{"a quoted number", `{"text":"x","n":"1"}`, `f:1: n is a string, not an integer`},
		{"a negative number", `{"text":"x","n":-1}`, `f:1: n "-1" is not a decimal integer`},
		{"minus zero", `{"text":"x","n":-0}`, `f:1: n "-0" is not a decimal integer`},
		{"a fraction", `{"text":"x","n":1.0}`, `f:1: n "1.0" is not a decimal integer`},
		{"an exponent", `{"text":"x","n":1e2}`, `f:1: n "1e2" is not a decimal integer`},
		{"2^53", `{"text":"x","n":9007199254740992}`, `f:1: n 9007199254740992 is above 2^53-1`},
		{"a number above its type", `{"text":"x","tiny":128}`, `f:1: tiny 128 is too large`},
		{"a time with offset", `{"text":"x","at":"2026-11-21T10:00:00+00:00"}`, `f:1: at "2026-11-21T10:00:00+00:00" is not a time like 2026-11-21T10:00:00Z (RFC 3339, UTC, whole seconds)`},
		{"a time as a number", `{"text":"x","at":1}`, `f:1: at is a number, not a string`},
		{"an upper-case hash", `{"text":"x","hash":"` + strings.Repeat("A", 64) + `"}`, `f:1: hash 'A' is not lowercase hex`},
		{"a short hash", `{"text":"x","hash":"ab"}`, `f:1: hash has 2 characters, 32 bytes in lowercase hex have 64`},
		{"an empty hash where none may be", `{"text":"x","hash":""}`, `f:1: hash is empty`},
		{"zeros for an empty value", `{"text":"x","prev":"0000"}`, `f:1: prev is all zeros, which is written as an empty string`},
		{"zeros for a hash that may be absent", `{"text":"x","hash":"` + zeros + `"}`, `f:1: hash is zero, which would mean the same as nothing: give another value, or leave it out`},
		{"zeros for a key that may be absent", `{"text":"x","key":"AAA="}`, `f:1: key is zero, which would mean the same as nothing: give another value, or leave it out`},
		{"the year 1 for a time that may be absent", `{"text":"x","at":"0001-01-01T00:00:00Z"}`, `f:1: at is zero, which would mean the same as nothing: give another value, or leave it out`},
		{"0 for a number that may be absent", `{"text":"x","n":0}`, `f:1: n is zero, which would mean the same as nothing: give another value, or leave it out`},
		{"odd hex", `{"text":"x","hex":"abc"}`, `f:1: hex has 3 characters, 1 bytes in lowercase hex have 2`},
		{"upper-case hex", `{"text":"x","hex":"aB"}`, `f:1: hex 'B' is not lowercase hex`},
		{"empty hex", `{"text":"x","hex":""}`, `f:1: hex is empty`},
		{"unpadded base64", `{"text":"x","b64":"YQ"}`, `f:1: b64 is not canonical base64 (standard alphabet, padded)`},
		{"base64 with a line break", `{"text":"x","b64":"YQ==\n"}`, `f:1: b64 base64 has a line break`},
		{"bytes as a list", `{"text":"x","b64":[97]}`, `f:1: b64 is a list, not a string`},
		{"base64 of another length", `{"text":"x","key":"YQ=="}`, `f:1: key has 1 bytes, not 2`},
		{"a wrong field further in", `{"text":"x","in":{"name":"a","n":1,"o":2}}`, `f:1: in.o is not a field of this format`},
		{"a missing field further in", `{"text":"x","in":{"name":"a"}}`, `f:1: in.n is missing`},
		{"an object that isn't one", `{"text":"x","in":[]}`, `f:1: in is a list, not an object`},
		{"an object for a list", `{"text":"x","list":{}}`, `f:1: list is an object, not a list`},
		{"null in a list", `{"text":"x","list":[null]}`, `f:1: list[0] is null, not an object`},
		{"a fault in a list", "{\"text\":\"x\",\"list\":[{\"name\":\"a\",\"n\":1},\n{\"name\":\"a b\",\"n\":1}]}", `f:2: list[1].name "a b" has byte ' '; allowed are A-Z a-z 0-9 . _ -`},
		{"no token", `{"text":"x","words":["a","b/c"]}`, `f:1: words[1] "b/c" has byte '/'; allowed are A-Z a-z 0-9 . _ -`},
		{"an empty token", `{"text":"x","words":[""]}`, `f:1: words[0] is empty`},
		{"a path that is one name", `{"text":"x","in.name":"a"}`, `f:1: in.name is not a field of this format`},
		{"every fault, in the file's order", "{\"words\":1,\n\"zz\":1,\n\"n\":-1,\n\"yes\":1}",
			"f:1: text is missing\nf:1: words is a number, not a list\nf:2: zz is not a field of this format\nf:3: n \"-1\" is not a decimal integer\nf:4: yes is a number, not true or false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v small
			wantError(t, DecodeJSON("f", []byte(c.in), 1<<10, &v), c.want)
			// JSON is YAML: the tree that reading it as such gives has the same faults.
			var w small
			if _, err := DecodeYAML("f", []byte(c.in), 1<<10, &w); c.name != "null for the root" && (err == nil || err.Error() != c.want) {
				t.Errorf("as YAML: %v", err)
			}
		})
	}
}

func TestAMemberOfABlankFieldMayBeAnythingAndIsLeftToTheTree(t *testing.T) {
	var v struct {
		Text string `strict:"text"`
		_    *Node  `strict:"own,optional"`
	}
	for _, own := range []string{`"x"`, `[1]`, `{"a":{"b":null}}`, `null`} {
		if err := DecodeJSON("f", []byte(`{"text":"y","own":`+own+`}`), 1<<10, &v); err != nil || v.Text != "y" {
			t.Errorf("%s: %v, text %q", own, err, v.Text)
		}
	}
	if err := DecodeJSON("f", []byte(`{"text":"y"}`), 1<<10, &v); err != nil {
		t.Errorf("left out: %v", err)
	}
	wantError(t, DecodeJSON("f", []byte(`{"text":"y","other":1}`), 1<<10, &v), "f:1: other is not a field of this format")
}

func TestDecodeReadsEveryKindOfField(t *testing.T) {
	h := strings.Repeat("0a", 32)
	in := `{"text":"é","yes":true,"n":9007199254740991,"tiny":127,"at":"2026-11-21T10:00:00Z","hash":"` + h + `","prev":"","hex":"00ff",
		"b64":"AP8=","key":"YWI=","in":{"name":"a","n":0},"list":[{"name":"b","n":1}],"words":["c","d"],"any":[1.5,null]}`
	var v small
	if err := DecodeJSON("f", []byte(in), 1<<10, &v); err != nil {
		t.Fatal(err)
	}
	if v.Text != "é" || !v.Yes || v.N != MaxInt || v.Tiny != 127 || FormatTime(v.At) != "2026-11-21T10:00:00Z" || hex.EncodeToString(v.Hash[:]) != h ||
		v.Prev != [2]byte{} || string(v.Hex) != "\x00\xff" || string(v.B64) != "\x00\xff" || v.Key != [2]byte{'a', 'b'} ||
		*v.In != (inner{"a", 0}) || v.List[0] != (inner{"b", 1}) || v.Words[1] != "d" || v.Any.Items[0].Text != "1.5" || v.notRead != "" {
		t.Errorf("%+v", v)
	}
	v = small{}
	if err := DecodeJSON("f", []byte(`{"text":"x","in":null}`), 1<<10, &v); err != nil || v.In != nil {
		t.Errorf("null for an optional object: %v, %v", v.In, err)
	}
	var w struct {
		A string `strict:"a,null"`
	}
	wantError(t, DecodeJSON("f", []byte(`{"a":null}`), 100, &w), `f:1: a is missing`)
}

// Behind a pointer, and where it is required, zero is a value.
func TestZeroIsAValueWhereItCanBeToldFromAbsent(t *testing.T) {
	var v struct {
		At   *time.Time `strict:"at,optional"`
		N    *uint8     `strict:"n,optional"`
		Hash *[2]byte   `strict:"hash,hex,optional"`
		When time.Time  `strict:"when"`
		M    int        `strict:"m"`
		Sum  [2]byte    `strict:"sum,hex"`
	}
	in := `{"at":"0001-01-01T00:00:00Z","n":0,"hash":"0000","when":"0001-01-01T00:00:00Z","m":0,"sum":"0000"}`
	if err := DecodeJSON("f", []byte(in), 1<<10, &v); err != nil || v.At == nil || v.N == nil || v.Hash == nil || !v.At.IsZero() {
		t.Errorf("%v: %+v", err, v)
	}
	if out := string(EncodeLine(&v)); out != in {
		t.Errorf("written as %s", out)
	}
}

func TestSlipsInTagsPanic(t *testing.T) {
	for name, v := range map[string]any{
		"an unknown option": &struct {
			A string `strict:"a,optionl"`
		}{},
		"a type that can't be read": &struct {
			A float64 `strict:"a"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_ = DecodeJSON("f", []byte(`{"a":1}`), 100, v)
		})
	}
}
