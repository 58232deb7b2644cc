package evidence

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/ustar"
	"github.com/fleetctl/fleetctl/internal/words"
)

// checksOf are a report's claims and problems as continuous integration counts them: a
// check for each claim that is demanded, one for each thing that is wrong, and one for
// the keys that nobody confirmed.
func checksOf(r *evidence.Report, in *evidence.Input) *report.Run {
	run := &report.Run{Command: "fleetctl verify", Subject: r.File, Time: r.Time, Good: r.Verified}
	if !r.Verified {
		run.Code = 1
	}
	find := newFinder(r, in)
	for _, c := range r.Claims {
		if c.Least == evidence.NotShown {
			continue
		}
		check := report.Check{Rule: c.Name, Title: c.Name + " is shown as strongly as the policy demands", Outcome: report.Passed, Message: c.Grade.String() + ": " + detail(c), Next: c.Next, At: find.place(c.Where)}
		if c.Short() {
			check.Outcome = report.Failed
			check.Message = fmt.Sprintf("%s: is %s, the policy wants %s", detail(c), c.Grade, c.Least)
		}
		run.Checks = append(run.Checks, check)
	}
	for _, name := range r.NotAsked {
		run.Checks = append(run.Checks, report.Check{Rule: name, Title: name + " is shown as strongly as the policy demands", Outcome: report.NotAsked, Message: "the policy demands it, and this question left it out", At: report.Place{File: r.File}})
	}
	confirmed := report.Check{Rule: report.RuleConfirmed, Title: "Each key of the policy was compared with its owner", Outcome: report.Passed, Message: r.Policy.TellPinned(), At: report.Place{File: r.Policy.File}}
	if keys := r.Policy.TellUnpinned(); keys != "" {
		confirmed.Message = keys
		if !r.FirstUse {
			confirmed.Outcome, confirmed.Next = report.Failed, evidence.ConfirmHint
		}
	}
	run.Checks = append(run.Checks, confirmed)
	wrong := func(o report.Outcome, text, next string, at report.Place) {
		run.Checks = append(run.Checks, report.Check{Rule: report.RuleWrong, Title: "Nothing is malformed, and nothing contradicts anything else", Outcome: o, Message: text, Next: next, At: at})
	}
	for _, p := range r.Problems {
		wrong(report.Failed, p.What, p.Next, find.place(p.Where))
	}
	switch {
	case r.Others > 0:
		wrong(report.Failed, words.Count(int64(r.Others), "thing more is wrong", "things more are wrong")+", beyond those that are listed", "", report.Place{File: r.File})
	case len(r.Problems) == 0:
		wrong(report.Passed, "nothing was found", "", report.Place{File: r.File})
	}
	run.Summary = summary(r)
	return run
}

// finder says where in which file a place of a report is: the library names files inside
// a package, and those beside it, by their names alone.
type finder struct {
	file    string
	folder  bool
	archive []byte
	files   evidence.Files
	others  map[string]bool
}

func newFinder(r *evidence.Report, in *evidence.Input) *finder {
	f := &finder{file: r.File, folder: in.Folder != nil, files: in.Folder, others: map[string]bool{r.Policy.File: true}}
	if evidence.Detect(in.Data) == evidence.TypeEvidence {
		// Where this fails the report has that as a problem of the file itself.
		f.files, _ = evidence.Unpack(r.File, in.Data)
		f.archive = in.Data
	}
	for _, list := range [][]evidence.Input{in.Beside, in.Proofs, in.Statements} {
		for _, other := range list {
			f.others[other.File] = true
		}
	}
	return f
}

// place reads "transcript.jsonl:4", "transcript.jsonl, record 4" and names alone. What it
// doesn't know is in the file that was verified.
func (f *finder) place(where string) report.Place {
	at := report.ParsePlace(where)
	name, line := at.File, at.Line
	if before, after, ok := strings.Cut(where, ", record"); ok && before == ceremony.TranscriptFile {
		// A record is a line: "record 4", or "records 4 to 90".
		digits, _, _ := strings.Cut(strings.TrimLeft(after, "s "), " ")
		name, line = before, report.ParsePlace(":"+digits).Line
	}
	data, member := f.files[name]
	switch {
	case member && f.folder:
		return report.Place{File: filepath.Join(f.file, filepath.FromSlash(name)), Line: line}
	case member:
		return report.Place{File: f.file, Member: name, Line: line, Region: f.region(name, data, line)}
	case name == f.file || f.others[name]:
		return report.Place{File: name, Line: line}
	}
	return report.Place{File: f.file}
}

// region is where in the archive a line of a member stands, or the whole member.
func (f *finder) region(name string, data []byte, line int) *report.Region {
	at := ustar.Offset(f.files, name)
	length := len(data)
	if line > 0 {
		start := 0
		for range line - 1 {
			end := bytes.IndexByte(data[start:], '\n')
			if end < 0 {
				break
			}
			start += end + 1
		}
		length = len(data) - start
		if end := bytes.IndexByte(data[start:], '\n'); end >= 0 {
			length = end
		}
		at += start
	}
	return &report.Region{Offset: at, Length: length, Line: 1 + bytes.Count(f.archive[:at], []byte{'\n'})}
}
