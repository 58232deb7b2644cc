package evidence_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// expectCurrent stands in the place of a type to ask for keys that are current.
const expectCurrent evidence.Type = "current"

// besideFiles are what is given beside a vector, a package or a bundle, with its proof.
func besideFiles(in *evidence.Input) []testvectors.Part {
	if evidence.Detect(in.Data) == evidence.TypeEvidence {
		return []testvectors.Part{{Part: "beside", Name: "beside.tar", Data: in.Data}, {Part: "beside-logged", Name: "beside.tar.tlog-proof", Data: in.Logged}}
	}
	return []testvectors.Part{{Part: "beside", Name: "beside.json", Data: in.Data}, {Part: "beside-proof", Name: "beside.json.tlog-proof", Data: in.Proof}}
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
