package evidence

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/site"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type siteJSON struct {
	Folder   string `strict:"folder"`
	Packages int    `strict:"packages"`
	Files    int    `strict:"files"`
	Size     int    `strict:"size"`
}

// Format is what the JSON says that it is.
func (*siteJSON) Format() string { return "fleetctl evidence site result v1" }

func siteCmd(a *cli.App) *cobra.Command {
	var out, policy, at string
	var beside []string
	var firstUse bool
	c := cli.Command("site PACKAGE...", "Make a folder of web pages that publish evidence packages",
		`Site makes a folder for a static web host: a page for each package that tells
its story, its files with their SHA-256, and an index over the epochs. Pages
load nothing from anywhere; opened from the folder they work as well.

A page is a viewer and proves nothing: it says so, and how readers verify the
package, against keys of their own. What is published is judged first: every
package has to hold together, and with --policy to be verified, which the pages
then show as the publisher's word. Packages are of one namespace and say nothing
that is restricted (evidence pack --withhold). Log proofs beside a package are
published with it, and so is a retirement or a void that is given --beside.

An earlier site in the folder is replaced. What was not made by this command,
or was changed since, is never overwritten.`,
		`  fleetctl evidence site --out public epoch-1.tar epoch-2.tar
  fleetctl evidence site --out public --policy acme.yaml evidence.tar`,
		cobra.MinimumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			q := site.Question{Now: a.Now(), TrustOnFirstUse: firstUse}
			var err error
			if at != "" {
				if q.Now, err = strict.ParseTime(at); err != nil {
					return cli.Usagef("", "--time %v", err)
				}
			}
			if policy != "" {
				data, err := cli.ReadFile(policy)
				if err != nil {
					return err
				}
				if q.Policy, err = evidence.ParsePolicy(policy, data); err != nil {
					return cli.Usage(err)
				}
			} else if firstUse {
				return cli.Usagef("", "--trust-on-first-use is about the keys of a policy: it goes with --policy")
			}
			var notices evidence.Input
			if err := besides(a, &notices, beside); err != nil {
				return err
			}
			q.Beside = notices.Beside
			return makeSite(a, args, out, q)
		})
	f := c.Flags()
	f.StringVar(&out, "out", "", "the site's `folder`")
	f.StringVar(&policy, "policy", "", "publish only what this policy `file` verifies, and say so as the publisher's word")
	f.StringArrayVar(&beside, "beside", nil, "a retirement's or void's bundle `file`, with its proofs beside it, by which the pages say what became of an epoch; may be repeated")
	f.StringVar(&at, "time", "", "judge as of this `time`, such as 2026-11-21T10:00:00Z (default: the clock)")
	f.BoolVar(&firstUse, "trust-on-first-use", false, "take keys of the policy that nobody compared with their owners")
	return c
}

func makeSite(a *cli.App, packages []string, out string, q site.Question) error {
	var list []evidence.Input
	for _, file := range packages {
		if file == "-" {
			return cli.Usagef("", "a package that is published is a file, not standard input")
		}
		in, err := input(a, file, verifyOptions{})
		if err != nil {
			return err
		}
		list = append(list, in)
	}
	files, err := site.Build(list, q)
	if err != nil {
		return cli.Wrong(err)
	}
	if err := site.Write(out, files); err != nil {
		var fault *strict.Error
		if errors.As(err, &fault) {
			return cli.Usage(err)
		}
		return err
	}
	r := &siteJSON{Folder: out, Packages: len(list), Files: len(files)}
	for _, data := range files {
		r.Size += len(data)
	}
	return a.Emit(r, a.UI.Fields([][2]string{
		{"site", fmt.Sprintf("%s   %s, %s, %s", out, words.Count(int64(r.Packages), "package", "packages"), words.Count(int64(r.Files), "file", "files"), words.Size(int64(r.Size)))},
		{"next", "look at it, then copy the folder to any static web host:"},
		{"", filepath.Join(out, "index.html")},
	}))
}
