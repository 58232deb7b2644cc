package statepage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/statepage"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// at is a request that has come to port 8080 of an address.
func at(ip string, r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080}))
}

// asks gives what the page answers.
func asks(h http.Handler, method, path string) (int, http.Header, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, at("192.0.2.7", httptest.NewRequest(method, "http://192.0.2.7:8080"+path, strings.NewReader("x"))))
	return w.Code, w.Header(), w.Body.String()
}

func TestThePageGivesTheRecordsSoFarAndNoRestrictedOnes(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "page", HSMs: 2, To: testfleet.ToLogged})
	plan := must(ceremony.ParsePlan("plan.yaml", must(os.ReadFile(filepath.Join(f.Dir, ceremony.PlanFile)))))
	whole := must(os.ReadFile(filepath.Join(f.Dir, ceremony.TranscriptFile)))
	dir := t.TempDir()
	h := statepage.Handler(dir, plan)
	check := func(data []byte) {
		t.Helper()
		a, _ := must2(ceremony.Replay(plan, "t", data))
		want := must(state.Of(a)).String()
		code, head, body := asks(h, "GET", statepage.StatePath)
		if code != 200 || body != want+"\n" || head.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s, want %s", code, body, want)
		}
		code, _, body = asks(h, "GET", statepage.TranscriptPath)
		again, tr := must2(ceremony.Replay(plan, "t", []byte(body)))
		if code != 200 || again.Head != a.Head {
			t.Fatalf("%d: the records lead elsewhere", code)
		}
		for _, r := range tr.Records {
			if r.Kind.Restricted() && !r.Withheld() {
				t.Errorf("record %d, %s, is given away", r.N, r.Kind)
			}
		}
		if code, head, body := asks(h, "HEAD", statepage.TranscriptPath); code != 200 || body != "" || head.Get("Content-Length") == "" {
			t.Errorf("HEAD: %d, %d bytes", code, len(body))
		}
		if code, _, body := asks(h, "GET", "/"); code != 200 || !strings.Contains(body, "--from http://192.0.2.7:8080\n") || !strings.Contains(body, want) {
			t.Errorf("%d: %s", code, body)
		}
	}
	check(nil) // it has not begun
	lines := bytes.SplitAfter(whole, []byte("\n"))
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, ceremony.TranscriptFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := range len(lines) {
		have := bytes.Join(lines[:n], nil)
		write(have)
		check(have)
	}
	// Half a record that is being written is no record yet.
	write(append(bytes.Join(lines[:5], nil), lines[5][:20]...))
	check(bytes.Join(lines[:5], nil))
	// A transcript that can't be read is served to nobody, and nothing is said of it.
	write([]byte("{\"secret\"}\n"))
	for _, path := range []string{"/", statepage.StatePath, statepage.TranscriptPath} {
		if code, _, body := asks(h, "GET", path); code != 503 || strings.Contains(body, "secret") || strings.Contains(body, dir) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	write(whole)
	check(whole)
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func TestThePageCanOnlyBeRead(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "page"})
	h := statepage.Handler(t.TempDir(), f.Config(f.Dir, testfleet.Random("x")).Plan)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"} {
		if code, head, _ := asks(h, method, statepage.StatePath); code != 405 || head.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d", method, code)
		}
	}
	for _, path := range []string{"/plan.yaml", "/private/", "/transcript.jsonl/", "/../plan.yaml", "//state", "/state/x", "/site.yaml"} {
		if code, _, body := asks(h, "GET", path); code != 404 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// TestThePageIsAskedForByItsAddress: a browser that was led here by another site's name
// gives that name, and is shown nothing.
func TestThePageIsAskedForByItsAddress(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Name: "page"})
	h := statepage.Handler(t.TempDir(), f.Config(f.Dir, testfleet.Random("x")).Plan, "room.local")
	for host, want := range map[string]int{
		"192.0.2.7:8080": 200, "room.local:8080": 200, "ROOM.local:8080": 200,
		"192.0.2.8:8080": 421, "192.0.2.7:80": 421, "192.0.2.7": 421, "attacker.example:8080": 421, "room.local.attacker.example:8080": 421,
		"localhost:8080": 421, "": 421, "x\"><script>": 421, "[::1]:8080": 421,
	} {
		for _, path := range []string{"/", statepage.StatePath, statepage.TranscriptPath} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, at("192.0.2.7", r))
			if body := string(must(io.ReadAll(w.Result().Body))); w.Code != want || want == 421 && (strings.Contains(body, state.Prefix) || strings.Contains(body, "script")) {
				t.Errorf("%q %s: %d %s", host, path, w.Code, body)
			}
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "[2001:db8::7]:8080"
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, at("2001:db8::7", r)); w.Code != 200 {
		t.Errorf("an IPv6 address: %d", w.Code)
	}
	w = httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 421 { // nothing says where it has come to
		t.Errorf("without an address of its own: %d", w.Code)
	}
}

// Whoever asks and asks makes the ceremony's machine judge nothing again: neither whole
// records, nor a line that was cut off and stays so until the room goes on, nor a
// transcript that is none.
func TestAFileThatHasNotChangedIsNotJudgedAgain(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "page", HSMs: 2, To: testfleet.ToLogged})
	plan := must(ceremony.ParsePlan("plan.yaml", must(os.ReadFile(filepath.Join(f.Dir, ceremony.PlanFile)))))
	whole := must(os.ReadFile(filepath.Join(f.Dir, ceremony.TranscriptFile)))
	for what, data := range map[string][]byte{"whole": whole, "torn": whole[:len(whole)-5], "none": []byte("{\"n\":1}\n")} {
		dir := t.TempDir()
		h, file := statepage.Handler(dir, plan), filepath.Join(dir, ceremony.TranscriptFile)
		put := func(data []byte, at time.Time) {
			t.Helper()
			if err := errors.Join(os.WriteFile(file, data, 0o600), os.Chtimes(file, at, at)); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		put(data, at)
		code, _, body := asks(h, "GET", statepage.StatePath)
		if (code == 200) == (what == "none") {
			t.Errorf("%s: %d", what, code)
		}
		// Other bytes that look unchanged show whether they were read.
		put(bytes.Repeat([]byte("\n"), len(data)), at)
		if again, _, text := asks(h, "GET", statepage.StatePath); again != code || text != body {
			t.Errorf("%s: is judged again: %d, %s", what, again, text)
		}
		put(whole, at.Add(time.Second))
		if again, _, text := asks(h, "GET", statepage.StatePath); again != 200 || !strings.HasPrefix(text, state.Prefix) {
			t.Errorf("%s: a file that has changed isn't read: %d", what, again)
		}
	}
}
