package strict

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

func TestParseYAMLRefuses(t *testing.T) {
	const tag = `has a tag; tags are not allowed`
	const anchor = `has an anchor or alias; write the value out`
	const name = `has a field name that is no plain word`
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", `f: is empty`},
		{"comments alone", "# a\n\n# b\n", `f: is empty`},
		{"invalid UTF-8", "a: \xff\n", `f: is not UTF-8`},
		{"a byte order mark", "\ufeffa: 1\n", `f:1: has the character U+FEFF; write it as an escape in double quotes`},
		{"a field behind a lone CR in a comment", "a: 1\n# x\rb: 2\n", `f:2: has the character U+000D; write it as an escape in double quotes`},
		{"a field behind a next-line in a comment", "# x\u0085b: 2\n", `f:1: has the character U+0085; write it as an escape in double quotes`},
		{"a field behind a line separator in a comment", "# x\u2028b: 2\n", `f:1: has the character U+2028; write it as an escape in double quotes`},
		{"a paragraph separator", "a: x\u2029y\n", `f:1: has the character U+2029; write it as an escape in double quotes`},
		{"a change of direction", "a: 1\nb: x\u202ey\n", `f:2: has the character U+202E; write it as an escape in double quotes`},
		{"an isolate", "# \u2066\na: 1\n", `f:1: has the character U+2066; write it as an escape in double quotes`},
		{"an escape sequence", "a: \x1b[2J\n", `f:1: has the character U+001B; write it as an escape in double quotes`},
		{"a NUL", "a: \x00\n", `f:1: has the character U+0000; write it as an escape in double quotes`},
		{"a directive", "# x\n%YAML 1.1\n---\na: 1\n", `f:2: has a directive; they are not allowed`},
		{"a tag directive", "%TAG ! tag:x,2026:\n---\na: 1\n", `f:1: has a directive; they are not allowed`},
		{"a second document", "a: 1\n---\nb: 2\n", `f:2: has more than one document`},
		{"an empty second document", "a: 1\n---\n", `f:2: has more than one document`},
		{"a broken second document", "a: 1\n---\n\n@\n", `f:4: is not YAML: found character that cannot start any token`},
		{"an anchor", "a: &x 1\n", `f:1: ` + anchor},
		{"an anchor on a mapping", "a: 1\nb: &x\n  c: 1\n", `f:2: ` + anchor},
		{"an anchor on a list", "a: 1\nb: &x [1]\n", `f:2: ` + anchor},
		{"an anchor on a field name", "&x a: 1\n", `f:1: ` + name},
		{"an anchor on the document", "--- &x\na: 1\n", `f:1: ` + anchor},
		{"an alias", "a: [1, &x 2]\nb: *x\n", `f:1: ` + anchor},
		{"an alias of nothing", "a: 1\nb: *x\n", `f: is not YAML: unknown anchor 'x' referenced`},
		{"an alias of itself", "a: &x [*x]\n", `f:1: ` + anchor},
		{"a merge key", "a: 1\n<<: {b: 1}\n", `f:2: ` + name},
		{"a tag", "a: !!str 7\n", `f:1: ` + tag},
		{"a tag on a list", "a: 1\nb: !!seq [1]\n", `f:2: ` + tag},
		{"a tag on a mapping", "!!map\na: 1\n", `f:1: ` + tag},
		{"a tag on a field name", "b: 1\n!!str a: 1\n", `f:2: ` + name},
		{"a tag with an escape sequence", "a: !<x%1b[2J> b\n", `f:1: ` + tag},
		{"a local tag", "a: !local x\n", `f:1: ` + tag},
		{"the tag without a name", "a: ! 7\n", `f:1: ` + tag},
		{"the tag without a name, in a list", "a: [é, ! 7]\n", `f:1: ` + tag},
		{"the tag without a name, on a field name", "b: 1\n! a: 7\n", `f:2: ` + name},
		{"the tag without a name, on a mapping", "a: !\n  b: 7\n", `f:1: ` + tag},
		{"a repeated field", "a: 1\nb: 2\n\"a\": 3\n", `f:3: has "a" twice`},
		{"a repeated field in flow", "{a: 1, a: 2}\n", `f:1: has "a" twice`},
		{"a list as field name", "? [a]\n: 1\n", `f:1: ` + name},
		{"an alias as field name", "a: &x b\n*x : 1\n", `f:1: ` + anchor},
		{"a tab for indent", "a:\n\tb: 1\n", `f:2: is not YAML: found character that cannot start any token`},
		{"a reserved character", "a: 1\nb: @x\n", `f:2: is not YAML: found character that cannot start any token`},
		{"two colons", "a: b: c\n", `f:1: is not YAML: mapping values are not allowed in this context`},
		{"wrong indent", "a:\n  - 1\n - 2\n", `f:3: is not YAML: did not find expected key`},
		{"an open list", "a: 1\nb: [1,\n", `f:3: is not YAML: did not find expected node content`},
		{"an open quote", "a: 'x\n", `f:2: is not YAML: found unexpected end of stream`},
		{"half a surrogate pair", `a: "\ud800"`, `f:1: is not YAML: found invalid Unicode character escape code`},
		{"34 lists", strings.Repeat("[", 34) + strings.Repeat("]", 34), `f:1: nests more than 32 deep`},
		{"20,000 lists", strings.Repeat("[", 20000), `f: is not YAML: exceeded max depth of 10000`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := ParseYAML("f", []byte(c.in), 1<<20)
			if n != nil {
				t.Error("gave a tree")
			}
			wantError(t, err, c.want)
		})
	}
	_, err := ParseYAML("f", []byte("a: 1\n"), 4)
	wantError(t, err, "f: has 5 bytes, 4 are allowed")
}

func TestParseYAMLGivesEachScalarOneKind(t *testing.T) {
	for in, want := range map[string]Node{
		"":                     {Kind: Null},
		"null":                 {Kind: Null, Text: "null"},
		"~":                    {Kind: Null, Text: "~"},
		"true":                 {Kind: Bool, Text: "true"},
		"false":                {Kind: Bool, Text: "false"},
		"7":                    {Kind: Number, Text: "7"},
		"007":                  {Kind: Number, Text: "007"},
		"0x10":                 {Kind: Number, Text: "0x10"},
		"1_000":                {Kind: Number, Text: "1_000"},
		"1e3":                  {Kind: Number, Text: "1e3"},
		"-1":                   {Kind: Number, Text: "-1"},
		".inf":                 {Kind: Number, Text: ".inf"},
		"'7'":                  {Kind: String, Text: "7", Quoted: true},
		`"true"`:               {Kind: String, Text: "true", Quoted: true},
		`""`:                   {Kind: String, Quoted: true},
		"|-\n  7":              {Kind: String, Text: "7", Quoted: true},
		">-\n  a\n  b":         {Kind: String, Text: "a b", Quoted: true},
		"a # c":                {Kind: String, Text: "a"},
		"a#c":                  {Kind: String, Text: "a#c"},
		"a !b":                 {Kind: String, Text: "a !b"},
		"'! a'":                {Kind: String, Text: "! a", Quoted: true},
		"2026-11-21T10:00:00Z": {Kind: String, Text: "2026-11-21T10:00:00Z"},
		`"\u202e\x1b"`:         {Kind: String, Text: "\u202e\x1b", Quoted: true},
	} {
		n, err := ParseYAML("f", []byte("# c\r\na: "+in+"\n"), 1000)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		a := n.Get("a")
		if a.Kind != want.Kind || a.Text != want.Text || a.Quoted != want.Quoted || n.Fields[0].Line != 2 {
			t.Errorf("%q: %+v", in, a)
		}
	}
}

// What YAML 1.1 makes a boolean, a number or a day of is no string here: it stands
// in quotes, or nowhere. The list is SPEC's.
func TestYAMLThatOlderReadersReadOtherwiseIsRefused(t *testing.T) {
	text, err := os.ReadFile("../../docs/SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(text), "Refused plain: ")
	list, _, _ = strings.Cut(list, ";")
	words := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(list, -1)
	if !ok || len(words) != 23 {
		t.Fatalf("docs/SPEC.md lists %d words", len(words))
	}
	plain := []string{"1:30", "-1:30", "190:20:30", "20:30.15", "1_0:30", "2026-11-21", "2026-1-2", "2026-11-21 10:00:00", "2026-11-21t10:00:00Z", "2026-11-21T10:00:00+01:00", "2026-11-21T10:00:00.5Z"}
	for _, w := range words {
		plain = append(plain, w[1])
	}
	for _, s := range plain {
		for _, in := range []string{"a: " + s, "a:\n  - " + s, "a: {b: " + s + "}", "a: [" + s + "]"} {
			_, err := ParseYAML("f", []byte(in+"\n"), 1000)
			if err == nil || !strings.Contains(err.Error(), "which readers of YAML 1.1 take for something else") {
				t.Errorf("%s: got %v", in, err)
			}
		}
		if n, err := ParseYAML("f", []byte("a: '"+s+"'\n"), 1000); err != nil || n.Get("a").Text != s {
			t.Errorf("in quotes %q is refused: %v", s, err)
		}
	}
	for _, s := range []string{"2026-11-21T10:00:00Z", "yes, indeed", "nobody", "hsm-1:30", "one:two", "offline", "2026-11-21x"} {
		if _, err := ParseYAML("f", []byte("a: "+s+"\n"), 1000); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// A scalar takes only the spelling of its own kind, whatever YAML 1.1 or 1.2
// would make of it.
func TestYAMLScalarsFitTheirFieldsOnly(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"b: yes", `f:1: has "yes", which readers of YAML 1.1 take for something else`},
		{"b: 'yes'", "f:1: b is a string, not true or false"},
		{"b: 1", "f:1: b is a number, not true or false"},
		{"b: 'true'", "f:1: b is a string, not true or false"},
		{"n: '7'", "f:1: n is a string, not an integer"},
		{"n: |\n  7", "f:1: n is a string, not an integer"},
		{"n: 007", `f:1: n "007" is not a decimal integer without leading zero`},
		{"n: 0x10", `f:1: n "0x10" is not a decimal integer without leading zero`},
		{"n: 0o7", `f:1: n "0o7" is not a decimal integer without leading zero`},
		{"n: 1_0", `f:1: n "1_0" is not a decimal integer`},
		{"n: +1", `f:1: n "+1" is not a decimal integer`},
		{"n: -0", `f:1: n "-0" is not a decimal integer`},
		{"n: 1e3", `f:1: n "1e3" is not a decimal integer`},
		{"n: 7.0", `f:1: n "7.0" is not a decimal integer`},
		{"n: .inf", `f:1: n ".inf" is not a decimal integer`},
		{"n: 9007199254740992", `f:1: n 9007199254740992 is above 2^53-1`},
		{"n: ~", "f:1: n is null, not an integer"},
		{"s: 7", "f:1: s is a number, not a string"},
		{"s: true", "f:1: s is a boolean, not a string"},
		{"s:", "f:1: s is null, not a string"},
		{"s: ''", "f:1: s is empty"},
		{"s: [a]", "f:1: s is a list, not a string"},
		{"s: {a: b}", "f:1: s is an object, not a string"},
	} {
		var v struct {
			B bool   `strict:"b,optional"`
			N int    `strict:"n,optional"`
			S string `strict:"s,optional"`
		}
		_, err := DecodeYAML("f", []byte(c.in), 1000, &v)
		wantError(t, err, c.want)
	}
}

// Shapes that have made YAML readers slow; the bound is loose because some are
// slow.
func TestParseYAMLIsNotSlowOnOddShapes(t *testing.T) {
	const size = 64 << 10
	texts := []string{"[" + strings.Repeat("é, ", size/4) + "]"}
	for _, s := range []string{
		"[", "{", "- ", "? ", ": ", "a: ", "#\n", "&a ", "!a ", "\n", "'", "\"", "|\n", "- #\n", "a:\n #x\n", "[a,", "{a: ", "- a\n", "? a\n", "  \n", "[[],",
		"- |\n a\n", "x ", "x\n", "x\n\n", "[x\n#\n", "- [\n", "- {a: b}\n", "- a: b\n  c: d\n", "- \"\\u0041\"\n", " # c\n", "- ! a\n",
	} {
		texts = append(texts, strings.Repeat(s, size/len(s)))
	}
	for _, in := range texts {
		before := await.Processor()
		_, err := ParseYAML("f", []byte(in), size+2)
		if d := await.Processor() - before; d > 5*time.Second {
			t.Errorf("%.20q…: %s", in, d)
		}
		plainMessage(t, err)
	}
}
