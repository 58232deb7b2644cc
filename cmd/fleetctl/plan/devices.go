package plan

import (
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// nameDevices reads which device each HSM is, and the countersigner's, by what its
// vendor attests.
func (o newOptions) nameDevices(d *draft.Plan) error {
	for _, text := range o.devices {
		name, rest, ok := strings.Cut(text, "=")
		format, identity, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 || identity == "" {
			return cli.Usagef("hsm-1=tpm2-certify:IDENTITY, as fleetctl attestation check shows it", "--device %q is not name=format:identity", text)
		}
		if !slices.Contains(require.Formats(), format) {
			return cli.Usagef("known are "+strings.Join(require.Formats(), ", "), "--device %s: the attestation format %q isn't known", name, format)
		}
		device := &ceremony.Device{Format: format, Identity: identity}
		i := slices.IndexFunc(d.HSMs, func(h ceremony.PlanHSM) bool { return h.Name == name })
		switch {
		case i >= 0:
			d.HSMs[i].Attestation = device
		case d.Countersigner != nil && d.Countersigner.Name == name:
			d.Countersigner.Attestation = device
		default:
			return cli.Usagef("HSMs of --from-tokens are named hsm-1, hsm-2, …; the countersigner as --countersigner has it", "--device %s: the plan has no HSM and no countersigner of that name", name)
		}
	}
	d.Models = o.models
	return nil
}
