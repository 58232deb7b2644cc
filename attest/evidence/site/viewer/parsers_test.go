package viewer_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/page"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

type parsed struct {
	What string `json:"what"`
	Data []byte `json:"data"`
}

// parsers are what reads each kind of file in Go.
var parsers = map[string]func([]byte) error{
	"keyset":    func(b []byte) error { _, err := bundle.ParseKeySet("f", b); return err },
	"bundle":    func(b []byte) error { _, err := bundle.ParseBundle("f", b); return err },
	"core":      func(b []byte) error { _, err := bundle.ParseCore("f", b); return err },
	"statement": func(b []byte) error { _, err := bundle.ParseStatement("f", b); return err },
	"served":    func(b []byte) error { _, err := bundle.ParseServed("f", b); return err },
	"proof":     func(b []byte) error { _, err := auditlog.ParseProof("f", b); return err },
	"logpolicy": func(b []byte) error { _, err := auditlog.ParsePolicy("f", b); return err },
	"plan":      func(b []byte) error { _, err := ceremony.ParsePlan("f", b); return err },
	"policy":    func(b []byte) error { _, err := evidence.ParsePolicy("f", b); return err },
	"sshsig":    func(b []byte) error { _, err := sshsig.Parse("f", b); return err },
	"sshkey":    func(b []byte) error { _, err := sshsig.ParsePublicKey(strings.TrimSuffix(string(b), "\n")); return err },
	"drill":     func(b []byte) error { _, err := report.Parse("f", b); return err },
	"page":      func(b []byte) error { _, err := page.Passive(b); return err },
}

// whole are the kinds that JavaScript reads wholly: it refuses nothing that Go takes.
var whole = []string{"keyset", "bundle", "core", "statement", "served", "proof", "sshkey", "drill"}

// other changes one member of a file of JSON or YAML.
func (c *changer) other(what string, data []byte) []byte {
	yaml := what == "plan" || what == "policy"
	var n *strict.Node
	var err error
	if yaml {
		n, err = strict.ParseYAML("f", data, strict.MaxYAML)
	} else {
		n, err = strict.ParseJSON("f", data, 65535)
	}
	if err != nil {
		return data
	}
	m := n
	for range 1 + c.IntN(2) {
		m = c.change(m, "")
	}
	if what == "drill" { // which has one form alone
		return strict.EncodeNode(m)
	}
	if !yaml {
		return []byte(line(m))
	}
	var b bytes.Buffer
	for _, f := range m.Fields {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, flow(plain(f.Value)))
	}
	return b.Bytes()
}

// Files of every format are changed, member by member or byte by byte: what JavaScript
// reads Go reads, and the other way too.
func TestJavaScriptReadsTheFilesThatGoReads(t *testing.T) {
	seed := uint64(9)
	if full {
		seed = rand.Uint64()
	}
	c := &changer{Rand: rand.New(rand.NewPCG(seed, 19)), words: map[string][]string{}}
	bases := map[string][][]byte{}
	add := func(what string, data []byte) {
		if data != nil && parsers[what](data) == nil {
			bases[what] = append(bases[what], data)
		}
	}
	for _, kind := range must(testvectors.Kinds()) {
		for _, v := range must(testvectors.All(kind)) {
			for _, what := range []string{"keyset", "bundle", "core", "statement", "proof", "plan", "policy"} {
				if (what == "proof" || what == "policy") && kind == "device" {
					continue
				}
				data := must(v.File(what))
				add(what, data)
				if n, err := strict.ParseJSON("f", data, 65535); err == nil {
					c.know(n, "")
				}
			}
			add("served", must(v.File("statement")))
			add("logpolicy", must(v.File("log-policy")))
			if kind == "signature" {
				add("sshsig", must(v.File("signature")))
			}
		}
	}
	honest := must(evidence.Unpack("f", testvectors.Data(t, "package", "honest", "evidence.tar")))
	add("page", honest[evidence.PageFile])
	for _, p := range must(ceremony.ParsePlan("f", honest[ceremony.PlanFile])).People {
		add("sshkey", []byte(p.Key+"\n"))
	}
	drilled := must(evidence.Unpack("f", testvectors.Data(t, "package", "drilled", "evidence.tar")))
	for _, path := range []string{ceremony.DrillFile(1), ceremony.DrillFile(2)} {
		add("drill", drilled[path])
		n := must(strict.ParseJSON("f", drilled[path], ceremony.MaxDrillReport))
		c.know(n, "")
	}
	var list []parsed
	for _, what := range slices.Sorted(mapsKeys(parsers)) {
		if len(bases[what]) == 0 {
			t.Fatalf("there is no %s to change", what)
		}
		for i := range sample(40, 400) {
			data := bases[what][c.IntN(len(bases[what]))]
			structured := slices.Contains([]string{"keyset", "bundle", "core", "statement", "served", "plan", "policy", "drill"}, what)
			if structured && i%5 > 0 {
				data = c.other(what, data)
			} else {
				data = c.bytes(what, data)
			}
			list = append(list, parsed{what, data})
		}
	}
	var got []struct {
		OK  bool
		Why string
	}
	node(t, "parse", list, &got)
	taken := 0
	for i, x := range list {
		err := parsers[x.What](x.Data)
		if got[i].OK && err != nil || !got[i].OK && err == nil && slices.Contains(whole, x.What) && !strings.Contains(got[i].Why, "brings no keys") {
			t.Errorf("%s: Go says %v, JavaScript %t (%s) of\n%.1500s", x.What, err, got[i].OK, got[i].Why, x.Data)
		}
		if got[i].OK {
			taken++
		}
	}
	t.Logf("seed %d: %d files, %d read by both", seed, len(list), taken)
	if taken < len(list)/50 {
		t.Errorf("only %d of %d are read: nothing is told apart", taken, len(list))
	}
}

// A report of a drill whose counts deny what it says has passed is refused in JavaScript
// as in Go; so that the table is known to test, the report as it was is read.
func TestJavaScriptRefusesADrillThatContradictsItself(t *testing.T) {
	data := must(evidence.Unpack("f", testvectors.Data(t, "package", "drilled", "evidence.tar")))[ceremony.DrillFile(2)]
	list := []parsed{{"drill", data}}
	table := testfleet.DeniedDrills()
	names := slices.Sorted(mapsKeys(table))
	for _, name := range names {
		r := must(report.Parse("f", data))
		table[name].Change(r)
		list = append(list, parsed{"drill", strict.EncodeJSON(r)})
	}
	var got []struct {
		OK  bool
		Why string
	}
	node(t, "parse", list, &got)
	if !got[0].OK {
		t.Error(got[0].Why)
	}
	for i, name := range names {
		if got[i+1].OK {
			t.Errorf("%s: it is read", name)
		}
	}
}

func mapsKeys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// bytes changes a file here and there, by pieces that mean something in its format.
func (c *changer) bytes(what string, data []byte) []byte {
	pieces := map[string][]string{
		"page": {"<p>", "</p>", "<script>", "<a href=\"x\">", " onclick=\"x\"", "<!--", "<P CLASS=\"a\">", "<meta http-equiv=\"refresh\" content=\"0\">", "<meta charset=\"utf-8\">",
			"<style>a{b:url(x)}</style>", "<style>a{b:calc(1px)}</style>", "<title>x</title>", "<br/>", "<br >", "<p id=a>", "<p open>", "<p class=\"a\" CLASS=\"b\">", "&lt;", "<", ">", "<p\n\tid=\"x\">", "@import", "\\", "</style>", "<meta name=\"generator\" content=\"x\">", "<details open=\"\">", "<p id='a'>", "<svg>", "<p style=\"x\">", "\u00a0", "\u0085", "(", "url(", "a(", ":not(", "@media (x)", "@MEDIA", "</p >", "< p>", "<p id = \"x\">", "</p x>"},
		"logpolicy": {"\n", "\t", " ", "#", "# x\n", "quorum none\n", "group g any w1\n", "group g 2 w1 w2\n", "log ", "witness ", " https://x", "none", "all", "0", "1", "\r", "é", "\u00a0"},
		"proof":     {"\n", " ", "index 0\n", "extra x\n", "— x AAAAAAAA\n", "0", "1", "=", "A", "é", "\u0085", "\u00a0", "+"},
		"sshsig":    {"\n", "A", "=", "-", " ", "\r"},
		"sshkey":    {" ", "x", "=", "\t", "é", " a b", "\n", "cert-authority "},
	}[what]
	if pieces == nil {
		pieces = []string{" ", "\n", ",", "\"", "{", "}", "0", "a", "\\u0061", "\t", "\u2028", ":"}
	}
	b := bytes.Clone(data)
	for range 1 + c.IntN(2) {
		at := c.IntN(len(b) + 1)
		end := min(len(b), at+c.IntN(3)*c.IntN(2))
		b = slices.Concat(b[:at], []byte(c.pick(append(pieces, ""))), b[end:])
	}
	return b
}
