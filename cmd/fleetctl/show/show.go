// Package show has fleetctl show, and what it says of a verifier's files.
package show

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Command is fleetctl show.
func Command(a *cli.App) *cobra.Command {
	return cli.Command("show FILE|DIR", "Explain any of our files, verifying nothing",
		`Show finds out what a file is and says in words what it holds: plans, site
files, policies, transcripts, key sets, retirements and voids, statements,
requests, responses, bundles, log proofs, checkpoints, requests to witnesses,
split views, Rekor entries, ledgers, guards, evidence packages, SSH signatures,
and the folder of a ceremony. It verifies nothing: a forged file looks the same.`,
		"  fleetctl show evidence.tar\n  fleetctl show ceremony", cobra.ExactArgs(1),
		func(_ *cobra.Command, args []string) error { return show(a, args[0]) })
}

func show(a *cli.App, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return cli.Usage(cli.Missing(err))
	}
	var s *explain.Shown
	if info.IsDir() {
		s, err = explainFolder(filepath.Clean(path))
	} else if data, rerr := cli.ReadFile(path); rerr != nil {
		return rerr
	} else {
		s, err = explainFile(path, data)
	}
	if err != nil {
		return cli.Wrong(err)
	}
	return a.Emit(&shownJSON{s.Kind, s.Format, s.File, s.Size, s.SHA256, s.Mode, s.Facts, s.Tables, s.Next, s.Verified}, shownText(a, s))
}

// shownJSON is what a file says, for programs.
type shownJSON struct {
	Kind   string          `strict:"kind"`
	Of     string          `strict:"file_format"`
	File   string          `strict:"file"`
	Size   int             `strict:"size"`
	SHA256 string          `strict:"sha256,optional"` // not for a folder
	Mode   string          `strict:"mode,optional"`
	Facts  []explain.Fact  `strict:"facts"`
	Tables []explain.Table `strict:"tables"`
	Next   string          `strict:"next"`
	// Verified is always false, for programs that read only this field.
	Verified bool `strict:"verified"`
}

// Format is what the JSON says that it is.
func (*shownJSON) Format() string { return "fleetctl show result v1" }

func shownText(a *cli.App, s *explain.Shown) string {
	var b strings.Builder
	title := s.Kind
	if s.Title != "" {
		title += " · " + s.Title
	}
	b.WriteString(a.UI.Header(title, strings.ToUpper(s.Mode)))
	rows := [][2]string{{"file", s.File + "   " + words.Size(int64(s.Size))}, {"format", s.Format}}
	if s.SHA256 != "" {
		rows = append(rows, [2]string{"sha256", s.SHA256})
	}
	for _, f := range s.Facts {
		rows = append(rows, [2]string{f.Name, f.Value})
	}
	b.WriteString(a.UI.Fields(rows))
	for _, t := range s.Tables {
		b.WriteString("\n" + a.UI.Style(ui.Heading, t.Name) + "\n")
		if t.Events != nil {
			b.WriteString(a.UI.Events(cli.Events(t.Events)))
			continue
		}
		b.WriteString(a.UI.Table(t.Columns, t.Rows))
	}
	b.WriteString("\n" + a.UI.Style(ui.Where, "nothing here was verified; next: "+s.Next) + "\n")
	return b.String()
}
