package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/report/annotate"
	"github.com/fleetctl/fleetctl/internal/report/junit"
	"github.com/fleetctl/fleetctl/internal/report/sarif"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// reportForms are the forms of a result beside text and JSON. Commands that check
// something have them: those that call [App.Reports].
var reportForms = map[string]func(*report.Run) []byte{"sarif": sarif.Marshal, "junit": junit.Marshal, "github": annotate.Marshal}

// formNames are all the forms in the order in which they are told.
const formNames = "text, json, sarif, junit or github"

// reports is what App knows of a command that checks something.
type reports struct {
	asked []string // FORM=FILE
	told  bool     // the result was written in every form
}

// checks marks a command as one that checks something.
const checks = "checks"

// Reports makes a command one that checks something: it has every form of --format,
// and --report. If it ends before it has a verdict, [App.Run] says so in those forms.
func (a *App) Reports(c *cobra.Command) {
	c.Annotations = map[string]string{checks: "yes"}
	c.Flags().StringArrayVar(&a.reports.asked, "report", nil, "also write the result to a file, `FORM=FILE`: json, sarif, junit or github; may be repeated, and replaces the file")
}

// CheckFormat refuses a form that the command doesn't have.
func (a *App) CheckFormat(c *cobra.Command) error {
	if c.Annotations[checks] == "" {
		if a.Format == "text" || a.Format == "json" {
			return nil
		}
		if reportForms[a.Format] != nil {
			return Usagef("commands that check something have it, such as fleetctl verify", "%s has no --format %s; it is text or json", c.CommandPath(), a.Format)
		}
		return Usagef("", "--format is %q; it is text or json", a.Format)
	}
	if a.Format != "text" && a.Format != "json" && reportForms[a.Format] == nil {
		return Usagef("", "--format is %q; it is "+formNames, a.Format)
	}
	return a.reports.fault()
}

// fault says what is wrong with the reports that are asked for.
func (r *reports) fault() error {
	var files []string
	for _, asked := range r.asked {
		form, file, _ := strings.Cut(asked, "=")
		if form != "json" && reportForms[form] == nil || file == "" {
			return Usagef("such as --report sarif=fleetctl.sarif", "--report is %q; it is FORM=FILE, and the form json, sarif, junit or github", asked)
		}
		if slices.Contains(files, file) {
			return Usagef("", "%s can't be two reports at once", file)
		}
		files = append(files, file)
	}
	return nil
}

// Judged is the result of a command that checks something, in each of its forms.
type Judged struct {
	JSON  func() []byte
	Run   func() *report.Run
	Text  func() string
	Quiet bool // nothing on standard output
}

// Tell writes a result to standard output in the form that --format names, and to the
// files of --report.
func (a *App) Tell(j Judged) error {
	a.reports.told = true
	in := func(form string) []byte {
		if form == "json" {
			return j.JSON()
		}
		r := j.Run()
		r.Version = Version
		return reportForms[form](r)
	}
	if err := a.writeReports(in); err != nil {
		return err
	}
	switch {
	case j.Quiet:
		return nil
	case a.Format == "text":
		return a.UI.Print(j.Text())
	}
	return a.UI.Print(string(in(a.Format)))
}

func (a *App) writeReports(in func(form string) []byte) error {
	if a.reports.fault() != nil {
		return nil // that is the error that is told
	}
	for _, r := range a.reports.asked {
		form, file, _ := strings.Cut(r, "=")
		if err := durable.Replace(file, in(form), 0o644); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return Usage(Missing(err)) // the folder
			}
			return err
		}
	}
	return nil
}

// untold tells an error that came before the result: a service that reads results must
// not take the last run's for this one's, and not take no result for a good one.
func (a *App) untold(c *cobra.Command, err error) error {
	if c.Annotations[checks] == "" || a.reports.told {
		return err
	}
	subject := strings.Join(c.Flags().Args(), " ")
	code, outcome := ExitCode(err), report.NoVerdict
	if code == ExitWrong || code == ExitAlarm {
		outcome = report.Failed // that is a verdict: it just has no report
	}
	run := &report.Run{Command: c.CommandPath(), Version: Version, Subject: subject, Summary: InWords(err), Time: a.Now().UTC().Truncate(time.Second), Code: code,
		Checks: report.OfError(plainly(err), outcome, subject)}
	in := func(form string) []byte {
		if form == "json" {
			return strict.EncodeJSON(failureOf(run))
		}
		return reportForms[form](run)
	}
	failed := a.writeReports(in)
	if reportForms[a.Format] != nil {
		failed = errors.Join(failed, a.UI.Print(string(in(a.Format))))
	}
	if failed != nil {
		return fmt.Errorf("%w\nand its report could not be written: %w", err, failed)
	}
	return err
}

// failureJSON is what --report json=FILE holds where there is no result.
type failureJSON struct {
	Format string      `strict:"format"`
	Code   int         `strict:"exit_code"`
	Faults []faultJSON `strict:"faults"`
}

type faultJSON struct {
	Where string `strict:"where"`
	What  string `strict:"what"`
	Next  string `strict:"next,optional"`
}

func failureOf(r *report.Run) *failureJSON {
	j := &failureJSON{Format: "fleetctl failure v1", Code: r.Code, Faults: []faultJSON{}}
	for _, c := range r.Checks {
		j.Faults = append(j.Faults, faultJSON{c.At.String(), c.Message, c.Next})
	}
	return j
}
