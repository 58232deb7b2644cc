//go:build unix

package tiled

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestServeGivesTheLogAndNothingElse(t *testing.T) {
	dir, l := newTestLog(t)
	mustAppend(t, l, numbered("a", 300)...)
	secret := filepath.Join(t.TempDir(), "secret")
	tile := filepath.Join(dir, "log/tile")
	for _, err := range []error{
		os.WriteFile(secret, []byte("secret"), 0o644),
		os.Symlink(secret, filepath.Join(tile, "0/009")),
		os.Symlink(filepath.Dir(secret), filepath.Join(tile, "7")),
		os.Symlink("001.p/44", filepath.Join(tile, "entries/008")), // within: it may
		os.WriteFile(filepath.Join(tile, "0/0001234"), []byte("temporary"), 0o644),
		os.WriteFile(filepath.Join(tile, ".hidden"), []byte("hidden"), 0o644),
		os.Mkdir(filepath.Join(tile, "0/010"), 0o755),
		syscall.Mkfifo(filepath.Join(tile, "0/011"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []string{dir, filepath.Join(dir, "log")} {
		h, err := Handler(at)
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(h)
		serveCases(t, srv.URL)
		srv.Close()
	}
	if _, err := Handler(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("serves a directory that isn't there")
	}
}

func serveCases(t *testing.T, base string) {
	t.Helper()
	get := func(method, path string) (*http.Response, string) {
		req, err := http.NewRequest(method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + strings.TrimPrefix(base, "http://") + path // as written, not cleaned
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for path, want := range map[string][2]string{
		"/checkpoint":            {"text/plain; charset=utf-8", "no-cache"},
		"/tile/0/000":            {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/tile/0/001.p/44":       {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/tile/1/000.p/1":        {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/tile/entries/000":      {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/tile/entries/001.p/44": {"application/octet-stream", "public, max-age=31536000, immutable"},
	} {
		resp, body := get("GET", path)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != want[0] || resp.Header.Get("Cache-Control") != want[1] || body == "" {
			t.Errorf("GET %s: %d %v, %d bytes", path, resp.StatusCode, resp.Header, len(body))
		}
		if resp, body := get("HEAD", path); resp.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %d", path, resp.StatusCode)
		}
		if resp, _ := get("POST", path); resp.StatusCode != 405 {
			t.Errorf("POST %s: %d", path, resp.StatusCode)
		}
	}
	for _, path := range []string{
		"/", "/tile", "/tile/", "/tile/0", "/tile/0/", "/tile/entries/", "/.state/treeState", "/.state", "/config", "/index.jsonl", "/witnessed",
		"/../config", "/tile/../checkpoint", "/tile/../../config", "/tile/0/../0/000", "//checkpoint", "/checkpoint/", "/%63heckpoint", "/tile%2f0/000",
		"/tile/0/009", "/tile/7/secret", "/tile/7/000", "/tile/0/0001234", "/tile/.hidden", "/tile/0/010", "/tile/0/011",
		"/tile/0/001", "/tile/0/001.p/43", "/tile/0/001.p/0", "/tile/0/001.p/044", "/tile/0/001.p/", "/tile/64/000", "/tile/00/000", "/tile/0/0", "/tile/0/x000",
		"/tile/0/000.p/../000", "/checkpoint\x00", "/checkpoint%00",
	} {
		if strings.ContainsRune(path, 0) {
			continue
		}
		if resp, body := get("GET", path); resp.StatusCode != 404 && resp.StatusCode != 400 || strings.Contains(body, "secret") {
			t.Errorf("GET %s: %d %q", path, resp.StatusCode, body)
		}
	}
}
