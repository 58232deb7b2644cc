package drill

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestADrillTakesOnlyTheEpochThatFollows: everything else is refused before a node runs.
func TestADrillTakesOnlyTheEpochThatFollows(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "next", Witnesses: 1, Drill: []string{"sessions"}})
	two := testfleet.New(t, testfleet.Options{Name: "next 2", After: one, Drill: []string{"sessions"}})
	more := testfleet.New(t, testfleet.Options{Name: "next more", HSMs: 4, After: two, Drill: []string{"sessions"}})
	notice := func(f *testfleet.Fleet, format string) (b, proof []byte) {
		n := f.NoticeOf(format, f.Plan.Epoch+1, f.Account.Release.Artifact)
		b = f.Noticed(n, one.Parties.ThirdParty, one.Parties.Operator, bundle.FormBound)
		return b, must(one.Parties.Log.Append(b))
	}
	nodes := func(f *testfleet.Fleet) (list []site.Node) {
		for _, h := range f.Plan.HSMs {
			list = append(list, site.Node{HSM: h.Name})
		}
		return list
	}
	next := func(f *testfleet.Fleet) *Next {
		n := &Next{Bundle: f.Files[ceremony.BundleFile], Proof: f.Files[ceremony.ProofFile], Nodes: nodes(f)}
		n.Notice, n.NoticeProof = notice(f, bundle.RetirementFormat)
		return n
	}
	policy := must(planned.DevicePolicy(must(evidence.ParsePolicy("policy.yaml", one.Policy)), "", 24*time.Hour, device.Pins{}, true))
	for name, c := range map[string]struct {
		change func(*Config)
		says   string // empty: it is taken
	}{
		"none":              {func(c *Config) { c.Next = nil }, ""},
		"the next epoch":    {func(*Config) {}, ""},
		"the same epoch":    {func(c *Config) { c.Next = next(one) }, "which is not after epoch 1"},
		"an epoch left out": {func(c *Config) { c.Next = next(more) }, "epoch 3 of backup-test doesn't follow epoch 1"},
		"more HSMs": {func(c *Config) {
			c.Bundle, c.Proof, c.Next = two.Files[ceremony.BundleFile], two.Files[ceremony.ProofFile], next(more)
		}, "nodes take the place of nodes with the same names"},
		"no post-quantum keys": {func(c *Config) { c.PostQuantum = "session-pq" }, `an ML-DSA key of role "session-pq", and the fleet's bundle has none`},
		"no proof":             {func(c *Config) { c.Next.Proof = one.Files[ceremony.ProofFile] }, "the next epoch is refused by devices of this drill"},
		"a retirement":         {func(c *Config) { c.Next.Bundle, c.Next.Proof = c.Next.Notice, c.Next.NoticeProof }, "brings no keys"},
		"no retirement":        {func(c *Config) { c.Next.Notice, c.Next.NoticeProof = c.Next.Bundle, c.Next.Proof }, "the notice retires no fleet"},
		"a void":               {func(c *Config) { c.Next.Notice, c.Next.NoticeProof = notice(two, bundle.VoidFormat) }, "the notice retires no fleet"},
		"an early end":         {func(c *Config) { c.Next.Notice, c.Next.NoticeProof = notice(one, bundle.RetirementFormat) }, "doesn't retire"},
		"an unproven end":      {func(c *Config) { c.Next.NoticeProof = c.Next.Proof }, "the notice is refused by devices of this drill"},
		"no such role":         {func(c *Config) { c.Role = "other" }, "no key of hsm hsm-1 for role other"},
		"no sealing role":      {func(c *Config) { c.Sealing = "other" }, "the next epoch: the bundle has no key of hsm hsm-1 for role other"},
		"no keys that agree":   {func(c *Config) { c.Sealing = c.Role }, "secrets are sealed to keys that agree so"},
		"nodes swapped":        {func(c *Config) { c.Next.Nodes[0], c.Next.Nodes[1] = c.Next.Nodes[1], c.Next.Nodes[0] }, "in another order"},
		"a node too few":       {func(c *Config) { c.Next.Nodes = c.Next.Nodes[:2] }, "in another order"},
		"another's artifact": {func(c *Config) {
			c.Bundle, c.Proof = two.Files[ceremony.BundleFile], two.Files[ceremony.ProofFile]
		}, "which is not after epoch 2"},
	} {
		config := &Config{BundleFile: "bundle.json", Bundle: one.Files[ceremony.BundleFile], Proof: one.Files[ceremony.ProofFile], Policy: policy, Role: one.Plan.Drill.Session, Sealing: one.Plan.Drill.Agreement, Nodes: nodes(one), Next: next(two), Now: more.Now}
		c.change(config)
		switch err := config.Follows(); {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: got %v, want an error that says %q", name, err, c.says)
		}
	}
}

// A hybrid fleet's devices may pin the role that signs their sessions: one that pins the
// keys of an epoch besides keeps that.
func TestADeviceThatPinsAnEpochsKeysStillPinsTheRoleThatSignsSessions(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "pinned", HSMs: 1, Witnesses: 1})
	policy := must(planned.DevicePolicy(must(evidence.ParsePolicy("policy.yaml", f.Policy)), "", 24*time.Hour, device.Pins{}, true))
	set := must(bundle.ParseBundle("bundle", f.Files[ceremony.BundleFile])).KeySet
	for _, role := range []string{"", "session-pq"} {
		d := &drill{Config: &Config{Policy: must(policy.Narrowed(device.Pins{SessionPostQuantum: role}))}, keys: set}
		if p, err := d.pinned(); err != nil || p.SessionPostQuantum != role || len(p.Keys) != len(set.Keys) {
			t.Errorf("with role %q pinned: %v", role, err)
		}
	}
}
