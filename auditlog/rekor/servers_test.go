package rekor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

func TestMain(m *testing.M) { testrekor.Main(m) }

// server is a real server, with its log pinned.
type server struct {
	version          int
	url, origin, cli string
	log              *auditlog.RekorLog
}

func realServer(t testing.TB, version int) *server {
	t.Helper()
	s := testrekor.Real(t, version)
	key, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	log, err := auditlog.NewRekorLog(version, s.Origin, string(key))
	if err != nil {
		t.Fatal(err)
	}
	return &server{version, s.URL, s.Origin, s.CLI, log}
}

// eachServer runs a test against the real servers of both versions.
func eachServer(t *testing.T, test func(t *testing.T, s *server)) {
	for version := 1; version <= 2; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) { test(t, realServer(t, version)) })
	}
}

func (s *server) client(t testing.TB, o Options) *Client {
	t.Helper()
	if o.URL == "" {
		o.URL = s.url
	}
	c, err := New(s.log, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bundleOf is any bytes, no two alike: Rekor knows nothing of bundles.
func bundleOf(t testing.TB, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

var submitterKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func submitter(t testing.TB) *keys.Public {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(submitterKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	p, err := keys.ParseSPKI(der)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func envelopeOf(bundle []byte) []byte {
	return auditlog.NewRekorEnvelope(bundle, testrekor.LowS(submitterKey(), auditlog.RekorMessage(bundle)))
}

// BenchmarkAppend gives medians too: a mean says little of what waits for a
// checkpoint.
func BenchmarkAppend(b *testing.B) {
	for version := 1; version <= 2; version++ {
		b.Run(fmt.Sprintf("v%d", version), func(b *testing.B) {
			s := realServer(b, version)
			c := s.client(b, Options{})
			var took []time.Duration
			for b.Loop() {
				b.StopTimer()
				bundle := bundleOf(b, 3000)
				envelope := envelopeOf(bundle)
				b.StartTimer()
				start := time.Now()
				if _, err := c.Append(context.Background(), bundle, envelope, submitter(b)); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2])/1e6, "ms-median")
			b.ReportMetric(float64(took[0])/1e6, "ms-least")
			b.ReportMetric(float64(took[len(took)-1])/1e6, "ms-most")
		})
	}
}
