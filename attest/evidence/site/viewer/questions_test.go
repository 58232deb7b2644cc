package viewer_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// question is an object that both verifiers judge, by the same policy and time.
type question struct {
	Name   string   `json:"name"`
	Object string   `json:"object"`
	Data   []byte   `json:"data"`
	Policy []byte   `json:"policy"`
	Time   string   `json:"time"`
	Proofs [][]byte `json:"proofs"`
	Expect string   `json:"expect,omitempty"`
}

// library is what the library says of a question: nil under a policy that can't be used.
func library(t *testing.T, q question) (*evidence.Report, error) {
	t.Helper()
	p, err := evidence.ParsePolicy("policy.yaml", q.Policy)
	if err != nil {
		return nil, err
	}
	now, err := strict.ParseTime(q.Time)
	if err != nil {
		t.Fatal(err)
	}
	in := evidence.Input{File: "evidence.tar", Data: q.Data}
	if len(q.Proofs) > 0 {
		in.Logged = q.Proofs[0]
	}
	expect := evidence.Type(q.Expect)
	return must(evidence.Verify(in, p, evidence.Question{Now: now, Expect: expect})), nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// tally counts what comes of asking both.
type tally struct{ cases, agreements, stricter, notChecked, disagreements int }

func (n tally) String() string {
	return fmt.Sprintf("%d cases: %d agreements, %d where JavaScript shows less of what both reject, %d not checked, %d disagreements", n.cases, n.agreements, n.stricter, n.notChecked, n.disagreements)
}

// compare holds an answer against the library's: each claim is a case, and the verdict.
func (n *tally) compare(t *testing.T, q question, got answer) {
	t.Helper()
	want, err := library(t, q)
	if err != nil {
		n.verdict(t, q, got, false, false, err.Error())
		return
	}
	// What the library found wrong where JavaScript says that it doesn't look.
	open := false
	for _, p := range want.Problems {
		for _, area := range got.Areas {
			open = open || strings.Contains(p.Where, area)
		}
	}
	for _, c := range want.Claims {
		i := slices.IndexFunc(got.Claims, func(x claim) bool { return x.ID == c.Name })
		if i < 0 {
			if len(got.Problems) == 0 && len(got.Areas) == 0 {
				t.Errorf("%s: JavaScript has no claim %s", q.Name, c.Name)
			}
			continue
		}
		n.cases++
		have, grade := got.Claims[i].Grade, c.Grade.String()
		restsOnAll := open && (c.Name == "key.possession" || c.Name == "fleet.checked" || c.Name == "evidence.bound")
		switch {
		case have == "not checked":
			n.notChecked++
			open = open || c.Short()
			if got.Claims[i].OK != nil && *got.Claims[i].OK && c.Least != evidence.NotShown {
				t.Errorf("%s: %s is not checked, and called ok", q.Name, c.Name)
			}
		case have == grade:
			n.agreements++
		case slices.Index(shownAs, have) < slices.Index(shownAs, grade) && len(got.Problems) > 0 && len(want.Problems) > 0:
			n.stricter++
		case restsOnAll:
			n.notChecked++
		default:
			n.disagreements++
			t.Errorf("%s: %s is %q (%s) in JavaScript, and %q (%s) here; problems %v and %v", q.Name, c.Name, have, got.Claims[i].Why, grade, c.Detail, got.Problems, want.Problems)
		}
	}
	n.verdict(t, q, got, want.Verified, open, fmt.Sprint(want.Problems))
}

var shownAs = []string{"not shown", "device", "attested", "proven"}

// verdict compares what is accepted. open says that the library found something short or
// wrong in what JavaScript says that it doesn't check.
func (n *tally) verdict(t *testing.T, q question, got answer, verified, open bool, why string) {
	t.Helper()
	n.cases++
	switch {
	case got.Accepted == verified:
		n.agreements++
	case !verified && open, !got.Accepted && len(got.Problems) == 0 && strings.HasPrefix(got.Verdict, "nothing "):
		n.notChecked++
	default:
		n.disagreements++
		t.Errorf("%s: accepted is %t, and verified is %t: %s %v, %s", q.Name, got.Accepted, verified, got.Verdict, got.Problems, why)
	}
}

// ask asks both, and gives what came of it.
func ask(t *testing.T, list []question) (n tally, got []answer) {
	t.Helper()
	node(t, "verify", list, &got)
	for i, q := range list {
		n.compare(t, q, got[i])
	}
	return n, got
}

// packages are those of testdata/vectors that are asked for without more beside them.
func packages(t *testing.T) (list []question) {
	t.Helper()
	for _, c := range must(testvectors.All("package")) {
		if c.Files["beside"] != "" || c.With["expect"] == "current" {
			continue
		}
		q := question{Name: c.Name, Object: "package", Data: must(c.File("package")), Policy: must(c.File("policy")), Time: c.With["time"], Expect: c.With["expect"]}
		if proof := must(c.File("logged")); proof != nil {
			q.Proofs = [][]byte{proof}
		}
		list = append(list, q)
	}
	return list
}

// plain is a value as encoding/json has it.
func plain(n *strict.Node) any {
	switch n.Kind {
	case strict.Object:
		m := map[string]any{}
		for _, f := range n.Fields {
			m[f.Name] = plain(f.Value)
		}
		return m
	case strict.Array:
		list := []any{}
		for _, x := range n.Items {
			list = append(list, plain(x))
		}
		return list
	case strict.Number:
		return json.Number(n.Text)
	case strict.Bool:
		return n.Text == "true"
	}
	return n.Text
}

// flow writes a value in YAML's flow style.
func flow(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for name, x := range v {
			parts = append(parts, quoted(name)+": "+flow(x))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, flow(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		return quoted(v)
	}
	return fmt.Sprint(v)
}

// otherPolicy changes a policy in a few places, as people would who pin others.
func (c *changer) otherPolicy(text []byte) []byte {
	p := plain(must(strict.ParseYAML("policy", text, strict.MaxYAML))).(map[string]any)
	for range 1 + c.IntN(3) {
		c.otherMember(p)
	}
	var b strings.Builder
	for name, v := range p {
		fmt.Fprintf(&b, "%s: %s\n", name, flow(v))
	}
	lines := strings.SplitAfter(b.String(), "\n")
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(order(a), order(b)) })
	return []byte(strings.Join(lines, ""))
}

// order has the format first, where it must be, or else anywhere.
func order(line string) string {
	if strings.HasPrefix(line, "format:") {
		return ""
	}
	return line
}

var times = []string{"0001-01-01T00:00:00Z", "2026-11-20T10:00:00Z", "2026-11-21T09:59:00Z", "2026-11-21T10:00:30Z", "2026-11-21T10:01:00Z", "2026-11-21T10:01:20Z",
	"2026-11-21T10:06:40Z", "2026-11-21T11:01:34Z", "2026-12-20T10:01:35Z", "2027-01-01T00:00:00Z", "2027-12-20T10:01:35Z", "2029-01-01T00:00:00Z"}

func (c *changer) window() map[string]any {
	w := map[string]any{}
	for _, end := range []string{"not_before", "not_after", "compromised_after"} {
		if c.IntN(2) == 0 {
			w[end] = c.pick(times)
		}
	}
	return w
}

func (c *changer) otherMember(p map[string]any) {
	list := func(name string) []any { l, _ := p[name].([]any); return l }
	one := func(name string) map[string]any {
		if l := list(name); len(l) > 0 {
			return l[c.IntN(len(l))].(map[string]any)
		}
		return map[string]any{}
	}
	party := c.pick([]string{"people", "third_parties", "operators"})
	log, _ := p["log_policy"].(string)
	witness := c.pick([]string{"w1", "w2", "auditor.example", "operator-1"})
	switch c.IntN(20) {
	case 0, 1, 2:
		one(party)["window"] = c.window()
	case 3, 4:
		for _, x := range list(party) {
			x.(map[string]any)["window"] = c.window()
		}
	case 5, 6:
		var keys []any
		for line := range strings.Lines(log) {
			if f := strings.Fields(line); len(f) > 1 && (f[0] == "log" || f[0] == "witness") && c.IntN(2) == 0 {
				keys = append(keys, map[string]any{"key": f[min(len(f)-1, map[string]int{"log": 1, "witness": 2}[f[0]])], "window": c.window()})
			}
		}
		if len(keys) > 0 {
			p["log_windows"] = keys
		}
	case 7:
		one(party)["name"] = c.pick([]string{"olga", "omar", "wanda", "ada", "ozan", "auditor.example", "w1", "new"})
	case 8:
		one("people")["role"] = c.pick([]string{"officer", "witness", "auditor"})
	case 9:
		if l := list(party); len(l) > 0 {
			i := c.IntN(len(l))
			p[party] = slices.Delete(l, i, i+1)
		}
	case 10:
		p["threshold"] = json.Number(c.pick([]string{"1", "2", "3"}))
	case 11:
		p["log_policy"] = strings.Replace(log, "quorum both", c.pick([]string{"quorum none", "quorum w1", "group some any both\nquorum some"}), 1)
	case 12:
		p["log_policy"] = strings.Replace(log, "all w1 w2", c.pick([]string{"any w1 w2", "1 w2 w1", "2 w1 w2", "all w1"}), 1)
	case 13:
		one(party)["org"] = c.pick([]string{"w1", "a", "auditor.example"})
	case 14:
		p["witness_orgs"] = []any{map[string]any{"name": witness, "org": c.pick([]string{"a", "auditor.example", "operator-1"})}}
	case 15:
		p["allows"] = []any{map[string]any{c.pick([]string{"one_key", "one_org"}): []any{"witness " + witness, c.pick([]string{"third party auditor.example", "operator operator-1", "person olga", "fleet key hsm-1/session"})}}}
	case 16:
		p["claims"] = map[string]any{c.pick([]string{"statement.signed", "page", "log.witnessed", "key.possession", "countersigned", "abort.signed", "rekor.included"}): c.pick([]string{"proven", "attested", "device"})}
	case 17:
		p["sites"] = map[string]any{c.pick([]string{"least", "no_site_majority"}): c.either(json.Number("2"), true)}
	case 18:
		p[c.pick([]string{"mode", "namespaces"})] = c.either("production", []any{"rehearsal.other"})
	case 19:
		delete(p, c.pick([]string{"log_policy", "operators", "people", "threshold", "log_confirmed", "third_parties_needed", "allows"}))
	}
}

func (c *changer) either(a, b any) any {
	if c.IntN(2) == 0 {
		return a
	}
	return b
}

// The packages of testdata/vectors are asked about under policies and at times of
// others: JavaScript shows no claim that the library doesn't, and misses none.
func TestJavaScriptJudgesPackagesUnderOtherPoliciesAsTheLibraryDoes(t *testing.T) {
	bases := packages(t)
	seed := uint64(3)
	if full {
		seed = rand.Uint64()
	}
	c := &changer{Rand: rand.New(rand.NewPCG(seed, 5))}
	var list []question
	for i := range sample(40, 800) {
		q := bases[c.IntN(len(bases))]
		if _, err := evidence.ParsePolicy("policy", q.Policy); err != nil {
			continue
		}
		q.Name = fmt.Sprintf("%s %d of seed %d", q.Name, i, seed)
		q.Policy = c.otherPolicy(q.Policy)
		if c.IntN(3) == 0 {
			q.Time = c.pick(times[1:])
		}
		if c.IntN(6) == 0 {
			q.Proofs = bases[c.IntN(len(bases))].Proofs
		}
		list = append(list, q)
	}
	n, _ := ask(t, list)
	t.Logf("%d questions, %s", len(list), n)
}
