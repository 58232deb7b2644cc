//go:build unix

package witness_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/await"
)

var peersDir string // to be removed when all tests are over

// peers builds torchwood's witness and a program that verifies by torchwood,
// from the module in testdata, which nothing of ours depends on.
var peers = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fleetctl-torchwood-")
	if err != nil {
		return "", err
	}
	peersDir = dir
	for _, name := range []string{"ssh-agent", "ssh-keygen", "ssh-add", "sqlite3"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", err
		}
	}
	for out, pkg := range map[string]string{"litewitness": "filippo.io/torchwood/cmd/litewitness", "verify": "."} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, out), pkg)
		cmd.Dir = "testdata/torchwood"
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		if text, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %s", err, text)
		}
	}
	return dir, nil
})

func needPeers(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("building litewitness takes a minute")
	}
	dir, err := peers()
	if err != nil {
		t.Skipf("torchwood's witness can't be built here: %v", err)
	}
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if peersDir != "" {
		os.RemoveAll(peersDir)
	}
	os.Exit(code)
}

// litewitness runs torchwood's witness for a log.
func litewitness(t *testing.T, origin, vkey, name string) (line string) {
	t.Helper()
	bin := needPeers(t)
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+filepath.Join(dir, "s"))
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
		check(t, err)
		cmd.Stdout = nil
		check(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return bufio.NewScanner(out)
	}
	run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
	start("ssh-agent", "-D", "-a", filepath.Join(dir, "s"))
	await.Until(t, "ssh-agent answers", func() bool { return dials("unix", filepath.Join(dir, "s")) })
	run("ssh-add", "-q", "key")
	fingerprint := strings.Fields(run("ssh-keygen", "-lf", "key.pub"))[1]
	addr := fmt.Sprintf("127.0.0.1:%d", await.Ports(t, 1))
	said := start(filepath.Join(bin, "litewitness"), "-db", "w.db", "-name", name, "-key", fingerprint, "-ssh-agent", filepath.Join(dir, "s"), "-listen", addr)
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

// TestRealWitness has torchwood's witness and ours cosign together, then shows
// both a forked log.
func TestRealWitness(t *testing.T) {
	l := newLog(t)
	lite := litewitness(t, origin, l.vkey, "witness.example/lite")
	_, line, _ := ours(t, l, "witness.example/ours")
	lines := lite + line
	p := policy(t, l, lines, "group both all lite witness-example-ours\nquorum both\n")
	var fork *testLog
	for i, n := range []int{1, 4, 300} {
		c := l.grow(t, fmt.Sprint(i), n)
		got, answers := collect(l, p, c, witness.Ask{})
		cosigning, err := p.VerifyCheckpoint(got)
		if err != nil || !cosigning.Quorum {
			t.Fatalf("%v %+v, %v", answers, cosigning, err)
		}
		if i == 1 {
			fork = l.fork(t)
		}
		if i == 2 {
			verifyByTorchwood(t, l, got, lines)
		}
	}
	// Renewed at the same size.
	c, err := l.Checkpoint()
	check(t, err)
	if _, answers := collect(l, p, c, witness.Ask{Again: true}); answers[0].Err != nil || answers[1].Err != nil {
		t.Errorf("renewing: %v", answers)
	}

	// The guard sees nothing in the fork, since its own directory was copied
	// too. Both witnesses do.
	smaller := fork.grow(t, "fork", 7)
	_, answers := collect(fork, p, smaller, witness.Ask{})
	for _, x := range answers {
		if !errors.Is(x.Err, witness.ErrAhead) {
			t.Errorf("a smaller fork: %v", x.Err)
		}
	}
	larger := fork.grow(t, "more", 500)
	_, answers = collect(fork, p, larger, witness.Ask{})
	for _, x := range answers {
		if !errors.Is(x.Err, witness.ErrFork) {
			t.Errorf("a larger fork: %v", x.Err)
		}
	}
}

// verifyByTorchwood has torchwood's code verify our proofs.
func verifyByTorchwood(t *testing.T, l *testLog, c *auditlog.Checkpoint, lines string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, data, 0o600))
		return path
	}
	policy := file("policy", []byte("log "+l.vkey+"\n"+lines+"group both all lite witness-example-ours\nquorum both\n"))
	for _, index := range []uint64{0, 3, 256, c.Size - 1} {
		leaf, err := l.Entry(context.Background(), index)
		check(t, err)
		proof, err := l.ProveUnder(context.Background(), index, c)
		check(t, err)
		verify := func(leaf []byte) error {
			return exec.Command(filepath.Join(needPeers(t), "verify"), policy, file("proof", proof), file("leaf", leaf)).Run()
		}
		if err := verify(leaf); err != nil {
			t.Errorf("torchwood refuses our proof of entry %d: %v", index, err)
		}
		if verify(append(leaf, 'x')) == nil {
			t.Error("torchwood takes any leaf")
		}
	}
}
