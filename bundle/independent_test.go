package bundle

import (
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// openssl verifies a signature with the tool that a sceptic would use.
func openssl(t *testing.T, spki, msg, sig []byte, args ...string) bool {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args = append([]string{"pkeyutl", "-verify", "-pubin", "-rawin",
		"-inkey", write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		"-sigfile", write("sig", sig), "-in", write("msg", msg)}, args...)
	out, err := exec.Command("openssl", args...).CombinedOutput()
	ok := strings.Contains(string(out), "Signature Verified Successfully")
	if ok != (err == nil) {
		t.Fatalf("openssl says %q and ends with %v", out, err)
	}
	return ok
}

func needOpenSSL(t *testing.T) {
	out, err := exec.Command("openssl", "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "OpenSSL 3") {
		t.Skipf("no OpenSSL 3 here (%q, %v)", out, err)
	}
}

func TestOpenSSLAgreesAboutStatements(t *testing.T) {
	needOpenSSL(t)
	prefix := must(hex.DecodeString("302a300506032b6570032100")) // RFC 8410, section 4
	for _, v := range plexiVectors(t) {
		s := must(ParseStatement(v.ID, v.served()))
		key := append(prefix[:len(prefix):len(prefix)], must(hex.DecodeString(v.PublicKey))...)
		if !openssl(t, key, s.Message(), s.Signature[:]) {
			t.Errorf("%s: openssl refuses the rebuilt message", v.ID)
		}
		s.Timestamp++
		if openssl(t, key, s.Message(), s.Signature[:]) {
			t.Errorf("%s: openssl takes another message", v.ID)
		}
	}
}

func TestOpenSSLAgreesAboutCountersignatures(t *testing.T) {
	needOpenSSL(t)
	w := newWorld()
	for _, alg := range keys.Algorithms {
		if !alg.CanSign() || alg.IsMLDSA() { // Debian's openssl has no ML-DSA
			continue
		}
		c := countersigned(alg, "operator", FormBound, w.set, w.statements...)
		var args []string
		switch alg {
		case keys.P256:
			args = []string{"-digest", "sha256"}
		case keys.P384:
			args = []string{"-digest", "sha384"}
		case keys.RSA3072:
			args = []string{"-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:32", "-pkeyopt", "rsa_mgf1_md:sha256"}
		}
		// The text as formats.md writes it, not as the package builds it.
		digest := w.set.Digest()
		text := fmt.Sprintf("fleetctl countersignature v1\nproduction\n%s\n1\n%x\n", w.set.Namespace, digest)
		for _, s := range w.bundle.Statements {
			text += "signer " + b64(s.Key[:]) + " " + b64(s.Statement.Signature[:]) + "\n"
		}
		if !openssl(t, c.Key.SPKI(), []byte(text), c.Signature, args...) {
			t.Errorf("%s: openssl refuses the countersignature", alg)
		}
		if openssl(t, c.Key.SPKI(), []byte(text+"\n"), c.Signature, args...) {
			t.Errorf("%s: openssl takes another text", alg)
		}
	}
}
