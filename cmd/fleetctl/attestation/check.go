package attestation

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

type options struct {
	device, anchors, key, identity, nonce, at, least string
	signOnly, firstUse                               bool
	tolerates                                        []string
}

func checkCmd(a *cli.App) *cobra.Command {
	o := &options{}
	c := cli.Command("check FILE...", "Judge what an HSM says of a key",
		`Check judges an attestation: one file that pack wrote, or PART=FILE for each
part with --device. It demands that the key given with --key was made inside,
never can leave, and that an anchor that you pinned stands above the evidence;
with --nonce also that it was made for that nonce. What the evidence doesn't
show fails by name, as does what was not understood where it matters.

Without --anchors no root is pinned, and without --key no key is compared: both
are told, and the answer is no.`,
		"  fleetctl attestation check hsm-1.json --anchors anchors.yaml --key hsm-1.pem\n"+
			"  fleetctl attestation check --device yubikey-piv certificates=chain.pem \\\n    --anchors anchors.yaml --key key.pem --identity 25515003",
		cobra.MinimumNArgs(1), func(_ *cobra.Command, args []string) error { return o.run(a, args) })
	a.Reports(c)
	f := c.Flags()
	f.StringVar(&o.device, "device", "", "the `format` of the device's evidence, where its parts are given (see fleetctl attestation formats)")
	f.StringVar(&o.anchors, "anchors", "", "the `file` of the roots that you pinned")
	f.StringVar(&o.key, "key", "", "the public key that it must be about, a PEM or DER `file`")
	f.StringVar(&o.identity, "identity", "", "the attestation identity of the device that it must be of")
	f.StringVar(&o.nonce, "nonce", "", "what the device was asked with, in `hex`")
	f.StringVar(&o.at, "time", "", "judge as of this `time`, such as 2026-11-21T10:00:00Z (default: the clock)")
	f.StringVar(&o.least, "least", "", "the least `level`: module-claimed, vendor-signed, anchored or fresh (default: anchored, fresh with --nonce)")
	f.BoolVar(&o.signOnly, "sign-only", false, "demand that the key signs and does nothing else")
	f.StringSliceVar(&o.tolerates, "tolerates", nil, "a weak `quirk` that may have been met: sha1-signature, rsa-below-2048, field-upgrade-warrant")
	f.BoolVar(&o.firstUse, "trust-on-first-use", false, "take an anchor that nobody has confirmed")
	return c
}

func (o *options) run(a *cli.App, args []string) error {
	in, demand, err := o.question(a, args)
	if err != nil {
		return err
	}
	claims, err := formats.All().Check(in)
	if err != nil {
		return cli.Wrong(fmt.Errorf("%s: %w", strings.Join(args, " "), err))
	}
	problems := attest.Judge(claims, demand)
	out := result(a, in, claims, problems)
	if err := a.Tell(cli.Judged{JSON: func() []byte { return strict.EncodeJSON(out) }, Text: func() string { return screen(a, in, claims, problems) },
		Run: func() *report.Run { return checks(args, in, out) }}); err != nil {
		return err
	}
	if len(problems) > 0 {
		return cli.Wrong(cli.ErrQuiet)
	}
	return nil
}

// question reads what is to be judged, and what is demanded of it.
func (o *options) question(a *cli.App, args []string) (in attest.Input, d attest.Demand, err error) {
	in.At = a.Now()
	if o.at != "" {
		if in.At, err = strict.ParseTime(o.at); err != nil {
			return in, d, cli.Usagef("", "--time %v", err)
		}
	}
	least := attest.Anchored
	if o.nonce != "" {
		if in.Nonce, err = hex.DecodeString(o.nonce); err != nil || len(in.Nonce) > 64 {
			return in, d, cli.Usagef("", "--nonce is no hex of 1 to 64 bytes")
		}
		least = attest.Fresh
	}
	if o.least != "" {
		if least, err = attest.ParseLevel(o.least); err != nil || least < attest.ModuleClaimed {
			return in, d, cli.Usagef("", "--least %s: it is module-claimed, vendor-signed, anchored or fresh", strict.Clip(o.least))
		}
	}
	for _, q := range o.tolerates {
		if strict.CheckToken(q) != nil {
			return in, d, cli.Usagef("", "--tolerates %q: a quirk's name is meant", strict.Clip(q))
		}
	}
	var spki []byte
	if o.key != "" {
		if spki, err = readKey(o.key); err != nil {
			return in, d, err
		}
	}
	if o.anchors != "" {
		data, err := cli.ReadFile(o.anchors)
		if err != nil {
			return in, d, err
		}
		if in.Anchors, err = attest.ParseAnchors(o.anchors, data); err != nil {
			return in, d, cli.Usage(err)
		}
	}
	d = attest.Kept(least, spki, o.identity)
	d.SignOnly, d.Tolerates, d.TrustOnFirstUse = o.signOnly, o.tolerates, o.firstUse
	in.Evidence, err = readEvidence(o.device, args)
	return in, d, err
}

// readKey reads a public key as SubjectPublicKeyInfo, PEM or DER.
func readKey(path string) ([]byte, error) {
	data, err := cli.ReadNamed(path, cli.MaxBeside)
	if err != nil {
		return nil, err
	}
	if block, rest := pem.Decode(data); block != nil {
		if block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
			return nil, cli.Usage(strict.Errorf(path, "is no PEM file with one PUBLIC KEY"))
		}
		data = block.Bytes
	}
	if _, err := x509.ParsePKIXPublicKey(data); err != nil {
		return nil, cli.Usage(strict.Errorf(path, "is no public key: %v", err))
	}
	return data, nil
}
