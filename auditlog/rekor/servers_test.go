package rekor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// The tests run against real servers, which scripts/rekor starts: in CI they
// must; elsewhere they are left out where nobody has built them, for that takes
// 9 minutes.

const script = "../../scripts/rekor"

var runDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fleetctl-rekor-test-")
	if err != nil {
		panic(err)
	}
	runDir = dir
	code := m.Run()
	if out, err := exec.Command(script, "down", "--purge", "--dir", runDir).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "scripts/rekor down: %v\n%s", err, out)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is a real server.
type server struct {
	version          int
	url, origin, cli string
	log              *auditlog.RekorLog
}

type started struct {
	s   *server
	err error
}

var starts = [3]func() started{1: sync.OnceValue(func() started { return start(1) }), 2: sync.OnceValue(func() started { return start(2) })}

func start(version int) started {
	limit := time.Minute
	if os.Getenv("CI") == "true" {
		limit = 25 * time.Minute // that is with building
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, script, "up", fmt.Sprintf("v%d", version), "--dir", runDir)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		return started{nil, fmt.Errorf("%w\n%s", err, talk.String())}
	}
	env := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[strings.TrimPrefix(name, fmt.Sprintf("REKOR_V%d_", version))] = value
	}
	key, err := os.ReadFile(env["KEY"])
	if err != nil {
		return started{nil, err}
	}
	log, err := auditlog.NewRekorLog(version, env["ORIGIN"], string(key))
	return started{&server{version, env["URL"], env["ORIGIN"], env["REKOR_CLI"], log}, err}
}

// built says whether starting won't take minutes.
func built(version int) bool {
	cache, err := os.UserCacheDir()
	name := []string{1: "rekor-cli", 2: "posix"}[version]
	found, _ := filepath.Glob(filepath.Join(cache, "fleetctl/rekor/bin-*", name))
	return err == nil && len(found) > 0
}

func realServer(t testing.TB, version int) *server {
	t.Helper()
	if os.Getenv("CI") != "true" {
		if testing.Short() {
			t.Skip("real Rekor servers are left out of short runs")
		}
		if !built(version) {
			t.Skip("the Rekor servers are not built; scripts/rekor build does it, in about 9 minutes")
		}
	}
	s := starts[version]()
	if s.err != nil {
		t.Fatalf("scripts/rekor up v%d: %v", version, s.err)
	}
	return s.s
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
