package thirdparty

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type ledgerJSON struct {
	Ledger  string           `strict:"ledger"`
	Torn    int              `strict:"torn"`
	Entries []ledgerLineJSON `strict:"entries"`
	Export  string           `strict:"export,optional"`
}

// Format is what the JSON says that it is.
func (*ledgerJSON) Format() string { return "fleetctl thirdparty ledger result v1" }

type ledgerLineJSON struct {
	Namespace string   `strict:"namespace"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Time      string   `strict:"time"`
	Gap       *gapJSON `strict:"gap,optional"` // before it
}

func ledgerCmd(a *cli.App) *cobra.Command {
	var key, guard, export string
	c := cli.Command("ledger LEDGER", "Check a ledger from its first entry to its last, show it, export it",
		`Ledger checks the hash chain and every signature, and that the ledger has all
that its guard, where it is here, has seen. It needs the public key only,
changes nothing, and may run while another process signs. --export writes the
statements as served, a line each, which fleetctl history checks.`,
		`  fleetctl thirdparty ledger ledger.jsonl --public-key thirdparty.pub
  fleetctl thirdparty ledger ledger.jsonl --public-key thirdparty.pub --export statements.jsonl`, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "public-key"); err != nil {
				return err
			}
			l, err := readLedger(args[0], key)
			if err != nil {
				return err
			}
			guarded := guard != ""
			if guard == "" {
				guard = thirdparty.GuardPath(args[0])
				guarded = hasFile(guard) // a copy that is served has none
			}
			if guarded {
				if err := l.CheckGuard(guard); err != nil {
					return cli.Wrong(err)
				}
			}
			gaps, noted := l.Gaps(), false
			out := &ledgerJSON{Ledger: args[0], Torn: l.Torn, Entries: []ledgerLineJSON{}, Export: export}
			var rows [][]string
			for i, s := range l.Statements() {
				out.Entries = append(out.Entries, ledgerLineJSON{s.Namespace, s.Epoch, s.Digest, strict.FormatTime(s.Time()), gapResult(nil, gaps[i])})
				rows = append(rows, []string{fmt.Sprint(s.Epoch), strict.FormatTime(s.Time()), fmt.Sprintf("%x…", s.Digest[:8]), gapText(gaps[i]), s.Namespace})
				noted = noted || gaps[i] != nil
			}
			head := []string{"epoch", "signed", "digest", "gap before it", "namespace"}
			if !noted {
				for _, row := range append(rows, head) {
					row[3] = row[4]
				}
				head = head[:4]
			}
			text := []string{a.UI.TableWhole(head, rows), "\n",
				a.UI.Line(words.Count(int64(len(rows)), "entry", "entries") + ": the chain is whole, every signature verifies")}
			if guarded {
				text = append(text, a.UI.Line("it has all that its guard "+guard+" has seen"))
			} else {
				text = append(text, a.UI.Line("its guard is not here: that these are all that was signed is not shown"))
			}
			if l.Torn > 0 {
				text = append(text, a.UI.Line(fmt.Sprintf("after them: %s of an entry that is being written, or that a power failure cut off", words.Size(int64(l.Torn)))))
			}
			if export != "" {
				if err := cli.WriteNew(export, l.Export()); err != nil {
					return err
				}
				text = append(text, a.UI.Line(fmt.Sprintf("%s exported to %s", words.Count(int64(len(rows)), "statement", "statements"), export)))
			}
			return a.Emit(out, text...)
		})
	c.Flags().StringVar(&key, "public-key", "", "the ledger's `key`: base64, a file of it, or an OpenSSH .pub file")
	c.Flags().StringVar(&guard, "guard", "", "the ledger's guard `file` (default: LEDGER.guard)")
	c.Flags().StringVar(&export, "export", "", "a new `file` (.jsonl) for the statements")
	return c
}

func hasFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readLedger opens a ledger to look at, by its public key.
func readLedger(path, key string) (*thirdparty.Ledger, error) {
	raw, err := ledgerKey(key)
	if err != nil {
		return nil, err
	}
	if _, err := cli.ReadFile(path); err != nil {
		return nil, err
	}
	l, err := thirdparty.ReadLedger(path, raw)
	return l, cli.Wrong(err)
}

// ledgerKey reads the public key that a ledger belongs to.
func ledgerKey(key string) ([32]byte, error) {
	_, der, err := signer.KeyFlag("public-key", "="+key)
	if err != nil {
		return [32]byte{}, err
	}
	raw, err := signer.RawEd25519(der)
	if err != nil {
		return [32]byte{}, cli.Usagef("", "--public-key %v", err)
	}
	return raw, nil
}

// tellTorn says that a power failure was met.
func tellTorn(a *cli.App, l *thirdparty.Ledger) {
	if l.Torn > 0 {
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("the ledger's last entry was cut off: its %s are kept in %s; that signature never left",
			words.Size(int64(l.Torn)), l.TornAt)))
	}
}
