//go:build unix

package publish

import (
	"context"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Renewal makes another proof of an entry, with a newer quorum of witnesses than
// every proof so far. It replaces none of them: the oldest one dates the entry.
type Renewal struct {
	entry  *Entry
	policy *auditlog.Policy
	file   string // of the newest proof
	newest *auditlog.Inclusion
}

// Renew begins a renewal under a policy.
func (e *Entry) Renew(p *auditlog.Policy) *Renewal { return &Renewal{entry: e, policy: p} }

// Known takes an existing proof, which must verify.
func (r *Renewal) Known(file string, proof []byte) error {
	in, err := r.entry.Check(r.policy, file, proof)
	if err != nil {
		return err
	}
	if r.newest == nil || !in.NewestQuorumTime.Before(r.newest.NewestQuorumTime) {
		r.newest, r.file = in, file
	}
	return nil
}

// Prove asks the policy's witnesses again and gives the new proof. If its quorum is
// no newer than that of the newest known proof, the error is a [*NotNewer].
func (r *Renewal) Prove(ctx context.Context, w Witnessing) ([]byte, error) {
	if r.newest == nil {
		return nil, strict.Errorf("", "there is no proof to be renewed")
	}
	w.Policy = r.policy
	fresh, err := r.entry.prove(ctx, w, true)
	if err != nil {
		return nil, err
	}
	in, err := r.entry.check(r.policy, "the new proof", fresh)
	if err != nil {
		return nil, err
	}
	if in.Size < r.newest.Size || !in.Quorum || !in.NewestQuorumTime.After(r.newest.NewestQuorumTime) {
		return nil, &NotNewer{strict.Errorf(r.file, "is the newest: the new proof's quorum (%s, size %d) is not newer than its own (%s, size %d)",
			quorumTime(in), in.Size, quorumTime(r.newest), r.newest.Size).WithHint("run it again later")}
	}
	return fresh, nil
}

// NotNewer is the error that a renewal gave nothing newer than the newest known
// proof.
type NotNewer struct{ Err error }

func (n *NotNewer) Error() string { return n.Err.Error() }
func (n *NotNewer) Unwrap() error { return n.Err }

func quorumTime(in *auditlog.Inclusion) string {
	if !in.Quorum {
		return "none"
	}
	return in.NewestQuorumTime.Format(time.RFC3339)
}
