package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// told is a ceremony as its machine has it: the transcript up to each record.
type told struct {
	plan    *ceremony.Plan
	records []*ceremony.Record
	states  []state.State // after each, before the first too
}

// ceremonyOf runs a plan up to its fleet check; another run of the same plan has other
// records from the first on.
func ceremonyOf(t testing.TB, f *testfleet.Fleet, run string) *told {
	t.Helper()
	c := f.Config(filepath.Join(testfleet.TempDir(t), run), testfleet.Random(run))
	c.Participants = &testfleet.Challenger{Name: "ada"}
	must(engine.Run(t.Context(), c))
	data := must(os.ReadFile(filepath.Join(c.Dir, ceremony.TranscriptFile)))
	x := &told{plan: c.Plan}
	a := ceremony.NewAccount(c.Plan)
	x.states = append(x.states, must(state.Of(a)))
	x.records = must(ceremony.ParseTranscript("t", data, c.Plan.Digest())).Records
	for _, r := range x.records {
		if err := a.Apply(r); err != nil {
			t.Fatal(err)
		}
		x.states = append(x.states, must(state.Of(a)))
	}
	return x
}

func prepared(t testing.TB, name string) *testfleet.Fleet {
	return testfleet.Prepared(t, testfleet.Options{Name: name, HSMs: 2, Roles: []draft.Role{
		{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.ECDHP256},
	}})
}

// transcript is its lines up to a record.
func (x *told) transcript(n int) []byte {
	var b strings.Builder
	for _, r := range x.records[:n] {
		b.Write(r.Line())
	}
	return []byte(b.String())
}

// chain is the records after one, up to another.
func (x *told) chain(t testing.TB, after, to int) *state.Chain {
	t.Helper()
	a, tr, err := ceremony.Replay(x.plan, "t", x.transcript(to))
	if err != nil {
		t.Fatal(err)
	}
	return must(state.ChainOf(a, tr.Records, after))
}

// refusedAs says whether something is refused by a name.
func refusedAs(t *testing.T, err error, name string) *state.Refusal {
	t.Helper()
	var r *state.Refusal
	if !errors.As(err, &r) || r.Name != name {
		t.Fatalf("got %v, want a refusal as %q", err, name)
	}
	if r.Hint() == "" {
		t.Errorf("%v: nothing is said to be done", err)
	}
	return r
}
