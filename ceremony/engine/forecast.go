package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// foresee refuses a production ceremony that can't reach its own policy, before
// the first HSM is unlocked: what will be demanded of keys can't be added to them
// later. People who go on all the same type so, and that stands on the record, in
// an exception that officers have to accept.
func (r *runner) foresee(ctx context.Context) error {
	a := r.journal.account
	if r.plan.Mode != ceremony.Production || a.Opened() {
		return nil
	}
	if r.Policy == nil {
		return r.noPolicy()
	}
	var short []planned.Outlook
	for _, o := range planned.Short(planned.Forecast(r.plan, r.Policy)) {
		if !slices.Contains(a.WithoutClaims(), o.Claim) {
			short = append(short, o)
		}
	}
	if len(short) == 0 {
		return nil
	}
	decided, err := r.Participants.GoOn(ctx, short)
	if err != nil {
		return fmt.Errorf("%w: %w", Unreachable(short), err)
	}
	e := &ceremony.Exception{Expected: "this ceremony can reach every claim that its policy demands", Decided: decided}
	var told []string
	for _, o := range short {
		e.Unreached = append(e.Unreached, o.Claim)
		told = append(told, o.Claim+": "+o.Missing)
	}
	e.Happened = visible(strings.Join(told, "; "), ceremony.MaxSpokenText)
	r.without = e
	return nil
}

func (r *runner) noPolicy() error {
	return strict.Errorf(r.Dir, "a production ceremony is run under the policy that its evidence will be judged by, and there is none").WithHint("name it with --policy")
}

// recordForeseen records what people go on without, once there is a ceremony that
// it can be said of.
func (r *runner) recordForeseen() error {
	e := r.without
	if e == nil {
		return nil
	}
	r.without = nil
	e.Number = len(r.journal.account.Exceptions) + 1
	return r.record("what this ceremony goes on without is on the record", e)
}

// Unreachable says which claims a ceremony can't reach, each with what to do.
func Unreachable(short []planned.Outlook) error {
	var list, hints []string
	for _, o := range short {
		list = append(list, o.Claim+": "+o.Missing)
		hints = append(hints, o.Claim+": "+o.Do)
	}
	return strict.Errorf("", "this ceremony can't reach its own policy: %s", strings.Join(list, "; ")).WithHint("%s", strings.Join(hints, "\n"))
}
