package testfleet

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/engine"
)

// Destroying is the ceremony that destroys a fleet's keys, prepared and not begun: the
// fleet was retired by the epoch after it, which was signed and logged and has taken
// effect. without are HSMs that are left out. change changes the plan before it is written.
func (f *Fleet) Destroying(t testing.TB, change func(*draft.Plan), without ...string) *Fleet {
	t.Helper()
	n := f.NoticeOf(bundle.RetirementFormat, f.Plan.Epoch+1, must(f.Account.Artifact()).Digest())
	retirement := f.Noticed(n, f.Parties.ThirdParty, f.Parties.Operator, f.Plan.Countersigner.Form)
	d := must(draft.Destruction(f.Account, n, without...))
	if change != nil {
		change(d)
	}
	g := &Fleet{Dir: filepath.Join(TempDir(t), "destruction"), Parties: f.Parties, Tokens: f.Tokens, Bench: f.Bench, clock: f.clock, o: f.o}
	f.clock.at = n.Effective.Add(time.Hour)
	var err error
	g.Plan, err = ceremony.ParsePlan(ceremony.PlanFile, must(d.Write()))
	f.must(t, err)
	site := &engine.Site{}
	for _, h := range f.Site.HSMs {
		if g.Plan.HSM(h.Name) != nil {
			site.HSMs = append(site.HSMs, h)
		}
	}
	g.Site, err = engine.ParseSite("site.yaml", must(site.Write()), g.Plan)
	f.must(t, err)
	g.Policy, err = planned.NewPolicy(g.Plan, "made by the test", nil)
	f.must(t, err)
	keys := must(f.Account.Bundle()).Raw()
	g.Ended = &engine.Ended{
		Retirement: retirement, RetirementProof: must(f.Parties.Log.Append(retirement)),
		Keys: keys, KeysProof: must(f.Parties.Log.Append(keys)),
	}
	return g
}

// Destroy runs the ceremony that Destroying prepared, or goes on with the one that an error
// ended, and closes and packs it.
func (f *Fleet) Destroy(name string) error {
	rnd := Random(name)
	run := engine.Run
	if f.Account != nil && f.Account.Opened() {
		run = engine.Resume
	}
	var err error
	if f.Account, err = run(context.Background(), f.Config(f.Dir, rnd)); err != nil {
		return err
	}
	j, err := engine.OpenJournal(f.Dir, Program, f.clock.now, rnd)
	if err != nil {
		return err
	}
	defer j.Close()
	f.Account = j.Account()
	return f.End(j)
}
