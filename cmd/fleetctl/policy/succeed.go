package policy

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence/succession"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type successionJSON struct {
	File   string   `strict:"file"`
	From   [32]byte `strict:"from,hex"`
	To     [32]byte `strict:"to,hex"`
	Reason string   `strict:"reason"`
}

// Format is what the JSON says that it is.
func (*successionJSON) Format() string { return "fleetctl policy succession result v1" }

func succeedCmd(a *cli.App) *cobra.Command {
	var reason, out string
	c := cli.Command("succeed OLD NEW", "Say that one policy follows another, for its keepers to sign",
		`Succeed writes the text by which the new policy follows the old one: the
SHA-256 of both, the time and a reason. Those whom the old policy names under
succession sign it, each with

  ssh-keygen -Y sign -n fleetctl-policy-succession -f KEY FILE

and it goes with their signatures and the new policy to everybody who holds the
old one: see fleetctl policy follow.`,
		`  fleetctl policy succeed policy.yaml next.yaml --reason "olga left on 2026-11-30" --out succession`,
		cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "reason", "out"); err != nil {
				return err
			}
			older, newer, err := readTwo(args[0], args[1])
			if err != nil {
				return err
			}
			t, err := succession.New(older, newer, a.Now(), reason)
			if err != nil {
				return cli.Usage(err)
			}
			changes, err := succession.Diff(args[0], older, args[1], newer)
			if err != nil {
				return cli.Usage(err)
			}
			if err := cli.WriteNew(out, t.Raw()); err != nil {
				return err
			}
			a.UI.Say(changesText(a, changes))
			return a.Emit(&successionJSON{out, t.From, t.To, t.Reason}, a.UI.Fields([][2]string{
				{"succession", out}, {"from", fmt.Sprintf("%s  %x", args[0], t.From)}, {"to", fmt.Sprintf("%s  %x", args[1], t.To)},
				{"sign it", "ssh-keygen -Y sign -n " + succession.Namespace + " -f KEY " + out},
			}))
		})
	c.Flags().StringVar(&reason, "reason", "", "why; a `text` of one line, which is signed")
	c.Flags().StringVar(&out, "out", "", "the text's new `file`")
	return c
}

type followJSON struct {
	Policy  string       `strict:"policy"`
	From    [32]byte     `strict:"from,hex"`
	To      [32]byte     `strict:"to,hex"`
	By      []string     `strict:"by"`
	Needed  int          `strict:"needed"`
	Reason  string       `strict:"reason"`
	Taken   bool         `strict:"taken"`
	Changes []changeJSON `strict:"changes"`
}

// Format is what the JSON says that it is.
func (*followJSON) Format() string { return "fleetctl policy follow result v1" }

func followCmd(a *cli.App) *cobra.Command {
	var text, accept string
	var signatures []string
	var replace bool
	c := cli.Command("follow POLICY NEXT", "Move to the policy that follows the one that you hold",
		`Follow verifies that the next policy follows yours: the succession is of
exactly these two files, and enough of those whom yours names under succession
signed it. It says who did, why, and what changes. Nothing has happened then.

With --replace your policy's file becomes the next one, and the one that it was
is kept beside it, under its SHA-256's first digits. At a terminal it asks;
elsewhere it wants the next policy's SHA-256, or its first 16 digits, by
--accept: nobody moves to rules that nobody looked at.`,
		`  fleetctl policy follow policy.yaml next.yaml --succession succession --signature kim.sig --signature lee.sig
  fleetctl policy follow policy.yaml next.yaml --succession succession --signature kim.sig --replace --accept 6f1b0c9d4e5a7788`,
		cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "succession"); err != nil {
				return err
			}
			older, newer, err := readTwo(args[0], args[1])
			if err != nil {
				return err
			}
			step, err := verifyStep(a, args[0], older, newer, text, signatures)
			if err != nil {
				return err
			}
			out := &followJSON{Policy: args[0], From: step.Text.From, To: step.Text.To, By: step.By, Needed: step.Enough, Reason: step.Text.Reason,
				Changes: changesResult("", "", step.Changes).Changes}
			if replace {
				// What is shown stands before the question.
				a.UI.Say(followText(a, args[0], args[1], step, ""))
				kept, err := take(a, args[0], older, newer, step, accept)
				if err != nil {
					return err
				}
				out.Taken = true
				return a.Emit(out, a.UI.Fields([][2]string{{"taken", args[0]}, {"kept", kept}}))
			}
			return a.Emit(out, followText(a, args[0], args[1], step, "nothing is changed yet: take it with --replace\n"))
		})
	f := c.Flags()
	f.StringVar(&text, "succession", "", "the `file` that fleetctl policy succeed wrote")
	f.StringArrayVar(&signatures, "signature", nil, "a keeper's signature `file` of it (ssh-keygen -Y sign); may be repeated")
	f.BoolVar(&replace, "replace", false, "take the next policy")
	f.StringVar(&accept, "accept", "", "with --replace and no terminal: the next policy's SHA-256 in `hex`, or its first 16 digits")
	return c
}

func verifyStep(a *cli.App, file string, older, newer []byte, text string, signatures []string) (*succession.Step, error) {
	data, err := cli.ReadFile(text)
	if err != nil {
		return nil, err
	}
	t, err := succession.Parse(text, data)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	signed := map[string][]byte{}
	for _, f := range signatures {
		if signed[f], err = cli.ReadFile(f); err != nil {
			return nil, err
		}
	}
	step, err := succession.Verify(file, older, newer, t, signed, a.Now())
	return step, cli.Wrong(err)
}

func followText(a *cli.App, file, next string, step *succession.Step, then string) string {
	return a.UI.Fields([][2]string{
		{"policy", fmt.Sprintf("%s  %x", file, step.Text.From)},
		{"next", fmt.Sprintf("%s  %x", next, step.Text.To)},
		{"signed by", fmt.Sprintf("%s; %d needed", strings.Join(step.By, ", "), step.Enough)},
		{"since", strict.FormatTime(step.Text.Time)},
		{"reason", step.Text.Reason},
		{"keys", step.Policy.TellPinned()},
	}) + "\n" + changesText(a, step.Changes) + then
}

// take replaces the policy's file, once somebody has said so who saw what changes.
func take(a *cli.App, file string, older, newer []byte, step *succession.Step, accept string) (kept string, err error) {
	to := hex.EncodeToString(step.Text.To[:])
	switch {
	case accept != "":
		if len(accept) < 16 || !strings.HasPrefix(to, accept) {
			return "", cli.Usagef("", "--accept is not the next policy's SHA-256, nor 16 or more of its first digits: %s", to)
		}
	case a.UI.Asks():
		if err := a.UI.Consent("Judge by the next policy from now on?", "follow"); err != nil {
			return "", err
		}
	default:
		return "", cli.Usagef("", "there is no terminal to ask at: say with --accept which policy it may become, %s", to)
	}
	kept = fmt.Sprintf("%s.%x", file, step.Text.From[:4])
	if err := cli.WriteSame(kept, older); err != nil {
		return "", err
	}
	return kept, durable.Replace(file, newer, 0o644)
}
