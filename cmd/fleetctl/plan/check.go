package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/words"
)

type checkJSON struct {
	OK        bool            `strict:"ok"`
	SHA256    [32]byte        `strict:"sha256,hex"`
	Mode      string          `strict:"mode"`
	Fleet     string          `strict:"fleet"`
	Namespace string          `strict:"namespace"`
	Epoch     uint64          `strict:"epoch"`
	HSMs      int             `strict:"hsms"`
	Roles     int             `strict:"roles"`
	Majority  int             `strict:"majority"`
	Steps     int             `strict:"steps"`
	MaxBundle int             `strict:"max_bundle"`
	Tolerated []toleratedJSON `strict:"tolerated,optional"`
	Forecast  []cli.Outlook   `strict:"forecast,optional"` // of a policy's demands
}

// Format is what the JSON says that it is.
func (*checkJSON) Format() string { return "fleetctl plan check result v1" }

type toleratedJSON struct {
	HSM     string `strict:"hsm"`
	Attempt string `strict:"attempt"`
}

func checkCmd(a *cli.App) *cobra.Command {
	var site, policy string
	c := cli.Command("check PLAN", "Find every fault of a plan, before any HSM is opened",
		`Check names every fault with its file and line and what to do, and computes
the size of the largest validation bundle that the plan can lead to. With a
policy it forecasts which of its claims the plan's ceremony can reach, and for
each that it can't what is missing and what to do: exit code 1 then.`,
		"  fleetctl plan check plan.yaml --site site.yaml --policy policy.yaml",
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			p, err := cli.ReadPlan(args[0])
			if err != nil {
				return err
			}
			rows := [][2]string{
				{"plan", fmt.Sprintf("%s · epoch %d · %s", p.Fleet, p.Epoch, strings.ToUpper(p.Mode))},
				{"sha256", fmt.Sprintf("%x", p.Digest())},
				{"namespace", p.Namespace},
				{"HSMs", fmt.Sprintf("%d, majority %d", len(p.HSMs), p.Majority)},
				{"keys", fmt.Sprintf("%d, %s", len(p.HSMs)*len(p.Roles), roleList(p))},
				{"officers", fmt.Sprintf("%d must agree", p.Threshold)},
				{"steps", fmt.Sprint(len(p.Steps()))},
				{"bundle", fmt.Sprintf("at most %s bytes, a log entry takes %s", words.Number(int64(p.MaxBundle())), words.Number(bundle.MaxBundle)) + room(p)},
			}
			if err := session.KnowsFormats(p); err != nil {
				return err
			}
			for i, d := range p.Devices() {
				label := ""
				if i == 0 {
					label = "devices"
				}
				rows = append(rows, [2]string{label, fmt.Sprintf("%s is %s %s", d.Name, d.Format, d.Identity)})
			}
			for i, text := range agreements(p) {
				label := ""
				if i == 0 {
					label = "agreement"
				}
				rows = append(rows, [2]string{label, text})
			}
			if d := p.Drill; d != nil {
				rows = append(rows, [2]string{"drill", fmt.Sprintf("by %s keys, secrets sealed to %s keys: %s", d.Session, d.Agreement, strings.Join(d.Stages, ", "))})
			}
			if list := p.Tolerates(); len(list) > 0 {
				rows = append(rows, [2]string{"tolerated", ceremony.TellTolerated(list) + "; only a policy that tolerates it too takes such a key"})
			}
			if site != "" {
				if _, err := cli.ReadSite(site, p); err != nil {
					return err
				}
				rows = append(rows, [2]string{"site", site + " has every HSM"})
			}
			text, forecast, err := foreseen(a, p, policy)
			if err != nil {
				return err
			}
			rows = append(rows, [2]string{"next", "each officer approves it:"}, [2]string{"", "fleetctl plan approve " + words.ShellWord(args[0]) + " --key KEY"})
			tolerated := []toleratedJSON(nil)
			for _, t := range p.Tolerates() {
				tolerated = append(tolerated, toleratedJSON(t))
			}
			short := planned.Short(forecast)
			out := &checkJSON{
				OK: len(short) == 0, Tolerated: tolerated, Forecast: cli.Outlooks(forecast), SHA256: p.Digest(), Mode: p.Mode, Fleet: p.Fleet, Namespace: p.Namespace, Epoch: p.Epoch, HSMs: len(p.HSMs),
				Roles: len(p.Roles), Majority: p.Majority, Steps: len(p.Steps()), MaxBundle: p.MaxBundle(),
			}
			err = a.Tell(cli.Judged{JSON: func() []byte { return cli.JSON(out) }, Text: func() string { return a.UI.Fields(rows) + text },
				Run: func() *report.Run { return checks(args[0], policy, forecast, a.Now()) }})
			if err == nil && len(short) > 0 {
				err = cli.Wrong(engine.Unreachable(short))
			}
			return err
		})
	a.Reports(c)
	c.Flags().StringVar(&site, "site", "", "check this site `file` against the plan too")
	c.Flags().StringVar(&policy, "policy", "", "forecast which claims of this policy `file` the ceremony can reach")
	return c
}

// checks are a plan that was read as continuous integration counts it: that it has no
// fault, and for each claim of a policy whether its ceremony can reach it.
func checks(file, policy string, forecast []planned.Outlook, now time.Time) *report.Run {
	run := &report.Run{Command: "fleetctl plan check", Subject: file, Time: now, Good: true, Summary: "the plan has no fault"}
	run.Checks = []report.Check{{Rule: "plan", Title: "The plan has no fault", Outcome: report.Passed, Message: "none was found", At: report.Place{File: file}}}
	for _, o := range forecast {
		c := report.Check{Rule: o.Claim, Title: "The plan's ceremony can reach " + o.Claim, Outcome: report.Passed, Message: "in reach", Next: o.Do, At: report.Place{File: file}}
		if o.Short() {
			c.Outcome, c.Message = report.Failed, o.Claim+", which "+policy+" demands, is out of reach: "+o.Missing
			run.Good, run.Code, run.Summary = false, cli.ExitWrong, "the plan's ceremony can't reach what the policy demands"
		}
		run.Checks = append(run.Checks, c)
	}
	return run
}

// room tells how many HSMs fit into a bundle, where the keys are so large that it matters.
func room(p *ceremony.Plan) string {
	for _, r := range p.Roles {
		if r.Algorithm.IsMLDSA() || r.Algorithm.IsMLKEM() {
			return ": enough for " + words.Count(int64(p.Room()), "HSM", "HSMs") + " with these roles"
		}
	}
	return ""
}

// agreements tells how keys agree that a PKCS#11 module doesn't agree by itself.
func agreements(p *ceremony.Plan) (list []string) {
	if len(p.RolesOf(keys.Agree)) == 0 {
		return nil
	}
	var byTPM, unsaid []string
	for _, h := range p.HSMs {
		switch {
		case h.Agreement == ceremony.AgreementTPM:
			byTPM = append(byTPM, h.Name)
		case h.Attestation != nil && h.Attestation.Format == tpm.Format:
			unsaid = append(unsaid, h.Name)
		}
	}
	if byTPM != nil {
		list = append(list, strings.Join(byTPM, ", ")+": by its TPM (TPM2_ECDH_ZGen); tpm2-pkcs11 has no ECDH, so its keys read DERIVE false, DECRYPT true, and who uses them asks the TPM too")
	}
	if unsaid != nil {
		list = append(list, strings.Join(unsaid, ", ")+": by its module. tpm2-pkcs11 can't, it has neither ECDH nor DERIVE: write agreement: "+ceremony.AgreementTPM+" there")
	}
	return list
}

// foreseen is the forecast of a policy's demands, empty where no policy is given.
func foreseen(a *cli.App, p *ceremony.Plan, file string) (text string, list []planned.Outlook, err error) {
	if file == "" {
		return "", nil, nil
	}
	data, err := cli.ReadFile(file)
	if err != nil {
		return "", nil, err
	}
	policy, err := evidence.ParsePolicy(file, data)
	if err != nil {
		return "", nil, cli.Usage(err)
	}
	list = planned.Forecast(p, policy)
	return "\n" + cli.Forecast(a, list), list, nil
}

func roleList(p *ceremony.Plan) string {
	var list []string
	for _, r := range p.Roles {
		list = append(list, r.Name+" "+string(r.Algorithm))
	}
	return strings.Join(list, ", ")
}
