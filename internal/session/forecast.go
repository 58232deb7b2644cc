package session

import (
	"context"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

// claimsOf names the claims in a text that people type; of more than three, it only says
// how many.
func claimsOf(short []planned.Outlook) string {
	if len(short) > 3 {
		return words.Count(int64(len(short)), "claim", "claims")
	}
	names := make([]string, len(short))
	for i, o := range short {
		names[i] = o.Claim
	}
	return strings.Join(names, ", ")
}

// GoOn shows which claims this ceremony can't reach, and asks for consent to go on.
func (r atTerminal) GoOn(_ context.Context, short []planned.Outlook) (string, error) {
	r.a.UI.Say("\n", cli.Forecast(r.a, short))
	want := "go on without " + claimsOf(short)
	if err := r.a.UI.Consent("This ceremony can't reach its own policy: its evidence will not be VERIFIED under it, and no later work can add this to its keys.", want); err != nil {
		return "", err
	}
	return fmt.Sprintf("typed: %s", want), nil
}

// GoOn fails: only people decide that.
func (m unattendedPeople) GoOn(_ context.Context, short []planned.Outlook) (string, error) {
	return "", engine.Unreachable(short)
}
