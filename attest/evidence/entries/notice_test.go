package entries_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/entries"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// unsigned is a bundle without countersignatures.
func unsigned(b []byte) []byte {
	x := must(bundle.ParseAny("", b))
	return must(bundle.Assemble(x.Artifact(), x.Statements, nil, x.Transcript)).Raw()
}

// TestRetirementsAndVoidsInALog: both take an epoch, have no evidence of their
// own, and after a retirement nothing of its fleet may come.
func TestRetirementsAndVoidsInALog(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one})
	first, second := one.Files[ceremony.BundleFile], two.Files[ceremony.BundleFile]
	notice := func(format string, epoch uint64, previous [32]byte) []byte {
		return one.Noticed(one.NoticeOf(format, epoch, previous), one.Parties.ThirdParty, one.Parties.Operator, bundle.FormBound)
	}
	digest := func(b []byte) [32]byte { return must(bundle.ParseAny("", b)).About().Digest }
	retired := notice(bundle.RetirementFormat, 2, digest(first))
	void := notice(bundle.VoidFormat, 3, [32]byte{7})
	stranger := testfleet.New(t, testfleet.Options{Name: "stranger"})
	forged := one.Noticed(one.NoticeOf(bundle.RetirementFormat, 2, digest(first)), stranger.Parties.ThirdParty, one.Parties.Operator, bundle.FormBound)
	policy := must(evidence.ParsePolicy("policy.yaml", one.Policy))
	for name, c := range map[string]struct {
		entries [][]byte
		want    string
		overdue int
	}{
		"retired":              {[][]byte{first, retired}, ";", 1},
		"and goes on":          {[][]byte{first, retired, notice(bundle.RetirementFormat, 3, digest(retired))}, ";;retired", 1},
		"two ends of epoch 1":  {[][]byte{first, retired, second}, ";;equivocation", 1},
		"of another":           {[][]byte{first, notice(bundle.RetirementFormat, 2, [32]byte{1})}, ";predecessor", 1},
		"void of what wasn't":  {[][]byte{first, void}, ";", 1},
		"void of what was":     {[][]byte{first, second, notice(bundle.VoidFormat, 3, digest(second))}, ";;", 2},
		"and it ends nothing":  {[][]byte{first, unsigned(retired), notice(bundle.RetirementFormat, 3, digest(retired))}, ";signatures;", 1},
		"keys after it":        {[][]byte{first, retired, notice(bundle.VoidFormat, 3, digest(retired))}, ";;retired", 1},
		"beside an epoch":      {[][]byte{first, second, retired}, ";;equivocation", 2},
		"forged":               {[][]byte{first, forged}, ";signatures", 1},
		"forged, ends nobody":  {[][]byte{first, forged, notice(bundle.VoidFormat, 3, digest(forged))}, ";signatures;", 1},
		"void far away":        {[][]byte{first, notice(bundle.VoidFormat, 4, [32]byte{7})}, ";gap", 1},
		"retirement far away":  {[][]byte{first, notice(bundle.RetirementFormat, 3, [32]byte{7})}, ";gap", 1},
		"evidence of a notice": {[][]byte{first, retired, leafOf("x.2", 1, 2)}, ";;two-endings", 1},
	} {
		now := two.Now()
		judge := entries.New(policy, func() time.Time { return now })
		judge.Evidence = time.Hour
		var got []string
		for i, leaf := range c.entries {
			again := entries.New(policy, func() time.Time { return now }) // has only what was written down
			if err := again.Restore(judge.State()); err != nil {
				t.Fatal(err)
			}
			again.Evidence = time.Hour
			judge = again
			list := kinds(judge.Take(uint64(i), judge.Read(uint64(i), leaf)))
			got = append(got, strings.Join(list, ","))
		}
		if !slices.Equal(got, strings.Split(c.want, ";")) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		now = now.Add(2 * time.Hour)
		// No ceremony makes a notice, so it owes no evidence: only the epochs of
		// keys do, which come first in every case.
		overdue := judge.Overdue()
		if len(overdue) != c.overdue {
			t.Errorf("%s: %d epochs without evidence, want %d", name, len(overdue), c.overdue)
		}
		for i, f := range overdue {
			if !strings.Contains(f.Text, fmt.Sprintf("epoch %d,", i+1)) {
				t.Errorf("%s: %s", name, f.Text)
			}
		}
	}
}
