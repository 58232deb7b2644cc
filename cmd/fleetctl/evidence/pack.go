package evidence

import (
	"crypto/sha256"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
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
}

func packCmd(a *cli.App) *cobra.Command {
	var out string
	var withhold bool
	c := cli.Command("pack DIR", "Pack a ceremony that has ended into an evidence package",
		`Pack writes an archive with one form only: the same files give the same bytes.
What stands in the folder private/ is left out. --withhold leaves out what
restricted records say; they still count in the chain.

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
			if err != nil {
				if _, ok := err.(*strict.Error); ok {
					return cli.Usage(err)
				}
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
			if account.Abort != nil {
				expected = " --expect abort"
			}
			r := &packJSON{File: out, SHA256: sha256.Sum256(data), Identity: account.Head, Files: len(files), Size: len(data)}
			return a.Emit(r, a.UI.Fields([][2]string{
				{"package", fmt.Sprintf("%s   %s, %s", out, words.Count(int64(r.Files), "file", "files"), words.Size(int64(r.Size)))},
				{"sha256", fmt.Sprintf("%x", r.SHA256)},
				{"identity", fmt.Sprintf("%x", r.Identity)},
				{"next", "log that it ended so, once everyone has signed, then verify it:"},
				{"", "fleetctl log append " + out + " --log LOG --key KEY"},
				{"", "fleetctl verify " + out + " --policy POLICY" + expected},
			}))
		})
	c.Flags().StringVar(&out, "out", "", "the archive's new `file`")
	c.Flags().BoolVar(&withhold, "withhold", false, "leave out the bodies of restricted records")
	return c
}
