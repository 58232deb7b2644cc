//go:build unix

// Package testwitness runs torchwood's litewitness, a witness of other people's:
// for tests alone.
package testwitness

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

// built builds torchwood's witness and a program that verifies by torchwood, from
// the module in testdata, which nothing of ours depends on.
var built = sync.OnceValues(func() (string, error) {
	for _, name := range []string{"ssh-agent", "ssh-keygen", "ssh-add", "sqlite3"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", err
		}
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("where this package's files are isn't known")
	}
	dir, err := os.MkdirTemp("", "fleetctl-torchwood-")
	if err != nil {
		return "", err
	}
	for out, pkg := range map[string]string{"litewitness": "filippo.io/torchwood/cmd/litewitness", "verify": "."} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, out), pkg)
		cmd.Dir = filepath.Join(filepath.Dir(here), "testdata", "torchwood")
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		if text, err := cmd.CombinedOutput(); err != nil {
			os.RemoveAll(dir)
			return "", fmt.Errorf("%v: %s", err, text)
		}
	}
	return dir, nil
})

var needed bool

// Need gives the folder with litewitness and verify. A test is skipped where they
// can't be built.
func Need(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("building litewitness takes a minute")
	}
	needed = true
	dir, err := built()
	if err != nil {
		t.Skipf("torchwood's witness can't be built here: %v", err)
	}
	return dir
}

// CleanUp removes what Need built, when all tests of a package are over.
func CleanUp() {
	if needed {
		if dir, err := built(); err == nil {
			os.RemoveAll(dir)
		}
	}
}

// Litewitness runs torchwood's witness for a log until the test is over, and gives
// its line of a policy, in which it is called lite.
func Litewitness(t testing.TB, origin, vkey, name string) (line string) {
	t.Helper()
	bin := Need(t)
	dir := t.TempDir()
	agent := filepath.Join(dir, "s")
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+agent)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	start := func(name string, args ...string) *bufio.Scanner {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		await.Start(t, cmd)
		return bufio.NewScanner(out)
	}
	run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
	start("ssh-agent", "-D", "-a", agent)
	await.Until(t, "ssh-agent answers", func() bool { return dials("unix", agent) })
	run("ssh-add", "-q", "key")
	fingerprint := strings.Fields(run("ssh-keygen", "-lf", "key.pub"))[1]
	addr := fmt.Sprintf("127.0.0.1:%d", await.Ports(t, 1))
	said := start(filepath.Join(bin, "litewitness"), "-db", "w.db", "-name", name, "-key", fingerprint, "-ssh-agent", agent, "-listen", addr)
	own := ""
	for own == "" && said.Scan() {
		if _, after, ok := strings.Cut(said.Text(), "vkey="); ok {
			own = strings.Trim(strings.Fields(after)[0], `"`)
		}
	}
	go func() {
		for said.Scan() { // its log would else fill the pipe
		}
	}()
	if own == "" {
		t.Fatal("litewitness named no key")
	}
	run("sqlite3", "-cmd", ".timeout 300000", "w.db", fmt.Sprintf("INSERT INTO log VALUES('%s',0,'47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='); INSERT INTO key VALUES('%s','%s');", origin, origin, vkey))
	await.Until(t, "litewitness answers", func() bool { return dials("tcp", addr) })
	return fmt.Sprintf("witness lite %s http://%s\n", own, addr)
}

func dials(network, address string) bool {
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err == nil
}
