package hsm

import (
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/token"
)

func initCmd(a *cli.App) *cobra.Command {
	var module, initArgs, label, erase, serial, pin, soPIN string
	c := cli.Command("init", "Initialise a token: label, security officer's PIN, user's PIN",
		`Init gives an uninitialised token a label and its PINs. A token that is
initialised already is left alone unless --erase names its serial: then
everything on it is destroyed.`,
		`  fleetctl hsm init --module /usr/lib/softhsm/libsofthsm2.so --label fleet-1
  fleetctl hsm init --module … --label fleet-1 --erase 0123456789abcdef`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "module", "label"); err != nil {
				return err
			}
			m, err := signer.OpenModule(a, module, initArgs)
			if err != nil {
				return err
			}
			defer m.Close()
			var so []byte
			if soPIN != "none" {
				if so, err = signer.NewSecret(a, soPIN, "PIN of the security officer of "+label); err != nil {
					return err
				}
			}
			defer clear(so)
			user, err := signer.NewSecret(a, pin, "PIN of "+label)
			if err != nil {
				return err
			}
			defer clear(user)
			info, err := m.InitToken(hsm.Init{Selector: hsm.Selector{Serial: serial}, Label: label, SOPIN: so, UserPIN: user, EraseSerial: erase})
			if err != nil {
				return err
			}
			return listTokens(a, m, module, []token.Info{info})
		})
	signer.ModuleFlags(c, &module, &initArgs)
	f := c.Flags()
	f.StringVar(&label, "label", "", "the token's new `label`, at most 32 bytes")
	f.StringVar(&serial, "serial", "", "`serial` of the token, where several are uninitialised")
	f.StringVar(&erase, "erase", "", "destroy everything on the initialised token with this `serial`")
	f.StringVar(&soPIN, "so-pin", "terminal", "`source` of the security officer's PIN: terminal, protected, fd:N, file:/path, or none where a token has no security officer")
	f.StringVar(&pin, "pin", "terminal", "`source` of the user's PIN")
	return c
}
