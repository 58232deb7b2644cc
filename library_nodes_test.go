package fleetctl_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle/answer"
	"github.com/fleetctl/fleetctl/bundle/device"
)

// exampleWorlds are what runs while an example does, by the heading above it; each
// gives what is looked at afterwards.
var exampleWorlds = map[string]func(*testing.T, string) func(){"A client refuses before it opens a session": fourNodes}

// fourNodes serve what the client of the example meets: an honest one, one that
// hands out an older epoch, one whose session has a stranger's key, one that hands
// out the fleet's retirement.
func fourNodes(t *testing.T, dir string) func() {
	t.Helper()
	var lines strings.Builder
	var met [4]atomic.Int64
	for i, n := range []struct{ epoch, key string }{{"epoch-2", "backup-2026a/2/hsm-1"}, {"epoch-1", "backup-2026a/1/hsm-1"}, {"epoch-2", "somebody"}, {"retirement", "backup-2026a/2/hsm-2"}} {
		files := t.TempDir()
		write(t, filepath.Join(files, "bundle"), string(sample(t, deviceVectors+n.epoch+".json")))
		write(t, filepath.Join(files, "proof"), string(sample(t, deviceVectors+n.epoch+".tlog-proof")))
		p, err := device.ParsePolicy("policy", sample(t, deviceVectors+"policy.policy.json"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := answer.New(filepath.Join(files, "bundle"), filepath.Join(files, "proof"), "", p, func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) })
		if err != nil {
			t.Fatal(err)
		}
		node := httptest.NewServer(s)
		t.Cleanup(node.Close)
		fmt.Fprintf(&lines, "%s %s\n", node.URL, sessions(t, n.key, &met[i]))
	}
	write(t, filepath.Join(dir, "nodes"), lines.String())
	return func() {
		if met[0].Load() != 1 || met[1].Load() != 0 || met[2].Load() != 1 || met[3].Load() != 0 {
			t.Errorf("connections to the four nodes: %d, %d, %d, %d; the second and the fourth are refused before there is one", met[0].Load(), met[1].Load(), met[2].Load(), met[3].Load())
		}
	}
}

// sessions takes TLS sessions with the key of that name, and counts connections.
func sessions(t *testing.T, name string, met *atomic.Int64) (address string) {
	t.Helper()
	seed := sha256.Sum256([]byte("fleetctl test key " + name))
	key := ed25519.NewKeyFromSeed(seed[:])
	now := time.Now()
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			met.Add(1)
			go func() {
				defer c.Close()
				tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}).Handshake()
			}()
		}
	}()
	return l.Addr().String()
}
