// Package words has fleetctl words.
package words

import (
	"encoding/hex"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

type wordsJSON struct {
	What   string   `strict:"what"`
	Digest string   `strict:"digest"`
	Words  []string `strict:"words"`
}

// Format is what the JSON says that it is.
func (*wordsJSON) Format() string { return "fleetctl words result v1" }

// Command is fleetctl words.
func Command(a *cli.App) *cobra.Command {
	var asFile bool
	c := cli.Command("words FILE|PICTURE|HEX… [FILE|FOLDER…]", "A digest in words, for reading aloud and for the other screen",
		`Words writes a SHA-256 as PGP words: two-syllable words at odd positions,
three-syllable words at even ones, so that a swapped or dropped word is heard.
It is a file's, or what the QR code in a PNG or JPEG picture carries, or given
in hex, which may be typed in groups. Of a public key it is that of the key
itself (SubjectPublicKeyInfo), however its file is written.

Of a digest the first 16 digits or more will do where one file begins so:
among the files and folders that are named after them, or in the folder where
you are. Fewer digits, or digits that fit two files, are an error.`,
		"  fleetctl words plan.yaml\n  fleetctl words photo.jpg\n  fleetctl words 8c1f 02de 11aa 90b3 ceremony", cobra.MinimumNArgs(1),
		func(_ *cobra.Command, args []string) error {
			d, err := cli.NamedDigest(args, asFile)
			if err != nil {
				return err
			}
			digits := hex.EncodeToString(d.Sum[:])
			about := ""
			if d.What != digits { // a line of its own for each: a name may be long, and a digest isn't broken
				about = a.UI.Fields([][2]string{{"of", d.What}, {"sha256", digits}})
			}
			return a.Emit(&wordsJSON{d.What, digits, words.Encode(d.Sum[:])},
				about, a.UI.Hex(d.Sum[:]), "\n", a.UI.Words(d.Sum[:], 4, true))
		})
	c.Flags().BoolVar(&asFile, "file", false, "the digest of the file itself, though it is a picture or a public key")
	return c
}
