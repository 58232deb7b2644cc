package fleetctl_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// rulesFile says for each rule of SPEC by which something is refused which cases show
// it: section, words of the rule as they stand there, and the cases, or a dash and why
// there is none.
const rulesFile = "testdata/vectors/rules.tsv"

// ruled are SPEC's sections whose rules must all stand in rulesFile: of each row of a
// table of members, and of each sentence that refuses.
var ruled = []string{"1", "1.1", "1.2", "2", "3", "4", "4.1", "6", "6.1", "6.2", "6.2.1", "6.3", "7", "7.1", "7.2", "7.3", "7.4", "7.5", "8", "8.1", "8.2", "9", "9.1", "10", "11.1", "11.2", "11.3", "12", "12.1", "15", "16.1", "16.2", "18.1"}

// tabled are those whose tables' rows are rules each.
var tabled = []string{"4", "6", "6.2", "7", "10", "11.1", "11.2", "11.3", "15", "18.1"}

// refuses are the words by which a sentence is one that refuses.
var refuses = regexp.MustCompile(`\brefused\b|malformed|\bmust\b|a problem|\bwrong\*|is a fault`)

// noRule are sentences with such words that refuse nothing that a vector could have.
var noRule = []string{
	"Words: *must* and *refused* mean", "Nothing in the SPI", "it is refused, and the entry is done", "which helps a thief",
	"A check that a record shows to have *failed* is not malformed", "else it counts for nothing, and is no fault",
	`"F:" is what leaves a fault`, "everything else under *judged* is malformed", "Each of these is a problem:", "It is a fault, as ever with the key destroyed", "is one step of one process", "is a login that must fail with the PIN", "A valid signature outside the window is not wrong",
	"a quorum that can't be met without such witnesses is refused", "All faults of a file are listed at once",
}

type rule struct {
	section, words string
	cases          []string
	why            string // there is none
}

func rules(t *testing.T) (list []rule) {
	t.Helper()
	for line := range strings.Lines(read(t, rulesFile)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			t.Fatalf("%s has the line %q", rulesFile, line)
		}
		r := rule{section: f[0], words: oneSpace(f[1])}
		if why, none := strings.CutPrefix(f[2], "- "); none {
			r.why = why
		} else {
			r.cases = strings.Fields(f[2])
		}
		list = append(list, r)
	}
	return list
}

func oneSpace(s string) string { return strings.Join(strings.Fields(s), " ") }

var heading = regexp.MustCompile(`(?m)^#{2,4} (\d+(?:\.\d+)*) .*$`)

// sections are SPEC's, by number, without examples.
func sections(t *testing.T) map[string]string {
	t.Helper()
	text := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(read(t, "docs/SPEC.md"), "")
	list := map[string]string{}
	at := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		list[text[m[2]:m[3]]] = text[m[1]:end]
	}
	return list
}

// Each rule in the list stands in SPEC as it is quoted, and each case that is said to
// show it is one that is refused.
func TestTheRulesStandInTheSpecificationAndHaveTheirCases(t *testing.T) {
	spec, none := sections(t), 0
	for _, r := range rules(t) {
		if !strings.Contains(oneSpace(spec[r.section]), r.words) {
			t.Errorf("SPEC %s doesn't say %q", r.section, r.words)
		}
		if r.why != "" {
			none++
		}
		if r.why == "" && len(r.cases) == 0 {
			t.Errorf("SPEC %s, %q: no case, and no reason why", r.section, r.words)
		}
		for _, name := range r.cases {
			kind, name, _ := strings.Cut(name, "/")
			c, err := testvectors.Read(kind, name)
			if err != nil || c.Verdict == testvectors.Accept {
				t.Errorf("SPEC %s, %q: %s/%s is no case that is refused (%v)", r.section, r.words, kind, name, err)
			}
		}
	}
	t.Logf("%d rules, %d of them without a case", len(rules(t)), none)
}

// units are the rows of a section's tables and the sentences of its text.
func units(text string) (rows, sentences []string) {
	var plain []string
	flush := func() {
		if len(plain) > 0 {
			sentences = append(sentences, regexp.MustCompile(`[.;:] `).Split(oneSpace(strings.Join(plain, " ")), -1)...)
			plain = nil
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|---"):
			rows = rows[:len(rows)-1] // what stands above it is the head
		case strings.HasPrefix(line, "|"):
			flush()
			rows = append(rows, oneSpace(line))
		case line == "" || strings.HasPrefix(line, "- "):
			flush()
			plain = append(plain, strings.TrimPrefix(line, "- "))
		default:
			plain = append(plain, line)
		}
	}
	flush()
	return rows, sentences
}

// No rule of these sections is forgotten: whoever adds one says which case shows it.
func TestEveryRuleOfTheSpecificationIsListed(t *testing.T) {
	spec, all := sections(t), rules(t)
	for _, section := range ruled {
		listed := func(unit string) bool {
			return slices.ContainsFunc(all, func(r rule) bool {
				return r.section == section && (strings.Contains(unit, r.words) || strings.Contains(r.words, unit))
			})
		}
		rows, sentences := units(spec[section])
		if len(rows)+len(sentences) == 0 {
			t.Errorf("SPEC has no section %s", section)
		}
		for _, row := range rows {
			if slices.Contains(tabled, section) && !listed(row) {
				t.Errorf("SPEC %s: no rule of %s is of the row %s", section, rulesFile, row)
			}
		}
		for _, s := range sentences {
			free := slices.ContainsFunc(noRule, func(words string) bool { return strings.Contains(s, words) })
			if refuses.MatchString(s) && !free && !listed(s) {
				t.Errorf("SPEC %s: no rule of %s is of the sentence %q", section, rulesFile, s)
			}
		}
	}
}

// Every folder of cases is of a kind that the README has, and the other way.
func TestTheVectorsReadmeNamesEveryKind(t *testing.T) {
	text := read(t, "testdata/vectors/README.md")
	kinds, err := testvectors.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		if !strings.Contains(text, "`"+kind+"`") {
			t.Errorf("testdata/vectors/README.md doesn't name the kind %s", kind)
		}
	}
	entries, err := os.ReadDir(filepath.FromSlash("testdata/vectors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() && e.Name() != "README.md" && e.Name() != "rules.tsv" {
			t.Errorf("testdata/vectors/%s is no case", e.Name())
		}
	}
}
