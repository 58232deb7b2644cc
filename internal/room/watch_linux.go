package room

import (
	"golang.org/x/sys/unix"
)

// watch tells when a file has come into a folder and is whole.
type watch struct {
	fd   int
	came func() bool
}

func newWatch(dir string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &watch{fd: fd}, nil
}

func (w *watch) close() { unix.Close(w.fd) }

// drain forgets what has come so far: whoever looks into the folder afterwards sees
// it, and is told of all that comes later.
func (w *watch) drain() {
	buf := make([]byte, 4096)
	for {
		if n, err := unix.Read(w.fd, buf); n <= 0 && err != unix.EINTR {
			return
		}
	}
}

// Source is the descriptor that tells.
func (w *watch) Source() int { return w.fd }

// Came says whether what has come is what is waited for.
func (w *watch) Came() bool {
	w.drain()
	return w.came()
}
