// Package session is a ceremony at this terminal: it opens the ceremony's folder, asks the
// people, and reaches the tokens.
package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// WithFolder opens a ceremony's folder for one of the acts. If none of them comes next in
// the ceremony, it refuses before anything is shown or done.
func WithFolder(a *cli.App, dir string, do func(*engine.Journal) error, acts ...ceremony.Act) error {
	if err := CeremonyThere(dir); err != nil {
		return err
	}
	is, err := Program()
	if err != nil {
		return err
	}
	j, err := engine.OpenJournal(dir, is, a.Now, a.Random)
	if err != nil {
		var other *engine.OtherProgram
		if errors.As(err, &other) {
			return cli.Exit(cli.ExitPending, err)
		}
		var e *strict.Error
		if errors.As(err, &e) && e.File == dir {
			return err // another process is at work on it
		}
		return cli.Wrong(err)
	}
	defer j.Close()
	if err := InTurn(j, acts); err != nil {
		return cli.Usage(err)
	}
	if s, ok := j.Account().Next(); ok { // a command of its own has no header above its PINs
		a.At = stepName(j.Account().StepNumber(), len(j.Account().Steps), s)
	}
	return do(j)
}

// CeremonyThere returns an error if a folder holds no ceremony, with a hint how to begin
// one.
func CeremonyThere(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ceremony.TranscriptFile)); errors.Is(err, fs.ErrNotExist) {
		return cli.Usage(strict.Errorf(dir, "holds no ceremony").WithHint("begin one with\nfleetctl ceremony run PLAN --site SITE --dir %s", words.ShellWord(dir)))
	}
	return nil
}

// InTurn returns an error unless one of the acts is the ceremony's next.
func InTurn(j *engine.Journal, acts []ceremony.Act) error {
	c := j.Account()
	step, ok := c.Next()
	switch {
	case len(acts) > 0 && c.Adjourned && !c.Ended():
		return strict.Errorf(j.Dir(), "the ceremony is adjourned: it has to be reconvened first").WithHint("%s", script.Next(c, words.ShellWord(j.Dir())))
	case len(acts) == 0 || !c.Ended() && ok && slices.Contains(acts, step.Act):
		return nil
	case c.Abort != nil:
		return strict.Errorf(j.Dir(), "the ceremony was aborted, and nothing follows on that: %s", c.Abort.Reason)
	case c.Close != nil && acts[0] == ceremony.ActResponse:
		return strict.Errorf(j.Dir(), "the ceremony is closed, and nothing follows on that: a late answer is published beside the evidence").
			WithHint("%s", "it counts there with\nfleetctl verify evidence.tar --policy POLICY --statement RESPONSE\nand the next epoch's request names it with\nfleetctl bundle request DIR --previous-statement RESPONSE")
	case c.Close != nil:
		return strict.Errorf(j.Dir(), "the ceremony is closed, and nothing follows on that").WithHint("%s", "pack it with\n"+script.Pack(words.ShellWord(j.Dir())))
	}
	return strict.Errorf(j.Dir(), "it is not the turn of %q: the next step is %q", acts[0], step.Act).
		WithHint("%s", script.Continue(c, words.ShellWord(j.Dir())))
}
