//go:build cgo && unix

package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/passkey"
	"github.com/fleetctl/fleetctl/internal/testbrowser"
)

// TestAKeyIsOpenedWithAPasskey: the command says which page to open; in a real browser,
// with an authenticator in software, the key comes back.
func TestAKeyIsOpenedWithAPasskey(t *testing.T) {
	v, err := passkey.StartVirtual(t.Context(), testbrowser.Path(t))
	check(t, err)
	defer v.Close()
	key, err := client.NewKey(rand.Reader)
	check(t, err)
	record, err := passkey.Create(t.Context(), rand.Reader, "drill.a", key, v.Visit)
	check(t, err)
	kept, out := filepath.Join(t.TempDir(), "passkey.json"), filepath.Join(t.TempDir(), "key")
	check(t, os.WriteFile(kept, record.Raw(), 0o600))

	var stdout bytes.Buffer
	talk, said := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), strings.NewReader(""), &stdout, said, []string{"device", "recover", "--passkey", kept, "--key-out", out, "--format", "json"})
		said.Close()
	}()
	for lines := bufio.NewScanner(talk); lines.Scan(); {
		if url := strings.TrimSpace(lines.Text()); strings.HasPrefix(url, "http://") {
			check(t, v.Visit(t.Context(), url))
		}
	}
	if code := <-ended; code != 0 {
		t.Fatalf("exit code %d", code)
	}
	check(t, printedBySchema(stdout.String()))
	if got, err := os.ReadFile(out); err != nil || string(got) != hex.EncodeToString(key)+"\n" {
		t.Errorf("another key: %v", err)
	}
}
