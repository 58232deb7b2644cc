//go:build cgo && linux

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testtpm"
)

// makersFile pins a TPM maker's root, as a person would who compared it.
func makersFile(t testing.TB, dir string, m *testtpm.Maker) {
	t.Helper()
	var above bytes.Buffer
	for _, c := range m.Certified {
		check(t, pem.Encode(&above, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	check(t, os.WriteFile(filepath.Join(dir, "maker.pem"), above.Bytes(), 0o644))
	root := m.Certified[len(m.Certified)-1]
	check(t, os.WriteFile(filepath.Join(dir, "makers.yaml"), fmt.Appendf(nil, `format: fleetctl anchors v1
anchors:
  - {vendor: swtpm, name: "the test's TPMs", formats: [tpm2-ek], spki_sha256: %x, origin: made by the test, check: "none: it is a test's", confirmed: a test}
`, testtpm.Digest(root)), 0o644))
}

var identityField = regexp.MustCompile(`(?m)^identity +([0-9a-f]{64})$`)

// enrolled has an authority certify a TPM's attestation key, by the commands, and
// gives the TPM's attestation identity. name-ak.pem is the certificate.
func (r *rig) enrolled(dir string, tpm *testtpm.TPM) string {
	r.t.Helper()
	name := tpm.Name
	m := identityField.FindSubmatch(r.run(dir, "attestation", "tpm", "request", "--tcti", tpm.TCTI, "--ek-certificates", "maker.pem", "--out", name+".request"))
	if m == nil {
		r.t.Fatal("the request shows no identity")
	}
	r.run(dir, "attestation", "tpm", "challenge", name+".request", "--anchors", "makers.yaml", "--keep", name+".expected", "--out", name+".challenge")
	r.run(dir, "attestation", "tpm", "answer", name+".challenge", "--tcti", tpm.TCTI, "--out", name+".answer")
	r.run(dir, "attestation", "tpm", "issue", name+".request", "--keep", name+".expected", "--answer", name+".answer",
		"--anchors", "makers.yaml", "--key", "authority.pem", "--certificate", "authority.crt", "--out", name+"-ak.pem")
	return string(m[1])
}

// TestTPMsAreEnrolled by two people and five commands, as docs/hsms/tpm.md has it.
func TestTPMsAreEnrolled(t *testing.T) {
	r := &rig{t: t, binary: released(t)}
	dir := t.TempDir()
	maker := testtpm.NewMaker(t, dir)
	tpms := []*testtpm.TPM{maker.Start("hsm-1"), maker.Start("hsm-2")}
	makersFile(t, dir, maker)
	r.run(dir, "attestation", "tpm", "authority", "--operator", "Example Ltd", "--key", "authority.pem", "--out", "authority.crt")
	for _, tpm := range tpms {
		id := r.enrolled(dir, tpm)
		if _, err := hex.DecodeString(id); err != nil || id == "" {
			t.Errorf("%s is %q", tpm.Name, id)
		}
	}
	for want, args := range map[string][]string{
		"this TPM can't open the challenge": {"attestation", "tpm", "answer", "hsm-1.challenge", "--tcti", tpms[1].TCTI, "--out", "wrong"},
		"made for another request": {"attestation", "tpm", "issue", "hsm-2.request", "--keep", "hsm-1.expected", "--answer", "hsm-1.answer",
			"--anchors", "makers.yaml", "--key", "authority.pem", "--certificate", "authority.crt", "--out", "wrong"},
		"the answer is wrong": {"attestation", "tpm", "issue", "hsm-1.request", "--keep", "hsm-1.expected", "--answer", "hsm-2.answer",
			"--anchors", "makers.yaml", "--key", "authority.pem", "--certificate", "authority.crt", "--out", "wrong"},
	} {
		out, err := r.command(dir, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(flat(out)), want) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "wrong")); err == nil {
		t.Error("something was written all the same")
	}
}
