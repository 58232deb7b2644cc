package evidence_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// hybridTable has what comes of lies about a ceremony under a policy that requires both
// signatures; FLEETCTL_WRITE=1 writes it.
const hybridTable = "testdata/forger-hybrid.txt"

// thieves have keys of a hybrid ceremony. A quantum computer has every classical one at
// once, people's, the log's and the fleet's with them, but at a later time: witnesses
// with ML-DSA-44 keys are honest.
var thieves = func() []hands {
	quantum := hands{name: "a quantum computer", people: all, party: true, second: true, operator: true, log: true}
	with := func(name string, f func(*hands)) hands {
		h := quantum
		h.name += " with " + name
		f(&h)
		return h
	}
	return []hands{
		{name: "everyone", people: all, party: true, second: true, operator: true, log: true, witnesses: 3, everyone: true, partyPQ: true, operatorPQ: true},
		quantum,
		with("the operator's ML-DSA key", func(h *hands) { h.operatorPQ = true }),
		with("the third party's ML-DSA key", func(h *hands) { h.partyPQ = true }),
		with("both ML-DSA keys", func(h *hands) { h.operatorPQ, h.partyPQ = true, true }),
		{name: "the operator's classical key", operator: true},
		{name: "the operator's ML-DSA key", operatorPQ: true},
		{name: "both of the operator's keys", operator: true, operatorPQ: true},
		{name: "the third party's Ed25519 key", party: true},
		{name: "the third party's ML-DSA key", partyPQ: true},
		{name: "both of the third party's keys", party: true, partyPQ: true},
		{name: "nobody"},
	}
}()

// takenOfHybrid are the lies that are VERIFIED, by whom, and why that may be.
var takenOfHybrid = []struct{ field, who, why string }{
	{"outcome.public_key", "everyone", "that this key was generated in that HSM is the device's word: the claim's grade is device"},
	{"outcome.public_key", "a quantum computer with both ML-DSA keys", "that is every key of both who sign: the honest witnesses date it by then, and not before"},
}

func hybridBase(t testing.TB) *base {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "forged hybrid", HSMs: 1, PostQuantum: keys.MLDSA44})
	records := must(ceremony.ParseTranscript("t", f.Transcript(), f.Plan.Digest())).Records
	b := newBase(t, f, records, "")
	b.by = thieves
	return b
}

// hybridLies are about keys, about who signed them, and about the plan's word of whom
// both signatures are wanted.
func (b *base) hybridLies() []lie {
	list := slices.DeleteFunc(b.recordLies(), func(l lie) bool {
		return l.field != "outcome.public_key" && !strings.HasPrefix(l.field, "response.") && !strings.HasPrefix(l.field, "countersignature.")
	})
	plan := func(how string, pairs ...string) {
		list = append(list, lie{field: "plan.yaml post_quantum", how: how, file: ceremony.PlanFile, bytes: func(_ *forgery, data []byte) []byte {
			for i := 0; i < len(pairs); i += 2 {
				if !strings.Contains(string(data), pairs[i]) {
					panic("the plan has no " + pairs[i])
				}
			}
			return []byte(strings.NewReplacer(pairs...).Replace(string(data)))
		}})
	}
	of := func(q *ceremony.PostQuantum, indent string) string {
		return fmt.Sprintf("\n%spost_quantum:\n%s  algorithm: %s\n%s  key: %s", indent, indent, q.Algorithm, indent, b64(q.Key))
	}
	party, operator := b.fleet.Plan.ThirdParties[0].PostQuantum, b.fleet.Plan.Countersigner.PostQuantum
	own := b64(b.adds.Public.SPKI())
	plan("of nobody", of(party, "    "), "", of(operator, "  "), "")
	plan("of the operator alone", of(party, "    "), "")
	plan("of the third party alone", of(operator, "  "), "")
	plan("the third party's is the attacker's own", b64(party.Key), own)
	plan("the operator's is the attacker's own", b64(operator.Key), own)
	record := func(kind ceremony.Kind, field, how string, edit func(g *forgery, r *ceremony.Record)) {
		i := slices.IndexFunc(b.records, func(r *ceremony.Record) bool { return r.Kind == kind })
		list = append(list, lie{field: field, how: how, record: i + 1, edit: edit})
	}
	record(ceremony.KindResponse, "response.addition", "left out", func(_ *forgery, r *ceremony.Record) { r.Content.(*ceremony.Response).Addition = nil })
	record(ceremony.KindResponse, "response.addition", "made for a countersignature", func(g *forgery, r *ceremony.Record) {
		c := r.Content.(*ceremony.Response)
		s := must(bundle.ParseStatement("", c.Statement))
		c.Addition = must(g.fleet.Parties.PostQuantum[testfleet.FirstAuditor].SignAs(keys.ForCountersignature, s.Message()))
	})
	record(ceremony.KindCountersignature, "countersignature.post_quantum", "left out", func(_ *forgery, r *ceremony.Record) { r.Content.(*ceremony.Countersignature).PostQuantum = nil })
	record(ceremony.KindCountersignature, "countersignature.post_quantum", "made for a third party's addition", func(g *forgery, r *ceremony.Record) {
		if text, err := g.a.CountersignText(); err == nil {
			r.Content.(*ceremony.Countersignature).PostQuantum = must(g.fleet.Parties.PostQuantum[g.a.Plan.Countersigner.Name].SignAs(keys.ForThirdParty, text))
		}
	})
	return list
}

// TestWhoCanLieAboutAHybridCeremony has the thief of each key, and whoever has every
// classical key at once, tell lies about the keys. None is VERIFIED without the ML-DSA
// keys of both the operator and the third party.
func TestWhoCanLieAboutAHybridCeremony(t *testing.T) {
	if testing.Short() || await.RaceDetector {
		t.Skip("takes seconds of processor time, and shows the same each time")
	}
	b := hybridBase(t)
	var table strings.Builder
	table.WriteString("# What comes of a lie under a policy that requires both a classical and a post-quantum signature, by whose keys the liar has.\n" +
		"# TestWhoCanLieAboutAHybridCeremony writes this file, and has a reason for each lie that is VERIFIED.\n")
	used := make([]bool, len(takenOfHybrid))
	list := judgeAll(b, b.hybridLies())
	for n, v := range list {
		if n == 0 || !slices.Equal(list[n-1].texts, v.texts) {
			table.WriteString("\n")
		}
		fmt.Fprintf(&table, "%s: %s\n", v.lie.field, clean(v.lie.how))
		if n+1 == len(list) || !slices.Equal(list[n+1].texts, v.texts) {
			for _, line := range v.lines() {
				table.WriteString("    " + line + "\n")
			}
		}
		for i, ok := range v.accepted {
			at := slices.IndexFunc(takenOfHybrid, func(x struct{ field, who, why string }) bool { return x.field == v.lie.field && x.who == v.by[i].name })
			if ok && at < 0 {
				t.Errorf("%s: %s: VERIFIED, told by %s", v.lie.field, v.lie.how, v.by[i].name)
			} else if ok {
				used[at] = true
			}
		}
	}
	if slices.Contains(used, false) {
		t.Errorf("which of the reasons are used: %v", used)
	}
	if os.Getenv("FLEETCTL_WRITE") == "1" {
		must(0, os.WriteFile(hybridTable, []byte(table.String()), 0o644))
	}
	if have, err := os.ReadFile(hybridTable); err != nil || string(have) != table.String() {
		t.Errorf("%s is not what comes of the lies today: %v\n%s", hybridTable, err, firstDifference(string(have), table.String()))
	}
}

// TestAQuantumComputerLiesAboutNoMoreThanPeopleSay has whoever holds every classical key
// tell every lie there is about a hybrid ceremony. VERIFIED is no more than what all but
// the third parties can say together, whose keys are classical too: the report names them.
func TestAQuantumComputerLiesAboutNoMoreThanPeopleSay(t *testing.T) {
	if testing.Short() || await.RaceDetector {
		t.Skip("takes seconds of processor time, and shows the same each time")
	}
	b := hybridBase(t)
	b.by = thieves[1:2]
	taken, used := 0, make([]bool, len(reasons))
	for _, v := range judgeAll(b, slices.Concat(b.recordLies(), b.planLies(), b.jsonLies(), b.otherLies(), b.textLies(), b.proofLies())) {
		if !v.accepted[0] {
			continue
		}
		taken++
		if reasonOf(v.lie.field, "all but the third parties", used) == "" {
			t.Errorf("%s: %s: VERIFIED, told by %s, and all but the third parties together could not", v.lie.field, v.lie.how, v.by[0].name)
		}
	}
	if taken == 0 {
		t.Error("no lie is VERIFIED, not even about what people say: the forger no longer makes things fit")
	}
}
