package thirdparty

import (
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// devices judges the raw evidence of the fleet's devices under this policy's own
// anchors. The operator's verdict is on the record, and counts for nothing.
// Evidence that is wrong, missing, or there without a record is refused whether
// the policy requires attestations or not; anchors that nobody confirmed are as
// good as none.
func (p *Policy) devices(file string, r *bundle.Request, a *ceremony.Account) (*require.Fleet, error) {
	files := map[string][]byte{}
	for _, f := range r.Files {
		files[f.Path] = f.Data
	}
	if err := a.CheckAttestations(files); err != nil {
		return nil, err
	}
	f := require.JudgeFleet(p.attestation, a, files, false)
	if err := f.Wrong(); err != nil {
		return nil, err
	}
	if p.attestation == nil {
		return f, nil
	}
	if !a.Plan.Attested() {
		return nil, strict.Errorf(file, "its plan names no attestation of its HSMs, and the policy requires one of each").WithHint("the operator names each under hsms: in another plan, attestation: {format: FORMAT, identity: IDENTITY}")
	}
	if short := require.Short(f.Keys); short != "" {
		return nil, strict.Errorf(file, "its devices' evidence doesn't show what the policy requires: %s", short)
	}
	switch {
	case f.Countersigner == nil && p.attestation.Countersigner != 0:
		return nil, strict.Errorf(file, "its plan names no attestation of the countersigner's HSM, and the policy requires one").WithHint("the operator names it under countersigner: in another plan, attestation: {format: FORMAT, identity: IDENTITY}")
	case f.Countersigner != nil:
		if short := require.Short([]*require.Key{f.Countersigner}); short != "" {
			return nil, strict.Errorf(file, "the evidence of the countersigner's HSM doesn't show what the policy requires: %s", short)
		}
	}
	return f, nil
}
