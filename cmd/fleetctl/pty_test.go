//go:build cgo && linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fleetctl/fleetctl/internal/await"
)

// keyboard is a terminal at which the test sits and a program runs.
type keyboard struct {
	t      testing.TB
	master *os.File
	cmd    *await.Process
	over   chan struct{} // closed once nobody can write on the screen any more
	mu     sync.Mutex
	screen strings.Builder
	read   int // how much of the screen was waited for
}

// atTerminal starts a command at a terminal of its own: of 24 rows, and of 40 where it
// has more than 80 columns.
func atTerminal(t testing.TB, cmd *exec.Cmd, columns ...int) *keyboard {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { master.Close() })
	number := 0
	raw, err := master.SyscallConn()
	check(t, err)
	check(t, errors.Join(raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}), err))
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	for _, n := range columns {
		rows := uint16(24)
		if n > 80 {
			rows = 40
		}
		check(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: uint16(n)}))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	k := &keyboard{t: t, master: master, cmd: await.Start(t, cmd), over: make(chan struct{})}
	slave.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			k.mu.Lock()
			k.screen.Write(buf[:n])
			k.mu.Unlock()
			if err != nil {
				close(k.over)
				return
			}
		}
	}()
	return k
}

func (k *keyboard) shown() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.ReplaceAll(k.screen.String(), "\r", "")
}

// stands matches a screen whose last line is a question that waits for its answer.
var stands = regexp.MustCompile(`[>:](?:\x1b\[[0-9;]*m)* *$`)

// types waits until the screen shows each text, after the one before it, and
// then types the answer, once a question stands: what is typed before is thrown
// away, and the text may be above the question.
func (k *keyboard) types(pairs ...string) {
	k.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		at := -1
		await.Happens(func() bool {
			over := k.isOver()
			at = strings.Index(k.shown()[k.read:], pairs[i])
			return at >= 0 || over
		})
		if at < 0 {
			k.t.Fatalf("waiting for %q, the screen shows\n%s", pairs[i], k.shown())
		}
		k.read += at + len(pairs[i])
		if pairs[i+1] == "" {
			continue
		}
		if !await.Happens(func() bool { return k.isOver() || stands.MatchString(k.shown()) }) {
			k.t.Fatalf("after %q no question stands; the screen shows\n%s", pairs[i], k.shown())
		}
		k.read = len(k.shown()) // what comes next comes after the answer
		_, err := k.master.WriteString(pairs[i+1])
		check(k.t, err)
	}
}

// ends gives the exit code.
func (k *keyboard) ends() int {
	k.t.Helper()
	if ended, _ := k.cmd.Ends(); !ended || !await.Happens(k.isOver) {
		k.t.Fatalf("it doesn't end; the screen shows\n%s", k.shown())
	}
	return k.cmd.ProcessState.ExitCode()
}

func (k *keyboard) isOver() bool {
	select {
	case <-k.over:
		return true
	default:
		return false
	}
}
