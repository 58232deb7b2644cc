package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// shown is what a file says, in words: made by the explainer of its format,
// rendered here as text or as JSON.
type shown struct {
	Kind   string      `strict:"kind"`
	Format string      `strict:"format"` // as the file names itself, or the specification's name
	File   string      `strict:"file"`
	Size   int         `strict:"size"`
	SHA256 string      `strict:"sha256,optional"` // not of a folder
	Mode   string      `strict:"mode,optional"`
	Facts  []fact      `strict:"facts"`
	Tables []factTable `strict:"tables"`
	Next   string      `strict:"next"`
	// Verified is always false: whoever reads only this field reads the truth.
	Verified bool `strict:"verified"`

	title string
}

type fact struct {
	Name  string `strict:"name"`
	Value string `strict:"value"`
}

type factTable struct {
	Name    string     `strict:"name"`
	Columns []string   `strict:"columns"`
	Rows    [][]string `strict:"rows"`
}

func (s *shown) fact(name, value string) { s.Facts = append(s.Facts, fact{name, value}) }

func (s *shown) table(name string, columns ...string) *factTable {
	s.Tables = append(s.Tables, factTable{Name: name, Columns: columns, Rows: [][]string{}})
	return &s.Tables[len(s.Tables)-1]
}

func (t *factTable) row(cells ...string) { t.Rows = append(t.Rows, cells) }

// explainer says what a file holds. Its error names what is malformed, and
// where.
type explainer func(file string, data []byte, s *shown) error

// recognised are all the formats that show knows, each with how it is told
// from the others. The order matters: the first that fits is taken.
var recognised = []struct {
	kind, format string
	is           func(data []byte) bool
	explain      explainer
}{
	{"evidence package", "ustar, in one form only", isArchive, explainArchive},
	{"log proof", "c2sp.org/tlog-proof@v1", begins("c2sp.org/tlog-proof@"), explainProof},
	{"Rekor entry", "fleetctl rekor-entry v1", named, explainRekor},
	{"split view", auditlog.SplitFormat, named, explainSplit},
	{"request to a witness", "C2SP tlog-witness, add-checkpoint", isRequest, explainWitnessRequest},
	{"SSH signature", "SSHSIG", begins("-----BEGIN SSH SIGNATURE-----"), explainSSHSignature},
	{"approval", "fleetctl approval v1", begins("fleetctl approval v1\n"), explainApproval},
	{"sign-off", "fleetctl signoff v1", begins("fleetctl signoff v1\n"), explainSignoff},
	{"private key", "PEM", begins("-----BEGIN "), explainPEM},
	{"transcript", "fleetctl record v1", lineWith(`"prev":`, `"commit":`), explainTranscript},
	{"third party's ledger", "fleetctl third-party-ledger v1", lineWith(`"prev":`, `"core":`), explainLedger},
	{"plan", "fleetctl plan v1", named, explainPlan},
	{"site file", "fleetctl site v1", named, explainSite},
	{"verifier's policy", "fleetctl policy v1", named, explainPolicy},
	{"third party's policy", "fleetctl third-party-policy v1", named, explainPartyPolicy},
	{"fleet key set", "fleetctl fleet-keys v1", named, explainKeySet},
	{"retirement of a fleet", bundle.RetirementFormat, named, explainNotice},
	{"void of an epoch", bundle.VoidFormat, named, explainNotice},
	{"validation bundle", "fleetctl validation-bundle v1", named, explainBundle},
	{"request to third parties", "fleetctl request v1", named, explainRequest},
	{"request's core", "fleetctl request-core v1", named, explainCore},
	{"third party's response", "fleetctl response v1", named, explainResponse},
	{"verification report", "fleetctl report v1", named, explainReport},
	{"third party's statement", "as Cloudflare's auditor serves it", lineWith(`"namespace"`, `"signature"`, `"digest"`), explainStatement},
	{"log policy", "C2SP tlog-policy", isLogPolicy, explainLogPolicy},
	{"checkpoint", "C2SP tlog-checkpoint", isCheckpoint, explainCheckpoint},
	{"public key", "SubjectPublicKeyInfo or OpenSSH", isPublicKey, explainPublicKey},
	{"checksums", "sha256sum", isChecksums, explainChecksums},
}

// named stands for formats that name themselves in their first field.
func named([]byte) bool { return false }

func begins(prefix string) func([]byte) bool {
	return func(data []byte) bool { return bytes.HasPrefix(data, []byte(prefix)) }
}

// lineWith tells a JSON text by the fields on its first line, or in all of it
// where it is one value.
func lineWith(fields ...string) func([]byte) bool {
	return func(data []byte) bool {
		if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
			return false
		}
		if first, rest, ok := bytes.Cut(data, []byte("\n")); ok && bytes.HasPrefix(rest, []byte("{")) {
			data = first
		}
		for _, f := range fields {
			if !bytes.Contains(data, []byte(f)) {
				return false
			}
		}
		return true
	}
}

// formatOf is what a file calls itself: the value of its field format. It is
// found in a malformed file too, so that the fault can be named by the format's
// own reader.
func formatOf(data []byte) string {
	for line := range strings.Lines(string(data[:min(len(data), 64<<10)])) {
		name, value, ok := strings.Cut(strings.TrimLeft(line, "{ \t"), ":")
		if ok && strings.Trim(name, `"`) == "format" {
			value, _, _ = strings.Cut(strings.TrimSpace(value), ",")
			return strings.Trim(value, `"' `)
		}
	}
	return ""
}

func explain(file string, data []byte) (*shown, error) {
	sum, format := sha256.Sum256(data), formatOf(data)
	for _, r := range recognised {
		if r.is(data) || format != "" && r.format == format {
			s := &shown{
				Kind: r.kind, Format: r.format, File: file, Size: len(data), SHA256: hex.EncodeToString(sum[:]),
				Facts: []fact{}, Tables: []factTable{}, Next: "fleetctl verify " + words.ShellWord(file) + " --policy POLICY",
			}
			return s, r.explain(file, data, s)
		}
	}
	if format != "" {
		return nil, strict.Errorf(file, "calls itself %.80q, a format that this version doesn't know", format).WithHint("fleetctl version lists the formats it knows")
	}
	return nil, strict.Errorf(file, "is no file of ours: nothing in it says what it is").
		WithHint("a fleetctl file names its format in its first line or field; fleetctl version lists them")
}

func showCmd(a *cli.App) *cobra.Command {
	return cli.Command("show FILE|DIR", "Explain any of our files, verifying nothing",
		`Show finds out what a file is and says in words what it holds: plans, site
files, policies, transcripts, key sets, retirements and voids, statements,
requests, responses, bundles, log proofs, checkpoints, requests to witnesses,
split views, Rekor entries, ledgers, evidence packages, SSH signatures, and the
folder of a ceremony. It verifies nothing: a forged file looks the same.`,
		"  fleetctl show evidence.tar\n  fleetctl show ceremony", cobra.ExactArgs(1),
		func(_ *cobra.Command, args []string) error { return show(a, args[0]) })
}

func show(a *cli.App, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return cli.Usage(cli.Missing(err))
	}
	var s *shown
	if info.IsDir() {
		s, err = explainFolder(filepath.Clean(path))
	} else if data, rerr := cli.ReadFile(path); rerr != nil {
		return rerr
	} else {
		s, err = explain(path, data)
	}
	if err != nil {
		return cli.Wrong(err)
	}
	return a.Emit(s, shownText(a, s))
}

func shownText(a *cli.App, s *shown) string {
	var b strings.Builder
	title := s.Kind
	if s.title != "" {
		title += " · " + s.title
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
		b.WriteString(a.UI.Table(t.Columns, t.Rows))
	}
	b.WriteString("\n" + a.UI.Style(ui.Where, "nothing here was verified; next: "+s.Next) + "\n")
	return b.String()
}
