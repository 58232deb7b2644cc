package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/strict"
)

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// Every byte of a good bundle is changed: each bit of it by itself, to a quote
// or a backslash, white space to other white space. The bundle may verify still
// only where free white space took the place of free white space.
func TestNoByteOfABundleIsFree(t *testing.T) {
	w := newWorldOf(1) // what is in the artifact, its digest guards alike
	good := w.bundle.Raw()
	if err := w.verify(good); err != nil {
		t.Fatal(err)
	}
	// The transcript's place is nobody's signature's to bind: the log's leaf is
	// the whole file, and its proof fails with each of these bytes changed.
	logged := bytes.Index(good, []byte(`"transcript": {`)) + len(`"transcript": {`)
	end := logged + bytes.IndexByte(good[logged:], '}')
	tried, free := 0, 0
	for i, was := range good {
		if i >= logged && i < end {
			continue
		}
		changes := []byte{'"', '\\'}
		if isSpace(was) {
			changes = []byte{' ', '\t', '\n', '\r', 0}
		}
		for bit := range 8 {
			changes = append(changes, was^1<<bit)
		}
		for _, c := range changes {
			if c == was {
				continue
			}
			data := bytes.Clone(good)
			data[i] = c
			tried++
			if w.verify(data) != nil {
				continue
			}
			if !isSpace(was) || !isSpace(c) {
				t.Fatalf("verifies with byte %d changed from %q to %q", i, was, c)
			}
			free++
		}
	}
	t.Logf("%d changes to %d bytes; %d verified, all of them white space for white space", tried, len(good), free)
	if free == 0 {
		t.Error("no change verified: not even free white space was tried")
	}
}

func TestNoBundleVerifiesCutOrLonger(t *testing.T) {
	w := newWorld()
	good := w.bundle.Raw()
	for i := range good[:len(good)-1] { // without its last byte, LF, it is whole
		if w.verify(good[:i]) == nil {
			t.Errorf("verifies cut at byte %d", i)
		}
	}
	for _, more := range []string{" ", "\n", "{}", "\x00"} {
		if w.verify(append(bytes.Clone(good), more...)) == nil {
			t.Errorf("verifies with %q behind it", more)
		}
	}
}

// render writes a tree back, member by member.
func render(n *strict.Node) string {
	var parts []string
	switch n.Kind {
	case strict.Object:
		for _, f := range n.Fields {
			parts = append(parts, quote(f.Name)+":"+render(f.Value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case strict.Array:
		for _, item := range n.Items {
			parts = append(parts, render(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case strict.String:
		return quote(n.Text)
	case strict.Null:
		return "null"
	}
	return n.Text
}

func quote(s string) string { return string(must(json.Marshal(s))) }

// eachFieldBroken calls try with the document broken at one member at a time:
// dropped, given twice, renamed, its value exchanged with the next one's or
// replaced by a value of another kind.
func eachFieldBroken(t *testing.T, data []byte, try func(how string, broken []byte)) {
	t.Helper()
	root, err := strict.ParseJSON("", data, MaxRequest)
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n *strict.Node, path string)
	walk = func(n *strict.Node, path string) {
		for i, item := range n.Items {
			walk(item, fmt.Sprintf("%s[%d]", path, i))
		}
		fields := n.Fields
		with := func(how string, changed []strict.Field) {
			n.Fields = changed
			try(how, []byte(render(root)))
			n.Fields = fields
		}
		for i, f := range fields {
			at := path + "." + f.Name
			with("drop "+at, slices.Delete(slices.Clone(fields), i, i+1))
			with("twice "+at, append(slices.Clone(fields), f))
			for _, name := range []string{f.Name + "x", strings.ToUpper(f.Name), ""} {
				renamed := slices.Clone(fields)
				renamed[i].Name = name
				with(fmt.Sprintf("rename %s to %q", at, name), renamed)
			}
			for _, v := range []strict.Node{{Kind: strict.Null}, {Kind: strict.Number, Text: "-1"}, {Kind: strict.Number, Text: "1e3"}, {Kind: strict.Array}, {Kind: strict.Object}, {Kind: strict.Bool, Text: "true"}, {Kind: strict.String}} {
				if render(f.Value) == render(&v) {
					continue
				}
				other := slices.Clone(fields)
				other[i].Value = &v
				with(fmt.Sprintf("%s := %s %q", at, v.Kind, v.Text), other)
			}
			if i+1 < len(fields) && render(f.Value) != render(fields[i+1].Value) {
				swapped := slices.Clone(fields)
				swapped[i].Value, swapped[i+1].Value = swapped[i+1].Value, swapped[i].Value
				with(fmt.Sprintf("exchange %s and %s", at, fields[i+1].Name), swapped)
			}
			walk(f.Value, at)
		}
	}
	walk(root, "")
}

func TestEveryFieldCounts(t *testing.T) {
	w := newRequestWorld()
	for name, c := range map[string]struct {
		good []byte
		read func([]byte) error
		// free lists what may be done to the file all the same.
		free []string
	}{
		"bundle": {w.bundle.Raw(), w.verify, nil},
		"artifact in bundle": {w.set.Raw(), func(d []byte) error {
			return w.verify(encodeBundle(d, w.statements, w.counter, aRecord))
		}, nil},
		"statement in bundle": {w.statements[0].Statement.Raw(), func(d []byte) error {
			s, err := ParseStatement("", d)
			if err != nil {
				return err
			}
			return w.verify(w.assemble([]Signed{{Key: w.statements[0].Key, Statement: s}, w.statements[1]}, w.counter...))
		}, []string{"drop .version", "drop .ciphersuite", "drop .key_id", "drop .serialized_message", ".serialized_message := null \"\""}},
		"core": {w.core.Raw(), func(d []byte) error { _, err := ParseCore("", d); return err },
			// Whose statements a request needs is for whoever pins keys to say.
			[]string{".previous_statements := a list \"\""}},
		"request": {must(NewRequest(w.core, requestFiles)).Raw(), func(d []byte) error { _, err := ParseRequest("", d); return err },
			[]string{".files := a list \"\"", ".files[0].data := a string \"\"", ".files[1].data := a string \"\"", ".files[3].data := a string \"\""}},
		"response": {w.response("tp-1", statementAt).Raw(), func(d []byte) error {
			r, err := ParseResponse("", d)
			if err != nil {
				return err
			}
			return r.Check(w.core, edRaw("tp-1"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.read(c.good); err != nil {
				t.Fatal(err)
			}
			tried := 0
			var passed []string
			eachFieldBroken(t, c.good, func(how string, broken []byte) {
				tried++
				if c.read(broken) == nil {
					passed = append(passed, how)
				}
			})
			slices.Sort(passed)
			if want := slices.Sorted(slices.Values(c.free)); !slices.Equal(passed, want) {
				t.Errorf("these pass: %q; these may: %q", passed, want)
			}
			t.Logf("%d tried, %d are free", tried, len(passed))
		})
	}
}
