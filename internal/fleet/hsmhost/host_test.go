//go:build cgo && linux

package hsmhost

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
	"github.com/fleetctl/fleetctl/internal/token"
)

const testNode = "test-node"

// TestMain is three programs: the tests, an HSM's process, and a node that writes
// anchors until it is killed.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == Command:
		err = Main(os.Stdin, os.Stdout)
	case len(os.Args) > 1 && os.Args[1] == testNode:
		err = writeAnchors(os.Args[2])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// writeAnchors writes one anchor after the other, and says of each that it is there.
func writeAnchors(socket string) error {
	c, err := Dial(context.Background(), socket)
	if err != nil {
		return err
	}
	k := c.Anchor()
	a, err := anchor.Load(k)
	if errors.Is(err, anchor.ErrNone) {
		a, err = anchor.Begin(k, fleet, rand.Reader)
	}
	if err != nil {
		return err
	}
	for {
		a.Term, a.LastTerm, a.LastIndex, a.Head = 1, 1, a.LastIndex+1, [32]byte{1}
		if err := k.Write(a.Encode()); err != nil {
			return err
		}
		fmt.Println(a.LastIndex)
	}
}

const pin, soPIN = "pin-of-a-token", "12345678"

var fleet = [16]byte{0xf1, 0xee, 0x7}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// kryoptic is a token with a key that signs and one that agrees; nobody has it open.
func kryoptic(t testing.TB) (c *Config, sign, agree *keys.Public) {
	t.Helper()
	c = &Config{Module: testkryoptic.Module(t), InitArgs: filepath.Join(t.TempDir(), "kryoptic.sql"), Label: "node", Fleet: fleet}
	sign, agree = made(t, c)
	return c, sign, agree
}

// made makes the token of a configuration, in this process, with a key that signs and one
// that agrees.
func made(t testing.TB, c *Config) (sign, agree *keys.Public) {
	t.Helper()
	list := tokenOf(t, c, keys.P256, keys.ECDHP256)
	return list[0], list[1]
}

// tokenOf makes the token of a configuration, in this process, with these keys.
func tokenOf(t testing.TB, c *Config, algorithms ...keys.Algorithm) (list []*keys.Public) {
	t.Helper()
	m, err := hsm.Open(c.Module, hsm.Options{InitArgs: c.InitArgs})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	must(m.InitToken(hsm.Init{Label: c.Label, SOPIN: []byte(soPIN), UserPIN: []byte(pin)}))
	tok := must(m.Token(hsm.Selector{Label: c.Label}))
	defer tok.Close()
	if err := tok.Login([]byte(pin)); err != nil {
		t.Fatal(err)
	}
	for _, alg := range algorithms {
		id := make([]byte, 16)
		_, _ = rand.Read(id) // never fails
		g := must(tok.Generate(token.KeySpec{Algorithm: string(alg), ID: id, Label: string(alg), Attributes: []token.Setting{
			{Name: token.Token, Value: true}, {Name: token.Private, Value: true}, {Name: token.Sensitive, Value: true}, {Name: token.Extractable, Value: false},
			{Name: token.Sign, Value: alg.CanSign()}, {Name: token.Derive, Value: !alg.CanSign()},
		}}))
		list = append(list, must(keys.ParseAs(alg, g.SPKI)))
	}
	return list
}

// folder is short: a socket's path has at most 108 bytes.
func folder(t testing.TB) string {
	t.Helper()
	dir := must(os.MkdirTemp("", "hsm-"))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t testing.TB, c *Config, dir string) *Process {
	t.Helper()
	p, err := Start(dir, c, []byte(pin))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop() })
	return p
}

func dial(t testing.TB, p *Process) *Client {
	t.Helper()
	c, err := Dial(t.Context(), p.Socket())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnHSMsProcessAppendsToTheTraceOfWhoeverStartedIt(t *testing.T) {
	c, sign, _ := kryoptic(t)
	c.Trace = filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(c.Trace, []byte("what was there\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, c, folder(t))
	n := dial(t, p)
	must(n.Sign(sign.SPKI(), []byte("a handshake")))
	if err := errors.Join(n.Close(), p.Stop()); err != nil {
		t.Error(err)
	}
	trace := string(must(os.ReadFile(c.Trace)))
	for _, want := range []string{"what was there\n", "C_Login ", "C_Sign ", "C_Finalize "} {
		if !strings.Contains(trace, want) {
			t.Errorf("the trace lacks %q:\n%s", want, trace)
		}
	}
	for _, secret := range []string{pin, "a handshake"} {
		if strings.Contains(trace, secret) {
			t.Errorf("the trace has %q", secret)
		}
	}
	c.Trace = t.TempDir() // where nothing can be written
	if p, err := Start(folder(t), c, []byte(pin)); err == nil {
		t.Errorf("it begins without the trace that was asked for; stopped: %v", p.Stop())
	}
}

func TestAnHSMsProcessSignsAgreesAndKeepsTheAnchor(t *testing.T) {
	c, sign, agree := kryoptic(t)
	p := start(t, c, folder(t))
	n := dial(t, p)
	if !strings.Contains(n.About(), "Kryoptic") {
		t.Errorf("it is %q", n.About())
	}
	message := []byte("a handshake")
	for range 2 {
		if err := sign.Verify(keys.ForSession, message, must(n.Sign(sign.SPKI(), message))); err != nil {
			t.Error(err)
		}
	}
	s := must(keys.DrawScalar(keys.ECDHP256, rand.Reader))
	if got := must(n.Agree(agree.SPKI(), must(s.Peer(nil)).Encode())); !bytes.Equal(got, must(s.Secret(agree))) {
		t.Errorf("agreed on %x", got)
	}
	k := n.Anchor()
	if _, err := k.Read(); !errors.Is(err, anchor.ErrNone) {
		t.Errorf("before there is an anchor: %v", err)
	}
	a := must(anchor.Begin(k, fleet, rand.Reader))
	if got := must(anchor.Load(k)); *got != *a {
		t.Errorf("read as %+v", got)
	}
	if err := k.Write([]byte("none")); err == nil {
		t.Error("something else than an anchor is written")
	}
	for what, err := range map[string]error{
		"a peer that is none":         second(n.Agree(agree.SPKI(), []byte{1})),
		"a key that signs agrees":     second(n.Agree(sign.SPKI(), must(s.Peer(nil)).Encode())),
		"a key of nobody's":           second(n.Sign([]byte("key"), message)),
		"a message that is too large": second(n.Sign(sign.SPKI(), make([]byte, maxPayload+1))),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if must(anchor.Load(k)).Incarnation != a.Incarnation {
		t.Error("errors end the session")
	}
	if err := k.Remove(); err != nil || !errors.Is(second(k.Read()), anchor.ErrNone) {
		t.Errorf("removed: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(p.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its socket is left: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// node starts the test's node, and gives what it says.
func node(t testing.TB, host *Process) (*await.Process, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(must(os.Executable()), testNode, host.Socket())
	r, w, err := os.Pipe() // what it has said can be read once it is killed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	p, lines := await.Start(t, cmd), bufio.NewScanner(r)
	w.Close()
	return p, lines
}

// number is what a node has just said.
func number(lines *bufio.Scanner) uint64 { return must(strconv.ParseUint(lines.Text(), 10, 64)) }

func TestAnHSMsProcessOutlivesTheNodeThatIsKilledAndTakesTheNext(t *testing.T) {
	c, sign, _ := kryoptic(t)
	p := start(t, c, folder(t))
	said := uint64(0)
	for range 3 {
		one, lines := node(t, p)
		for range 20 {
			if !lines.Scan() {
				t.Fatal("the node ends by itself")
			}
			said = number(lines)
		}
		one.Kill() // kill -9, while an anchor is written
		for lines.Scan() {
			said = number(lines)
		}
		n := dial(t, p)
		a := must(anchor.Load(n.Anchor()))
		if a.LastIndex != said && a.LastIndex != said+1 { // the last one may have been written, and not said
			t.Errorf("the anchor is at %d, and the node has said %d", a.LastIndex, said)
		}
		said = a.LastIndex
		if err := sign.Verify(keys.ForSession, []byte("m"), must(n.Sign(sign.SPKI(), []byte("m")))); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := syscall.Kill(p.PID(), 0); err != nil {
		t.Errorf("the HSM's process is gone: %v", err)
	}
}

func TestTwoNodesNeverHaveOneHSM(t *testing.T) {
	c, _, _ := kryoptic(t)
	p := start(t, c, folder(t))
	one := dial(t, p)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := Dial(ctx, p.Socket()); done <- err }()
	if _, err := anchor.Begin(one.Anchor(), fleet, rand.Reader); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("a second node is not kept waiting: %v", err)
	default:
	}
	stop()
	err := <-done
	if early := errors.Is(err, context.Canceled) && strings.Contains(err.Error(), "isn't reached"); err == nil || !early && !strings.Contains(err.Error(), "another node has this HSM") {
		t.Errorf("got %v", err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	two := dial(t, p) // the one that gave up is passed over
	if _, err := anchor.Load(two.Anchor()); err != nil {
		t.Error(err)
	}
	two.Close()
}

func TestANodeAsksNothingMoreOfAnHSMThatIsGone(t *testing.T) {
	c, _, _ := kryoptic(t)
	p := start(t, c, folder(t))
	n := dial(t, p)
	a := must(anchor.Begin(n.Anchor(), fleet, rand.Reader))
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.Anchor().Write(a.Encode()); err == nil || !strings.Contains(err.Error(), "start the node anew") {
			t.Errorf("got %v", err)
		}
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("what was killed is stopped: %v", err)
	}
}

func TestAnHSMsProcessEndsWithWhoeverStartedIt(t *testing.T) {
	c, _, _ := kryoptic(t)
	p := start(t, c, "") // in a folder that goes with it
	dir := filepath.Dir(p.Socket())
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("its folder: %v, %v", info, err)
	}
	n := dial(t, p)
	defer n.Close()
	p.pipe.Close() // as the kernel does when this process is killed
	if err := <-p.ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
	p.ended <- nil
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is left: %v", err)
	}
	if _, err := n.Anchor().Read(); err == nil {
		t.Error("it answers after its end")
	}
}

func TestAnHSMsProcessWaitsForTheOneBeforeIt(t *testing.T) {
	c, _, _ := kryoptic(t)
	c.Lock = filepath.Join(t.TempDir(), "lock")
	one := start(t, c, "")
	began := make(chan *Process, 1)
	go func() {
		p, err := Start("", c, []byte(pin))
		if err != nil {
			t.Error(err)
		}
		began <- p
	}()
	n := dial(t, one)
	a := must(anchor.Begin(n.Anchor(), fleet, rand.Reader))
	select {
	case <-began:
		t.Fatal("two processes have one token")
	default:
	}
	n.Close()
	if err := one.Stop(); err != nil {
		t.Error(err)
	}
	two := <-began
	defer two.Stop()
	m := dial(t, two)
	defer m.Close()
	if got := must(anchor.Load(m.Anchor())); *got != *a {
		t.Errorf("the next one has %+v", got)
	}
}

func TestAnHSMsProcessKeepsTheAnchorInATPM(t *testing.T) {
	k := inTPM(t).(*Anchor)
	a := must(anchor.Begin(k, fleet, rand.Reader))
	for n := range uint64(5) {
		a.Term, a.LastTerm, a.LastIndex, a.Head = 1, 1, n+1, [32]byte{1}
		if err := k.Write(a.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(anchor.Load(k)); *got != *a {
		t.Errorf("read as %+v", got)
	}
	if err := k.Remove(); err != nil || !errors.Is(second(k.Read()), anchor.ErrNone) {
		t.Errorf("removed: %v", err)
	}
}
