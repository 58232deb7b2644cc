//go:build cgo && unix

package attestation

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

// tpmCmd is what comes before a ceremony: an authority challenges each TPM, and
// certifies its attestation key.
func tpmCmd(a *cli.App) *cobra.Command {
	return cli.Group("tpm", "Have TPMs' attestation keys certified, before a ceremony",
		tpmRequestCmd(a), tpmChallengeCmd(a), tpmAnswerCmd(a), tpmIssueCmd(a), tpmAuthorityCmd(a))
}

const tctiHelp = "the way to the TPM, as tpm2-tss writes it: device:/dev/tpmrm0, or an emulator's swtpm:path=/SOCKET or swtpm:host=HOST,port=PORT"

type enrolmentJSON struct {
	File     string `strict:"file"`
	Identity string `strict:"identity,optional"`
	Maker    string `strict:"maker,optional"`
}

// Format is what the JSON says that it is.
func (*enrolmentJSON) Format() string { return "fleetctl attestation tpm enrolment result v1" }

func tpmRequestCmd(a *cli.App) *cobra.Command {
	var tcti, above, out string
	c := cli.Command("request", "On the TPM's machine: ask an authority to certify its attestation key",
		`Request reads the certificate of the TPM's endorsement key, makes its
attestation key, and writes both for the authority. The attestation key is the
same each time, until somebody clears the endorsement hierarchy. The identity is
what the plan names the HSM by: the SHA-256 of the endorsement key's
SubjectPublicKeyInfo.`,
		"  fleetctl attestation tpm request --tcti device:/dev/tpmrm0 --ek-certificates maker.pem --out hsm-1.request",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "tcti", "out"); err != nil {
				return err
			}
			if err := cli.Free(out); err != nil {
				return err
			}
			var certs []byte
			if above != "" {
				var err error
				if certs, err = cli.ReadNamed(above, attest.MaxEvidence); err != nil {
					return err
				}
			}
			e, err := tpmdevice.Request(cmd.Context(), tcti, certs)
			if err != nil {
				return err
			}
			id, err := tpmdevice.Identity(e)
			if err != nil {
				return err
			}
			return emitEnrolment(a, out, e, enrolmentJSON{Identity: id})
		})
	f := c.Flags()
	f.StringVar(&tcti, "tcti", "", tctiHelp)
	f.StringVar(&above, "ek-certificates", "", "the maker's certificates above the endorsement key's, a PEM `file`; the endorsement key's own first, where the TPM has none")
	f.StringVar(&out, "out", "", "the new `file` for the authority")
	return c
}

func tpmChallengeCmd(a *cli.App) *cobra.Command {
	var keep, out string
	var makers pinned
	c := cli.Command("challenge REQUEST", "The authority: challenge the TPM of a request",
		`Challenge judges the endorsement key's certificate under the makers that you
pinned for tpm2-ek, and encrypts a secret so that the TPM of that endorsement
key alone can read it, and only while the request's attestation key is in it.
Keep the file of --keep yourself: the answer is compared with it.`,
		"  fleetctl attestation tpm challenge hsm-1.request --anchors makers.yaml --keep hsm-1.expected --out hsm-1.challenge",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "anchors", "keep", "out"); err != nil {
				return err
			}
			if err := cli.Free(keep, out); err != nil {
				return err
			}
			request, err := readEvidence("", args)
			if err != nil {
				return err
			}
			anchors, err := makers.read()
			if err != nil {
				return err
			}
			challenge, expected, about, err := tpmdevice.Challenge(a.Random, request, anchors, a.Now(), makers.firstUse)
			if err != nil {
				return cli.Wrong(fmt.Errorf("%s: %w", args[0], err))
			}
			if err := cli.WritePrivate(keep, expected.Encode()); err != nil {
				return err
			}
			return emitEnrolment(a, out, challenge, enrolmentJSON{Identity: about.Identity, Maker: about.Anchor})
		})
	makers.flags(c)
	c.Flags().StringVar(&keep, "keep", "", "the new `file` that the authority keeps, to compare the answer with")
	c.Flags().StringVar(&out, "out", "", "the new `file` for the TPM's machine")
	return c
}

func tpmAnswerCmd(a *cli.App) *cobra.Command {
	var tcti, out string
	c := cli.Command("answer CHALLENGE", "On the TPM's machine: have the TPM open the authority's challenge",
		`Answer has the TPM read the secret of a challenge (TPM2_ActivateCredential),
which it does only if the challenge was made for its endorsement key and for the
attestation key that it has.`,
		"  fleetctl attestation tpm answer hsm-1.challenge --tcti device:/dev/tpmrm0 --out hsm-1.answer",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "tcti", "out"); err != nil {
				return err
			}
			if err := cli.Free(out); err != nil {
				return err
			}
			challenge, err := readEvidence("", args)
			if err != nil {
				return err
			}
			e, err := tpmdevice.Answer(cmd.Context(), tcti, challenge)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return emitEnrolment(a, out, e, enrolmentJSON{})
		})
	c.Flags().StringVar(&tcti, "tcti", "", tctiHelp)
	c.Flags().StringVar(&out, "out", "", "the new `file` for the authority")
	return c
}

// pinned is the flags of a file of pinned makers.
type pinned struct {
	file     string
	firstUse bool
}

func (p *pinned) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.file, "anchors", "", "the `file` of the TPM makers' roots that you pinned, for tpm2-ek")
	c.Flags().BoolVar(&p.firstUse, "trust-on-first-use", false, "take an anchor that nobody has confirmed")
}

func (p *pinned) read() (*attest.Anchors, error) {
	data, err := cli.ReadFile(p.file)
	if err != nil {
		return nil, err
	}
	anchors, err := attest.ParseAnchors(p.file, data)
	return anchors, cli.Usage(err)
}

func emitEnrolment(a *cli.App, out string, e *attest.Evidence, j enrolmentJSON) error {
	if err := cli.WriteNew(out, e.Encode()); err != nil {
		return err
	}
	return emitFile(a, out, j)
}

func emitFile(a *cli.App, out string, j enrolmentJSON) error {
	j.File = out
	fields := [][2]string{{"file", out}}
	for _, f := range [][2]string{{"identity", j.Identity}, {"maker", j.Maker}} {
		if f[1] != "" {
			fields = append(fields, f)
		}
	}
	return a.Emit(&j, a.UI.Fields(fields))
}

// messageSigner has a key that stays where it is sign certificates.
type messageSigner struct {
	public crypto.PublicKey
	key    *signer.Key
}

func (s messageSigner) Public() crypto.PublicKey { return s.public }

func (s messageSigner) SignMessage(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.key.Sign(keys.ForCertificate, message)
}

func (s messageSigner) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != 0 {
		return nil, errors.New("this key signs messages, not digests")
	}
	return s.key.Sign(keys.ForCertificate, message)
}

// until is how long a certificate counts.
func until(from time.Time, days int) (time.Time, error) {
	if days < 1 || days > 36500 {
		return from, cli.Usagef("", "--days %d: 1 to 36500", days)
	}
	return from.AddDate(0, 0, days), nil
}

// anchorLine is the authority as an anchor of a policy, on one line.
func anchorLine(operator, name string, digest [32]byte) string {
	return fmt.Sprintf("- {vendor: tpm, name: %s, operator: %s, formats: [tpm2-certify], spki_sha256: %x, origin: %s, check: %s, confirmed: %s}",
		strict.QuoteYAML(name), strict.QuoteYAML(operator), digest, strict.QuoteYAML(cmp.Or(operator, "the operator")),
		strict.QuoteYAML("compare spki_sha256 with what the operator tells you in person"), strict.QuoteYAML("WHO, WHEN"))
}
