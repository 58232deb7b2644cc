package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// hybridOf is a fleet of whose third party and operator a policy requires both a classical
// and a post-quantum signature. The vectors below are made of one.
func hybridOf(t *testing.T) *testfleet.Fleet {
	t.Helper()
	return testfleet.New(t, testfleet.Options{Name: "vector hybrid", HSMs: 1, PostQuantum: keys.MLDSA44})
}

// beside are the post-quantum signatures of a fleet's third party and operator, as records
// have them.
func beside(f *testfleet.Fleet) (addition, countersignature []byte) {
	a, _, err := ceremony.Replay(f.Plan, ceremony.TranscriptFile, f.Transcript())
	if err != nil {
		panic(err)
	}
	return a.Responses[0].Addition, a.Counter.PostQuantum
}

// halfEnded is a hybrid fleet under a policy by which the key of this algorithm ended a year
// before it signed.
func halfEnded(t *testing.T, list, algorithm string) made {
	f := hybridOf(t)
	m := made{archive: f.Archive, policy: f.Policy, now: f.Now()}
	before, rest, ok := strings.Cut(string(f.Policy), "\n"+list+":\n")
	line := "    algorithm: " + algorithm + "\n"
	if !ok || !strings.Contains(rest, line) {
		t.Fatalf("%s has no %s in\n%s", list, algorithm, f.Policy)
	}
	window := "    window: {" + until("not_after", f.Last().AddDate(-1, 0, 0)) + "}\n"
	m.policy = []byte(before + "\n" + list + ":\n" + strings.Replace(rest, line, line+window, 1))
	return m
}

func init() {
	vectors = append(vectors,
		vector{"hybrid", "nothing: both a classical and a post-quantum signature are required of third party and operator, and there", "", "", func(t *testing.T) made {
			return plainly(t, hybridOf(t), nil)
		}},
		vector{"hybrid-classical-ceremony", "a ceremony without post-quantum signatures, where both are required", "auditor.example gave no post-quantum signature beside its statement", "", func(t *testing.T) made {
			f := hybridOf(t)
			classical := testfleet.New(t, testfleet.Options{Name: "vector hybrid", HSMs: 1, Witnesses: 2})
			return made{archive: classical.Archive, policy: f.Policy, now: f.Now()}
		}},
		vector{"hybrid-addition-left-out", "the post-quantum signature beside the third party's statement is left out", "no signature by that key came beside the statement", "", func(t *testing.T) made {
			f := hybridOf(t)
			addition, _ := beside(f)
			return resealed(f, ceremony.KindResponse, `,"addition":"`+b64(addition)+`"`, "")
		}},
		vector{"hybrid-addition-for-another-use", "the third party's post-quantum key signed its statement as a countersignature", "it was made for fleetctl/countersignature/v1", "", func(t *testing.T) made {
			f := hybridOf(t)
			addition, _ := beside(f)
			s := f.Account.Statements()[0].Statement
			other := must(f.Parties.PostQuantum["auditor.example"].SignAs(keys.ForCountersignature, s.Message()))
			return resealed(f, ceremony.KindResponse, b64(addition), b64(other))
		}},
		vector{"hybrid-countersignature-left-out", "the operator's post-quantum countersignature is left out", "or lacks one, against the plan", "", func(t *testing.T) made {
			f := hybridOf(t)
			_, second := beside(f)
			return resealed(f, ceremony.KindCountersignature, `,"post_quantum":"`+b64(second)+`"`, "")
		}},
		vector{"hybrid-halves-swapped", "the third party's post-quantum signature in the place of the operator's", "the post-quantum countersignature of operator-1: the signature does not verify", "", func(t *testing.T) made {
			f := hybridOf(t)
			addition, second := beside(f)
			return resealed(f, ceremony.KindCountersignature, b64(second), b64(addition))
		}},
		vector{"hybrid-third-partys-second-key-ended", "the third party's post-quantum key ended a year before it signed, its Ed25519 key has no end", "auditor.example added a post-quantum signature by a key outside its window", "", func(t *testing.T) made {
			return halfEnded(t, "additional_keys", "ml-dsa-44")
		}},
		vector{"hybrid-operators-classical-key-ended", "the operator's classical key ended a year before it signed, its post-quantum key has no end", "operator-1 gave its post-quantum countersignature, and no classical one that counts", "", func(t *testing.T) made {
			return halfEnded(t, "operators", "ecdsa-p256")
		}},
	)
}
