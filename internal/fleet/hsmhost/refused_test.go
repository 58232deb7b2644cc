//go:build cgo && linux

package hsmhost

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchorhsm"
)

func TestAnHSMsProcessThatCannotBeginSaysWhy(t *testing.T) {
	c, _, _ := kryoptic(t)
	open := func(change func(*Config), pin string) error {
		changed := *c
		change(&changed)
		p, err := Start(folder(t), &changed, []byte(pin))
		if err == nil {
			_ = p.Stop()
		}
		return err
	}
	for what, x := range map[string]struct {
		err  error
		says string
	}{
		"a wrong PIN":   {open(func(*Config) {}, "a wrong PIN"), "PIN"},
		"no such token": {open(func(c *Config) { c.Label = "another" }, pin), "no such token"},
		"no module":     {open(func(c *Config) { c.Module = "/nowhere/module.so" }, pin), "can't be opened as a PKCS#11 module"},
		"no time":       {open(func(c *Config) { c.Patience = maxPatience + 1 }, pin), "doesn't begin"},
	} {
		if x.err == nil || !strings.Contains(x.err.Error(), x.says) || strings.Contains(x.err.Error(), "a wrong PIN") {
			t.Errorf("%s: %v; it should say %q", what, x.err, x.says)
		}
	}
	if err := open(func(*Config) {}, strings.Repeat("1", maxPIN+1)); err == nil {
		t.Error("a PIN of any length is taken")
	}
}

func TestTheSocketStandsInAFolderOfOnesOwn(t *testing.T) {
	c, _, _ := kryoptic(t)
	dir := folder(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(dir, c, []byte(pin)); err == nil || !strings.Contains(err.Error(), "no folder of yours alone") {
		t.Errorf("in a folder that others see: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := start(t, c, dir)
	if _, err := Start(dir, c, []byte(pin)); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("twice in one folder: %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Socket(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(dir, c, []byte(pin)); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("in the place of a file: %v", err)
	}
}

func TestAnHSMThatKeepsNoAnchorStillSigns(t *testing.T) {
	const module = "/usr/lib/softhsm/libsofthsm2.so"
	if _, err := os.Stat(module); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("SoftHSM is not installed, and CI must have it")
		}
		t.Skip("SoftHSM is not installed")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "tokens"), 0o700), os.WriteFile(conf, []byte("directories.tokendir = "+dir+"/tokens\nobjectstore.backend = file\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	c := &Config{Module: module, Label: "node", Fleet: fleet}
	sign, _ := made(t, c)
	n := dial(t, start(t, c, folder(t)))
	defer n.Close()
	if _, err := n.Sign(sign.SPKI(), []byte("m")); err != nil {
		t.Error(err)
	}
	if _, err := n.Anchor().Read(); !errors.Is(err, anchorhsm.ErrUnfit) || !strings.Contains(err.Error(), "SoftHSM takes no new value") {
		t.Errorf("got %v", err)
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(must((&question{opSign, []byte("key"), []byte("message")}).encode()))
	f.Add([]byte{opSign, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		if q, err := parseQuestion(data); err == nil && !bytes.Equal(must(q.encode()), data) {
			t.Error("what was read is written otherwise")
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add((&answer{answerDone, []byte("signature")}).encode())
	f.Add([]byte{lastAnswer + 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := parseAnswer(data); err == nil && !bytes.Equal(a.encode(), data) {
			t.Error("what was read is written otherwise")
		}
	})
}

func FuzzConfig(f *testing.F) {
	var b bytes.Buffer
	if err := (&Config{Module: "/m.so", Label: "l", Fleet: fleet, TPM: &TPM{"device:/dev/tpmrm0", "/s"}, AnchorIndex: 1, Patience: 2}).give(&b, []byte(pin)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, pin, err := take(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := c.give(&b, pin); err != nil {
			t.Fatal(err)
		}
		again, _, err := take(&b)
		if err != nil || (again.TPM == nil) != (c.TPM == nil) || again.Module != c.Module || again.Fleet != c.Fleet || again.Patience != c.Patience {
			t.Errorf("read as %+v, then as %+v: %v", c, again, err)
		}
	})
}

func TestAnHSMsProcessGivesUpWhereAnotherOneStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	unlock, err := held(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held(file, time.Millisecond); !errors.Is(err, durable.ErrLocked) || !strings.Contains(err.Error(), "is the node running already?") {
		t.Errorf("it gets the lock that another one has: %v", err)
	}
	unlock()
	again, err := held(file, 0)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// tired is a listener that has no file descriptor left at first.
type tired struct {
	net.Listener
	times int
}

func (l *tired) Accept() (net.Conn, error) {
	if l.times--; l.times >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestAnHSMsProcessOutlivesThatItHasNoFileDescriptorNow(t *testing.T) {
	socket := filepath.Join(folder(t), socketName)
	l := must(net.Listen("unix", socket))
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (&host{c: &Config{}, ctx: ctx}).serve(&tired{l, 2}) }()
	c := must(net.Dial("unix", socket))
	if err := send(c, []byte{99}); err != nil { // no question, so that it says so and hangs up
		t.Error(err)
	}
	if _, err := receive(c, maxMessage); err != nil {
		t.Errorf("it doesn't answer: %v", err)
	}
	c.Close()
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
