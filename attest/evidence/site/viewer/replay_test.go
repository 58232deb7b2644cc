package viewer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// record is one of a transcript that is changed. Its place in the chain and its
// commitment are made again once everything is changed.
type record struct {
	time, kind string
	salt       string
	withheld   bool
	body       *strict.Node
}

// records reads a transcript that is well formed; nil where it isn't.
func records(data []byte) (list []record) {
	for line := range bytes.Lines(data) {
		n, err := strict.ParseJSON("record", bytes.TrimSuffix(line, []byte("\n")), len(line)+16)
		if err != nil || n.Get("kind") == nil || n.Get("time") == nil {
			return nil
		}
		r := record{time: n.Get("time").Text, kind: n.Get("kind").Text, withheld: n.Get("body") == nil}
		if !r.withheld {
			r.salt = n.Get("salt").Text
			body := n.Get("body").Text
			if r.body, err = strict.ParseJSON("body", []byte(body), len(body)+16); err != nil {
				return nil
			}
		}
		list = append(list, r)
	}
	return list
}

// chained writes records as a transcript of a plan, each after the one before.
func chained(plan []byte, list []record) []byte {
	var out bytes.Buffer
	prev := fmt.Sprintf("%x", sha256.Sum256(plan))
	for i, r := range list {
		salt, _ := base64.StdEncoding.DecodeString(r.salt) // as it was: what is not changed keeps its hash
		body := line(r.body)
		commit := fmt.Sprintf("%x", sha256.Sum256(append(salt, body...)))
		fmt.Fprintf(&out, `{"n":%d,"time":%s,"kind":%s,"prev":"%s","commit":"%s"`, i+1, quoted(r.time), quoted(r.kind), prev, commit)
		if !r.withheld {
			fmt.Fprintf(&out, `,"salt":"%s","body":%s`, r.salt, quoted(body))
		}
		out.WriteString("}\n")
		prev = fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "fleetctl record v1\n%d\n%s\n%s\n%s\n%s\n", i+1, r.time, r.kind, prev, commit)))
	}
	return out.Bytes()
}

// line is a value's canonical line, members in the order in which they stand.
func line(n *strict.Node) string {
	if n == nil {
		return ""
	}
	var parts []string
	switch n.Kind {
	case strict.Object:
		for _, f := range n.Fields {
			parts = append(parts, quoted(f.Name)+":"+line(f.Value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case strict.Array:
		for _, x := range n.Items {
			parts = append(parts, line(x))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case strict.String:
		return quoted(n.Text)
	case strict.Null:
		return "null"
	}
	return n.Text
}

func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// changer changes records at random, always in the same way.
type changer struct {
	*rand.Rand
	words map[string][]string // by member: what stands there in some transcript
	all   []record            // of every transcript
}

// know collects what stands in a transcript's records.
func (c *changer) know(n *strict.Node, member string) {
	switch {
	case n == nil:
	case n.Kind == strict.String && !slices.Contains(c.words[member], n.Text):
		c.words[member] = append(c.words[member], n.Text)
	}
	if n == nil {
		return
	}
	for _, f := range n.Fields {
		c.know(f.Value, f.Name)
	}
	for _, x := range n.Items {
		c.know(x, member)
	}
}

// change gives a copy of a value in which one thing differs.
func (c *changer) change(n *strict.Node, member string) *strict.Node {
	m := *n
	m.Fields, m.Items = slices.Clone(n.Fields), slices.Clone(n.Items)
	switch n.Kind {
	case strict.Object:
		if len(m.Fields) == 0 {
			return &m
		}
		i := c.IntN(len(m.Fields))
		switch c.IntN(12) {
		case 0:
			m.Fields = slices.Delete(m.Fields, i, i+1)
		case 1:
			m.Fields = append(m.Fields, strict.Field{Name: c.pick([]string{"x", "reason", "torn", "version", "code", "value", "unstaged", "clock", "absent"}), Value: &strict.Node{Kind: strict.String, Text: "x"}})
		case 2:
			j := c.IntN(len(m.Fields))
			m.Fields[i], m.Fields[j] = m.Fields[j], m.Fields[i]
		default:
			m.Fields[i].Value = c.change(m.Fields[i].Value, m.Fields[i].Name)
		}
	case strict.Array:
		i := c.IntN(len(m.Items) + 1)
		switch k := c.IntN(6); {
		case k == 0 || len(m.Items) == 0:
			m.Items = slices.Insert(m.Items, i, &strict.Node{Kind: strict.String, Text: c.pick(append(c.words[member], "x"))})
		case i == len(m.Items):
			m.Items = append(m.Items, m.Items[0])
		case k == 1:
			m.Items = slices.Delete(m.Items, i, i+1)
		case k == 2:
			m.Items[i], m.Items[0] = m.Items[0], m.Items[i]
		default:
			m.Items[i] = c.change(m.Items[i], member)
		}
	case strict.String:
		m.Text = c.text(n.Text, member)
	case strict.Number:
		m.Text = c.pick([]string{"0", "1", "2", "3", n.Text + "0", "9007199254740991", "9007199254740992", "-1", "33", "1.0", "4"})
	case strict.Bool:
		m.Text = c.pick([]string{"true", "false"})
	}
	return &m
}

func (c *changer) pick(list []string) string { return list[c.IntN(len(list))] }

func (c *changer) text(s, member string) string {
	switch c.IntN(4) {
	case 0:
		return c.pick([]string{"", " ", "x", "é", "a\u200bb", "machine", "witness", "auditor", "officer", "ada", "wanda", "olga", "CKR_OK", "no answer", "CKR_VENDOR_DEFINED_0x80000001", "CKR_UNKNOWN_0x00000009", "-", "00", "true", "2026-11-21T10:00:00Z", strings.Repeat("0", 64), strings.Repeat("a", 256), "plan.yaml", "../x"})
	case 1:
		if s != "" {
			i := c.IntN(len(s))
			return strings.ToValidUTF8(s[:i]+c.pick([]string{"", "a", "0", "A", " ", "/"})+s[min(len(s), i+c.IntN(2)):], "")
		}
	}
	if list := c.words[member]; len(list) > 0 {
		return c.pick(list)
	}
	return "y"
}

// changed gives records of which one or two are others.
func (c *changer) changed(list []record) []record {
	list = slices.Clone(list)
	for range 1 + c.IntN(2) {
		i := c.IntN(len(list))
		switch c.IntN(14) {
		case 0:
			list = slices.Delete(list, i, i+1)
			if len(list) == 0 {
				return list
			}
		case 1:
			list = slices.Insert(list, i, list[c.IntN(len(list))])
		case 2, 3:
			list = slices.Insert(list, i, c.all[c.IntN(len(c.all))])
		case 4:
			list[i].time = c.pick([]string{"2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z", "2026-11-21T10:00:30Z", "2026-11-22T10:00:00Z", "2026-11-31T10:00:00Z", "0000-01-01T00:00:00Z", list[c.IntN(len(list))].time})
		case 5:
			list[i].withheld = true
		default:
			if list[i].body != nil {
				list[i].body = c.change(list[i].body, "")
			}
		}
	}
	return list
}

var recordNumber = regexp.MustCompile(`record (\d+)`)

// replayed replays a transcript as Go does: the record at which that ended, and whether
// a check had failed. What can't be read ends it where the records before it don't.
func replayed(plan *ceremony.Plan, data []byte) (at int, fault bool, why string) {
	if _, err := ceremony.ParseTranscript(ceremony.TranscriptFile, data, plan.Digest()); err != nil {
		at, _, why = ended(err)
		before, failed, reason := replayed(plan, firstLines(data, at-1))
		if before != 0 {
			return before, failed, reason
		}
		return at, false, why
	}
	a, _, err := ceremony.Replay(plan, ceremony.TranscriptFile, data)
	if err == nil {
		return 0, a.Fault != "", a.Fault
	}
	return ended(err)
}

func firstLines(data []byte, n int) []byte {
	lines := bytes.SplitAfter(data, []byte("\n"))
	return bytes.Join(lines[:min(max(n, 0), len(lines))], nil)
}

func ended(err error) (at int, fault bool, why string) {
	var e *strict.Error
	if errors.As(err, &e) && e.Line > 0 {
		return e.Line, false, err.Error()
	}
	if m := recordNumber.FindStringSubmatch(err.Error()); m != nil {
		at, _ = strconv.Atoi(m[1])
		return at, false, err.Error()
	}
	return -1, false, err.Error()
}

// Transcripts are changed and chained again, so that what is wrong in one is its
// records' contents alone. Both replays end at the same record, or at none.
func TestBothReplaysEndAtTheSameRecord(t *testing.T) {
	all, err := testvectors.All("transcript")
	if err != nil {
		t.Fatal(err)
	}
	n, seed := sample(100, 2500), uint64(7)
	if full {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	c := &changer{rand.New(rand.NewPCG(seed, 11)), map[string][]string{}, nil}
	type base struct {
		plan []byte
		list []record
	}
	var bases []base
	for _, v := range all {
		plan, err := v.File("plan")
		data, err2 := v.File("transcript")
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		list := records(data)
		for _, r := range list {
			c.know(r.body, "")
		}
		c.all = append(c.all, list...)
		// A ceremony that destroys keys JavaScript leaves to fleetctl.
		if p, err := ceremony.ParsePlan("plan.yaml", plan); err == nil && p.Destroys == nil && len(list) > 20 {
			bases = append(bases, base{plan, list})
		}
	}
	var in []map[string][]byte
	for range n {
		b := bases[c.IntN(len(bases))]
		in = append(in, map[string][]byte{"plan": b.plan, "transcript": chained(b.plan, c.changed(b.list))})
	}
	var got []struct {
		At    int
		Fault bool
		Why   string
	}
	node(t, "replay", in, &got)
	whole := 0
	for i, x := range in {
		plan, err := ceremony.ParsePlan("plan.yaml", x["plan"])
		if err != nil {
			t.Fatal(err)
		}
		at, fault, why := replayed(plan, x["transcript"])
		if at != got[i].At || fault != got[i].Fault {
			t.Errorf("Go ends at %d, %t: %s\n\tJavaScript at %d, %t: %s", at, fault, why, got[i].At, got[i].Fault, got[i].Why)
		}
		if at == 0 {
			whole++
		}
	}
	t.Logf("%d changed transcripts, %d of them whole", n, whole)
}
