//go:build linux

package testtpm

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

// Store is a store of tpm2-pkcs11 with a token in each of some TPMs.
type Store struct {
	Module string
	File   string   // the store itself
	Env    []string // of every program that uses the module
}

// Token is one that is to be made.
type Token struct {
	TPM              *TPM
	Label            string
	UserPIN, SOPIN   string
	manager, managed string // the resource manager's name and TCTI
}

// NewStore makes tokens, a resource manager for each TPM before it, as Linux has
// one in /dev/tpmrm0: a TPM has room for a few objects.
func NewStore(t testing.TB, dir string, tokens ...Token) *Store {
	t.Helper()
	const how = "apt-get install libtpm2-pkcs11-1 libtpm2-pkcs11-tools libtss2-tcti-swtpm0 libtss2-tcti-tabrmd0 tpm2-abrmd dbus-daemon"
	need(t, how, "tpm2_ptool", "tpm2-abrmd", "dbus-daemon")
	list, _ := filepath.Glob("/usr/lib/*/libtpm2_pkcs11.so.1")
	if len(list) == 0 {
		absent(t, "tpm2-pkcs11 is not installed ("+how+")")
	}
	store := filepath.Join(dir, "store")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	sockets, err := os.MkdirTemp("", "bus-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	bus := filepath.Join(sockets, "bus")
	s := &Store{Module: list[0], File: filepath.Join(store, "tpm2_pkcs11.sqlite3"), Env: []string{
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + bus, "TPM2_PKCS11_STORE=" + store, "TPM2_PKCS11_LOG_LEVEL=0", "TSS2_LOG=all+none",
	}}
	s.daemon(t, func() error {
		c, err := net.Dial("unix", bus)
		if err == nil {
			c.Close()
		}
		return err
	}, "dbus-daemon", "--session", "--nofork", "--nosyslog", "--address=unix:path="+bus)
	for i := range tokens {
		k := &tokens[i]
		k.manager = fmt.Sprintf("org.fleetctl.tpm%d", i+1)
		k.managed = "tabrmd:bus_name=" + k.manager + ",bus_type=session"
		s.manage(t, k)
	}
	// Where a token has no TCTI of its own, and for the free slot.
	s.Env = append(s.Env, "TPM2_PKCS11_TCTI="+tokens[0].managed)
	for i, k := range tokens {
		s.ptool(t, k, "init", "--path", store)
		s.ptool(t, k, "addtoken", "--pid", fmt.Sprint(i+1), "--label", k.Label, "--userpin", k.UserPIN, "--sopin", k.SOPIN, "--path", store)
		s.ptool(t, k, "config", "--label", k.Label, "--key", "tcti", "--value", k.managed, "--path", store)
	}
	return s
}

// manage starts a resource manager. It is up when a program gets an answer of the
// TPM's through it.
func (s *Store) manage(t testing.TB, k *Token) {
	t.Helper()
	s.daemon(t, func() error {
		cmd := exec.Command("tpm2_getcap", "properties-fixed", "--tcti", k.managed)
		cmd.Env = append(os.Environ(), s.Env...)
		return cmd.Run()
	}, "tpm2-abrmd", "--allow-root", "--session", "--dbus-name="+k.manager, "--tcti="+k.TPM.TCTI)
}

func (s *Store) ptool(t testing.TB, k Token, args ...string) {
	t.Helper()
	cmd := exec.Command("tpm2_ptool", args...)
	cmd.Env = append(append(os.Environ(), s.Env...), "TPM2TOOLS_TCTI="+k.managed)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tpm2_ptool %s: %v\n%s", args[0], err, out)
	}
}

// daemon runs a program until the test is over, and returns when it is up.
func (s *Store) daemon(t testing.TB, up func() error, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), s.Env...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	p, err := await.Start(t, cmd), error(nil)
	if !p.Until(func() bool { err = up(); return err == nil }) {
		p.Kill()
		t.Fatalf("%s doesn't start: %v\n%s", name, err, said.String())
	}
}
