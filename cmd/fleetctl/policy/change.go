package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence/succession"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

type changeJSON struct {
	Path   string `strict:"path"`
	Effect string `strict:"effect"`
	Text   string `strict:"text"`
}

type changesJSON struct {
	From    string       `strict:"from"`
	To      string       `strict:"to"`
	Changes []changeJSON `strict:"changes"`
}

// Format is what the JSON says that it is.
func (*changesJSON) Format() string { return "fleetctl policy changes result v1" }

func diffCmd(a *cli.App) *cobra.Command {
	var code bool
	c := cli.Command("diff OLD NEW", "What changes from one policy to the next",
		`Diff compares what two policies say, and says of each change which way it
goes: looser, where something passes that didn't; stricter, where something that
passed doesn't; other, where that depends, as with a log's policy. Comments,
order and spelling are no change. The older policy comes first.

With --exit-code it exits with 5 where anything changes, and with 0 where not.`,
		"  fleetctl policy diff policy.yaml next.yaml",
		cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
			older, newer, err := readTwo(args[0], args[1])
			if err != nil {
				return err
			}
			changes, err := succession.Diff(args[0], older, args[1], newer)
			if err != nil {
				return cli.Usage(err)
			}
			if err := a.Emit(changesResult(args[0], args[1], changes), changesText(a, changes)); err != nil {
				return err
			}
			if code && len(changes) > 0 {
				return cli.Exit(cli.ExitChanged, cli.ErrQuiet)
			}
			return nil
		})
	c.Flags().BoolVar(&code, "exit-code", false, "exit with 5 if anything changes")
	return c
}

func revokeCmd(a *cli.App) *cobra.Command {
	var key, compromised, over, out string
	c := cli.Command("revoke POLICY", "Write a policy in which a key no longer counts",
		`Revoke writes a policy in which the window of one key ends, and nothing else
changes. --compromised-after is for a key that somebody else may have: nothing
that it signed counts but what witnesses saw before that time. --not-after is
for a key that was given up in its owner's hands.

Whose key it is says a part and a name as the policy has them: person olga,
third party auditor.example, operator operator-1, log log.example/fleet, witness
w1, submitter ci, keeper kim. Those who verify with the policy get the new one
as they got the old one, or by fleetctl policy succeed.`,
		`  fleetctl policy revoke policy.yaml --key "person olga" --compromised-after 2026-11-30T10:00:00Z --out next.yaml`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "key", "out"); err != nil {
				return err
			}
			end, text := succession.CompromisedAfter, compromised
			if over != "" {
				end, text = succession.NotAfter, over
			}
			if (compromised == "") == (over == "") {
				return cli.Usagef("", "give either --compromised-after or --not-after")
			}
			at, err := strict.ParseTime(text)
			if err != nil {
				return cli.Usagef("such as 2026-11-30T10:00:00Z", "%v", err)
			}
			data, err := cli.ReadFile(args[0])
			if err != nil {
				return err
			}
			next, err := succession.Revoke(args[0], data, key, end, at)
			if err != nil {
				return cli.Usage(err)
			}
			if err := cli.WriteNew(out, next); err != nil {
				return err
			}
			changes, err := succession.Diff(args[0], data, out, next)
			if err != nil {
				return err
			}
			return a.Emit(changesResult(args[0], out, changes), changesText(a, changes)+a.UI.Fields([][2]string{
				{"written", out}, {"next", afterRevoking(a, args[0], data, out, next)}}))
		})
	f := c.Flags()
	f.StringVar(&key, "key", "", "whose key: a `part and name`, such as \"person olga\"")
	f.StringVar(&compromised, "compromised-after", "", "the `time` from which somebody else may have it")
	f.StringVar(&over, "not-after", "", "the `time` at which it was given up")
	f.StringVar(&out, "out", "", "the policy's new `file`")
	return c
}

// afterRevoking says how the new policy gets to those who hold the old one, which goes on
// taking the key.
func afterRevoking(a *cli.App, file string, older []byte, next string, newer []byte) string {
	if _, err := succession.New(older, newer, a.Now(), "asked whether it has keepers"); err == nil {
		return "fleetctl policy succeed " + file + " " + next + " --reason TEXT --out FILE"
	}
	return "give " + next + " to all who hold " + file
}

func readTwo(one, two string) (a, b []byte, err error) {
	if a, err = cli.ReadFile(one); err != nil {
		return nil, nil, err
	}
	b, err = cli.ReadFile(two)
	return a, b, err
}

func changesResult(from, to string, changes []succession.Change) *changesJSON {
	out := &changesJSON{From: from, To: to, Changes: []changeJSON{}}
	for _, c := range changes {
		out.Changes = append(out.Changes, changeJSON{c.Path, c.Effect, c.Text})
	}
	return out
}

func changesText(a *cli.App, changes []succession.Change) string {
	if len(changes) == 0 {
		return "nothing changes\n"
	}
	var lines []ui.ClaimLine
	count := map[string]int{}
	// What lets more pass stands first: it is what somebody has to weigh.
	order := []string{succession.Looser, succession.Other, succession.Stricter}
	sorted := slices.Clone(changes)
	slices.SortStableFunc(sorted, func(a, b succession.Change) int {
		return slices.Index(order, a.Effect) - slices.Index(order, b.Effect)
	})
	for _, c := range sorted {
		lines = append(lines, ui.ClaimLine{Name: c.Effect, Detail: cmp.Or(c.Path, "the file"), More: []string{c.Text}, Wrong: c.Effect == succession.Looser})
		count[c.Effect]++
	}
	return a.UI.Claims(lines) + fmt.Sprintf("\n%s: %d looser, %d stricter, %d other\n",
		words.Count(int64(len(changes)), "change", "changes"), count[succession.Looser], count[succession.Stricter], count[succession.Other])
}
