package strict

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// every has a field of each kind under each option that changes how it is
// written. Decoding what encoding it gave must give the same again.
type every struct {
	Text   string     `strict:"text,empty"`
	Token  string     `strict:"token,optional,token"`
	Yes    bool       `strict:"yes"`
	MayYes bool       `strict:"may_yes,optional"`
	Int    int64      `strict:"int"`
	Small  uint16     `strict:"small,optional"`
	At     time.Time  `strict:"at"`
	MayAt  *time.Time `strict:"may_at,optional,null"`
	Hash   [32]byte   `strict:"hash,hex"`
	Prev   [32]byte   `strict:"prev,hex,empty"`
	Hex    []byte     `strict:"hex,hex,empty"`
	MayHex []byte     `strict:"may_hex,hex,optional"`
	B64    []byte     `strict:"b64,base64,optional,null"`
	Empty  []byte     `strict:"empty,base64,empty"`
	Key    [2]byte    `strict:"key,base64,optional"`
	In     inner      `strict:"in"`
	MayIn  *inner     `strict:"may_in,optional,null"`
	List   []inner    `strict:"list"`
	Ptrs   []*inner   `strict:"ptrs,optional"`
	Hashes [][2]byte  `strict:"hashes,hex,optional"`
	Keys   [][]byte   `strict:"keys,base64,optional"`
	Words  []string   `strict:"words,optional,empty"`
	Times  []string   `strict:"times,optional,null"`
	Deep   [][]uint64 `strict:"deep,optional"`
}

func full() every {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	return every{
		Text: "é😀 <&>\"\\/\x00\n\t\x1b\u2028", Token: "a.b-c_D", Yes: true, MayYes: true, Int: MaxInt, Small: 65535, At: at, MayAt: &at,
		Hash: [32]byte{1, 2}, Prev: [32]byte{31: 1}, Hex: []byte{0, 255}, MayHex: []byte{7}, B64: []byte{0, 255}, Empty: []byte("a"), Key: [2]byte{1, 2},
		In: inner{"x", 0}, MayIn: &inner{"y", 1}, List: []inner{{"a", 1}, {"b", 2}}, Ptrs: []*inner{{"c", 3}}, Hashes: [][2]byte{{1, 2}, {}}, Keys: [][]byte{{1}, {2, 3}},
		Words: []string{"", "yes", "null", "7"}, Times: []string{"t"}, Deep: [][]uint64{{1, 2}, {}},
	}
}

func least() every {
	return every{Hex: []byte{}, Empty: []byte{}, List: []inner{}, In: inner{Name: "x"}}
}

func TestWhatIsEncodedDecodesToTheSame(t *testing.T) {
	for name, v := range map[string]every{"full": full(), "least": least()} {
		t.Run(name, func(t *testing.T) {
			for how, b := range map[string][]byte{"EncodeJSON": EncodeJSON(v), "EncodeJSON of a pointer": EncodeJSON(&v), "EncodeLine": EncodeLine(&v)} {
				var got, asYAML every
				if err := DecodeJSON("f", b, 1<<16, &got); err != nil {
					t.Fatalf("%s: %v\n%s", how, err, b)
				}
				if !reflect.DeepEqual(normal(got), normal(v)) {
					t.Errorf("%s:\n got %+v\nwant %+v", how, got, v)
				}
				if !json.Valid(b) {
					t.Errorf("%s gives no JSON: %s", how, b)
				}
				if _, err := DecodeYAML("f", b, 1<<16, &asYAML); err != nil || !reflect.DeepEqual(got, asYAML) {
					t.Errorf("%s, read as YAML: %v", how, err)
				}
			}
			if b := EncodeLine(v); strings.ContainsAny(string(b), "\n\r") {
				t.Errorf("EncodeLine has a line break: %s", b)
			}
		})
	}
}

// normal sets aside the one difference that JSON can't carry: nil and empty.
func normal(v every) every {
	for _, b := range []*[]byte{&v.Hex, &v.Empty, &v.MayHex, &v.B64} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	if len(v.List) == 0 {
		v.List = nil
	}
	return v
}

func TestEncodeJSONWritesExactly(t *testing.T) {
	v := struct {
		A string   `strict:"a"`
		B []inner  `strict:"b"`
		C []string `strict:"c"`
		D struct{} `strict:"d"`
		E bool     `strict:"e,optional"`
		F *inner   `strict:"f,optional"`
		G []byte   `strict:"g,hex,empty"`
		H int      `strict:"h"`

		Untagged string
	}{A: "<é>", B: []inner{{"x", 7}, {"y", 8}}, C: nil, F: &inner{"z", 0}, Untagged: "no"}
	want := `{
  "a": "<é>",
  "b": [
    {
      "name": "x",
      "n": 7
    },
    {
      "name": "y",
      "n": 8
    }
  ],
  "c": [],
  "d": {},
  "f": {
    "name": "z",
    "n": 0
  },
  "g": "",
  "h": 0
}
`
	if got := string(EncodeJSON(v)); got != want {
		t.Errorf("got:\n%s", got)
	}
	line := `{"a":"<é>","b":[{"name":"x","n":7},{"name":"y","n":8}],"c":[],"d":{},"f":{"name":"z","n":0},"g":"","h":0}`
	if got := string(EncodeLine(&v)); got != line {
		t.Errorf("got: %s", got)
	}
}

func TestEncodePanicsOnWhatCouldNotBeReadAgain(t *testing.T) {
	for name, v := range map[string]any{
		"a Node": struct {
			A *Node `strict:"a"`
		}{&Node{}},
		"a float": struct {
			A float64 `strict:"a"`
		}{1},
		"a missing object": struct {
			A *inner `strict:"a"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			EncodeJSON(v)
		})
	}
}

func TestWhatWasReadIsWrittenAsTheSameInJSON(t *testing.T) {
	text := "a: 7\nb: \"7\"\nc: [x, 'y: z', true, null, {d: 2026-11-21T10:00:00Z}]\ne: |\n  two\n  lines \"here\"\nf: {}\ng: []\n"
	n, err := ParseYAML("f", []byte(text), MaxYAML)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "a": 7,
  "b": "7",
  "c": [
    "x",
    "y: z",
    true,
    null,
    {
      "d": "2026-11-21T10:00:00Z"
    }
  ],
  "e": "two\nlines \"here\"\n",
  "f": {},
  "g": []
}
`
	got := EncodeNode(n)
	if string(got) != want {
		t.Errorf("got %s", got)
	}
	again, err := ParseYAML("f", got, MaxYAML)
	if err != nil || string(EncodeNode(again)) != want {
		t.Errorf("%v: read again it is %s", err, EncodeNode(again))
	}
}
