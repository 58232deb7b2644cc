package fetch

import (
	"context"

	"github.com/fleetctl/fleetctl/bundle"
)

// Address is where the auditor serves an epoch's statement.
func (c *Client) Address(epoch uint64) string { return c.Base.JoinPath(c.path(epoch)).String() }

// Served asks for an epoch's statement and gives the answer byte for byte. The error
// is ErrNone if the auditor has none.
func (c *Client) Served(ctx context.Context, epoch uint64) ([]byte, error) {
	return c.get(ctx, c.path(epoch), bundle.MaxStatement)
}
