package hsm

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/hsm/uri"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/token"
)

type keyJSON struct {
	URI       string         `strict:"uri"`
	Algorithm keys.Algorithm `strict:"algorithm"`
	SPKI      []byte         `strict:"spki,base64"`
	Raw       []byte         `strict:"raw,base64,optional"`
}

// Format is what the JSON says that it is.
func (*keyJSON) Format() string { return "fleetctl hsm keygen result v1" }

func keygenCmd(a *cli.App) *cobra.Command {
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
				return cli.Usagef("", "--algorithm is %q; it is ed25519, ecdsa-p256, ecdsa-p384, rsa-3072, ml-dsa-44, ml-dsa-65 or ml-dsa-87", algorithm)
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
	f.StringVar(&algorithm, "algorithm", "ed25519", "ml-dsa where the token has it: ed25519, ecdsa-p256, ecdsa-p384, rsa-3072, ml-dsa-44, ml-dsa-65 or ml-dsa-87")
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
	if source, err := signer.PINSource(pinFrom, "PIN of "+label); err == nil && source.Path != "" {
		u.PINSource = "file:" + source.Path
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
