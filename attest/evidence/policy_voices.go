package evidence

import (
	"errors"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// oneKey ends a fault about a key that two have.
const oneKey = ": one key is one person's, and has one part"

// enter puts a key into the policy's roster. A log's key may be pinned twice,
// once for log_policy and once for Rekor: it is one log.
func (c *policyChecker) enter(line int, part, name string, points ...keys.Point) {
	err := c.p.roster.Add(keys.Holder{Part: part, Name: name}, points...)
	var shared *keys.Shared
	if errors.As(err, &shared) && part == keys.PartLog && shared.Other.Part == keys.PartLog {
		return
	}
	if err != nil {
		c.failf(line, "%v%s", err, oneKey)
	}
}
