package main

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/keys"
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

func hsmListCmd(a *cli.App) *cobra.Command {
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

func hsmInitCmd(a *cli.App) *cobra.Command {
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

type keyJSON struct {
	URI       string         `strict:"uri"`
	Algorithm keys.Algorithm `strict:"algorithm"`
	SPKI      []byte         `strict:"spki,base64"`
	Raw       []byte         `strict:"raw,base64,optional"`
}

func hsmKeygenCmd(a *cli.App) *cobra.Command {
	var module, initArgs, label, id, pin, algorithm, out string
	c := cli.Command("keygen", "Generate a signing key in a token: a countersigner's, a third party's, a log's",
		`Keygen generates a key pair inside a token, never extractable, and prints the
URI by which other commands name it. Fleet keys are not made so: those are
generated in a ceremony.`,
		"  fleetctl hsm keygen --module /usr/lib/softhsm/libsofthsm2.so --token operator --id 01 --algorithm ecdsa-p256",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "module", "token", "id"); err != nil {
				return err
			}
			alg := keys.Algorithm(algorithm)
			rawID, err := hex.DecodeString(id)
			if err != nil || len(rawID) == 0 || len(rawID) > 32 {
				return cli.Usagef("", "--id is %q; it is 1 to 32 bytes in hex", id)
			}
			if !alg.CanSign() {
				return cli.Usagef("", "--algorithm is %q; it is ed25519, ecdsa-p256, ecdsa-p384 or rsa-3072", algorithm)
			}
			if err := cli.Free(out); err != nil {
				return err // before there is a key that nobody has the public half of
			}
			return keygen(a, module, initArgs, label, pin, rawID, alg, out)
		})
	signer.ModuleFlags(c, &module, &initArgs)
	f := c.Flags()
	f.StringVar(&label, "token", "", "`label` of the token")
	f.StringVar(&id, "id", "", "CKA_ID of the key, in `hex`")
	f.StringVar(&algorithm, "algorithm", "ed25519", "ed25519, ecdsa-p256, ecdsa-p384 or rsa-3072")
	f.StringVar(&pin, "pin", "terminal", "`source` of the PIN: terminal, protected, fd:N or file:/path")
	f.StringVar(&out, "out", "", "write the public key, base64 of its SubjectPublicKeyInfo, to this new `file`")
	return c
}

func keygen(a *cli.App, module, initArgs, label, pinFrom string, id []byte, alg keys.Algorithm, out string) error {
	m, err := signer.OpenModule(a, module, initArgs)
	if err != nil {
		return err
	}
	defer m.Close()
	t, err := m.Token(hsm.Selector{Label: label})
	if err != nil {
		return err
	}
	defer t.Close()
	if err := signer.Unlock(a, t, pinFrom, label); err != nil {
		return err
	}
	role := ceremony.SigningRole(alg)
	settings, optional := role.Template()
	made, err := t.Generate(token.KeySpec{Algorithm: string(alg), ID: id, Label: "fleetctl/" + label, Attributes: settings, Optional: optional})
	if err != nil {
		return err
	}
	info, err := t.Info()
	if err != nil {
		return err
	}
	u := uri.URI{Token: info.Label, Serial: info.Serial, ID: id, Type: "private", ModulePath: module}
	if strings.HasPrefix(pinFrom, "file:") {
		u.PINSource = pinFrom
	}
	k := keyJSON{URI: u.String(), Algorithm: alg, SPKI: made.SPKI}
	rows := [][2]string{{"key", k.URI}, {"algorithm", string(alg)}, {"public key", base64.StdEncoding.EncodeToString(made.SPKI)}}
	if public, err := keys.ParseSPKI(made.SPKI); err == nil {
		if raw, ok := public.Ed25519(); ok {
			k.Raw = raw
			rows = append(rows, [2]string{"raw", base64.StdEncoding.EncodeToString(raw)})
		}
	}
	var lost error
	if out != "" {
		if lost = cli.WriteNew(out, []byte(base64.StdEncoding.EncodeToString(made.SPKI)+"\n")); lost == nil {
			rows = append(rows, [2]string{"written to", out})
		}
	}
	return cmp.Or(a.Emit(&k, a.UI.Fields(rows)), lost) // the key is there: its public half is said in any case
}
