package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/cli"
)

type plexiVector struct {
	ID          string `json:"id"`
	Ciphersuite uint32 `json:"ciphersuite"`
	Namespace   string `json:"namespace"`
	Timestamp   uint64 `json:"timestamp"`
	Epoch       uint64 `json:"epoch"`
	Digest      string `json:"digest"`
	Signature   string `json:"signature"`
	PublicKey   string `json:"public_key"`
	KeyID       uint8  `json:"key_id"`
	Message     string `json:"message"`
}

func plexiVectors(t *testing.T) []plexiVector {
	t.Helper()
	path := filepath.Join("..", "..", "bundle", "testdata", "plexi", "statements.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []plexiVector
	if err := json.Unmarshal(data, &list); err != nil || len(list) == 0 {
		t.Fatalf("%s: %d vectors, %v", path, len(list), err)
	}
	return list
}

// served is the statement as Cloudflare's service gives it.
func (v plexiVector) served(message bool) string {
	text := "null"
	if message && v.Message != "" {
		text = fmt.Sprintf("%q", v.Message)
	}
	return fmt.Sprintf(`{"version":%d,"ciphersuite":%d,"namespace":%q,"timestamp":%d,"epoch":%d,"digest":%q,"signature":%q,"key_id":%d,"serialized_message":%s}`,
		v.Ciphersuite, v.Ciphersuite, v.Namespace, v.Timestamp, v.Epoch, v.Digest, v.Signature, v.KeyID, text)
}

func (v plexiVector) policy(t *testing.T) string {
	t.Helper()
	key, err := hex.DecodeString(v.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`format: fleetctl policy v1
mode: production
namespaces: [%s]
third_parties_needed: 1
third_parties:
  - name: cloudflare
    key: %s
    confirmed: "cloudflare/plexi at 0108f7d"
claims:
  statement.signed: proven
`, v.Namespace, base64.StdEncoding.EncodeToString(key))
}

// flipDigit changes the nth hexadecimal digit of a text.
func flipDigit(s string, n int) string {
	digit := byte('0')
	if s[n] == '0' {
		digit = '1'
	}
	return s[:n] + string(digit) + s[n+1:]
}

func TestStatementsOfCloudflareVerify(t *testing.T) {
	for _, v := range plexiVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			dir := t.TempDir()
			file, policy := filepath.Join(dir, "statement.json"), filepath.Join(dir, "policy.yaml")
			write := func(path, text string) {
				t.Helper()
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(policy, v.policy(t))
			verify := func(want int) string {
				t.Helper()
				code, out, talk := runApp("verify", file, "--policy", policy, "--time", "2026-11-21T10:00:00Z")
				if code != want {
					t.Fatalf("exit code %d, want %d\n%s%s", code, want, out, talk)
				}
				return out
			}
			for _, message := range []bool{true, false} {
				write(file, v.served(message))
				if out := verify(cli.ExitDone); !strings.Contains(out, "VERIFIED   1 claim demanded, 1 shown") || strings.Contains(out, "NOT VERIFIED") {
					t.Fatalf("%s", out)
				}
			}
			wrong := map[string]func(*plexiVector){
				"digest":    func(x *plexiVector) { x.Digest = flipDigit(x.Digest, 17) },
				"signature": func(x *plexiVector) { x.Signature = flipDigit(x.Signature, 40) },
				"epoch":     func(x *plexiVector) { x.Epoch++ },
				"timestamp": func(x *plexiVector) { x.Timestamp++ },
			}
			for what, change := range wrong {
				bad := v
				change(&bad)
				write(file, bad.served(false))
				if out := verify(cli.ExitWrong); !strings.Contains(out, "NOT VERIFIED") {
					t.Errorf("%s changed: %s", what, out)
				}
			}
			bad := v
			bad.PublicKey = plexiVectors(t)[0].PublicKey
			if bad.PublicKey == v.PublicKey {
				bad.PublicKey = "2bbfbb39997fdb95feee40ef9f8827de0256732be06f64ed6408cc7e97c7f4d4"
			}
			write(file, v.served(false))
			write(policy, bad.policy(t))
			verify(cli.ExitWrong)
		})
	}
}
