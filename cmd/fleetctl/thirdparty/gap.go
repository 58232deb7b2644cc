package thirdparty

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

type gapJSON struct {
	Last   uint64       `strict:"last"` // epoch that we signed last; 0 where none
	Epoch  uint64       `strict:"epoch"`
	Digest [32]byte     `strict:"digest,hex"`
	Stated []statedJSON `strict:"stated_by"`
}

type statedJSON struct {
	Name string   `strict:"name,optional"`
	Key  [32]byte `strict:"key,base64"`
	Time string   `strict:"time"`
}

func gapResult(p *thirdparty.Policy, g *thirdparty.Gap) *gapJSON {
	if g == nil {
		return nil
	}
	out := &gapJSON{g.Last, g.Epoch, g.Digest, []statedJSON{}}
	for _, s := range g.Stated {
		out.Stated = append(out.Stated, statedJSON{p.NameOf(s.Key), s.Key, strict.FormatTime(s.Statement.Time())})
	}
	return out
}

func gapRows(p *thirdparty.Policy, g *thirdparty.Gap) [][2]string {
	if g == nil {
		return nil
	}
	rows := [][2]string{{"gap", g.String()}}
	for _, s := range g.Stated {
		rows = append(rows, [2]string{"stated by", stated(p.NameOf(s.Key), s)})
	}
	return rows
}

func stated(name string, s bundle.Signed) string {
	return fmt.Sprintf("%s, key %s, at %s", name, base64.StdEncoding.EncodeToString(s.Key[:]), strict.FormatTime(s.Statement.Time()))
}

// agreeToGap is a person's consent to sign what the ledger alone can't bear out.
func agreeToGap(a *cli.App, file string, p *thirdparty.Policy, in *thirdparty.Inspection, given uint64) error {
	g := in.Gap
	switch {
	case g == nil && given == 0:
		return nil
	case g == nil:
		return cli.Usage(strict.Errorf(file, "has no gap to agree to: it follows from the ledger").WithHint("leave --gap out"))
	case given != 0 && given != g.Epoch:
		return cli.Wrong(strict.Errorf(file, "its gap ends at epoch %d, --gap names epoch %d", g.Epoch, given))
	case given == 0 && !a.UI.Interactive():
		return cli.Usagef(fmt.Sprintf("agree to it with --gap %d", g.Epoch), "there is a gap, and no terminal to ask at: %v", g)
	case given == 0:
		a.UI.Say("\n", a.UI.Talk.Fields(gapRows(p, g)))
		if err := a.UI.Consent("Is that so, and is it to stand in the ledger for good?", gapConsent(g)); err != nil {
			return err
		}
	}
	in.AgreeToGap()
	return nil
}

func gapConsent(g *thirdparty.Gap) string {
	switch {
	case g.Unnamed():
		return fmt.Sprintf("unnamed epoch %d", g.Last)
	case g.Joins():
		return fmt.Sprintf("join after epoch %d", g.Epoch)
	}
	return fmt.Sprintf("pass over epochs %d to %d", g.Last+1, g.Epoch)
}

type guardJSON struct {
	Guard   string           `strict:"guard"`
	Ledger  string           `strict:"ledger"`
	Entries int              `strict:"entries"`
	Newest  []ledgerLineJSON `strict:"newest"`
}

// Format is what the JSON says that it is.
func (*guardJSON) Format() string { return "fleetctl thirdparty guard result v1" }

func guardCmd(a *cli.App) *cobra.Command {
	var key, guard, yes string
	c := cli.Command("guard LEDGER", "Begin the guard of a ledger that has none",
		`A ledger's guard knows how far the ledger had come when a signature left last,
so that a ledger put back from a copy signs nothing. Init makes it, signing
keeps it. Guard makes one where it was lost, or in another place. It believes
the ledger: first compare its newest epochs with what is published (fleetctl
history). If anything newer was signed with this key, the key never signs again.

Where there is no terminal, --agree N is the consent: the number of entries.`,
		`  fleetctl thirdparty guard ledger.jsonl --public-key thirdparty.pub
  fleetctl thirdparty guard ledger.jsonl --public-key thirdparty.pub --guard /media/stick/guard`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "public-key"); err != nil {
				return err
			}
			l, err := readLedger(args[0], key)
			if err != nil {
				return err
			}
			if guard == "" {
				guard = thirdparty.GuardPath(args[0])
			}
			return beginGuard(a, args[0], guard, l, yes)
		})
	c.Flags().StringVar(&key, "public-key", "", "the ledger's `key`: base64, or a file of it")
	c.Flags().StringVar(&guard, "guard", "", "the guard's new `file` (default: LEDGER.guard)")
	c.Flags().StringVar(&yes, "agree", "", "`number` of the ledger's entries, where they are all that was signed")
	return c
}

func beginGuard(a *cli.App, file, guard string, l *thirdparty.Ledger, agree string) error {
	statements := l.Statements()
	out := &guardJSON{Guard: guard, Ledger: file, Entries: len(statements), Newest: []ledgerLineJSON{}}
	newest := map[string]int{}
	for _, s := range statements {
		line := ledgerLineJSON{s.Namespace, s.Epoch, s.Digest, strict.FormatTime(s.Time()), nil}
		if at, ok := newest[s.Namespace]; ok {
			out.Newest[at] = line
			continue
		}
		newest[s.Namespace] = len(out.Newest)
		out.Newest = append(out.Newest, line)
	}
	var rows [][]string
	for _, x := range out.Newest {
		rows = append(rows, []string{fmt.Sprint(x.Epoch), x.Time, fmt.Sprintf("%x…", x.Digest[:8]), x.Namespace})
	}
	table := []string{"newest epoch", "signed", "digest", "namespace"}
	number := fmt.Sprint(len(statements))
	switch {
	case agree != "" && agree != number:
		return cli.Wrong(strict.Errorf(file, "has %s entries, --agree names %s", number, agree))
	case agree == "" && !a.UI.Interactive():
		return cli.Usagef("compare it with what is published, then agree with --agree "+number, "a guard believes the ledger, and there is no terminal to ask at")
	case agree == "":
		a.UI.Say(a.UI.Talk.TableWhole(table, rows, ui.Right), "\n")
		if err := a.UI.Consent("Was nothing signed with this key after these?", number+" entries are all"); err != nil {
			return err
		}
	}
	if err := l.BeginGuard(guard); err != nil {
		return cli.Usage(err)
	}
	return a.Emit(out, a.UI.TableWhole(table, rows, ui.Right), "\n", a.UI.Fields([][2]string{{"guard", guard}, {"entries", number}}))
}

// gapText is what a ledger's table says of an entry that didn't follow.
func gapText(g *thirdparty.Gap) string {
	if g == nil {
		return ""
	}
	var by []string
	for _, s := range g.Stated {
		by = append(by, fmt.Sprintf("%x", s.Key[:4]))
	}
	switch {
	case g.Unnamed():
		return "the request did not name the entry before"
	case g.Joins():
		return "joined; epoch " + fmt.Sprint(g.Epoch) + " by " + strings.Join(by, ", ")
	}
	return fmt.Sprintf("passed over %d to %d; epoch %d by %s", g.Last+1, g.Epoch, g.Epoch, strings.Join(by, ", "))
}
