//go:build cgo && linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// keyboard is a terminal at which the test sits and a program runs.
type keyboard struct {
	t      testing.TB
	master *os.File
	cmd    *exec.Cmd
	done   chan error
	mu     sync.Mutex
	screen strings.Builder
	read   int // how much of the screen was waited for
}

// atTerminal starts a command at a terminal of its own.
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
		check(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(n)}))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	k := &keyboard{t: t, master: master, cmd: cmd, done: make(chan error, 1)}
	check(t, cmd.Start())
	slave.Close()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			k.mu.Lock()
			k.screen.Write(buf[:n])
			k.mu.Unlock()
			if err != nil {
				k.done <- cmd.Wait()
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

// types waits until the screen shows each text, after the one before it, and
// then types the answer.
func (k *keyboard) types(pairs ...string) {
	k.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		deadline := time.Now().Add(30 * time.Second)
		for {
			screen := k.shown()
			if at := strings.Index(screen[k.read:], pairs[i]); at >= 0 {
				k.read += at + len(pairs[i])
				break
			}
			if time.Now().After(deadline) {
				_ = k.cmd.Process.Kill()
				k.t.Fatalf("waiting for %q, the screen shows\n%s", pairs[i], screen)
			}
			time.Sleep(5 * time.Millisecond)
		}
		_, err := k.master.WriteString(pairs[i+1])
		check(k.t, err)
	}
}

// ends gives the exit code.
func (k *keyboard) ends() int {
	k.t.Helper()
	select {
	case err := <-k.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		check(k.t, err)
		return 0
	case <-time.After(60 * time.Second):
		_ = k.cmd.Process.Kill()
		k.t.Fatalf("it doesn't end; the screen shows\n%s", k.shown())
		return -1
	}
}
