package policy

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/cli"
)

func checkCmd(a *cli.App) *cobra.Command {
	return cli.Command("check POLICY", "Find every fault of a policy and say what it demands", "",
		"  fleetctl policy check policy.yaml",
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			data, err := cli.ReadFile(args[0])
			if err != nil {
				return err
			}
			p, err := evidence.ParsePolicy(args[0], data)
			if err != nil {
				return cli.Usage(err)
			}
			return policyResult(a, p, nil)
		})
}
