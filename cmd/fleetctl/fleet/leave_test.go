//go:build cgo && linux

package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/hsmhost"
	"github.com/fleetctl/fleetctl/internal/fleet/node"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testkryoptic"
)

// TestMain is two programs: the tests, and an HSM's process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == hsmhost.Command {
		if err := hsmhost.Main(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// rig is a node's HSM, a token of kryoptic that keeps anchors, and the files that name it.
type rig struct {
	*testing.T
	dir    string
	config *hsmhost.Config
	pin    string
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, dir: t.TempDir(), pin: "pin-of-a-token"}
	f := testfleet.New(t, testfleet.Options{Name: t.Name(), Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}}})
	b := must(bundle.ParseBundle("bundle", f.Files[ceremony.BundleFile]))
	r.config = &hsmhost.Config{Module: testkryoptic.Module(t), InitArgs: r.file("kryoptic.sql"), Label: "fleet-1", Fleet: node.Fleet(b.KeySet, false)}
	m := must(hsm.Open(r.config.Module, hsm.Options{InitArgs: r.config.InitArgs}))
	_, err := m.InitToken(hsm.Init{Label: "fleet-1", SOPIN: []byte("12345678"), UserPIN: []byte(r.pin)})
	if err := errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	r.write("bundle.json", string(f.Files[ceremony.BundleFile]))
	r.write("pin", r.pin+"\n")
	site := "format: fleetctl fleet-site v1\nnodes:\n"
	for i, name := range b.KeySet.HSMs() {
		site += fmt.Sprintf("  - {hsm: %s, address: '127.0.0.1:%d', peers: '127.0.0.1:%d'", name, 7101+i, 7201+i)
		if i == 0 {
			site += fmt.Sprintf(", module: '%s', init_args: '%s', token: fleet-1, pin: 'file:%s', dir: '%s', anchor: token", r.config.Module, r.config.InitArgs, r.file("pin"), r.file("node"))
		}
		site += "}\n"
	}
	r.write("fleet.yaml", site)
	return r
}

func (r *rig) file(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, text string) {
	r.Helper()
	if err := os.WriteFile(r.file(name), []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

// with has the HSM's process do something with the anchor.
func (r *rig) with(do func(*hsmhost.Anchor) error) {
	r.Helper()
	p := must(hsmhost.Start("", r.config, []byte(r.pin)))
	c := must(hsmhost.Dial(r.Context(), p.Socket()))
	if err := errors.Join(do(c.Anchor()), c.Close(), p.Stop()); err != nil {
		r.Fatal(err)
	}
}

// leave runs the command, without a terminal.
func (r *rig) leave(more ...string) (out string, err error) {
	r.Helper()
	var stdout, stderr bytes.Buffer
	a := cli.New(strings.NewReader(""), &stdout, &stderr)
	root := &cobra.Command{Use: "fleetctl", SilenceErrors: true, SilenceUsage: true, PersistentPreRunE: func(*cobra.Command, []string) error { return a.SetUp() }}
	a.Flags(root.PersistentFlags())
	root.AddCommand(Group(a))
	root.SetArgs(append([]string{"fleet", "leave", r.file("bundle.json"), "--site", r.file("fleet.yaml"), "--hsm", "hsm-1"}, more...))
	err = root.ExecuteContext(context.Background())
	return stdout.String() + stderr.String(), err
}

// refused demands that the command fails, and says this.
func (r *rig) refused(text string, more ...string) {
	r.Helper()
	_, err := r.leave(more...)
	if err == nil || !strings.Contains(err.Error(), text) {
		r.Errorf("%v; it should say %q", err, text)
	}
}

func TestAnAnchorIsTakenOutOnceItsIncarnationIsAgreedTo(t *testing.T) {
	r := newRig(t)
	r.refused("has no anchor of fleet")
	var a *anchor.Anchor
	r.with(func(k *hsmhost.Anchor) (err error) {
		a, err = anchor.Begin(k, r.config.Fleet, rand.Reader)
		return err
	})
	life := hex.EncodeToString(a.Incarnation[:])
	if out, _ := r.leave(); !strings.Contains(out, life) || !strings.Contains(out, "never be believed again") {
		t.Errorf("it isn't shown: %s", out)
	}
	r.refused("there is no terminal to ask at")
	r.refused("--agree names another", "--agree", strings.Repeat("0", 32))
	still := func() {
		t.Helper()
		r.with(func(k *hsmhost.Anchor) error {
			got, err := anchor.Load(k)
			if err == nil && *got != *a {
				err = errors.New("it is another one")
			}
			return err
		})
	}
	still()

	// A node that runs has the HSM, though somebody has moved its folder away.
	r.config.Lock = r.file("node") + ".hsm-lock"
	p := must(hsmhost.Start("", r.config, []byte(r.pin)))
	r.refused("node hsm-1 runs", "--agree", life)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	still()

	if out, err := r.leave("--agree", life); err != nil || !strings.Contains(out, "nothing of it may be used again") {
		t.Fatal(out, err)
	}
	r.refused("has no anchor of fleet", "--agree", life)
	r.with(func(k *hsmhost.Anchor) error {
		if _, err := k.Read(); !errors.Is(err, anchor.ErrNone) {
			return fmt.Errorf("it is still there: %w", err)
		}
		return nil
	})
	// And the HSM takes the next one, which is taken out for a program.
	r.with(func(k *hsmhost.Anchor) (err error) {
		a, err = anchor.Begin(k, r.config.Fleet, rand.Reader)
		return err
	})
	schema := must(jsonschema.NewCompiler().Compile("../../../docs/schemas/fleet-leave-result-v1.json"))
	var said string
	out, err := r.leave("--agree", hex.EncodeToString(a.Incarnation[:]), "--format", "json")
	if err == nil {
		said = out[strings.Index(out, "{") : strings.LastIndex(out, "}")+1]
		err = schema.Validate(must(jsonschema.UnmarshalJSON(strings.NewReader(said))))
	}
	if err != nil || !strings.Contains(said, hex.EncodeToString(a.Incarnation[:])) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestANodeWithoutAnAnchorInItsHSMHasNothingToTakeOut(t *testing.T) {
	r := newRig(t)
	r.write("fleet.yaml", strings.Replace(string(must(os.ReadFile(r.file("fleet.yaml")))), "anchor: token", "anchor: none", 1))
	r.refused("has its anchor nowhere but in its folder")
}
