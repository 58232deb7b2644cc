//go:build cgo && unix

package device

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/passkey"
	"github.com/fleetctl/fleetctl/internal/testbrowser"
)

var address = regexp.MustCompile(`http://localhost:\S+`)

// person does what the screen says: opens the address that is shown.
type person struct {
	heard   bytes.Buffer
	ctx     context.Context
	t       *testing.T
	browser *passkey.Virtual
	opened  sync.WaitGroup
}

func (p *person) Write(b []byte) (int, error) {
	if url := address.Find(b); url != nil {
		p.opened.Go(func() {
			if err := p.browser.Visit(p.ctx, string(url)); err != nil {
				p.t.Error(err)
			}
		})
	}
	return p.heard.Write(b)
}

// run runs the program with a person before it.
func (p *person) run(args ...string) (code int, out string) {
	var stdout bytes.Buffer
	p.heard.Reset()
	a := cli.New(strings.NewReader(""), &stdout, p)
	root := &cobra.Command{Use: "fleetctl", SilenceErrors: true, SilenceUsage: true, PersistentPreRunE: func(*cobra.Command, []string) error { return a.SetUp() }}
	a.Flags(root.PersistentFlags())
	root.AddCommand(Group(a))
	code = a.Run(p.ctx, root, args)
	p.opened.Wait()
	return code, stdout.String() + p.heard.String()
}

func TestAPersonSealsAKeyUnderAPasskeyAndOpensItAgain(t *testing.T) {
	v, err := passkey.StartVirtual(t.Context(), testbrowser.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &person{ctx: t.Context(), t: t, browser: v}
	dir := t.TempDir()
	record, again := filepath.Join(dir, "passkey.json"), filepath.Join(dir, "again")

	a := cli.New(strings.NewReader(""), &bytes.Buffer{}, p)
	if err := a.SetUp(); err != nil {
		t.Fatal(err)
	}
	key, err := client.NewKey(a.Random)
	if err != nil {
		t.Fatal(err)
	}
	o := &registerOptions{passkeyOut: record}
	o.account = "drill.alice"
	if err := o.keepUnderPasskey(t.Context(), a, key); err != nil {
		t.Fatal(err)
	}
	p.opened.Wait()

	if code, out := p.run("device", "recover", "--passkey", record, "--key-out", again); code != 0 || !strings.Contains(out, "drill.alice, by its passkey") || !strings.Contains(out, "not a vault") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if got, err := os.ReadFile(again); err != nil || string(got) != hex.EncodeToString(key)+"\n" {
		t.Errorf("another key is back: %v", err)
	}
	if code, out := p.run("device", "recover", "--passkey", record, "--key-out", again); code != cli.ExitUsage && code != cli.ExitFailed || !strings.Contains(out, "exist") {
		t.Errorf("a file is written over: exit code %d\n%s", code, out)
	}
	if code, out := p.run("device", "recover", "--passkey", record, "--key-out", again+"2", "--code", "file:x"); code != cli.ExitUsage || !strings.Contains(out, "leave out --code") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if err := v.Lose(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, out := p.run("device", "recover", "--passkey", record, "--key-out", again+"2"); code != cli.ExitWrong || !strings.Contains(out, "use the recovery code") {
		t.Errorf("after the passkey was lost: exit code %d\n%s", code, out)
	}
	if _, err := os.Stat(again + "2"); !os.IsNotExist(err) {
		t.Errorf("a key is written all the same: %v", err)
	}
}
