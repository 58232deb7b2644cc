package device

import (
	"cmp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// given is what is judged, by what, as of when.
type given struct {
	policy    cli.DevicePolicy
	proof, at string
}

func (g *given) flags(f *pflag.FlagSet) {
	g.policy.Flags(f)
	f.StringVar(&g.proof, "proof", "", "the log proof `file` (default: BUNDLE.tlog-proof)")
	f.StringVar(&g.at, "time", "", "judge as of this `time`, such as 2026-11-21T10:00:00Z (default: the clock)")
}

// named is a refusal with the files' names as they were given.
func (g *given) named(r *bundle.Refusal, file string) *bundle.Refusal {
	return r.Named(file, cmp.Or(g.proof, file+".tlog-proof"))
}

// read gives the question of a device that remembers nothing.
func (g *given) read(a *cli.App, cmd *cobra.Command, file string) (*device.Question, error) {
	p, err := g.policy.Read(cmd, device.Pins{})
	if err != nil {
		return nil, err
	}
	q := &device.Question{Policy: p}
	if q.Now, err = a.TimeAsked(g.at); err != nil {
		return nil, err
	}
	q.Bundle, q.Proof, err = cli.ReadAnswer(file, g.proof)
	return q, err
}
