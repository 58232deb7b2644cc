//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package ui

import (
	"errors"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Terminals on Unix know escape sequences; TERM=dumb has been asked before.
func speaksANSI(*os.File) bool { return true }

// listen prepares the terminal for one line of input, shown or unseen. The
// line is edited by the system, as everywhere, but Ctrl-C no longer sends a
// signal: it ends the line, so that the prompt returns and its caller can ask
// what was meant, with nothing left reading in the background. The function
// that is returned restores the terminal as it was.
//
// What was typed before is thrown away: it was no answer to what is asked now, and
// might be sent to a token as a PIN.
//
// A signal from outside that would end the process meanwhile still does, but
// not before the terminal shows again what is typed at it.
func listen(tty *os.File, echo bool) (func(), error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	mode := *before
	mode.Iflag |= unix.ICRNL
	mode.Lflag |= unix.ICANON | unix.ECHO
	mode.Lflag &^= unix.ISIG
	mode.Cc[unix.VEOL] = ctrlC
	if !echo {
		mode.Lflag &^= unix.ECHO | unix.ECHONL
	}
	if err := unix.IoctlSetTermios(fd, setTermiosFlush, &mode); err != nil {
		return nil, err
	}
	restore := func() { _ = unix.IoctlSetTermios(fd, setTermios, before) }

	got, done := make(chan os.Signal, 1), make(chan struct{})
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) { // nohup's wish stands
			signal.Notify(got, s)
		}
	}
	go func() {
		select {
		case <-done:
		case s := <-got:
			restore()
			signal.Reset(s)
			if number, ok := s.(unix.Signal); ok {
				_ = unix.Kill(unix.Getpid(), number)
			}
		}
	}()
	return func() {
		signal.Stop(got)
		close(done)
		restore()
	}, nil
}

// halfTyped says whether part of a line has been typed. It leaves the terminal so that
// the part is no longer edited; the next question throws it away.
func halfTyped(tty *os.File) bool {
	fd := int(tty.Fd())
	mode, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return true // as the safer of both
	}
	mode.Lflag &^= unix.ICANON // or else a line is told of only once it is whole
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, setTermios, mode); err != nil {
		return true
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || n > 0
		}
	}
}

// cameFirst waits for a line at the terminal or for the news, and says whether it was
// the news. Other things that come at its source are waited over, unseen.
func cameFirst(tty *os.File, news News) bool {
	fds := []unix.PollFd{{Fd: int32(tty.Fd()), Events: unix.POLLIN}}
	if s := news.Source(); s >= 0 {
		fds = append(fds, unix.PollFd{Fd: int32(s), Events: unix.POLLIN})
	}
	for {
		n, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n < 1 || fds[0].Revents != 0 || len(fds) < 2:
			return false // a line, or what reading it will say
		case news.Came():
			return true
		}
	}
}
