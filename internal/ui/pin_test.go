//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package ui

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/strict"
)

func pinFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPINFromFile(t *testing.T) {
	for name, c := range map[string]struct {
		content, want, fault string
	}{
		"a line":          {"canary-1234\n", "canary-1234", ""},
		"CRLF":            {"canary-1234\r\n", "canary-1234", ""},
		"no newline":      {"canary-1234", "canary-1234", ""},
		"spaces are kept": {" canary 1234 \n", " canary 1234 ", ""},
		"longest":         {strings.Repeat("7", 255) + "\r\n", strings.Repeat("7", 255), ""},
		"too long":        {strings.Repeat("7", 256) + "\n", "", "longer than"},
		"far too long":    {strings.Repeat("7", 5000), "", "longer than"},
		"empty":           {"", "", "holds no PIN"},
		"only a newline":  {"\n", "", "holds no PIN"},
		"two newlines":    {"canary-1234\n\n", "", "more than one line"},
		"two lines":       {"canary-1234\nx\n", "", "more than one line"},
		"a control":       {"canary\t1234\n", "", "control character"},
		"a NUL":           {"canary\x001234\n", "", "control character"},
	} {
		pin, err := PINFromFile(pinFile(t, c.content, 0o600))
		if string(pin) != c.want || (err == nil) != (c.fault == "") {
			t.Errorf("%s: %q, %v", name, pin, err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "777777777777")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPINFilesThatOthersCanReachAreRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o400, 0o600, 0o700} {
		if _, err := PINFromFile(pinFile(t, "1234\n", mode)); err != nil {
			t.Errorf("%o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o666} {
		pin, err := PINFromFile(pinFile(t, "1234\n", mode))
		var s *strict.Error
		if pin != nil || !errors.As(err, &s) || !strings.HasPrefix(s.Hint, "chmod 600 /") {
			t.Errorf("%o: %q, %v", mode, pin, err)
		}
	}
}

func TestPINFilesOfOthersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := pinFile(t, "1234\n", 0o600)
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if pin, err := PINFromFile(path); pin != nil || err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("%q, %v", pin, err)
	}
}

func TestPINFilesAreRegularFiles(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, os.DevNull} {
		if pin, err := PINFromFile(path); pin != nil || err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %q, %v", path, pin, err)
		}
	}
	if _, err := PINFromFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	// Secrets are often handed to containers as links.
	link := filepath.Join(dir, "link")
	if err := os.Symlink(pinFile(t, "1234\n", 0o600), link); err != nil {
		t.Fatal(err)
	}
	if pin, err := PINFromFile(link); string(pin) != "1234" || err != nil {
		t.Errorf("%q, %v", pin, err)
	}
}

func TestPINFromFD(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.WriteString(w, "1234\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	fd, err := syscall.Dup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if pin, err := PINFromFD(fd); string(pin) != "1234" || err != nil {
		t.Errorf("%q, %v", pin, err)
	}
	for _, n := range []int{-1, 1, 2, 9999} {
		if pin, err := PINFromFD(n); pin != nil || err == nil {
			t.Errorf("%d: %q, %v", n, pin, err)
		}
	}
}

func TestAPINThatCantBeReadIsAnError(t *testing.T) {
	if pin, err := readPIN(broken{}, "x"); pin != nil || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%q, %v", pin, err)
	}
}
