//go:build unix

package sshkey_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sshkey"
)

// A hybrid key's file is refused by its type, before anybody is asked for a
// passphrase, and the hint says how its owner signs.
func TestAHybridKeysFileIsLeftToOpenSSH(t *testing.T) {
	line, err := os.ReadFile("../testdata/openssh/one.pub")
	if err != nil {
		t.Fatal(err)
	}
	k, err := sshsig.ParsePublicKey(strings.TrimSuffix(string(line), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	wire := append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
		Cipher, KDF, Options string
		Count                uint32
		Public, Private      []byte
	}{"aes256-ctr", "bcrypt", "", 1, k.Blob(), make([]byte, 64)})...)
	path := filepath.Join(t.TempDir(), "id_mldsa44_ed25519")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: wire}), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = sshkey.Open(path, func() ([]byte, error) {
		t.Error("a passphrase is asked for")
		return nil, nil
	})
	if err == nil || !strings.Contains(err.Error(), "holds a key of type ssh-mldsa44-ed25519@openssh.com, which OpenSSH alone signs with so far") {
		t.Error(err)
	}
}
