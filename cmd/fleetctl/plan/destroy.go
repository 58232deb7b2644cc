package plan

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func destroyCmd(a *cli.App) *cobra.Command {
	var retirement, out string
	var without []string
	c := cli.Command("destroy CEREMONY", "Write the plan that destroys a retired fleet's keys",
		`Destroy writes the plan of a ceremony that makes no key: it destroys those that
CEREMONY made, its folder or its package, once the fleet's retirement takes
effect. The plan names each key by HSM, CKA_ID and public key; every other
object on the tokens stays. People and thresholds are those of CEREMONY's plan,
and may be changed before officers approve it. What is to be done with backups,
or with a TPM behind tpm2-pkcs11, is listed under lockdown:.

It runs as any other: plan approve, then ceremony room or ceremony run with
--retirement and --retired. An HSM that nobody can reach any more is left out
with --without: its keys are then not shown to be destroyed.`,
		"  fleetctl plan destroy ceremony --retirement end.json --out destroy.yaml\n  fleetctl plan destroy evidence.tar --retirement end.json --without hsm-3 --out destroy.yaml",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "retirement", "out"); err != nil {
				return err
			}
			account, err := ceremonyAt(args[0])
			if err != nil {
				return err
			}
			n, err := readRetirement(retirement)
			if err != nil {
				return err
			}
			d, err := draft.Destruction(account, n, without...)
			if err != nil {
				return cli.Wrong(err)
			}
			data, err := d.Write()
			if err != nil {
				return err
			}
			if _, err := ceremony.ParsePlan(out, data); err != nil {
				return cli.Wrong(err)
			}
			if err := cli.WriteNew(out, data); err != nil {
				return err
			}
			keys := len(d.Destroys.Keys)
			return a.Emit(&newJSON{out, bundle.Digest(data), "", len(d.HSMs)}, a.UI.Fields([][2]string{
				{"plan", out}, {"sha256", fmt.Sprintf("%x", bundle.Digest(data))},
				{"destroys", fmt.Sprintf("%d keys in %s, from %s on", keys, words.Count(int64(len(d.HSMs)), "HSM", "HSMs"), strict.FormatTime(d.Destroys.Effective))},
				{"of", fmt.Sprintf("%s, epoch %d, retired by epoch %d", d.Fleet, account.Plan.Epoch, d.Epoch)},
				{"next", "fleetctl plan approve " + words.ShellWord(out) + " --key KEY"},
			}))
		})
	f := c.Flags()
	f.StringVar(&retirement, "retirement", "", "the retirement's bundle `file`, or its notice")
	f.StringArrayVar(&without, "without", nil, "leave this `HSM` out: its keys are then not shown to be destroyed; may be repeated")
	f.StringVar(&out, "out", "", "the plan's new `file`")
	return c
}

// ceremonyAt is the ceremony in a folder or a package.
func ceremonyAt(path string) (*ceremony.Account, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		account, err := folder.Read(path)
		return account, cli.Wrong(err)
	}
	data, err := cli.ReadFile(path)
	if err != nil {
		return nil, err
	}
	files, err := evidence.Unpack(path, data)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	p, err := ceremony.ParsePlan(ceremony.PlanFile, files[ceremony.PlanFile])
	if err != nil {
		return nil, cli.Wrong(err)
	}
	account, _, err := ceremony.Replay(p, ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	return account, cli.Wrong(err)
}

// readRetirement reads a notice, or the bundle of one.
func readRetirement(file string) (*bundle.Notice, error) {
	data, err := cli.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if bundle.FormatOf(data) != bundle.BundleFormat {
		n, err := bundle.ParseNotice(file, data)
		return n, cli.Wrong(err)
	}
	b, err := bundle.ParseAny(file, data)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	if b.Notice == nil {
		return nil, cli.Wrong(strict.Errorf(file, "brings keys, and retires no fleet").WithHint("the retirement is made with\nfleetctl bundle retire, thirdparty notice, bundle notice"))
	}
	return b.Notice, nil
}
