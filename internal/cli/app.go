// Package cli is what commands share: streams, clock and randomness, flags,
// exit codes and errors, reading files and writing results.
package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// App is one run of the program: its streams, its clock, its flags.
type App struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time
	Random         io.Reader

	Screen   ui.Options // what isn't taken from streams and flags: the width
	UI       *ui.Output
	Header   string // of the step, for each of its questions
	Question string // the last one that was asked in it
	Color    string
	Plain    bool
	Format   string
	debug    string
	Trace    durable.File
	Patience time.Duration    // with an HSM's call
	Declined map[string]error // by HSM, what it answered when nobody wanted another try
	HelpErr  error            // of a help function: it has no way to return one
}

// New is a run of the program with these streams, this machine's clock and its
// randomness.
func New(stdin io.Reader, stdout, stderr io.Writer) *App {
	return &App{Stdin: stdin, Stdout: stdout, Stderr: stderr, Now: time.Now, Random: rand.Reader}
}

// Run runs one command of root: its error is shown, its exit code returned.
func (a *App) Run(ctx context.Context, root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, interrupts()...)
	defer stop()
	hardenProcess()
	root.SetArgs(args)
	root.SetIn(a.Stdin)
	help := &noted{Writer: a.Stdout}
	root.SetOut(help)
	root.SetErr(a.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = cmp.Or(a.HelpErr, help.err)
	}
	if a.Trace != nil {
		a.Trace.Close()
	}
	if err != nil && !errors.Is(err, ErrQuiet) {
		if a.UI == nil { // the flags themselves were wrong
			a.UI, _ = ui.New(ui.Options{Stdout: a.Stdout, Stderr: a.Stderr, Stdin: a.Stdin})
		}
		a.UI.Error(plainly(err))
	}
	return ExitCode(err)
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

// SetUp decides how to speak, before any command runs.
func (a *App) SetUp() (err error) {
	o := a.Screen
	o.Stdout, o.Stderr, o.Stdin, o.Color, o.Plain = a.Stdout, a.Stderr, a.Stdin, a.Color, a.Plain
	a.UI, err = ui.New(o)
	if err != nil {
		return Usage(err)
	}
	if a.Format != "text" && a.Format != "json" {
		return Usagef("", "--format is %q; it is text or json", a.Format)
	}
	if a.debug != "" {
		a.Trace, err = durable.OpenFile(a.debug, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	return err
}

// Flags are those of every command.
func (a *App) Flags(f *pflag.FlagSet) {
	f.StringVar(&a.Color, "color", "auto", "colour: auto, always or never")
	f.BoolVar(&a.Plain, "plain", false, "words only: no lines, no colour, nothing rewritten")
	f.StringVar(&a.Format, "format", "text", "form of the result on standard output: text or json")
	f.StringVar(&a.debug, "debug", "", "append a trace of every PKCS#11 call to this `file`, without PINs and values")
	f.DurationVar(&a.Patience, "hsm-timeout", 2*time.Minute, "how long a PKCS#11 call may take; making a key ten times that")
}

// Emit is a command's result on standard output: text for people, the same as
// JSON for programs.
func (a *App) Emit(result any, text ...string) error {
	if a.Format == "json" {
		return a.UI.Print(string(strict.EncodeJSON(result)))
	}
	return a.UI.Print(text...)
}

// Version is the release; a build from a checkout carries its commit too.
const Version = "0.1.0-dev"
