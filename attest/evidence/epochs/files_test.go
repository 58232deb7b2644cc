package epochs_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/epochs"
)

// TestEveryFileOfAFolderIsAnObjectOrBesideOneOrNamed sorts folders as operators lay them.
func TestEveryFileOfAFolderIsAnObjectOrBesideOneOrNamed(t *testing.T) {
	for name, c := range map[string]struct{ paths, groups, ours, others string }{
		"flat":    {"1.tar 1.tlog-proof 1.tlog-proof-2 end.json end.json.tlog-proof end.json.rekor.json", "1.tar[1.tlog-proof 1.tlog-proof-2] end.json[end.json.tlog-proof]", "", ""},
		"folders": {"1/evidence.tar 1/evidence.tlog-proof 2/evidence.tar", "1/evidence.tar[1/evidence.tlog-proof] 2/evidence.tar[]", "", ""},
		"unpacked, with what is in it, and its proof beside it": {"e1/plan.yaml e1/transcript.jsonl e1/approvals/open-1/olga e1/bundle.json e1.tlog-proof", "e1/[e1.tlog-proof]", "", ""},
		"a transcript without its plan":                         {"e1/transcript.jsonl e1/bundle.json", "e1/[]", "", ""},
		"a package's own folder":                                {"plan.yaml bundle.json x/plan.yaml x/y", "./[]", "", ""},
		"a site, with copies beside each package": {"index.html epoch-1/index.html epoch-1/evidence.tar epoch-1/plan.yaml epoch-1/bundle.json epoch-1/bundle.json.tlog-proof",
			"epoch-1/bundle.json[epoch-1/bundle.json.tlog-proof] epoch-1/evidence.tar[]", "", "epoch-1/index.html epoch-1/plan.yaml index.html"},
		"an unpacked package with an archive in it": {"e1/plan.yaml e1/transcript.jsonl e1/evidence.tar", "e1/[]", "", ""},
		"a proof of nothing":                        {"1.tar 2.tlog-proof", "1.tar[]", "2.tlog-proof", ""},
		"a proof out of its row":                    {"1.tar 1.tlog-proof-2", "1.tar[]", "1.tlog-proof-2", ""},
		"an entry of nothing":                       {"1.tar 1.tar.rekor.json", "1.tar[]", "1.tar.rekor.json", ""},
		"others":                                    {"README.txt 1.tar 1.tar.sha256 policy.yaml", "1.tar[]", "", "1.tar.sha256 README.txt policy.yaml"},
		"named like a proof, and none":              {"1.tar 1.tlog-proofs", "1.tar[]", "", "1.tlog-proofs"},
		"nothing":                                   {"", "", "", ""},
	} {
		groups, ours, others := epochs.Sort(strings.Fields(c.paths))
		var list []string
		for _, g := range groups {
			name := g.Path
			if g.Folder {
				name += "/"
			}
			list = append(list, fmt.Sprintf("%s%v", name, g.Proofs))
		}
		if got := strings.Join(list, " "); got != c.groups || strings.Join(ours, " ") != c.ours || strings.Join(others, " ") != c.others {
			t.Errorf("%s: %q, ours %q, others %q", name, got, ours, others)
		}
	}
}

// Every path is in one place: in an object, beside one, or named.
func FuzzSort(f *testing.F) {
	f.Add("1.tar\n1.tlog-proof\nend.json\nREADME")
	f.Add("e/plan.yaml\ne/x/y\ne.tlog-proof\n..\n/\n.")
	f.Fuzz(func(t *testing.T, text string) {
		paths := strings.Split(text, "\n")
		groups, ours, others := epochs.Sort(paths)
		for _, p := range paths {
			n := 0
			for _, list := range [][]string{ours, others} {
				if slices.Contains(list, p) {
					n++
				}
			}
			in := slices.ContainsFunc(groups, func(g epochs.Group) bool {
				return g.Path == p || slices.Contains(g.Proofs, p) || p == g.Path+".rekor.json" || g.Folder && (g.Path == "." || g.Path == "/" || strings.HasPrefix(p, g.Path))
			})
			if n > 1 || n == 0 && !in {
				t.Fatalf("%q is in %d lists, in an object: %t", p, n, in)
			}
		}
	})
}

// Whatever is among the objects of a chain, there is no panic, no verdict that says
// verified but for the good ones, and one report for one input.
func FuzzChain(f *testing.F) {
	p := newPool(f)
	good := map[string]bool{string(p.objects["given-up.tar"].Data): true}
	for _, name := range []string{"one.json", "two.json", "void-3.json", "end-6.json", "note.json", "statement.json"} {
		f.Add(p.objects[name].Data, p.objects[name].Proof)
		good[string(p.objects[name].Data)] = strings.HasPrefix(name, "one") || strings.HasPrefix(name, "two")
	}
	f.Add([]byte(nil), []byte("c2sp.org/tlog-proof@v1\n"))
	q := epochs.Question{Now: p.now}
	one := p.objects["one.json"]
	one.File = "one.json"
	f.Fuzz(func(t *testing.T, data, proof []byte) {
		list := []evidence.Input{one, {File: "x", Data: data, Proof: proof}}
		r := must(judge(p.policies[byBundles], q, list))
		if again := must(judge(p.policies[byBundles], q, list)); string(again.JSON()) != string(r.JSON()) {
			t.Fatal("two reports of the same bytes differ")
		}
		if r.Verified && !good[string(data)] {
			t.Fatalf("verified with what is not good: %s", tells(r))
		}
	})
}

// TestAChainHasABoundedNumberOfObjects: what is read and compared is bounded, and so is
// what is reported of it.
func TestAChainHasABoundedNumberOfObjects(t *testing.T) {
	policy := must(evidence.ParsePolicy("policy.yaml", must(os.ReadFile(hostileDir+"/policy.yaml"))))
	c := must(epochs.New(policy, epochs.Question{Now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}))
	for i := range 256 {
		if err := c.Take(evidence.Input{File: fmt.Sprint(i), Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Take(evidence.Input{File: "one more", Data: []byte("{}")}); err == nil || !strings.Contains(err.Error(), "more than 256 objects") {
		t.Errorf("the 257th object: %v", err)
	}
	for i := range 2000 {
		c.Stray(fmt.Sprint(i, ".tlog-proof"), true)
	}
	if r := c.Conclude(); r.Verified || len(r.Problems) != 1000 || len(r.Problems)+r.Others < 2256 {
		t.Errorf("%d problems and %d others", len(r.Problems), r.Others)
	}
	if _, err := epochs.New(policy, epochs.Question{}); err == nil {
		t.Error("a chain is judged at no time")
	}
}
