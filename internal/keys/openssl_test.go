package keys

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What OpenSSL makes and signs we take, an ECDSA signature once it has the lower
// S. How OpenSSL can write a key otherwise we don't take.
func TestOpenSSLAgrees(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	run := func(t *testing.T, args ...string) {
		t.Helper()
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	msg := []byte("message")
	if err := os.WriteFile(file("msg"), msg, 0o600); err != nil {
		t.Fatal(err)
	}
	pss := []string{"-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:32"}
	for alg, how := range map[Algorithm]struct{ gen, sign []string }{
		Ed25519: {[]string{"-algorithm", "ed25519"}, nil},
		P256:    {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, []string{"-digest", "sha256"}},
		P384:    {[]string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}, []string{"-digest", "sha384"}},
		X25519:  {[]string{"-algorithm", "x25519"}, nil},
		RSA3072: {[]string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"}, append([]string{"-digest", "sha256"}, pss...)},
	} {
		t.Run(string(alg), func(t *testing.T) {
			key, pub, sig := file(string(alg)), file(string(alg)+".pub"), file(string(alg)+".sig")
			run(t, append([]string{"genpkey", "-out", key}, how.gen...)...)
			run(t, "pkey", "-in", key, "-pubout", "-outform", "DER", "-out", pub)
			der, err := os.ReadFile(pub)
			if err != nil {
				t.Fatal(err)
			}
			p, err := ParseSPKI(der)
			if err != nil || p.Algorithm() != alg || !bytes.Equal(p.SPKI(), der) {
				t.Fatal(err)
			}
			if !alg.CanSign() {
				return
			}
			for range 8 { // half of ECDSA's have the higher S
				args := append([]string{"pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", file("msg"), "-out", sig}, how.sign...)
				run(t, args...)
				b, err := os.ReadFile(sig)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Verify(ForTest, msg, normalised(t, alg, b)); err != nil {
					t.Errorf("%x: %v", b, err)
				}
			}
		})
	}
	// Points written otherwise, which OpenSSL takes.
	run(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file("ec"))
	for name, args := range map[string][]string{
		"compressed": {"-ec_conv_form", "compressed"}, "hybrid": {"-ec_conv_form", "hybrid"}, "explicit": {"-ec_param_enc", "explicit"},
	} {
		run(t, append([]string{"pkey", "-in", file("ec"), "-pubout", "-outform", "DER", "-out", file(name)}, args...)...)
		der, _ := os.ReadFile(file(name))
		if p, err := ParseSPKI(der); err == nil || p != nil || len(der) == 0 {
			t.Errorf("a %s point is admitted", name)
		}
	}
}
