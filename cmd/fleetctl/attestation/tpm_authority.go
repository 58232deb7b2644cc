//go:build cgo && unix

package attestation

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

func tpmIssueCmd(a *cli.App) *cobra.Command {
	var keep, answer, key, certificate, out string
	var days int
	var makers pinned
	c := cli.Command("issue REQUEST", "The authority: certify an attestation key whose TPM answered",
		`Issue compares the answer with what challenge kept and, if it is right,
certifies the request's attestation key, with the TPM's identity as the
subject's serial number. The file has the authority's certificate too: it is the
ak_certificates of a site file.`,
		"  fleetctl attestation tpm issue hsm-1.request --keep hsm-1.expected --answer hsm-1.answer \\\n"+
			"    --anchors makers.yaml --key authority.pem --certificate authority.crt --out hsm-1-ak.pem",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "keep", "answer", "anchors", "key", "certificate", "out"); err != nil {
				return err
			}
			if err := cli.Free(out); err != nil {
				return err
			}
			var files [3]*attest.Evidence
			for i, path := range []string{args[0], keep, answer} {
				var err error
				if files[i], err = readEvidence("", []string{path}); err != nil {
					return err
				}
			}
			anchors, err := makers.read()
			if err != nil {
				return err
			}
			authority, err := readCertificate(certificate)
			if err != nil {
				return err
			}
			s, err := openAuthority(a, key)
			if err != nil {
				return err
			}
			defer s.key.Close()
			end, err := until(a.Now(), days)
			if err != nil {
				return err
			}
			chain, about, err := tpmdevice.Issue(a.Random, files[0], files[1], files[2], anchors, makers.firstUse, authority, s, a.Now(), end)
			if err != nil {
				return cli.Wrong(fmt.Errorf("%s: %w", args[0], err))
			}
			if err := cli.WriteNew(out, chain); err != nil {
				return err
			}
			return emitFile(a, out, enrolmentJSON{Identity: about.Identity, Maker: about.Anchor})
		})
	makers.flags(c)
	f := c.Flags()
	f.StringVar(&keep, "keep", "", "the `file` that challenge kept")
	f.StringVar(&answer, "answer", "", "the TPM's answer, a `file`")
	f.StringVar(&key, "key", "", "the authority's: "+signer.Help)
	f.StringVar(&certificate, "certificate", "", "the authority's certificate, a PEM `file`")
	f.IntVar(&days, "days", 365, "how many days the attestation key's certificate counts; not beyond the authority's")
	f.StringVar(&out, "out", "", "the new PEM `file`")
	return c
}

type authorityJSON struct {
	Certificate string   `strict:"certificate"`
	SPKI        [32]byte `strict:"spki_sha256,hex"`
	Anchor      string   `strict:"anchor"`
}

// Format is what the JSON says that it is.
func (*authorityJSON) Format() string { return "fleetctl attestation tpm authority result v1" }

func tpmAuthorityCmd(a *cli.App) *cobra.Command {
	var key, operator, out string
	var days int
	c := cli.Command("authority", "Make the certificate of an authority for TPMs' attestation keys",
		`Authority makes the certificate of an authority that certifies attestation keys,
and shows the line by which a policy pins it. Whoever runs it says of every
attestation key which TPM it is in: verifiers pin its key together with the
operator's name. A key file that doesn't exist is made.`,
		"  fleetctl attestation tpm authority --operator 'Example Ltd' --key authority.pem --out authority.crt",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "operator", "key", "out"); err != nil {
				return err
			}
			if err := strict.CheckText(operator, 64); err != nil {
				return cli.Usagef("", "--operator %v", err)
			}
			if err := cli.Free(out); err != nil {
				return err
			}
			end, err := until(a.Now(), days)
			if err != nil {
				return err
			}
			if err := signer.MakeFile(a, key, keys.Ed25519); err != nil {
				return err
			}
			s, err := openAuthority(a, key)
			if err != nil {
				return err
			}
			defer s.key.Close()
			cert, err := tpmdevice.NewAuthority(a.Random, operator, s, a.Now(), end)
			if err != nil {
				return err
			}
			if err := cli.WriteNew(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})); err != nil {
				return err
			}
			digest := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
			line := anchorLine(operator, cert.Subject.CommonName, digest)
			return a.Emit(&authorityJSON{out, digest, line}, a.UI.Fields([][2]string{
				{"certificate", out}, {"spki_sha256", fmt.Sprintf("%x", digest)}}), "\nthe anchor, for a policy or an anchors file, once somebody compared it:\n"+line+"\n")
		})
	f := c.Flags()
	f.StringVar(&operator, "operator", "", "who runs the authority: a `name`, which verifiers pin")
	f.StringVar(&key, "key", "", "the authority's: "+signer.Help)
	f.IntVar(&days, "days", 3650, "how many days the certificate counts")
	f.StringVar(&out, "out", "", "the new PEM `file`")
	return c
}

func openAuthority(a *cli.App, ref string) (s messageSigner, err error) {
	if s.key, err = signer.Open(a, ref); err != nil {
		return s, err
	}
	s.public, err = x509.ParsePKIXPublicKey(s.key.Public.SPKI())
	return s, err
}

func readCertificate(path string) (*x509.Certificate, error) {
	data, err := cli.ReadNamed(path, cli.MaxBeside)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, cli.Usage(strict.Errorf(path, "is no PEM file with one CERTIFICATE"))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, cli.Usage(strict.Errorf(path, "%v", err))
	}
	return cert, nil
}
