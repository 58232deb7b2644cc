package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// Exit codes, the same for every command.
const (
	exitDone    = 0
	exitWrong   = 1 // evidence malformed, wrong or short
	exitUsage   = 2 // usage, missing file, bad policy, bad plan
	exitPending = 3 // interrupted or pending, can be resumed
	exitFailed  = 4 // the operation failed: PIN, HSM, disk, network
	exitChanged = 5 // diff --exit-code found a change
	exitAlarm   = 6 // the monitor raised an alarm
)

// exitError is an error that knows its exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as the caller's to mend: flags, files, plan, policy.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

func usagef(hint, format string, args ...any) error {
	return usage(strict.Errorf("", format, args...).WithHint("%s", hint))
}

// wrong marks an error as a fault of what was given to be checked. A file that
// isn't there was never checked.
func wrong(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return usage(missing(err))
	}
	return &exitError{exitWrong, err}
}

// missing names a file that isn't there as every other fault names its file.
func missing(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && errors.Is(err, fs.ErrNotExist) {
		return strict.Errorf(p.Path, "no such file or directory")
	}
	return err
}

// exit is an error with an exit code of its own.
func exit(code int, err error) error { return &exitError{code, err} }

// errQuiet ends a command whose output has said everything.
var errQuiet = errors.New("")

func exitCode(err error) int {
	var e *exitError
	var unfit *ui.AnswerError
	var clock *ceremony.ClockFault
	switch {
	case errors.As(err, &unfit):
		return exitUsage
	case err == nil:
		return exitDone
	case durable.DiskFault(err):
		return exitFailed // whatever else was to blame: nobody has to look at what they gave
	case errors.As(err, &clock):
		return exitPending // for people to look at another clock
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, fs.ErrNotExist):
		return exitUsage
	case errors.Is(err, context.Canceled), errors.Is(err, ui.ErrStop), errors.Is(err, ui.ErrInterrupted), errors.Is(err, ui.ErrNoAnswer):
		return exitPending
	}
	return exitFailed
}

// app is one run of the program: its streams, its clock, its flags.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	random         io.Reader

	screen   ui.Options // what isn't taken from streams and flags: the width
	ui       *ui.Output
	header   string // of the step, for each of its questions
	question string // the last one that was asked in it
	color    string
	plain    bool
	format   string
	debug    string
	trace    *os.File
	patience time.Duration    // with an HSM's call
	declined map[string]error // by HSM, what it answered when nobody wanted another try
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now, random: rand.Reader}
}

// run runs one command of root: its error is shown, its exit code returned.
func (a *app) run(ctx context.Context, root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, interrupts()...)
	defer stop()
	hardenProcess()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	help := &noted{Writer: a.stdout}
	root.SetOut(help)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = help.err
	}
	if a.trace != nil {
		a.trace.Close()
	}
	if err != nil && !errors.Is(err, errQuiet) {
		if a.ui == nil { // the flags themselves were wrong
			a.ui, _ = ui.New(ui.Options{Stdout: a.stdout, Stderr: a.stderr, Stdin: a.stdin})
		}
		a.ui.Error(plainly(err))
	}
	return exitCode(err)
}

// interrupts are the signals at which a command stops where nothing is half
// done: Ctrl-C, the system's wish, and the end of the terminal. One that whoever
// started the program had ignored, as nohup does, stays ignored.
func interrupts() (list []os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// noted remembers what kept cobra from writing help: it doesn't ask.
type noted struct {
	io.Writer
	err error
}

func (w *noted) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.err = cmp.Or(w.err, err)
	return n, err
}

// setUp decides how to speak, before any command runs.
func (a *app) setUp() (err error) {
	o := a.screen
	o.Stdout, o.Stderr, o.Stdin, o.Color, o.Plain = a.stdout, a.stderr, a.stdin, a.color, a.plain
	a.ui, err = ui.New(o)
	if err != nil {
		return usage(err)
	}
	if a.format != "text" && a.format != "json" {
		return usagef("", "--format is %q; it is text or json", a.format)
	}
	if a.debug != "" {
		a.trace, err = os.OpenFile(a.debug, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	return err
}

// flags are those of every command.
func (a *app) flags(f *pflag.FlagSet) {
	f.StringVar(&a.color, "color", "auto", "colour: auto, always or never")
	f.BoolVar(&a.plain, "plain", false, "words only: no lines, no colour, nothing rewritten")
	f.StringVar(&a.format, "format", "text", "form of the result on standard output: text or json")
	f.StringVar(&a.debug, "debug", "", "append a trace of every PKCS#11 call to this `file`, without PINs and values")
	f.DurationVar(&a.patience, "hsm-timeout", 2*time.Minute, "how long a PKCS#11 call may take; making a key ten times that")
}

// emit is a command's result on standard output: text for people, the same as
// JSON for programs.
func (a *app) emit(result any, text ...string) error {
	if a.format == "json" {
		return a.ui.Print(string(strict.EncodeJSON(result)))
	}
	return a.ui.Print(text...)
}

// command makes a command with exactly the arguments that its use line names.
func command(use, short, long, example string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: long, Example: example, RunE: run,
		Args: func(cmd *cobra.Command, got []string) error {
			if err := args(cmd, got); err != nil {
				wants := strings.TrimSpace(strings.TrimPrefix(cmd.Use, cmd.Name()))
				if wants == "" {
					wants = "no argument"
				}
				return usagef("usage: "+cmd.UseLine()+"\nsee "+cmd.CommandPath()+" --help", "%s takes %s, and was given %s",
					cmd.CommandPath(), wants, ui.Count(int64(len(got)), "argument", "arguments"))
			}
			return nil
		}}
}

// group makes a command that only has commands below it.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("see fleetctl "+use+" --help", "fleetctl %s has no command %q", use, args[0])
		}
		return cmd.Help()
	}
	c.AddCommand(children...)
	return c
}

// required says that flags must be given, in our own words and with our own
// exit code.
func required(cmd *cobra.Command, names ...string) error {
	for _, n := range names {
		if f := cmd.Flags().Lookup(n); f != nil && f.Value.String() == "" {
			return usagef("see "+cmd.CommandPath()+" --help", "--%s is missing: %s", n, strings.ReplaceAll(f.Usage, "`", ""))
		}
	}
	return nil
}
