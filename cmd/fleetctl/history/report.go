package history

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

type historyJSON struct {
	Good       bool                   `strict:"good"`
	Unpinned   string                 `strict:"unpinned,optional"` // keys that nobody confirmed
	Files      int64                  `strict:"files"`
	Statements int64                  `strict:"statements"`
	Faults     int64                  `strict:"faults"`
	Checks     []historyCheckJSON     `strict:"checks"`
	Namespaces []historyNamespaceJSON `strict:"namespaces"`
	Problems   []historyProblemJSON   `strict:"problems"`
	Evidence   []string               `strict:"evidence"`
	PassedOver []passedOverJSON       `strict:"passed_over"`
}

// Format is what the JSON says that it is.
func (*historyJSON) Format() string { return "fleetctl history result v1" }

type passedOverJSON struct {
	Namespace string `strict:"namespace,empty"`
	Files     int64  `strict:"files"`
	Why       string `strict:"why"`
}

type historyCheckJSON struct {
	Name    string `strict:"name"`
	Result  string `strict:"result"` // shown, wrong, not shown
	Checked int64  `strict:"checked"`
	Bad     int64  `strict:"bad"`
	Detail  string `strict:"detail,optional"`
}

type historyNamespaceJSON struct {
	Name      string           `strict:"name"`
	First     uint64           `strict:"first"`
	Last      uint64           `strict:"last"`
	Epochs    int64            `strict:"epochs"`
	Artifacts int64            `strict:"artifacts"`
	Bundles   int64            `strict:"bundles"`
	Proofs    int64            `strict:"proofs"`
	Retired   []string         `strict:"retired_fleets"`
	Void      []uint64         `strict:"void_epochs"`
	Parties   []historyRunJSON `strict:"third_parties"`
	Newest    []historyRowJSON `strict:"newest"`
}

type historyRunJSON struct {
	Name   string         `strict:"name"`
	First  uint64         `strict:"first"`
	Last   uint64         `strict:"last"`
	Epochs int64          `strict:"epochs"`
	Missed int64          `strict:"missed"`
	Absent []history.Span `strict:"absent"`
}

type historyRowJSON struct {
	Epoch         uint64        `strict:"epoch"`
	Time          string        `strict:"time"`
	Digest        [32]byte      `strict:"digest,hex"`
	Signers       []string      `strict:"signers"`
	Artifact      string        `strict:"artifact,optional"`
	Fleet         string        `strict:"fleet,optional"`
	Countersigned bool          `strict:"countersigned"`
	Logged        bool          `strict:"logged"`
	Delta         *cli.DiffJSON `strict:"delta,optional"`
}

type historyProblemJSON struct {
	Check     string   `strict:"check"`
	Namespace string   `strict:"namespace,empty"`
	Epoch     uint64   `strict:"epoch"`
	What      string   `strict:"what"`
	Where     []string `strict:"where"`
}

func historyResult(r *history.Report, kept []string) *historyJSON {
	out := &historyJSON{Good: r.Good(), Files: r.Files, Statements: r.Statements, Faults: r.Faults, Evidence: kept}
	for _, c := range r.Checks {
		out.Checks = append(out.Checks, historyCheckJSON{c.Name, checkResult(c), c.Checked, c.Bad, c.Detail})
	}
	for _, ns := range r.Namespaces {
		one := historyNamespaceJSON{ns.Name, ns.First, ns.Last, ns.Epochs, ns.Artifacts, ns.Bundles, ns.Proofs, ns.Retired, ns.Void, nil, nil}
		for _, p := range ns.Parties {
			one.Parties = append(one.Parties, historyRunJSON{p.Name, p.First, p.Last, p.Epochs, p.Missed, p.Absent})
		}
		for _, row := range ns.Rows {
			x := historyRowJSON{Epoch: row.Epoch, Time: milliseconds(row.Time), Digest: row.Digest, Signers: row.Signers,
				Artifact: row.Kind, Fleet: row.Fleet, Countersigned: row.Counter, Logged: row.Logged}
			if d := row.Delta; d != nil {
				x.Delta = cli.DeltaResult(row.Fleet, row.Epoch-1, row.Epoch, d)
			}
			one.Newest = append(one.Newest, x)
		}
		out.Namespaces = append(out.Namespaces, one)
	}
	for _, p := range r.PassedOver {
		out.PassedOver = append(out.PassedOver, passedOverJSON{p.Namespace, p.Files, "other-namespace"})
	}
	for _, p := range r.Problems {
		out.Problems = append(out.Problems, historyProblemJSON{p.Check, p.Namespace, p.Epoch, p.What, p.Where})
	}
	return out
}

func checkResult(c history.CheckLine) string {
	switch {
	case c.Bad > 0:
		return "wrong"
	case c.Checked == 0 || c.Detail != "": // of a part of them is not of them
		return "not shown"
	}
	return "shown"
}

// maxTold is how many faults a screen takes; JSON has them all.
const maxTold = 20

func historyText(a *cli.App, r *history.Report, o *history.Options, kept []string, result *historyJSON) string {
	p := a.UI.Page
	var b strings.Builder
	for _, ns := range r.Namespaces {
		b.WriteString(p.Header(ns.Name, fmt.Sprintf("epochs %s–%s", words.Number(int64(ns.First)), words.Number(int64(ns.Last)))))
		var rows [][]string
		for _, row := range ns.Rows {
			rows = append(rows, []string{fmt.Sprint(row.Epoch), milliseconds(row.Time), strings.Join(row.Signers, ", "), fmt.Sprintf("%x…", row.Digest[:3]), rowText(row, o)})
		}
		b.WriteString(p.Table([]string{"epoch", "signed", "by", "digest", "keys"}, rows, ui.Right))
		for _, party := range ns.Parties {
			if text := absences(party, ns); text != "" {
				b.WriteString(p.Line(text))
			}
		}
		for _, fleet := range ns.Retired {
			b.WriteString(p.Line("the fleet " + fleet + " is retired"))
		}
		for _, epoch := range ns.Void {
			b.WriteString(p.Line(fmt.Sprintf("epoch %d is void: it never came into force", epoch)))
		}
		b.WriteString("\n")
	}
	var lines []ui.ClaimLine
	for _, c := range r.Checks {
		l := ui.ClaimLine{Grade: "proven", Name: c.Name, Detail: words.Number(c.Checked) + " checked"}
		switch checkResult(c) {
		case "wrong":
			l.Grade, l.Detail = "wrong", fmt.Sprintf("%s of %s", words.Number(c.Bad), words.Number(max(c.Checked, c.Bad)))
		case "not shown":
			l.Grade, l.Detail = "not shown", c.Detail
		}
		lines = append(lines, l)
	}
	b.WriteString(p.Claims(lines))
	for _, one := range r.PassedOver {
		b.WriteString(p.Line(passedOver(one, o.Only)))
	}
	b.WriteString("\n")
	what := fmt.Sprintf("%s in %s", words.Count(r.Statements, "statement", "statements"), words.Count(r.Files, "file", "files"))
	note := ""
	if result.Unpinned != "" {
		note = "; " + result.Unpinned
	}
	switch {
	case result.Good:
		return b.String() + p.Verdict(true, what+", nothing is wrong"+note)
	case r.Good():
		return b.String() + p.Verdict(false, what+note) + p.Line(evidence.ConfirmHint)
	}
	b.WriteString(p.Verdict(false, fmt.Sprintf("%s; %s", what, words.Count(r.Faults, "thing is wrong", "things are wrong"))) + "\n")
	lines = nil
	for _, one := range r.Problems[:min(len(r.Problems), maxTold)] {
		lines = append(lines, ui.ClaimLine{Name: one.Check, Detail: one.String(), Wrong: true, More: one.Where})
	}
	b.WriteString(p.Claims(lines))
	if r.Faults > maxTold {
		b.WriteString(p.Line(fmt.Sprintf("and %s more; --format json lists up to 1,000", words.Number(r.Faults-maxTold))))
	}
	for _, f := range kept {
		b.WriteString(p.Line("kept as evidence: " + f))
	}
	return b.String()
}

func passedOver(one history.Passed, only string) string {
	files := words.Count(one.Files, "file", "files") + " passed over: about "
	if one.Namespace == "" {
		return files + "still other namespaces"
	}
	return files + one.Namespace + ", not about " + only
}

// absences says what a third party did not sign; empty where it signed all.
func absences(p history.PartyRun, ns history.Namespace) string {
	var parts []string
	if p.First > ns.First {
		parts = append(parts, fmt.Sprintf("joined at epoch %d", p.First))
	}
	var spans []string
	for _, s := range p.Absent {
		if s.From == s.To {
			spans = append(spans, fmt.Sprint(s.From))
		} else {
			spans = append(spans, fmt.Sprintf("%d–%d", s.From, s.To))
		}
	}
	const most = 8
	if len(spans) > most {
		spans = append(spans[:most], "…")
	}
	if len(spans) > 0 {
		parts = append(parts, fmt.Sprintf("absent in %s of epochs %d–%d: %s", words.Number(p.Missed), p.First, ns.Last, strings.Join(spans, ", ")))
	}
	if len(parts) == 0 {
		return ""
	}
	return p.Name + " " + strings.Join(parts, "; ")
}

func rowText(row history.Row, o *history.Options) string {
	switch {
	case row.Delta != nil && row.First:
		return "first: " + changes(row.Delta)
	case row.Delta != nil:
		return changes(row.Delta)
	case row.Kind == "opaque":
		return "artifact given; what is in it is not shown: its format is not public"
	case row.Kind == "void":
		return "void: epoch " + fmt.Sprint(row.Epoch-1) + " never came into force"
	case row.Kind == "fleet-retirement":
		return "retirement of " + row.Fleet
	case row.Kind != "":
		return "not shown: the epoch before it is not given"
	}
	return "not shown: the artifact is not given"
}
