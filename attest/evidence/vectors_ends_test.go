package evidence_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// expectCurrent is what EXPECT has in the place of a type to ask for keys that
// are current.
const expectCurrent evidence.Type = "current"

// besideFiles are the names under which what is given beside a vector lies, with
// its proof: a package, or a bundle.
func besideFiles(name string) [][2]string {
	return [][2]string{{name + ".beside.tar", name + ".beside.tlog-proof"}, {name + ".beside.json", name + ".beside.json.tlog-proof"}}
}

// readBesides are those that lie in the folder of vectors.
func readBesides(t *testing.T, name string) (list []evidence.Input) {
	t.Helper()
	for i, f := range besideFiles(name) {
		data, err := os.ReadFile(filepath.Join(vectorDir, f[0]))
		if err != nil {
			continue
		}
		in := evidence.Input{File: f[0], Data: data}
		if proof, _ := os.ReadFile(filepath.Join(vectorDir, f[1])); i == 0 {
			in.Logged = proof
		} else {
			in.Proof = proof
		}
		list = append(list, in)
	}
	return list
}

// writeBeside adds what is given beside a vector to the files that there are to be.
func writeBeside(name string, m made, want map[string][]byte) {
	if m.beside == nil {
		return
	}
	i := 1
	if m.beside.Logged != nil || evidence.Detect(m.beside.Data) == evidence.TypeEvidence {
		i = 0
	}
	f := besideFiles(name)[i]
	want[f[0]] = m.beside.Data
	if proof := append(m.beside.Logged, m.beside.Proof...); len(proof) > 0 {
		want[f[1]] = proof
	}
}

// endedBy is a ceremony that was aborted, signed by these people.
func endedBy(t *testing.T, f *testfleet.Fleet, a *ceremony.Account, logged bool, names ...string) made {
	signAbort(t, f, a.AbortApproval(), names...)
	m := made{archive: packed(t, f), policy: f.Policy, now: f.Now()}
	if logged {
		m.logged = endLogged(f, m.archive)
	}
	return m
}

// abandonedFor is a ceremony that was aborted before its request.
func abandonedFor(t *testing.T, name string) (*testfleet.Fleet, *ceremony.Account) {
	f := testfleet.New(t, testfleet.Options{Name: name, To: testfleet.ToFleetRun})
	return f, must(engine.Abort(t.Context(), f.Config(f.Dir, testfleet.Random(name)), "a seal was missing"))
}

// retiredFleet is a fleet's package, and the notice of its end beside it.
func retiredFleet(t *testing.T, name string) made {
	f := testfleet.New(t, testfleet.Options{Name: name})
	now := f.Now().Add(2 * time.Hour)
	end := f.Noticed(f.NoticeOf(bundle.RetirementFormat, 2, f.Account.Release.Artifact), f.Parties.ThirdParty, f.Parties.Operator, bundle.FormBound)
	return made{archive: f.Archive, policy: f.Policy, now: now, beside: &evidence.Input{Data: end, Proof: must(f.Parties.Log.Append(end))}}
}

func init() { vectors = append(vectors, endVectors...) }

var endVectors = []vector{
	{"aborted", "nothing: a ceremony that was aborted, signed by everyone and logged", "", evidence.TypeAbort, func(t *testing.T) made {
		f, a := abandonedFor(t, "vector aborted")
		return endedBy(t, f, a, true, testfleet.Signers...)
	}},
	{"aborted-not-logged", "the same, and no proof that it is logged", "evidence.logged: there is no proof beside it", evidence.TypeAbort, func(t *testing.T) made {
		f, a := abandonedFor(t, "vector not logged")
		return endedBy(t, f, a, false, testfleet.Signers...)
	}},
	{"aborted-by-one", "an abort that one officer signed", "olga alone signed it", evidence.TypeAbort, func(t *testing.T) made {
		f, a := abandonedFor(t, "vector by one")
		return endedBy(t, f, a, false, "olga")
	}},
	{"released-cut-by-the-auditor", "a ceremony that was released and logged, cut off before its request and signed as aborted by the auditor", "no officer signed it", evidence.TypeAbort, func(t *testing.T) made {
		f, a := cutShort(t, testfleet.New(t, testfleet.Options{Name: "vector cut"}), ceremony.KindRequest)
		return endedBy(t, f, a, false, "ada")
	}},
	{"released-cut-by-everyone", "the same, signed by everyone and logged, beside the package that it was closed with", "a ceremony ends once", evidence.TypeAbort, func(t *testing.T) made {
		closed := testfleet.New(t, testfleet.Options{Name: "vector cut by all"})
		f, a := cutShort(t, closed, ceremony.KindRequest)
		m := endedBy(t, f, a, true, testfleet.Signers...)
		m.beside = &evidence.Input{Data: closed.Archive}
		return m
	}},
	{"onlooker-left-out", "the plan's second witness, whom the policy doesn't pin, is left out of the close, whatever the verdict was", "no verdict by wim", "", func(t *testing.T) made {
		f := testfleet.New(t, testfleet.Options{Name: "vector onlooker", Onlookers: []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}})
		m := plainly(t, f, func(x evidence.Files) {
			delete(x, "signoffs/close/wim")
			delete(x, "signoffs/close/wim.sig")
		})
		text, rest, _ := strings.Cut(string(m.policy), "  - name: wim\n")
		_, rest, _ = strings.Cut(rest, "third_parties_needed:")
		m.policy = []byte(text + "third_parties_needed:" + rest)
		return m
	}},
	{"retired-is-history", "nothing: a package, and beside it the retirement of its fleet; its keys are not to be used", "", "", func(t *testing.T) made {
		return retiredFleet(t, "vector history")
	}},
	{"retired-is-not-current", "the same, asked for keys that are current", "is retired since", expectCurrent, func(t *testing.T) made {
		return retiredFleet(t, "vector not current")
	}},
	{"superseded", "a package, and beside it the bundle of the next epoch, asked for keys that are current", "is superseded by epoch 2", expectCurrent, func(t *testing.T) made {
		one := testfleet.New(t, testfleet.Options{Name: "vector first"})
		two := testfleet.New(t, testfleet.Options{Name: "vector second", After: one})
		return made{archive: one.Archive, policy: one.Policy, now: two.Now(),
			beside: &evidence.Input{Data: two.Files[ceremony.BundleFile], Proof: two.Files[ceremony.ProofFile]}}
	}},
	{"two-artifacts", "a package, and beside it another artifact of its epoch under the same keys", "which is equivocation", "", func(t *testing.T) made {
		one := testfleet.New(t, testfleet.Options{Name: "vector one"})
		same := *one.Parties
		same.Ledger = filepath.Join(testfleet.TempDir(t), "ledger.jsonl")
		other := testfleet.New(t, testfleet.Options{Name: "vector other", Parties: &same})
		return made{archive: one.Archive, policy: one.Policy, now: other.Now(),
			beside: &evidence.Input{Data: other.Files[ceremony.BundleFile], Proof: other.Files[ceremony.ProofFile]}}
	}},
}
