package viewer_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// The verifier in JavaScript runs in a process of its own: the race detector doesn't see
// into that, and it is the same with cgo and without.
func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() || await.RaceDetector {
		fmt.Println("node is not run in short tests and under the race detector")
		return
	}
	os.Exit(testfleet.Main(m))
}

// about asks about a fleet's package, or about one without what is restricted.
func about(name string, f *testfleet.Fleet, withheld bool) question {
	files := maps.Clone(f.Files)
	if withheld {
		name += ", withheld"
		files[ceremony.TranscriptFile] = must(ceremony.Withhold(f.Plan, files[ceremony.TranscriptFile]))
	}
	delete(files, evidence.ManifestFile)
	files[evidence.ManifestFile] = files.Manifest()
	return question{Name: name, Object: "package", Data: must(evidence.Pack(files)), Policy: f.Policy, Time: strict.FormatTime(f.Now())}
}

// Fleets of every kind are honest to both verifiers, and a package of five HSMs takes
// JavaScript less than a second of one processor.
func TestJavaScriptAcceptsHonestFleetsOfEveryKind(t *testing.T) {
	role := func(alg ...keys.Algorithm) (list []draft.Role) {
		for _, a := range alg {
			list = append(list, draft.Role{Name: []string{"session", "backup", "sealing"}[len(list)], Algorithm: a})
		}
		return list
	}
	var list []question
	add := func(name string, o testfleet.Options) *testfleet.Fleet {
		f := testfleet.New(t, o)
		list = append(list, about(name, f, false), about(name, f, true))
		return f
	}
	first := add("five HSMs", testfleet.Options{HSMs: 5})
	add("the next epoch", testfleet.Options{HSMs: 3, After: first, Name: "next"})
	add("every algorithm", testfleet.Options{Name: "all", HSMs: 1, Roles: role(keys.P384, keys.P256, keys.X25519), Challenger: "ada"})
	add("ML-KEM", testfleet.Options{Name: "kem", HSMs: 2, Roles: role(keys.Ed25519, keys.MLKEM768), Challenger: "ada"})
	add("form signature, ciphersuite 2", testfleet.Options{Name: "form", HSMs: 2, Form: "signature", Ciphersuite: 2})
	add("some third parties", testfleet.Options{Name: "some", HSMs: 2, Others: 2, Needed: 1, Late: []string{"auditor-2.example"}, Absent: []string{"auditor-3.example"}})
	add("a lock-down", testfleet.Options{Name: "locked", HSMs: 2, Lockdown: []string{"Destroy the cards", "Bag the HSMs"}})
	add("a drill", testfleet.Options{Name: "drilled", Drill: []string{"sessions", "rollback"}})
	add("witnesses", testfleet.Options{Name: "seen", HSMs: 2, Witnesses: 2})
	add("onlookers", testfleet.Options{Name: "heard", HSMs: 2, Onlookers: []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}, Away: []string{"wim"}})
	add("what was tolerated", testfleet.Options{Name: "tolerated", HSMs: 1, Tolerates: []string{token.TryRelaxExtractable, token.TryRelaxSensitive},
		Tokens: func(l []*testfleet.Token) { l[0].OnRelaxed = func(*token.Relaxed) {} }})
	add("both signatures of everybody", testfleet.Options{Name: "hybrid", HSMs: 2, PostQuantum: keys.MLDSA44, Others: 1})
	add("a live service's statement", testfleet.Options{Name: "served", HSMs: 1, Served: func(b []byte) []byte { return append([]byte(" "), b...) }})
	gone := testfleet.New(t, testfleet.Options{Name: "destroyed", HSMs: 2, Roles: role(keys.Ed25519, keys.P256, keys.X25519), Challenger: "ada",
		Onlookers: []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}, Away: []string{"wim"}}).Destroying(t, nil)
	if err := gone.Destroy("destroyed"); err != nil {
		t.Fatal(err)
	}
	destroyed := about("destroyed keys", gone, true)
	destroyed.Expect = "destruction"
	list = append(list, destroyed)
	n, got := ask(t, list)
	for i, q := range list {
		if !got[i].Accepted {
			t.Errorf("%s: %s %v", q.Name, got[i].Verdict, got[i].Problems)
		}
	}
	t.Logf("%d packages, %s; five HSMs: %.0f ms of processor", len(list), n, got[0].Milliseconds)
	if ms := got[0].Milliseconds; ms > 1000 { // of the second one its signatures are known
		t.Errorf("a package of five HSMs takes %.0f ms of processor; 1000 are allowed", ms)
	}
}
