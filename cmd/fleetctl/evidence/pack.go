package evidence

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type packJSON struct {
	File     string   `strict:"file"`
	SHA256   [32]byte `strict:"sha256,hex"`
	Identity [32]byte `strict:"identity,hex"`
	Files    int      `strict:"files"`
	Size     int      `strict:"size"`
	Withheld int      `strict:"withheld"` // restricted records
}

// Format is what the JSON says that it is.
func (*packJSON) Format() string { return "fleetctl evidence pack result v1" }

func packCmd(a *cli.App) *cobra.Command {
	var out string
	var withhold bool
	c := cli.Command("pack DIR", "Pack a ceremony that has ended into an evidence package",
		`Pack writes an archive with one form only: the same files give the same bytes.
What stands in the folder private/ is left out. Anything private elsewhere is
refused, with file and line: private keys in any format, files with a PIN, a
site file. --withhold leaves out what restricted records say; they still count
in the chain, and the report says how many were withheld.

What is left to do is to log it, closed or aborted, with log append: the entry
commits to what people have signed by then, so they sign before it is packed.`,
		"  fleetctl evidence pack ceremony --out evidence.tar",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			if _, err := folder.Read(args[0]); err != nil {
				return cli.Wrong(err)
			}
			files, account, err := closing.PackFolder(args[0], withhold)
			var one *strict.Error
			var several strict.Errors
			switch {
			case errors.As(err, &several):
				return cli.Wrong(err) // what is in the folder
			case errors.As(err, &one):
				return cli.Usage(err) // the state that it is in
			case err != nil:
				return err
			}
			data, err := evidence.Pack(files)
			if err != nil {
				return err
			}
			if err := cli.WriteNew(out, data); err != nil {
				return err
			}
			expected := ""
			switch {
			case account.Abort != nil:
				expected = " --expect abort"
			case account.Plan.Destroys != nil:
				expected = " --expect destruction"
			}
			n, err := withheld(account.Plan, files)
			if err != nil {
				return err
			}
			told := "nothing"
			if n > 0 {
				told = words.Count(int64(n), "restricted record", "restricted records") + ", counted in the chain"
			}
			r := &packJSON{Withheld: n, File: out, SHA256: sha256.Sum256(data), Identity: account.Head, Files: len(files), Size: len(data)}
			return a.Emit(r, a.UI.Fields([][2]string{
				{"package", fmt.Sprintf("%s   %s, %s", out, words.Count(int64(r.Files), "file", "files"), words.Size(int64(r.Size)))},
				{"sha256", fmt.Sprintf("%x", r.SHA256)},
				{"identity", fmt.Sprintf("%x", r.Identity)},
				{"withheld", told},
				{"verify", "fleetctl verify " + out + " --policy POLICY" + expected},
				{"left to do", "once everyone has signed, log that the ceremony ended so:"},
				{"", "fleetctl log append " + out + " --log LOG --key KEY"},
			}))
		})
	c.Flags().StringVar(&out, "out", "", "the archive's new `file`")
	c.Flags().BoolVar(&withhold, "withhold", false, "leave out the bodies of restricted records")
	return c
}

// withheld counts the records of a package whose content was left out.
func withheld(p *ceremony.Plan, files evidence.Files) (n int, err error) {
	_, t, err := ceremony.Replay(p, ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	if err != nil {
		return 0, err
	}
	for _, r := range t.Records {
		if r.Withheld() {
			n++
		}
	}
	return n, nil
}
