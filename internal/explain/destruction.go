package explain

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/token"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Became says what became of a key that was to be destroyed.
func Became(d *ceremony.Doomed) string {
	switch {
	case d.Destruction != nil && d.Gone:
		return "destroyed, and found by nobody"
	case d.Destruction != nil:
		return "destroyed, by the token's answers"
	case d.Intent != nil:
		return "unknown: its destruction began"
	}
	return "it is there"
}

// tellDestruction tells the records of a ceremony that destroys keys.
func (t *Records) tellDestruction(content any) string {
	switch c := content.(type) {
	case *ceremony.Retirement:
		return fmt.Sprintf("the fleet's retirement is bundle %s, its keys are those of bundle %s, both logged", brief(c.Bundle), brief(c.Keys))
	case *ceremony.Target:
		return fmt.Sprintf("%s %s: is there under CKA_ID %x…, %s", c.HSM, c.Role, c.ID[:min(4, len(c.ID))], brief(c.PublicKey))
	case *ceremony.DestroyIntent:
		return t.key(c.Target) + ": is to be destroyed"
	case *ceremony.Destruction:
		return t.key(c.Intent) + ": " + tellDestroyed(c)
	case *ceremony.Gone:
		return c.HSM + ": a new process finds " + words.Count(int64(len(c.Objects)), "object", "objects")
	}
	return ""
}

func tellDestroyed(c *ceremony.Destruction) string {
	var parts []string
	switch len(c.Held) {
	case 0:
		parts = append(parts, "gone when it was looked for again")
	case 1:
		parts = append(parts, "its private half gone when it was looked for again")
	}
	for _, x := range c.Attempts {
		what := strings.TrimPrefix(x.Name, token.TryDestroy) + " half destroyed"
		switch {
		case x.Name == token.TryUse:
			what = "its old handle: " + x.Code
		case x.Code != ceremony.LoginOK:
			what += ": " + x.Code
		}
		parts = append(parts, what)
	}
	found := 0
	for _, s := range c.Searches {
		found += s.Found
	}
	return strings.Join(append(parts, fmt.Sprintf("%d searches find %d", len(c.Searches), found)), "; ")
}
