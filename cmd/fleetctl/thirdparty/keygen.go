package thirdparty

import (
	"encoding/base64"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/words"
)

type keygenJSON struct {
	Key       string `strict:"key"`
	PublicKey []byte `strict:"public_key,base64"`
	Raw       []byte `strict:"raw,base64"`
	Out       string `strict:"out,optional"`
}

// Format is what the JSON says that it is.
func (*keygenJSON) Format() string { return "fleetctl thirdparty keygen result v1" }

func keygenCmd(a *cli.App) *cobra.Command {
	var key, pin, out string
	c := cli.Command("keygen", "Make a signing key in a file that a passphrase encrypts, for small third parties",
		`Keygen makes an Ed25519 key and writes it encrypted by age (scrypt). An HSM is
better: fleetctl hsm keygen. The file opens with age -d as well, and one made
with openssl genpkey -algorithm ed25519 | age -p is as good.`,
		"  fleetctl thirdparty keygen --key thirdparty.age --out thirdparty.pub", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "key"); err != nil {
				return err
			}
			if err := cli.Free(key, out); err != nil {
				return err
			}
			public, err := signer.NewAgeKey(a, key, pin)
			if err != nil {
				return err
			}
			text := base64.StdEncoding.EncodeToString(public.SPKI())
			if out != "" {
				if err := cli.WriteNew(out, []byte(text+"\n")); err != nil {
					return err
				}
			}
			raw, _ := public.Ed25519()
			rows := [][2]string{{"key", key}, {"public key", text}, {"raw", base64.StdEncoding.EncodeToString(raw)}}
			if out != "" {
				rows = append(rows, [2]string{"written to", out}, [2]string{"next", "give it to the operator, and read it out:"}, [2]string{"", "fleetctl words " + words.ShellWord(out)})
			}
			return a.Emit(&keygenJSON{key, public.SPKI(), raw, out}, a.UI.Fields(rows))
		})
	f := c.Flags()
	f.StringVar(&key, "key", "", "the key's new `file`")
	f.StringVar(&pin, "pin", "terminal", "`source` of the passphrase: terminal, fd:N or file:/path")
	f.StringVar(&out, "out", "", "write the public key, base64 of its SubjectPublicKeyInfo, to this new `file`")
	return c
}
