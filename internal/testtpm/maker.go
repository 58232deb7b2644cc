//go:build linux

// Package testtpm runs TPMs in software and tpm2-pkcs11 on them: for tests alone.
package testtpm

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

// Maker makes TPMs, and certifies their endorsement keys.
type Maker struct {
	t         testing.TB
	dir       string
	Certified []*x509.Certificate // the maker's certificates, the root last
}

// NewMaker has its files in a directory. A test is skipped where there is no
// swtpm, except in CI.
func NewMaker(t testing.TB, dir string) *Maker {
	t.Helper()
	need(t, "apt-get install swtpm swtpm-tools", "swtpm", "swtpm_setup", "swtpm_localca")
	m := &Maker{t: t, dir: filepath.Join(dir, "maker")}
	m.make(0o700, "ca")
	localca, err := exec.LookPath("swtpm_localca")
	m.check(err)
	ca := filepath.Join(m.dir, "ca")
	for path, text := range map[string]string{
		"localca.conf":    fmt.Sprintf("statedir = %s\nsigningkey = %s/signkey.pem\nissuercert = %s/issuercert.pem\ncertserial = %s/certserial\n", ca, ca, ca, ca),
		"localca.options": "--platform-manufacturer test\n--platform-version 1\n--platform-model test\n",
		"setup.conf":      fmt.Sprintf("create_certs_tool = %s\ncreate_certs_tool_config = %s/localca.conf\ncreate_certs_tool_options = %s/localca.options\nactive_pcr_banks = sha256\n", localca, m.dir, m.dir),
	} {
		m.check(os.WriteFile(filepath.Join(m.dir, path), []byte(text), 0o600))
	}
	return m
}

func need(t testing.TB, how string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			absent(t, fmt.Sprintf("%s is not installed (%s)", program, how))
		}
	}
}

// absent skips, except in CI where a skip would hide that nothing was tested.
func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI must have it", what)
	}
	t.Skip(what)
}

func (m *Maker) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *Maker) make(mode os.FileMode, names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.check(os.MkdirAll(filepath.Join(m.dir, name), mode))
	}
}

func (m *Maker) certificate(name string) *x509.Certificate {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.dir, "ca", name))
	m.check(err)
	block, _ := pem.Decode(data)
	if block == nil {
		m.t.Fatalf("%s has no certificate", name)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	m.check(err)
	return cert
}

// TPM is a TPM in software, which ends with the test.
type TPM struct {
	Name string
	// TCTI is the way to it, as tpm2-tss writes it. Any number of programs may go
	// it at the same time: commands take turns.
	TCTI    string
	Address string // the same, of TCP
}

// Start makes a TPM, with an RSA endorsement key that the maker certified, and
// starts it.
func (m *Maker) Start(name string) *TPM {
	m.t.Helper()
	state := filepath.Join(m.dir, name)
	m.make(0o700, name)
	setup := exec.Command("swtpm_setup", "--tpm2", "--tpmstate", state, "--config", filepath.Join(m.dir, "setup.conf"), "--createek", "--create-ek-cert", "--lock-nvram", "--overwrite", "--vmid", name)
	if out, err := setup.CombinedOutput(); err != nil {
		m.t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	if m.Certified == nil {
		m.Certified = []*x509.Certificate{m.certificate("issuercert.pem"), m.certificate("swtpm-localca-rootca-cert.pem")}
	}
	// A socket's path has at most 108 bytes, and a test's directory may have more.
	sockets, err := os.MkdirTemp("", "tpm-")
	m.check(err)
	m.t.Cleanup(func() { os.RemoveAll(sockets) })
	data, control := filepath.Join(sockets, "data"), filepath.Join(sockets, "control")
	// It ends by itself when this test closes its one connection, or is gone.
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--terminate", "--tpmstate", "dir="+state, "--server", "type=unixio,path="+data, "--ctrl", "type=unixio,path="+control, "--flags", "not-need-init,startup-clear")
	p := await.Start(m.t, cmd)
	var tpm net.Conn
	if !p.Until(func() bool { tpm, err = net.Dial("unix", data); return err == nil }) {
		m.t.Fatalf("swtpm doesn't start: %v", err)
	}
	address := serve(m.t, tpm, control)
	return &TPM{Name: name, TCTI: fmt.Sprintf("swtpm:host=%s,port=%d", address.IP, address.Port), Address: address.String()}
}

// Digest is the SHA-256 of a certificate's key, by which it is pinned.
func Digest(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
