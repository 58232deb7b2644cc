//go:build cgo && unix

package hsmhost

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Command is the hidden subcommand that runs [Main].
const Command = "hsm-process"

const socketName = "hsm.socket"

// inherited is the file descriptor of the socket on which the process listens.
const inherited = 3

// Process is an HSM's process, as whoever started it has it.
type Process struct {
	socket string
	cmd    *exec.Cmd
	pipe   io.WriteCloser // its end is the process's
	talk   bytes.Buffer
	ended  chan error
}

// Start starts this very program as an HSM's process, with its socket in a folder that
// is nobody else's; where none is named, in a new one that goes with the process. The
// PIN goes over a pipe; the caller clears it.
func Start(folder string, c *Config, pin []byte) (_ *Process, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if folder == "" {
		own := *c
		folder = filepath.Join(os.TempDir(), "fleetctl-hsm-"+rand.Text()[:10])
		if err := durable.Mkdir(folder, 0o700); err != nil {
			return nil, err
		}
		own.Own, c = folder, &own
		defer func() {
			if err != nil {
				_ = durable.Remove(folder) // the process may have done it
			}
		}()
	}
	p := &Process{socket: filepath.Join(folder, socketName), cmd: exec.Command(self, Command), ended: make(chan error, 1)}
	l, err := listen(folder, p.socket)
	if err != nil {
		return nil, err
	}
	f, err := l.File()
	// The socket's file stays: it is the process that listens.
	l.SetUnlinkOnClose(false)
	if err = errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	defer f.Close()
	p.cmd.ExtraFiles = []*os.File{f}
	p.cmd.Stderr = &p.talk
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is not for it
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.pipe, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("the HSM's process can't be started: %w", err)
	}
	given := c.give(p.pipe, pin)
	if given != nil {
		given = errors.Join(given, p.pipe.Close()) // it waits for the rest no longer
	}
	word, err := receive(out, maxMessage)
	go func() {
		_, _ = io.Copy(io.Discard, out) // it says no more
		p.ended <- p.cmd.Wait()
	}()
	if err = errors.Join(given, err); err != nil {
		end := p.Stop()
		return nil, fmt.Errorf("the HSM's process doesn't begin: %w", errors.Join(err, end))
	}
	if len(word) > 0 {
		_ = p.Stop() // it has said why
		return nil, fmt.Errorf("the HSM's process: %s", word)
	}
	return p, nil
}

// listen listens in a folder into which nobody else can look. A socket that was left by
// a process that is gone is taken away.
func listen(folder, socket string) (*net.UnixListener, error) {
	info, err := durable.Stat(folder)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir() || info.Mode().Perm()&0o077 != 0:
		return nil, strict.Errorf(folder, "is no folder of yours alone (mode %04o), and the HSM's socket stands in it", info.Mode().Perm()).WithHint("chmod 700 %s", folder)
	}
	if old, err := durable.Lstat(socket); err == nil {
		if old.Mode().Type() != os.ModeSocket {
			return nil, strict.Errorf(socket, "is there, and no socket")
		}
		if conn, err := net.Dial("unix", socket); err == nil {
			return nil, errors.Join(strict.Errorf(socket, "has an HSM's process behind it already"), conn.Close())
		}
		if err := durable.Remove(socket); err != nil {
			return nil, err
		}
	}
	return net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
}

// Socket is where nodes reach it: see [Dial].
func (p *Process) Socket() string { return p.socket }

// PID is the process's id, for whoever stops or kills it.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop ends the process, and waits until it is gone.
func (p *Process) Stop() error {
	err := p.pipe.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if end := <-p.ended; end != nil {
		err = fmt.Errorf("the HSM's process: %w: %.500s", end, p.talk.Bytes())
	}
	p.ended <- nil // for who stops it twice
	if e := durable.Remove(p.socket); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}
