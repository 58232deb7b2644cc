package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/token"
)

// tokensForPlan picks the module's tokens, in the order of their labels, and
// the best algorithm that all of them offer.
func tokensForPlan(a *cli.App, o newOptions, d *draft.Plan) (labels []string, alg keys.Algorithm, err error) {
	m, err := signer.OpenModule(a, o.module, o.initArgs)
	if err != nil {
		return nil, "", err
	}
	defer m.Close()
	all, err := m.Tokens()
	if err != nil {
		return nil, "", err
	}
	list := slices.DeleteFunc(all, func(i token.Info) bool {
		return !i.Initialized || !strings.HasPrefix(i.Label, o.prefix)
	})
	slices.SortFunc(list, token.Order)
	if len(list) < o.hsms {
		return nil, "", cli.Usagef("make them with\nfleetctl hsm init --module "+o.module+" --label "+o.prefix+"1",
			"%d HSMs are planned, and the module has %d initialised tokens with a label %q…", o.hsms, len(list), o.prefix)
	}
	list = list[:o.hsms]
	alg = keys.Ed25519
	for i, t := range list {
		d.HSMs = append(d.HSMs, ceremony.PlanHSM{Name: fmt.Sprintf("hsm-%d", i+1), Site: o.site, Serial: t.Serial})
		labels = append(labels, t.Label)
		missing, err := m.Lacks(hsm.Selector{Serial: t.Serial, Label: t.Label}, keys.Ed25519)
		if err != nil {
			return nil, "", err
		}
		if len(missing) > 0 {
			alg = keys.P256
		}
		if m.IsTPM2() && slices.ContainsFunc(o.roles, agrees) {
			d.HSMs[i].Agreement = ceremony.AgreementTPM
		}
	}
	return labels, alg, nil
}

// agrees says whether a --role, name=algorithm, is one whose keys agree.
func agrees(role string) bool {
	_, alg, _ := strings.Cut(role, "=")
	return keys.Algorithm(alg).Use() == keys.Agree
}
