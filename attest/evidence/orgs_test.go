package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// replaced is a policy's text with pairs of edits, each of which fits once.
func replaced(t *testing.T, text string, edits ...string) string {
	t.Helper()
	for i := 0; i+1 < len(edits); i += 2 {
		if strings.Count(text, edits[i]) != 1 {
			t.Fatalf("%q fits %d times", edits[i], strings.Count(text, edits[i]))
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return text
}

func TestThirdPartiesOperatorsAndWitnessesAreStrangers(t *testing.T) {
	good := string(slotted(nil, nil, ""))
	second := formsOf(keys.Ed25519, "a second party").raw
	claims := "claims: {"
	party := `{name: tp, key: `
	op := `{name: op, `
	parties := func(org1, org2 string) []string {
		return []string{party, "{name: tp2, org: " + org2 + ", key: \"" + second + "\"}\n  - {name: tp, org: " + org1 + ", key: "}
	}
	allow := func(a, b string) []string {
		return []string{claims, "allows:\n  - one_org: [" + a + ", " + b + "]\n" + claims}
	}
	witness := func(name, org string) []string {
		return []string{"log_confirmed:", "witness_orgs:\n  - {name: " + name + ", org: " + org + "}\nlog_confirmed:"}
	}
	join := func(list ...[]string) (all []string) {
		for _, l := range list {
			all = append(all, l...)
		}
		return all
	}
	for name, c := range map[string]struct {
		edits []string
		want  string // empty: it can be used
	}{
		"nothing said":                               {nil, ""},
		"two parties of two":                         {parties("a", "b"), ""},
		"two parties of one":                         {parties("a", "a"), "third party tp2 and third party tp are both of a"},
		"two parties of one, allowed":                {join(parties("a", "a"), allow("third party tp", "third party tp2")), ""},
		"a party by another's name":                  {parties("a", "tp"), ""},
		"a party of the operator":                    {[]string{op, "{name: op, org: tp, "}, "third party tp and operator op are both of tp"},
		"a party of the operator, by org":            {[]string{op, "{name: op, org: acme, ", party, "{name: tp, org: acme, key: "}, "both of acme"},
		"a party of the operator, allowed":           {join([]string{op, "{name: op, org: tp, "}, allow("operator op", "third party tp")), ""},
		"the party's witness":                        {witness("cosigner", "tp"), "the quorum can't be met by strangers: without cosigner (third party tp's)"},
		"the operator's witness":                     {join(witness("cosigner", "acme"), []string{op, "{name: op, org: acme, "}), "without cosigner (operator op's)"},
		"a witness by the operator's name":           {[]string{"witness cosigner ", "witness op ", "quorum cosigner", "quorum op"}, "without op (operator op's)"},
		"the party's witness, allowed":               {join(witness("cosigner", "tp"), allow("witness cosigner", "third party tp")), ""},
		"the party's witness, another allowed":       {join(witness("cosigner", "tp"), allow("witness cosigner", "operator op")), "can't be met"},
		"a stranger's witness":                       {witness("cosigner", "w.example"), ""},
		"a witness that isn't":                       {witness("nobody", "tp"), `witness_orgs names "nobody", and log_policy has no such witness`},
		"an org for a witness twice":                 {[]string{"log_confirmed:", "witness_orgs:\n  - {name: cosigner, org: a}\n  - {name: cosigner, org: b}\nlog_confirmed:"}, `names "cosigner" twice`},
		"one party's keys of two orgs":               {[]string{party, "{name: tp, org: b, key: \"" + second + "\"}\n  - {name: tp, org: a, key: "}, "third party tp is of a and of b"},
		"allowed in vain":                            {allow("witness cosigner", "third party tp"), "are of one org in nothing that this policy pins"},
		"a key allowed in vain":                      {[]string{claims, "allows:\n  - one_key: [person olga, third party tp]\n" + claims}, "person olga and third party tp have no key in common"},
		"a key of two people":                        {[]string{claims, "allows:\n  - one_key: [person olga, person omar]\n" + claims}, "may never have one key"},
		"a key of party and operator":                {[]string{claims, "allows:\n  - one_key: [third party tp, operator op]\n" + claims}, "may never have one key"},
		"both at once":                               {[]string{claims, "allows:\n  - {one_key: [person olga, third party tp], one_org: [a, b]}\n" + claims}, "allows: each is one_key"},
		"neither":                                    {[]string{claims, "allows:\n  - {}\n" + claims}, "allows: each is one_key"},
		"nobody":                                     {[]string{claims, "allows: []\n" + claims}, "allows names nothing"},
		"a part that isn't":                          {[]string{claims, "allows:\n  - one_key: [king olga, third party tp]\n" + claims}, "have to begin with one of"},
		"orgs of people, logs and submitters, as is": {[]string{"role: witness,", "role: witness, org: tp,", "name: submitter,", "name: submitter, org: tp,", "log_confirmed:", "log_org: op\nlog_confirmed:"}, ""},
	} {
		p, err := evidence.ParsePolicy("p", []byte(replaced(t, good, c.edits...)))
		if c.want == "" && err != nil || c.want != "" && (err == nil || p != nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil && (len(p.Allows()) == 1) != strings.HasSuffix(name, "allowed") {
			t.Errorf("%s: allows %q", name, p.Allows())
		}
	}
}

// What a policy allows is taken, of a fleet's keys too, and every report says so.
func TestWhatAPolicyAllowsIsTakenAndSaid(t *testing.T) {
	f := fleetKeySigns(t, "allowed")
	if r := judge(t, f, string(f.Policy)); r.Verified {
		t.Fatal("a fleet's key signs for the third party")
	}
	text := strings.Replace(string(f.Policy), "\nclaims:\n", "\nallows:\n  - one_key: [fleet key hsm-1/session, third party auditor.example]\nclaims:\n", 1)
	r := judge(t, f, text)
	if !r.Verified || !strings.Contains(string(r.JSON()), `"one key of fleet key hsm-1/session and third party auditor.example"`) {
		t.Errorf("%+v %s", r.Problems, r.JSON())
	}
	wantProblem(t, judge(t, f, strings.Replace(text, "fleet key hsm-1/", "fleet key hsm-2/", 1)), `fleet key "hsm-1/session" has the key of third party "auditor.example"`)
	k := formsOf(keys.Ed25519, "shared")
	shared := map[string]*forms{"olga": k, "cosigner": k}
	if _, err := evidence.ParsePolicy("p", slotted(shared, nil, "")); err == nil {
		t.Error("an officer is a witness")
	}
	p, err := evidence.ParsePolicy("p", slotted(shared, nil, "allows:\n  - one_key: [witness cosigner, person olga]\n"))
	if err != nil || len(p.Allows()) != 1 || p.Allows()[0] != "one key of witness cosigner and person olga" {
		t.Errorf("%v", err)
	}
}
