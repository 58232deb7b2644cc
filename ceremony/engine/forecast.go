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

// foresee refuses a production ceremony that can't reach the claims that its own policy
// demands. It does so before the first HSM is unlocked, since keys can't be changed
// later. If people decide to go on, they type that, and it is recorded as an exception,
// which officers have to accept.
func (r *runner) foresee(ctx context.Context) error {
	a := r.journal.account
	if r.plan.Mode != ceremony.Production || a.Opened() {
		return nil
	}
	if r.Policy == nil {
		return r.noPolicy()
	}
	if r.plan.Destroys != nil {
		return nil // mayDestroy asks for what it needs before any HSM is unlocked
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
	return strict.Errorf(r.Dir, "a production ceremony needs the policy by which its evidence will be judged, and none was given").WithHint("name it with --policy")
}

// recordForeseen records what people go on without, once the ceremony is open.
func (r *runner) recordForeseen() error {
	e := r.without
	if e == nil {
		return nil
	}
	r.without = nil
	e.Number = len(r.journal.account.Exceptions) + 1
	return r.record("what this ceremony goes on without is on the record", e)
}

// Unreachable is the error that names the claims that a ceremony can't reach, with a
// hint for each.
func Unreachable(short []planned.Outlook) error {
	var list, hints []string
	for _, o := range short {
		list = append(list, o.Claim+": "+o.Missing)
		hints = append(hints, o.Claim+": "+o.Do)
	}
	return strict.Errorf("", "this ceremony can't reach its own policy: %s", strings.Join(list, "; ")).WithHint("%s", strings.Join(hints, "\n"))
}
