package testrekor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a real server on loopback, which scripts/rekor runs.
type Server struct {
	Version int
	URL     string
	KeyFile string // the log's public key in PEM
	Origin  string
	CLI     string // of version 1: rekor-cli
}

var real struct {
	sync.Mutex
	dir string
	up  [3]func() (*Server, error)
}

// Real is a server of that version, one for all tests of a package; who uses it
// calls [Down] when they are done.
func Real(t testing.TB, version int) *Server {
	t.Helper()
	if why := LeftOut(); why != "" {
		t.Skip(why)
	}
	s, err := Start(version)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// LeftOut says why there are no real servers; empty where there are. In CI they
// must be; elsewhere they are left out where nobody has built them, for that
// takes minutes.
func LeftOut() string {
	switch {
	case os.Getenv("CI") == "true":
		return ""
	case testing.Short():
		return "real Rekor servers are left out of short runs"
	case !built(1) || !built(2):
		return "the Rekor servers are not built: scripts/rekor build does it, in a few minutes"
	}
	return ""
}

// Start is Real where there is no test to skip.
func Start(version int) (*Server, error) {
	real.Lock()
	if real.dir == "" {
		dir, err := os.MkdirTemp("", "fleetctl-rekor-test-")
		if err != nil {
			real.Unlock()
			return nil, err
		}
		real.dir = dir
	}
	if real.up[version] == nil {
		real.up[version] = sync.OnceValues(func() (*Server, error) { return up(version, real.dir) })
	}
	start := real.up[version]
	real.Unlock()
	s, err := start()
	if err != nil {
		return nil, fmt.Errorf("scripts/rekor up v%d: %w", version, err)
	}
	return s, nil
}

// Witnessed is a server of version 2 for one test alone, with this key
// (PKCS #8 in PEM), whose checkpoints the witnesses of a policy cosign. stop
// ends it.
func Witnessed(t testing.TB, signer []byte, policy string) (s *Server, stop func()) {
	t.Helper()
	if why := LeftOut(); why != "" {
		t.Skip(why)
	}
	dir, err := os.MkdirTemp("", "fleetctl-rekor-test-")
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "v2"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "v2", "signer.pem"), signer, 0o600)
	}
	witnesses := filepath.Join(dir, "witnesses")
	if err == nil {
		err = os.WriteFile(witnesses, []byte(policy), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := down(dir); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	if s, err = up(2, dir, "--witnesses", witnesses); err != nil {
		t.Fatalf("scripts/rekor up v2: %v", err)
	}
	return s, stop
}

// Down ends what [Real] has started and removes what it left.
func Down() error {
	real.Lock()
	defer real.Unlock()
	if real.dir == "" {
		return nil
	}
	return down(real.dir)
}

func down(dir string) error {
	out, err := exec.Command(script(), "down", "--purge", "--dir", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("scripts/rekor down: %w\n%s", err, out)
	}
	return os.RemoveAll(dir)
}

// Main is the TestMain of packages whose tests use real servers.
func Main(m *testing.M) {
	code := m.Run()
	if err := Down(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// script is found from a test's directory, which is its package's.
func script() string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, "scripts", "rekor")
}

func built(version int) bool {
	cache, err := os.UserCacheDir()
	found, _ := filepath.Glob(filepath.Join(cache, "fleetctl/rekor/bin-*", []string{1: "rekor-cli", 2: "posix"}[version]))
	return err == nil && len(found) > 0
}

func up(version int, dir string, more ...string) (*Server, error) {
	limit := 10 * time.Minute
	if os.Getenv("CI") == "true" {
		limit = 25 * time.Minute // that is with building
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, script(), append([]string{"up", fmt.Sprintf("v%d", version), "--dir", dir}, more...)...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, talk.String())
	}
	env := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[strings.TrimPrefix(name, fmt.Sprintf("REKOR_V%d_", version))] = value
	}
	return &Server{version, env["URL"], env["KEY"], env["ORIGIN"], env["REKOR_CLI"]}, nil
}
