package ui

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fleetctl/fleetctl/internal/await"
)

// pty is a terminal with the test at its keyboard.
type pty struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	mu     sync.Mutex
	screen strings.Builder
	read   int // how much of the screen types has waited for
}

func openPTY(t *testing.T) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { master.Close() })
	var number int
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}), err); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { slave.Close() })
	p := &pty{t: t, master: master, slave: slave}
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := master.Read(buf)
			p.mu.Lock()
			p.screen.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *pty) output(t *testing.T, color string) *Output {
	return testOutput(t, Options{Stdin: p.slave, Stderr: p.slave, Stdout: p.slave, Color: color})
}

func (p *pty) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.ReplaceAll(p.screen.String(), "\r", "")
}

// wait until the screen shows the text. Where it never does, the terminal is
// hung up, which ends whatever reads from it.
func (p *pty) wait(text string) {
	p.t.Helper()
	if await.Happens(func() bool { return strings.Contains(p.shown(), text) }) {
		return
	}
	p.t.Errorf("waiting for %q, the screen is %q", text, p.shown())
	p.master.Close()
}

// types what a person would, each once the screen asks for it after the one before:
// what is typed before a question is thrown away.
func (p *pty) types(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		at := -1
		if !await.Happens(func() bool { at = strings.Index(p.shown()[p.read:], pairs[i]); return at >= 0 }) {
			p.t.Errorf("waiting for %q, the screen is %q", pairs[i], p.shown())
			p.master.Close()
			return
		}
		p.read += at + len(pairs[i])
		if _, err := p.master.WriteString(pairs[i+1]); err != nil {
			p.t.Error(err)
		}
	}
}

func (p *pty) mode() unix.Termios {
	mode, err := unix.IoctlGetTermios(int(p.slave.Fd()), getTermios)
	if err != nil {
		p.t.Fatal(err)
	}
	return *mode
}

func TestAPINIsTypedUnseen(t *testing.T) {
	for _, c := range []struct {
		name, typed, want string
		err               error
		again             []string // what is typed at the question when it is put again
	}{
		{"a PIN", "canary-1\n", "canary-1", nil, nil},
		{"Return is Enter", "canary-1\r", "canary-1", nil, nil},
		{"corrected", "canaryx\x7f-1\n", "canary-1", nil, nil},
		{"begun again", "canary\x15canary-1\n", "canary-1", nil, nil},
		{"an arrow key, then right", "canary\x1b[A\n", "canary-1", nil, []string{"no character.\n   PIN of iad-2:\n   > ", "canary-1\n"}},
		{"nothing, then right", "\n", "canary-1", nil, []string{"typed.\n   PIN of iad-2:\n   > ", "canary-1\n"}},
		{"Ctrl-C", "canary\x03", "", ErrInterrupted, nil},
		{"Ctrl-D", "\x04", "", ErrNoAnswer, nil},
		{"cut off", "canary\x04\x04", "", ErrNoAnswer, nil},
		{"stop", "stop\n", "", ErrStop, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := openPTY(t)
			before := p.mode()
			go p.types(append([]string{"> ", c.typed}, c.again...)...)
			pin, err := p.output(t, "never").ReadPIN("PIN of iad-2:")
			if string(pin) != c.want || err != c.err {
				t.Errorf("%q, %v", pin, err)
			}
			if p.mode() != before {
				t.Error("the terminal isn't as it was")
			}
			p.wait("PIN of iad-2:")
			if strings.Contains(p.shown(), "canary") {
				t.Errorf("the screen shows %q", p.shown())
			}
		})
	}
}

func TestAPINTooLongIsRefused(t *testing.T) {
	p := openPTY(t)
	go p.types("> ", strings.Repeat("7", 300)+"\n")
	if pin, err := p.output(t, "never").ReadPIN("PIN:"); pin != nil || err == nil || !strings.Contains(err.Error(), "more than 255") {
		t.Errorf("%q, %v", pin, err)
	}
}

func TestAskAndConsentAtATerminal(t *testing.T) {
	p := openPTY(t)
	before := p.mode()
	o := p.output(t, "never")
	go p.types("words 5 and 19:\n   > ", "Pegasux\x7fs tonic\n",
		"to agree, or \"stop\":\n   > ", "y\n", "That was \"y\".", "agree\n",
		"And now?\n   > ", "ag\x03")
	if got, err := o.Ask("words 5 and 19:"); got != "Pegasus tonic" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := o.Consent("The key set was read out.", "agree"); err != nil {
		t.Error(err)
	}
	if got, err := o.Ask("And now?"); got != "" || err != ErrInterrupted {
		t.Errorf("%q, %v", got, err)
	}
	if p.mode() != before {
		t.Error("the terminal isn't as it was")
	}
	p.wait("ag^C\n")
}

// A program that ended by itself after some wrong answers would leave a shell to
// read the next one, and that may be a PIN.
func TestAtATerminalAQuestionIsAskedUntilItIsAnswered(t *testing.T) {
	p := openPTY(t)
	o := p.output(t, "never")
	var typed []string
	for range 3 * maxTries {
		typed = append(typed, "to agree, or \"stop\":\n   > ", "no\n", "That was \"no\".", "")
	}
	typed = append(typed, "to agree, or \"stop\":\n   > ", "agree\n")
	for range 3 * maxTries {
		typed = append(typed, "PIN:\n   > ", "\n", "Nothing was typed.", "")
	}
	go p.types(append(typed, "PIN:\n   > ", "canary-1\n")...)
	if err := o.Consent("The key set was read out.", "agree"); err != nil {
		t.Error(err)
	}
	if pin, err := o.ReadPIN("PIN:"); string(pin) != "canary-1" || err != nil {
		t.Errorf("%q, %v", pin, err)
	}
}

func TestAQuestionThatCantBeSeenIsntAsked(t *testing.T) {
	p := openPTY(t)
	o := testOutput(t, Options{Stdin: p.slave})
	if o.Interactive() {
		t.Error("interactive without a screen")
	}
	if got, err := o.Ask("Well?"); got != "" || err == nil || !strings.Contains(err.Error(), "no terminal to show it") {
		t.Errorf("%q, %v", got, err)
	}
	if pin, err := o.ReadPIN("PIN?"); pin != nil || err == nil {
		t.Errorf("%q, %v", pin, err)
	}
	if _, err := PINFromFD(int(p.slave.Fd())); err == nil || !strings.Contains(err.Error(), "is a terminal") {
		t.Error(err)
	}
}

func TestWidthAndColourAreTheTerminals(t *testing.T) {
	p := openPTY(t)
	for cols, want := range map[uint16]int{0: 80, 40: 60, 100: 100, 300: 120} {
		if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: cols}); err != nil {
			t.Fatal(err)
		}
		o := p.output(t, "auto")
		if o.Width() != want || !o.Talk.color || !o.live || !o.Interactive() {
			t.Errorf("%d columns: %d, %+v", cols, o.Width(), o.Talk)
		}
	}
}

// TestWhatIsLongerThanTheScreenIsShownAgainInParts: nothing of it is left out, and no
// part is longer than the terminal.
func TestWhatIsLongerThanTheScreenIsShownAgainInParts(t *testing.T) {
	p := openPTY(t)
	size := func(rows uint16) {
		if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: 80}); err != nil {
			t.Fatal(err)
		}
	}
	size(10)
	o := p.output(t, "never")
	if err := o.Keep(func() error {
		for n := range 14 {
			o.Say(fmt.Sprintf("line %d.\n", n))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	o.Say("not kept\n")
	if n, more := o.Kept(); n != 14 || !more {
		t.Errorf("%d lines, more than a screen: %v", n, more)
	}
	p.wait("not kept\n")
	began := len(p.shown())
	done := make(chan error, 1)
	go func() { done <- o.Again() }()
	p.types("of which there are 8", "\n", "of which there are 2", "\n")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !await.Happens(func() bool { return strings.HasSuffix(p.shown(), "line 13.\n") }) {
		t.Fatalf("the screen is %q", p.shown())
	}
	again, parts := p.shown()[began:], 0
	for part := range strings.SplitSeq(again, "Enter shows") {
		if n := strings.Count(part, "line "); n > 6 {
			t.Errorf("a part of %d lines on a screen of 10", n)
		}
		parts++
	}
	if parts != 3 || strings.Count(again, "line ") != 14 || strings.Contains(again, "not kept") {
		t.Errorf("%d parts: %q", parts, again)
	}
	size(24)
	if _, more := o.Kept(); more {
		t.Error("14 lines are more than 24 rows")
	}
}

// The test runs itself as the process that asks for a PIN.
func TestMain(m *testing.M) {
	if os.Getenv("UI_TEST_ASK") != "" {
		o, err := New(Options{})
		if err == nil {
			_, err = o.ReadPIN("PIN:")
		}
		fmt.Println(err)
		os.Exit(9)
	}
	os.Exit(m.Run())
}

// asking starts the process that asks for a PIN, and waits until it does.
func asking(t *testing.T, p *pty) *await.Process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "UI_TEST_ASK=1", "TERM=dumb")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	asks := await.Start(t, cmd)
	if !asks.Until(func() bool { return strings.HasSuffix(p.shown(), "> ") }) {
		t.Fatalf("it asks for nothing; the screen is %q", p.shown())
	}
	if during := p.mode(); during.Lflag&unix.ECHO != 0 {
		t.Error("the PIN would be seen")
	}
	return asks
}

func TestASignalRestoresTheTerminalAndEndsTheProcess(t *testing.T) {
	// Where the test itself was started to ignore a signal, by nohup or in a
	// script's background, its children would too; but they don't inherit what
	// is caught.
	all := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, all...)
	defer signal.Stop(caught)
	for _, s := range all {
		p := openPTY(t)
		before := p.mode()
		asks := asking(t, p)
		if err := asks.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		ended, err := asks.Ends()
		if !ended {
			t.Errorf("%v: it goes on", s)
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != s {
			t.Errorf("%v: ended with %v", s, err)
		}
		if p.mode() != before {
			t.Errorf("%v: the terminal isn't as it was", s)
		}
	}
}

func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	signal.Ignore(syscall.SIGHUP) // as nohup does
	defer signal.Reset(syscall.SIGHUP)
	p := openPTY(t)
	asks := asking(t, p)
	if err := asks.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if _, err := p.master.WriteString("canary-1\n"); err != nil {
		t.Fatal(err)
	}
	if ended, _ := asks.Ends(); !ended || asks.ProcessState.ExitCode() != 9 {
		t.Errorf("ended: %v, %v; the screen is %q", ended, asks.ProcessState, p.shown())
	}
	p.wait("<nil>") // what reading the PIN gave
}
