package ceremony

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func agreementCmd(a *cli.App) *cobra.Command {
	return cli.Group("agreement", "The auditor's own machine: challenge keys that agree, and compare",
		challengeCmd(a), openCmd(a), compareKeptCmd(a))
}

type codeJSON struct {
	Kept  string `strict:"kept"`
	What  string `strict:"what"`
	Bytes []byte `strict:"bytes,hex"`
	Code  string `strict:"code"`
}

// Format is what the JSON says that it is.
func (*codeJSON) Format() string { return "fleetctl ceremony agreement code result v1" }

// tellCode shows a code that goes to the ceremony's machine.
func tellCode(a *cli.App, kept, image string, what challenge.What, data []byte, rows ...[2]string) error {
	code := challenge.Code(what, data)
	if image != "" {
		png, err := qr.PNG(strings.ToUpper(strings.ReplaceAll(code, " ", "")))
		if err != nil {
			return err
		}
		if err := durable.Create(image, png, 0o600); err != nil {
			return cli.Exists(err, image)
		}
	}
	return a.Emit(&codeJSON{kept, string(what), data, code}, a.UI.Fields(append([][2]string{{string(what), code}}, rows...)))
}

func challengeCmd(a *cli.App) *cobra.Command {
	var algorithm, image, records string
	c := cli.Command("challenge KEPT", "Draw a challenge for the next key that agrees",
		`Challenge draws a key pair for one key of a ceremony, keeps its private half in
the file KEPT, and prints the public half, the peer, as a code that is typed on
the ceremony's machine. Whoever reads KEPT before the key has answered can
answer without an HSM: run this on a machine of your own, that nobody else
sees.

For a key of ml-kem-768 the peer is a ciphertext that is made for this one key:
--records is your own copy of the ceremony's folder, in which it is the key that
waits. Its code has 2184 digits, so it is carried as a picture (--qr).`,
		`  fleetctl ceremony agreement challenge kept.json --algorithm ecdh-p256
  fleetctl ceremony agreement challenge kept.json --algorithm ml-kem-768 --records copy --qr peer.png`, cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "algorithm"); err != nil {
				return err
			}
			alg := keys.Algorithm(algorithm)
			if alg.Use() != keys.Agree {
				return cli.Usagef("ecdh-p256, x25519 or ml-kem-768, as the ceremony's screen says", "--algorithm %q is none of a key that agrees", algorithm)
			}
			kept, err := readKept(args[0])
			if errors.Is(err, fs.ErrNotExist) {
				kept, err = &challenge.Kept{}, nil
			}
			if err != nil {
				return err
			}
			key, err := waiting(alg, records)
			if err != nil {
				return err
			}
			peer, err := kept.Draw(alg, key, a.Random)
			if err != nil {
				return err
			}
			if err := durable.Replace(args[0], kept.Encode(), 0o600); err != nil {
				return err
			}
			return tellCode(a, args[0], image, challenge.Peer, peer, [2]string{"then", "fleetctl ceremony agreement open " + args[0] + " ANSWER"})
		})
	c.Flags().StringVar(&algorithm, "algorithm", "", "the key's: ecdh-p256, x25519 or ml-kem-768")
	c.Flags().StringVar(&records, "records", "", "with ml-kem-768: your copy of the ceremony's `folder`, with the key that waits")
	c.Flags().StringVar(&image, "qr", "", "write the code as a QR image to this new `file`, too")
	return c
}

// waiting is the key of ML-KEM that waits for a challenge by the records in a folder; of
// another algorithm a challenge is for any key, and it is nil.
func waiting(alg keys.Algorithm, records string) ([]byte, error) {
	switch {
	case !alg.IsMLKEM() && records != "":
		return nil, cli.Usagef("leave --records out", "a challenge of %s is for any key", alg)
	case !alg.IsMLKEM():
		return nil, nil
	case records == "":
		return nil, cli.Usagef("give your copy of the ceremony's folder with --records", "a challenge of %s is made for the key itself", alg)
	}
	account, err := folder.ReadToLastRecord(records)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	k := account.OpenIntent()
	if k == nil || k.Intent.Algorithm != alg || k.Outcome == nil || k.Peer != nil {
		return nil, cli.Wrong(strict.Errorf(records, "no key of %s waits for a challenge at its last record", alg).
			WithHint("copy the folder again once the ceremony's screen asks for the peer"))
	}
	return k.Outcome.PublicKey, nil
}

func readKept(file string) (*challenge.Kept, error) {
	data, err := durable.ReadFile(file)
	if err != nil {
		return nil, err
	}
	kept, err := challenge.Parse(file, data)
	if err != nil {
		return nil, cli.Wrong(err)
	}
	return kept, nil
}

func openCmd(a *cli.App) *cobra.Command {
	var image string
	c := cli.Command("open KEPT ANSWER", "Take a key's answer, and tell the challenge's private half",
		`Open takes the answer that the ceremony's screen shows, keeps it, and prints the
private half of the challenge that was drawn last, the scalar, as a code that is
typed on the ceremony's machine. It tells it for one answer alone: a second one
could have been made with it.`,
		"  fleetctl ceremony agreement open kept.json 'a1b2 c3d4 …'", cobra.MinimumNArgs(2),
		func(_ *cobra.Command, args []string) error {
			answer, err := challenge.ParseCode(challenge.Answer, strings.Join(args[1:], ""))
			if err != nil {
				return cli.Usagef("type it as the ceremony's screen shows it", "what was typed %v", err)
			}
			kept, err := readKept(args[0])
			if err != nil {
				return cli.Usage(err)
			}
			scalar, err := kept.Open(answer)
			if err != nil {
				return cli.Wrong(strict.Errorf(args[0], "%v", err))
			}
			// Kept before it is told: afterwards another answer could be made.
			if err := durable.Replace(args[0], kept.Encode(), 0o600); err != nil {
				return err
			}
			return tellCode(a, args[0], image, challenge.Scalar, scalar)
		})
	c.Flags().StringVar(&image, "qr", "", "write the code as a QR image to this new `file`, too")
	return c
}

type keptJSON struct {
	Keys  []keptKeyJSON `strict:"keys"`
	Wrong int           `strict:"wrong"`
}

// Format is what the JSON says that it is.
func (*keptJSON) Format() string { return "fleetctl ceremony agreement result v1" }

type keptKeyJSON struct {
	HSM    string `strict:"hsm"`
	Role   string `strict:"role"`
	Record int    `strict:"record"`
	Fault  string `strict:"fault,empty"`
}

func compareKeptCmd(a *cli.App) *cobra.Command {
	return cli.Command("compare KEPT DIR", "Hold a ceremony's records against what you kept",
		`Compare replays the ceremony in DIR, your own copy of its folder, and says of
each key that agrees whether it answered to a challenge of yours, with the
answer that you typed before you opened it. An auditor who challenged does this
before signing the release: by that signature others take the keys for
attested.`,
		"  fleetctl ceremony agreement compare kept.json ceremony", cobra.ExactArgs(2),
		func(_ *cobra.Command, args []string) error {
			kept, err := readKept(args[0])
			if err != nil {
				return cli.Usage(err)
			}
			account, err := folder.ReadToLastRecord(args[1])
			if err != nil {
				return cli.Wrong(err)
			}
			return tellCompared(a, account, kept)
		})
}

func tellCompared(a *cli.App, account *ceremony.Account, kept *challenge.Kept) error {
	list := kept.Compare(account)
	if len(list) == 0 {
		return cli.Usagef("", "no key of this ceremony agrees: there is nothing to compare")
	}
	out := &keptJSON{}
	var rows [][2]string
	for _, k := range list {
		out.Keys = append(out.Keys, keptKeyJSON{k.HSM, k.Role, k.Record, k.Fault})
		text := "answered your challenge"
		if k.Fault != "" {
			out.Wrong++
			text = "NOT YOURS: " + k.Fault
		}
		rows = append(rows, [2]string{k.HSM + " " + k.Role, fmt.Sprintf("record %d: %s", k.Record, text)})
	}
	if err := a.Emit(out, a.UI.Fields(rows)); err != nil || out.Wrong == 0 {
		return err
	}
	return cli.Exit(cli.ExitWrong, strict.Errorf("", "%d of %d keys that agree didn't answer to you", out.Wrong, len(list)).
		WithHint("don't sign the release as their challenger"))
}
