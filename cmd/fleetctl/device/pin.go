package device

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

type pinOptions struct {
	given
	role, form, pkg, to string
}

func pinCmd(a *cli.App) *cobra.Command {
	o := &pinOptions{}
	c := cli.Command("pin BUNDLE", "Export a fleet's keys for an app that compiles them in",
		`Pin checks a bundle as a device does at first contact, and writes its keys for
an app that compiles them in and is handed no bundle. Such an app checks nothing
else: whoever builds it has checked for all who use it, here. A new epoch, a
void or a retirement reaches it with an update and in no other way. Pin
remembers nothing: that an epoch was superseded or is void, fleetctl history
shows.

--as json has every key with its HSM, role and digest, and is what device policy
takes with --keys; go is a source file with the keys; curl is the argument of
curl's --pinnedpubkey, as in curl --pinnedpubkey "$(cat pins.txt)" URL.`,
		`  fleetctl device pin bundle.json --policy device.json --role session --out pins.json
  fleetctl device pin bundle.json --policy device.json --as curl --out pins.txt`,
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error { return o.run(a, cmd, args[0]) })
	f := c.Flags()
	o.given.flags(f)
	f.StringVar(&o.role, "role", "", "the keys of this `role` alone (default: all)")
	f.StringVar(&o.form, "as", "json", "the `form`: json, go or curl")
	f.StringVar(&o.pkg, "package", "fleet", "with --as go, the package's `name`")
	f.StringVar(&o.to, "out", "", "the new `file` (default: standard output)")
	return c
}

type pinResultJSON struct {
	File  string `strict:"file"`
	Fleet string `strict:"fleet"`
	Epoch uint64 `strict:"epoch"`
	Keys  int    `strict:"keys"`

	Unpinned []string `strict:"unpinned"`
}

// Format is what the JSON says that it is.
func (*pinResultJSON) Format() string { return "fleetctl device pin result v1" }

func (o *pinOptions) run(a *cli.App, cmd *cobra.Command, file string) error {
	q, err := o.read(a, cmd, file)
	if err != nil {
		return err
	}
	pins, err := device.Pin(q.Bundle, q.Proof, q.Policy, o.role, q.Now)
	var r *bundle.Refusal
	switch {
	case errors.As(err, &r):
		return cli.Wrong(o.named(r, file))
	case err != nil:
		return cli.Usage(err)
	}
	var text []byte
	switch o.form {
	case "json":
		text = pins.Encode()
	case "curl":
		text = pins.Curl()
	case "go":
		if text, err = pins.Go(o.pkg); err != nil {
			return cli.Usage(err)
		}
	default:
		return cli.Usagef("", "--as is %q; it is json, go or curl", o.form)
	}
	if o.to == "" {
		return a.UI.Print(string(text))
	}
	if err := cli.WriteNew(o.to, text); err != nil {
		return err
	}
	rows := [][2]string{{"pins", o.to}, {"fleet", pins.Fleet}, {"epoch", fmt.Sprint(pins.Epoch)}, {"keys", words.Number(int64(len(pins.Keys)))}}
	return a.Emit(&pinResultJSON{o.to, pins.Fleet, pins.Epoch, len(pins.Keys), append([]string{}, q.Policy.Unconfirmed...)}, a.UI.Fields(append(rows, unpinned(q.Policy)...)))
}
