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

	Screen   ui.Options // those that don't come from streams and flags: the width
	UI       *ui.Output
	Header   string // the current step's, shown before each of its questions
	Question string // the last one asked in the current step
	At       string // the current step's number and name, for questions without that header
	Color    string
	Plain    bool
	Format   string
	debug    string
	Trace    durable.File
	Patience time.Duration    // how long a call to an HSM may take
	Declined map[string]error // by HSM: its answer to the last PIN, if nobody wanted another try
	HelpErr  error            // the error of a help function, which can't return one
	reports  reports
}

// New returns an App with these streams, and this machine's clock and randomness.
func New(stdin io.Reader, stdout, stderr io.Writer) *App {
	return &App{Stdin: stdin, Stdout: stdout, Stderr: stderr, Now: time.Now, Random: rand.Reader}
}

// Run runs one command of root, shows its error, and returns its exit code.
func (a *App) Run(ctx context.Context, root *cobra.Command, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, interrupts()...)
	defer stop()
	hardenProcess()
	root.SetArgs(args)
	root.SetIn(a.Stdin)
	help := &noted{Writer: a.Stdout}
	root.SetOut(help)
	root.SetErr(a.Stderr)
	c, err := root.ExecuteContextC(ctx)
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
		err = a.untold(c, err)
		a.UI.Error(plainly(err))
	}
	return ExitCode(err)
}

// interrupts are the signals that make a command stop at a safe point: SIGINT (Ctrl-C),
// SIGTERM and SIGHUP. A signal that was ignored when the program was started, as nohup
// does, stays ignored.
func interrupts() (list []os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// noted remembers the first write error, since cobra ignores those of its help.
type noted struct {
	io.Writer
	err error
}

func (w *noted) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.err = cmp.Or(w.err, err)
	return n, err
}

// SetUp sets up the output by the flags, before a command runs.
func (a *App) SetUp() (err error) {
	o := a.Screen
	o.Stdout, o.Stderr, o.Stdin, o.Color, o.Plain = a.Stdout, a.Stderr, a.Stdin, a.Color, a.Plain
	a.UI, err = ui.New(o)
	if err != nil {
		return Usage(err)
	}
	if a.debug != "" {
		a.Trace, err = durable.OpenFile(a.debug, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	return err
}

// Flags adds the flags of every command.
func (a *App) Flags(f *pflag.FlagSet) {
	f.StringVar(&a.Color, "color", "auto", "colour: auto, always or never")
	f.BoolVar(&a.Plain, "plain", false, "words only: no lines, no colour, nothing rewritten")
	f.StringVar(&a.Format, "format", "text", "form of the result on standard output: text, json, sarif, junit or github (the last three where something is checked)")
	f.StringVar(&a.debug, "debug", "", "append a trace of every PKCS#11 call to this `file`, without PINs and values")
	Duration(f, &a.Patience, "hsm-timeout", 2*time.Minute, "how long a PKCS#11 call may take; making a key ten times that")
}

// Result is what a command prints as JSON: it says which format that is, with its
// version. docs/schemas has the schema of each.
type Result interface{ Format() string }

// JSON is a result as it is printed: its format, and then its own members.
func JSON(r Result) []byte {
	head, body := strict.EncodeJSON(&named{r.Format()}), strict.EncodeJSON(r)
	if string(body) == "{}\n" {
		return head
	}
	return append(append(head[:len(head)-len("\n}\n")], ','), body[1:]...)
}

type named struct {
	Format string `strict:"format"`
}

// Emit writes a command's result to standard output: as text, or with --format json as
// JSON.
func (a *App) Emit(r Result, text ...string) error {
	if a.Format == "json" {
		return a.UI.Print(string(JSON(r)))
	}
	return a.UI.Print(text...)
}

// Version is the release; a build from a checkout carries its commit too.
const Version = "0.1.0-dev"
