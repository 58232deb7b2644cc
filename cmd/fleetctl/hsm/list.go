package hsm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/token"
)

type tokenJSON struct {
	URI          string `strict:"uri"`
	Serial       string `strict:"serial"`
	Label        string `strict:"label"`
	Manufacturer string `strict:"manufacturer"`
	Model        string `strict:"model"`
	Firmware     string `strict:"firmware"`
	Initialized  bool   `strict:"initialized"`
	State        string `strict:"state"`
}

type tokensJSON struct {
	Module string      `strict:"module"`
	SHA256 [32]byte    `strict:"sha256,hex"`
	Tokens []tokenJSON `strict:"tokens"`
}

// Format is what the JSON says that it is.
func (*tokensJSON) Format() string { return "fleetctl hsm tokens result v1" }

func listCmd(a *cli.App) *cobra.Command {
	var module, initArgs string
	c := cli.Command("list", "List the tokens of a PKCS#11 module",
		"List shows each token's serial, by which plans name it, and its RFC 7512 URI.",
		"  fleetctl hsm list --module /usr/lib/softhsm/libsofthsm2.so",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "module"); err != nil {
				return err
			}
			m, err := signer.OpenModule(a, module, initArgs)
			if err != nil {
				return err
			}
			defer m.Close()
			list, err := m.Tokens()
			if err != nil {
				return err
			}
			slices.SortFunc(list, token.Order)
			return listTokens(a, m, module, list)
		})
	signer.ModuleFlags(c, &module, &initArgs)
	return c
}

func listTokens(a *cli.App, m *hsm.Module, module string, list []token.Info) error {
	out := tokensJSON{Module: module, SHA256: m.Digest(), Tokens: []tokenJSON{}}
	var rows [][]string
	var uris strings.Builder
	for _, i := range list {
		t := tokenJSON{
			URI: tokenURI(module, i), Serial: i.Serial, Label: i.Label, Manufacturer: i.Manufacturer,
			Model: i.Model, Firmware: i.Firmware, Initialized: i.Initialized, State: tokenState(i),
		}
		out.Tokens = append(out.Tokens, t)
		rows = append(rows, []string{i.Label, i.Serial, i.Model, i.Firmware, t.State})
		if i.Initialized {
			uris.WriteString(a.UI.Line(t.URI))
		}
	}
	digest := out.SHA256
	return a.Emit(&out,
		a.UI.Fields([][2]string{{"module", module}, {"", m.Description()}, {"sha256", fmt.Sprintf("%x", digest)}}), "\n",
		a.UI.Table([]string{"label", "serial", "model", "firmware", "state"}, rows), "\n", uris.String())
}

func tokenURI(module string, i token.Info) string {
	u := uri.URI{Token: i.Label, Serial: i.Serial, Model: i.Model, Manufacturer: i.Manufacturer, ModulePath: module}
	return u.String()
}

func tokenState(i token.Info) string {
	switch {
	case !i.Initialized:
		return "not initialised"
	case i.PINLocked:
		return "PIN locked"
	case i.PINFinalTry:
		return "one PIN try left"
	case i.PINLow:
		return "ready, a wrong PIN was tried"
	}
	return "ready"
}
