package evidence_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// noticed is the bundle of a retirement or a void, signed by a fleet's parties.
func noticed(t *testing.T, f *testfleet.Fleet, format string, epoch uint64, previous [32]byte) []byte {
	t.Helper()
	set := must(bundle.ParseBundle("bundle.json", f.Files[ceremony.BundleFile])).KeySet
	n := &bundle.Notice{Format: format, Mode: set.Mode, Fleet: set.Fleet, Namespace: set.Namespace, Epoch: epoch, Previous: previous, Created: f.Now(), Reason: "as tests go"}
	if format == bundle.RetirementFormat {
		n.Effective = f.Now().Add(time.Hour)
	}
	n = must(bundle.ParseNotice("notice.json", n.Encode()))
	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	s := must(bundle.NewStatement(bundle.Protobuf, n.Namespace, uint64(f.Now().UnixMilli()), n.Epoch, n.Digest()))
	st := []bundle.Signed{{Key: [32]byte(raw), Statement: must(s.Seal([32]byte(raw), must(f.Parties.ThirdParty.Sign(s.Message()))))}}
	msg := must(bundle.CountersignNotice(bundle.FormBound, n, st))
	c := []bundle.Countersignature{{Key: f.Parties.Operator.Public, Form: bundle.FormBound, Signature: must(f.Parties.Operator.Sign(msg))}}
	return must(bundle.Assemble(n.Raw(), st, c)).Raw()
}

// TestRetirementsAndVoidsInALog: both take an epoch, have no evidence of their
// own, and after a retirement nothing of its fleet may come.
func TestRetirementsAndVoidsInALog(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one"})
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one})
	first, second := one.Files[ceremony.BundleFile], two.Files[ceremony.BundleFile]
	digest := func(b []byte) [32]byte { _, _, d := must(bundle.ParseAny("", b)).Names(); return d }
	retired := noticed(t, one, bundle.RetirementFormat, 2, digest(first))
	void := noticed(t, one, bundle.VoidFormat, 3, [32]byte{7})
	policy := must(evidence.ParsePolicy("policy.yaml", one.Policy))
	for name, c := range map[string]struct {
		entries [][]byte
		want    string
		overdue int
	}{
		"retired":              {[][]byte{first, retired}, ";", 1},
		"and goes on":          {[][]byte{first, retired, noticed(t, one, bundle.RetirementFormat, 3, digest(retired))}, ";;retired", 1},
		"two ends of epoch 1":  {[][]byte{first, retired, second}, ";;equivocation", 1},
		"of another":           {[][]byte{first, noticed(t, one, bundle.RetirementFormat, 2, [32]byte{1})}, ";predecessor", 1},
		"void of what wasn't":  {[][]byte{first, void}, ";", 1},
		"void of what was":     {[][]byte{first, second, noticed(t, one, bundle.VoidFormat, 3, digest(second))}, ";;", 2},
		"void far away":        {[][]byte{first, noticed(t, one, bundle.VoidFormat, 4, [32]byte{7})}, ";gap", 1},
		"retirement far away":  {[][]byte{first, noticed(t, one, bundle.RetirementFormat, 3, [32]byte{7})}, ";gap", 1},
		"evidence of a notice": {[][]byte{first, retired, leafOf(1, 2)}, ";;", 1},
	} {
		now := two.Now()
		judge := evidence.NewEntries(policy, func() time.Time { return now })
		judge.Evidence = time.Hour
		var got []string
		for i, leaf := range c.entries {
			again := evidence.NewEntries(policy, func() time.Time { return now }) // has only what was written down
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
		if n := len(judge.Overdue()); n != c.overdue {
			t.Errorf("%s: %d epochs without evidence, want %d", name, n, c.overdue)
		}
	}
}
