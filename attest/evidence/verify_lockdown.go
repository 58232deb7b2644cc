package evidence

import (
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
)

// lockdown grades what was done by hand once the bundle was logged. Its records
// are people's word, and count as that once they have signed the close, which
// holds them all. That a token refused a login is in them too, as the token's
// own word.
func (v *verifier) lockdown(a *ceremony.Account) {
	planned := len(a.Plan.Lockdown)
	switch {
	case planned == 0:
		v.lack(ClaimLockdown, ceremony.PlanFile, "", "the plan has no lock-down")
		return
	case len(a.Lockdowns) < planned:
		v.lack(ClaimLockdown, recordOf(a.N), "", "%d of %d entries of the plan are on the record", len(a.Lockdowns), planned)
		return
	case v.r.Claim(ClaimCloseSignoff).Grade < Proven:
		v.lack(ClaimLockdown, recordOf(a.N), "", "%s on the record, but the close is not signed off", entries(planned))
		return
	}
	refused := 0
	for _, l := range a.Lockdowns {
		if l.Code != "" {
			refused++
		}
	}
	detail := entries(planned) + " done as planned"
	if refused > 0 {
		detail += fmt.Sprintf(", %d of them a login that was refused", refused)
	}
	v.show(ClaimLockdown, Attested, recordOf(a.N), "%s; signed off with the close", detail)
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
