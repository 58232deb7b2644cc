package evidence

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// expectSplit is what --expect says to take a split view for what it is.
const expectSplit = "split-view"

type splitJSON struct {
	Format  string `strict:"format"`
	File    string `strict:"file"`
	Log     string `strict:"log,optional"`
	Smaller uint64 `strict:"smaller,optional"`
	Larger  uint64 `strict:"larger,optional"`
	Proven  bool   `strict:"proven"`
	Why     string `strict:"why,optional"`
}

func isSplitView(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 200)], []byte(auditlog.SplitFormat))
}

// judgeSplit asks the logs that the policy pins under this origin. A Rekor log
// may have the same one as another: its key says which it is.
func judgeSplit(s *auditlog.SplitView, p *evidence.Policy) error {
	origin := s.Smaller.Origin
	err := error(strict.Errorf(p.File, "pins no log with the origin %q", origin))
	if p.Rekor != nil {
		for _, l := range p.Rekor.Logs {
			if !l.Signs(origin) {
				continue
			}
			if err = l.VerifySplit(s); err == nil {
				return nil
			}
		}
	}
	if p.Log != nil && slices.ContainsFunc(p.Log.Logs(), func(l auditlog.Log) bool { return l.Key.Name() == origin }) {
		err = p.Log.VerifySplit(s)
	}
	return err
}

// verifySplit judges two checkpoints that are said to contradict each other.
// Only a caller who expects one gets exit code 0: it shows none of the claims
// that a policy demands, so it must never pass for something that does.
func verifySplit(a *cli.App, file string, data []byte, p *evidence.Policy, o verifyOptions) error {
	if p.Log == nil && p.Rekor == nil {
		return cli.Usage(strict.Errorf(p.File, "pins no log").WithHint("add its policy under log_policy:, or a Rekor log under rekor:"))
	}
	j := &splitJSON{Format: "fleetctl split-view report v1", File: file}
	s, err := auditlog.ParseSplitView(file, data)
	if err == nil {
		j.Log, j.Smaller, j.Larger = s.Smaller.Origin, s.Smaller.Size, s.Larger.Size
		err = judgeSplit(s, p)
	}
	if keys := p.TellUnpinned(); err == nil && keys != "" && !o.firstUse {
		err = strict.Errorf(p.File, "%s", keys).WithHint("%s", evidence.ConfirmHint)
	}
	if j.Proven = err == nil; !j.Proven {
		j.Why = err.Error()
	}
	text := "NOT PROVEN   " + j.Why + "\n"
	if j.Proven {
		text = a.UI.Fields([][2]string{
			{"log", j.Log}, {"smaller", fmt.Sprintf("%d entries, root %x", s.Smaller.Size, s.Smaller.Root)},
			{"larger", fmt.Sprintf("%d entries, root %x", s.Larger.Size, s.Larger.Root)},
		}) + "\nSPLIT VIEW PROVEN   the log's key signed two histories; nothing in either may be relied on\n"
	}
	asked := j.Proven && o.expect == expectSplit
	err = a.Tell(cli.Judged{JSON: func() []byte { return strict.EncodeJSON(j) }, Quiet: o.quiet, Text: func() string { return text },
		Run: func() *report.Run { return splitChecks(a, j, asked) }})
	if err == nil && !asked {
		err = cli.Wrong(cli.ErrQuiet)
	}
	return err
}

// splitChecks is the one check of a split view. One that is proven is good news only for
// who asked for it.
func splitChecks(a *cli.App, j *splitJSON, asked bool) *report.Run {
	c := report.Check{Rule: expectSplit, Title: "The two checkpoints show that the log signed two histories", Message: j.Why, At: report.Place{File: j.File}}
	run := &report.Run{Command: "fleetctl verify", Subject: j.File, Time: a.Now(), Good: asked, Code: cli.ExitWrong}
	switch {
	case asked:
		c.Outcome, run.Code = report.Passed, cli.ExitDone
		fallthrough
	case j.Proven:
		c.Message = "the log's key signed two histories; nothing in either may be relied on"
	}
	run.Summary, run.Checks = c.Message, []report.Check{c}
	return run
}
