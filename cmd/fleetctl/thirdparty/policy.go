package thirdparty

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/words"
)

type policyJSON struct {
	Policy  string   `strict:"policy"`
	SHA256  [32]byte `strict:"sha256,hex"`
	Mode    string   `strict:"mode"`
	Refuses []string `strict:"refuses"`
	Confirm []string `strict:"to_be_confirmed"` // whose keys
}

// Format is what the JSON says that it is.
func (*policyJSON) Format() string { return "fleetctl thirdparty policy result v1" }

func policyCmd(a *cli.App) *cobra.Command {
	return cli.Group("policy", "What a third party signs at all: new", policyNewCmd(a))
}

func policyNewCmd(a *cli.App) *cobra.Command {
	var plan, key, out string
	var refuses []string
	c := cli.Command("new", "Write a third party's policy from the operator's plan",
		`New writes a commented policy from a plan that the operator has given you ahead
of the ceremony: its namespace, algorithms, roles, number of HSMs and threshold,
and its people. Go through every line: it says what the plan says, and has to
say what you want. Compare each person's key with its owner over another channel
than the plan's. A policy made from the request that it is to judge passes
anything.

--refuses names what must not have happened in the ceremony:
`+refusable()+".",
		`  fleetctl thirdparty policy new --plan plan.yaml --public-key thirdparty.pub --out thirdparty.yaml
  fleetctl thirdparty policy new --plan plan.yaml --public-key thirdparty.pub --refuses wrong-pins,destroyed-keys --out thirdparty.yaml`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "plan", "public-key", "out"); err != nil {
				return err
			}
			p, err := cli.ReadPlan(plan)
			if err != nil {
				return err
			}
			raw, err := ledgerKey(key)
			if err != nil {
				return err
			}
			text, err := thirdparty.NewPolicy(p, raw, refuses)
			if err != nil {
				return cli.Usage(err)
			}
			policy, err := thirdparty.ParsePolicy(out, text)
			if err != nil {
				return cli.Usage(err)
			}
			if err := cli.WriteNew(out, text); err != nil {
				return err
			}
			return policyWritten(a, out, text, policy)
		})
	f := c.Flags()
	f.StringVar(&plan, "plan", "", "the operator's plan `file`")
	f.StringVar(&key, "public-key", "", "your own public `key`: base64, a file of it, or an OpenSSH .pub file")
	f.StringSliceVar(&refuses, "refuses", nil, "`what` must not have happened in a ceremony; may be repeated")
	f.StringVar(&out, "out", "", "the policy's new `file`")
	return c
}

func policyWritten(a *cli.App, file string, text []byte, p *thirdparty.Policy) error {
	out := &policyJSON{Policy: file, SHA256: sha256.Sum256(text), Mode: p.Mode, Refuses: append([]string{}, p.Refuses...), Confirm: []string{}}
	var people [][]string
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return err
		}
		out.Confirm = append(out.Confirm, x.Name)
		people = append(people, []string{x.Name, x.Role, k.Fingerprint()})
	}
	for _, x := range p.Others {
		out.Confirm = append(out.Confirm, x.Name)
		people = append(people, []string{x.Name, "third party", base64.StdEncoding.EncodeToString(x.Key[:])})
	}
	refuses := strings.Join(p.Refuses, ", ")
	if refuses == "" {
		refuses = "nothing but a fault; --refuses, or the line refuses:, names what else"
	}
	return a.Emit(out, a.UI.Fields([][2]string{
		{"policy", file}, {"its SHA-256", fmt.Sprintf("%x", out.SHA256)}, {"mode", strings.ToUpper(p.Mode)}, {"signs for", strings.Join(p.Namespaces, ", ")}, {"refuses", refuses},
	}), "\n", a.UI.Line("Whose keys these are is the plan's word. Compare each with its owner:"), "\n", a.UI.Table([]string{"name", "part", "key"}, people), "\n",
		a.UI.Fields([][2]string{{"next", "read it, line by line; then, with a request:"}, {"", "fleetctl thirdparty inspect REQUEST --policy " + words.ShellWord(file) + " --ledger LEDGER --public-key KEY"}}))
}

// refusable are the names that a policy may refuse, in lines that a screen holds.
func refusable() string {
	var lines []string
	for some := range slices.Chunk(thirdparty.Refusable(), 4) {
		lines = append(lines, thirdparty.Names(some))
	}
	return strings.Join(lines, ",\n")
}
