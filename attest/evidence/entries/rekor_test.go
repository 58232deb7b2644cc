package entries_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/entries"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// TestEntriesOfARekorLog gives a judge sequences of real bundles among other
// people's entries.
func TestEntriesOfARekorLog(t *testing.T) {
	f := newLoggedFleets(t)
	one, two, first, second, forked, strange := f.one, f.two, f.first, f.second, f.forked, f.strange
	now := two.Now()

	for _, version := range []int{1, 2} {
		log := testrekor.New(version, "rekor.test")
		policy := must(evidence.ParsePolicy("policy.yaml", testrekor.Pins(one.Policy, log, "ops", "")))
		over := must(evidence.ParsePolicy("policy.yaml", testrekor.Pins(one.Policy, log, "ops", "      window: {not_after: 2020-01-01T00:00:00Z}\n")))
		foreign := must(evidence.ParsePolicy("policy.yaml", bytes.ReplaceAll(testrekor.Pins(one.Policy, log, "ops", ""), []byte(testfleet.Namespace), []byte("rehearsal.example.other"))))
		by := func(name string) func([]byte) []byte {
			return func(b []byte) []byte {
				k := testrekor.Submitter(name)
				return log.Body(testrekor.Envelope(b, k), k)
			}
		}
		ops, anyone := by("ops"), by("somebody else")
		for name, c := range map[string]struct {
			policy *evidence.Policy
			leaves [][]byte
			known  [][]byte
			want   string
		}{
			"as it should be":          {policy, [][]byte{anyone(forked), ops(first), []byte("x"), ops(second)}, [][]byte{first, second}, ""},
			"logged again":             {policy, [][]byte{ops(first), ops(first), ops(second), ops(first)}, [][]byte{first, second}, ""},
			"equivocation":             {policy, [][]byte{ops(first), ops(forked)}, [][]byte{first, forked}, "equivocation"},
			"not known":                {policy, [][]byte{ops(first), ops(forked)}, [][]byte{first}, "unknown-bundle"},
			"none known":               {policy, [][]byte{ops(first), ops(second)}, nil, "unknown-bundle unknown-bundle"},
			"back":                     {policy, [][]byte{ops(second), ops(first)}, [][]byte{first, second}, "repeated"},
			"other's signatures":       {policy, [][]byte{ops(strange)}, [][]byte{strange}, "signatures"},
			"other namespace":          {foreign, [][]byte{ops(first)}, [][]byte{first}, "unknown-namespace"},
			"no bundle":                {policy, [][]byte{ops([]byte("{}"))}, [][]byte{[]byte("{}")}, "unreadable"},
			"key's window":             {over, [][]byte{ops(first)}, [][]byte{first}, "window"},
			"other kind":               {policy, [][]byte{bytes.ReplaceAll(bytes.ReplaceAll(ops(first), []byte("hashedrekord"), []byte("x")), []byte(`"dsse"`), []byte(`"x"`))}, [][]byte{first}, "submitter"},
			"other form":               {policy, [][]byte{append(ops(first), ' ')}, [][]byte{first}, "submitter"},
			"nobody's of ours at all":  {policy, [][]byte{anyone(first), anyone(forked), nil}, nil, ""},
			"predecessor isn't logged": {policy, [][]byte{ops(forked), ops(second)}, [][]byte{forked, second}, "predecessor"},
		} {
			t.Run(name, func(t *testing.T) {
				newJudge := func(known [][]byte) *entries.Rekor {
					return entries.NewRekor(c.policy, mustLog(t, log), known, func() time.Time { return now })
				}
				judge := newJudge(c.known)
				ours := uint64(0)
				for i, leaf := range c.leaves {
					again := newJudge(c.known) // has only what was written down
					if err := again.Restore(judge.State()); err != nil {
						t.Fatal(err)
					}
					judge = again
					x := judge.Read(leaf)
					if x != nil {
						ours++
					}
					judge.Take(uint64(i), x)
				}
				got := kinds(judge.Faults())
				want := strings.Fields(c.want)
				if !slices.Equal(got, want) || judge.Ours() != ours {
					t.Errorf("%v of %d entries of ours, want %v", judge.Faults(), judge.Ours(), want)
				}
				// Nothing is forgotten, nothing added, by asking twice.
				if !slices.Equal(kinds(judge.Faults()), want) {
					t.Error("asked again it says otherwise")
				}
			})
		}
		// A bundle that becomes known is judged then.
		judge := entries.NewRekor(policy, mustLog(t, log), [][]byte{first}, func() time.Time { return now })
		for i, b := range [][]byte{first, second} {
			judge.Take(uint64(i), judge.Read(ops(b)))
		}
		later := entries.NewRekor(policy, mustLog(t, log), [][]byte{first, second}, func() time.Time { return now })
		if err := later.Restore(judge.State()); err != nil || len(judge.Faults()) != 1 || len(later.Faults()) != 0 {
			t.Errorf("%v %v %v", err, judge.Faults(), later.Faults())
		}
		for _, state := range []string{"{", `{"ours":[],"more":-1}`, `{"ours":[{}],"more":0}`} {
			if later.Restore(state) == nil {
				t.Errorf("the state %s is taken", state)
			}
		}
	}
}

func mustLog(t *testing.T, l *testrekor.Log) *auditlog.RekorLog {
	t.Helper()
	return must(auditlog.NewRekorLog(l.Version, l.Host, l.PEM()))
}

// More entries by a submitter than any fleet has are a fault, and no flood.
func TestEntriesOfAStolenSubmitterAreBounded(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	log := testrekor.New(1, "rekor.test")
	policy := must(evidence.ParsePolicy("policy.yaml", testrekor.Pins(one.Policy, log, "ops", "")))
	k := testrekor.Submitter("ops")
	judge := entries.NewRekor(policy, mustLog(t, log), nil, one.Now)
	x := judge.Read(log.Body(testrekor.Envelope([]byte("{}"), k), k))
	for i := range 20_000 {
		judge.Take(uint64(i), x)
	}
	if n, size := len(judge.Faults()), len(judge.State()); judge.Ours() != 20_000 || n != 1<<14+1 || size > 16<<20 {
		t.Errorf("%d faults, %d bytes of state", n, size)
	}
}
