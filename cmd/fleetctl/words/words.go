// Package words has fleetctl words.
package words

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/words"
)

type wordsJSON struct {
	What   string   `strict:"what"`
	Digest string   `strict:"digest"`
	Words  []string `strict:"words"`
}

// Command is fleetctl words.
func Command(a *cli.App) *cobra.Command {
	return cli.Command("words FILE|HEX…", "A digest in words, for reading aloud and for the other screen",
		`Words writes a SHA-256, of a file or given in hex, as PGP words: two-syllable
words at odd positions, three-syllable words at even ones, so that a swapped
or dropped word is heard. The hex may be typed in groups.`,
		"  fleetctl words plan.yaml\n  fleetctl words 8c1f02de…", cobra.MinimumNArgs(1),
		func(_ *cobra.Command, args []string) error {
			what := strings.Join(args, " ")
			digest, err := hex.DecodeString(strings.ReplaceAll(what, " ", ""))
			if _, serr := os.Stat(what); serr == nil {
				data, err := cli.ReadFile(what)
				if err != nil {
					return err
				}
				sum := sha256.Sum256(data)
				digest = sum[:]
			} else if err != nil || len(digest) == 0 || len(digest) > 64 {
				return cli.Usagef("", "%q is neither a file nor a digest in hex", what)
			}
			about := ""
			if hex.EncodeToString(digest) != strings.ToLower(strings.ReplaceAll(what, " ", "")) {
				about = a.UI.Fields([][2]string{{what, fmt.Sprintf("%x", digest)}})
			}
			return a.Emit(&wordsJSON{what, hex.EncodeToString(digest), words.Encode(digest)},
				about, a.UI.Hex(digest), "\n", a.UI.Words(digest, 4, true))
		})
}
