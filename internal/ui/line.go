package ui

import (
	"errors"
	"fmt"
	"io"
)

const ctrlC = 0x03

// readLine reads up to the next newline, byte by byte so that what follows is
// left for the next reader. The line lies in one piece of memory that was
// never copied, for it may be a PIN. A line that isn't ended by a newline is
// no answer: its writer was cut off, or is gone.
func readLine(in io.Reader, limit int) ([]byte, error) {
	buf := make([]byte, limit+1)
	one := buf[limit:] // where each byte arrives
	n, tooLong := 0, false
	fail := func(err error) ([]byte, error) {
		clear(buf)
		return nil, err
	}
	for {
		k, err := in.Read(one)
		switch {
		case k == 1 && one[0] == '\n':
			if n > 0 && buf[n-1] == '\r' {
				n--
			}
			if tooLong {
				return fail(fmt.Errorf("that line has more than %d bytes", limit))
			}
			one[0] = 0
			return buf[:n:n], nil
		case k == 1 && one[0] == ctrlC:
			return fail(ErrInterrupted)
		case k == 1 && n == limit:
			tooLong = true
		case k == 1:
			buf[n] = one[0]
			n++
		case errors.Is(err, io.EOF):
			return fail(ErrNoAnswer)
		case err != nil:
			return fail(fmt.Errorf("reading the answer: %w", err))
		}
	}
}

// hasControl finds what a terminal sends for keys that aren't characters.
func hasControl(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return true
		}
	}
	return false
}
