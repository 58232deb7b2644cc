package ceremony_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// section is a part of docs/SPEC.md, from a heading to the next one.
func section(t *testing.T, heading string) string {
	t.Helper()
	text := string(must(os.ReadFile("../docs/SPEC.md")))
	_, rest, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/SPEC.md has no %q", heading)
	}
	if i := regexp.MustCompile(`(?m)^##`).FindStringIndex(rest); i != nil {
		rest = rest[:i[0]]
	}
	return rest
}

// rows are a table's, cell by cell, without its heading.
func rows(text string) (list [][]string) {
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		list = append(list, cells)
	}
	return list
}

var quoted = regexp.MustCompile("`([^`]+)`")

// names are what stands in back quotes, with something in front of each.
func names(text, prefix string) (list []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		list = append(list, prefix+m[1])
	}
	return list
}

func same(t *testing.T, what string, spec, code []string) {
	t.Helper()
	if !slices.Equal(spec, code) {
		t.Errorf("%s: docs/SPEC.md has %v, the code %v", what, spec, code)
	}
}

func TestTheSpecListsTheAttributePolicyOfTheCode(t *testing.T) {
	var spec, code []string
	for _, r := range rows(section(t, "### 4.1 Attribute policy"))[1:] {
		spec = append(spec, strings.Join(r, " | "))
	}
	signs, derives := ceremony.Usual(keys.Sign), ceremony.Usual(keys.Agree)
	for i, e := range slices.Concat(ceremony.Always, signs) {
		rule, always := e.String(), i < len(ceremony.Always)
		if !always && derives[i-len(ceremony.Always)] != e {
			rule += fmt.Sprintf(" (%t for `agree`)", derives[i-len(ceremony.Always)].Want)
		}
		yes := map[bool]string{true: "yes", false: "no"}
		may := yes[!always && !ceremony.Fixed[keys.Sign][e.Name]]
		if may == "yes" && ceremony.Fixed[keys.Agree][e.Name] {
			may = "for `sign`"
		}
		code = append(code, fmt.Sprintf("%d | `%s` | %s | %s | %s", i+1, e.Name, rule, yes[!ceremony.ReadOnly[e.Name]], may))
	}
	same(t, "section 4.1", spec, code)
}

func TestTheSpecListsTheAttemptsOfTheCode(t *testing.T) {
	text := section(t, "## 9 Negative tests")
	accepted := map[string][]string{}
	for _, kind := range []string{"read", "wrap", "sign", "point", "ciphertext", "change"} {
		_, rest, ok := strings.Cut(text, "\n- "+kind+": ")
		if !ok {
			t.Fatalf("no list of %s", kind)
		}
		end := regexp.MustCompile(`\n(-|\n)`).FindStringIndex(rest)
		accepted[kind] = names(rest[:end[0]], "CKR_")
	}
	all := rows(text)
	var attempts, unstaged [][]string
	for i, r := range all {
		if strings.HasPrefix(r[0], "call") {
			attempts, unstaged = all[1:i], all[i+1:]
		}
	}
	rules := ceremony.Rules(keys.Agree, false)
	if len(attempts) != len(rules) || len(unstaged) != 2 {
		t.Fatalf("%d attempts, %d calls", len(attempts), len(unstaged))
	}
	signs := ceremony.Rules(keys.Sign, false)
	for _, r := range attempts {
		agrees := strings.HasSuffix(r[2], "Of keys that agree")
		if i := slices.IndexFunc(signs, func(x ceremony.Rule) bool { return x.Name == strings.Trim(r[0], "`") }); (i < 0) != agrees {
			t.Errorf("%s: docs/SPEC.md says of which keys otherwise than the code", r[0])
		}
	}
	for i, r := range attempts {
		same(t, "attempt "+r[0], append([]string{strings.Trim(r[0], "`"), strings.TrimSuffix(r[1], ", or C_Sign")}, accepted[r[3]]...), append([]string{rules[i].Name, rules[i].Call}, rules[i].Refused...))
		if _, may := ceremony.CantStage[rules[i].Call]; may != (r[4] == "yes") {
			t.Errorf("%s may be unstaged: %s in docs/SPEC.md, %t in the code", r[0], r[4], may)
		}
	}
	ofTPM := ceremony.Rules(keys.Agree, true)
	for i, r := range rows(section(t, "### 8.2 Of a key that agrees by its TPM"))[1:] {
		same(t, "attempt "+r[0]+" by a TPM", append([]string{strings.Trim(r[0], "`"), r[1]}, names(r[3], "")...), append([]string{ofTPM[6+i].Name, ofTPM[6+i].Call}, ofTPM[6+i].Refused...))
	}
	kem, spec := ceremony.RulesOf(keys.MLKEM768)[7], regexp.MustCompile("has `([a-z-]+)`: (C_[A-Za-z]+) ").FindStringSubmatch(text)
	if spec == nil {
		t.Fatal("docs/SPEC.md doesn't say what is tried on a key of ML-KEM")
	}
	same(t, "attempt on a key of ML-KEM", append(spec[1:], accepted["ciphertext"]...), append([]string{kem.Name, kem.Call}, kem.Refused...))
	for _, r := range unstaged {
		call := names(r[0], "")[0]
		same(t, "unstaged by "+call, names(r[1], "CKR_"), ceremony.CantStage[call])
	}
}

func TestTheSpecListsTheReturnCodesOfTheCode(t *testing.T) {
	text, _, _ := strings.Cut(section(t, "### 7.4 Return codes"), ".\n\n")
	_, list, _ := strings.Cut(text, ":\n")
	var code []string
	for _, number := range slices.Sorted(maps.Keys(token.CodeNames())) {
		code = append(code, token.CodeNames()[number])
	}
	same(t, "section 7.4", names(list, "CKR_"), code)
}

// The members of each kind of record, in their order.
func TestTheSpecListsTheMembersOfEveryRecord(t *testing.T) {
	text := section(t, "## 7 Record kinds")
	braces, lead := regexp.MustCompile(`\{[^{}]*\}`), regexp.MustCompile("^(`[a-z_]+`(, )?)+")
	spec := map[ceremony.Kind][]string{}
	for _, r := range rows(text)[1:] {
		members := r[1]
		for braces.MatchString(members) {
			members = braces.ReplaceAllString(members, "")
		}
		var list []string
		for part := range strings.SplitSeq(members, ";") {
			list = append(list, names(lead.FindString(strings.TrimSpace(part)), "")...)
		}
		spec[ceremony.Kind(names(r[0], "")[0])] = list
	}
	records := ceremony.EmptyRecords()
	for kind, body := range records {
		var code []string
		v := reflect.TypeOf(body).Elem()
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Field(i).Tag.Get("strict"), ",")
			code = append(code, name)
		}
		same(t, string(kind), spec[kind], code)
	}
	if len(spec) != len(records) {
		t.Errorf("docs/SPEC.md has %d kinds, the code %d", len(spec), len(records))
	}
	for half, after := range map[string]string{"private": "What is read of a private half: ", "public": "Of a public half: "} {
		_, list, ok := strings.Cut(text, after)
		list, _, _ = strings.Cut(list, ".\n")
		list, _, _ = strings.Cut(list, ". Of")
		list, _, _ = strings.Cut(list, ". No")
		var judged []string
		for _, e := range slices.Concat(ceremony.Always, ceremony.Usual(keys.Sign)) {
			judged = append(judged, e.Name)
		}
		got := names(strings.Replace(list, "the attributes of section 4.1", "`"+strings.Join(judged, "`, `")+"`", 1), "")
		code := slices.Clone(ceremony.HalfReadings[half])
		slices.Sort(got)
		slices.Sort(code)
		if !ok {
			t.Errorf("no list of the %s half", half)
		}
		same(t, half, got, code)
	}
}

func TestTheSpecListsTheHiddenCharactersOfTheCode(t *testing.T) {
	_, list, ok := strings.Cut(string(must(os.ReadFile("../docs/SPEC.md"))), "**Text.**")
	list, _, _ = strings.Cut(list, "The list is closed")
	_, list, _ = strings.Cut(list, "what stands beside them:")
	var spec [][2]rune
	for _, m := range regexp.MustCompile(`U\+([0-9A-F]+)(?:–([0-9A-F]+))?`).FindAllStringSubmatch(list, -1) {
		from := must(strconv.ParseInt(m[1], 16, 32))
		to := from
		if m[2] != "" {
			to = must(strconv.ParseInt(m[2], 16, 32))
		}
		spec = append(spec, [2]rune{rune(from), rune(to)})
	}
	if !ok || !slices.Equal(spec, strict.Hidden) {
		t.Errorf("docs/SPEC.md has %x, the code %x", spec, strict.Hidden)
	}
}
