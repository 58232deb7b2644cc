package fetch

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
)

const space = "example.backup.fleet_keys.v1"

var (
	key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	pub = [32]byte(key.Public().(ed25519.PublicKey))
)

func statement(epoch uint64) []byte {
	s, err := bundle.NewStatement(bundle.Protobuf, space, 1795255200000+epoch, epoch, sha256.Sum256(fmt.Append(nil, epoch)))
	if err != nil {
		panic(err)
	}
	return s.Encode([64]byte(ed25519.Sign(key, s.Message())))
}

// auditor answers as Cloudflare's does, and as a test wants it to misbehave.
type auditor struct {
	root, last uint64
	inLast     bool // the newest epoch is in the namespace's answer
	answer     func(w http.ResponseWriter, epoch uint64) (done bool)
	asked      []string
	agents     map[string]bool
}

func (a *auditor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked = append(a.asked, r.URL.Path)
	if a.agents == nil {
		a.agents = map[string]bool{}
	}
	a.agents[r.UserAgent()] = true
	var epoch uint64
	switch base := "/namespaces/" + space; {
	case r.URL.Path == base && a.inLast:
		fmt.Fprintf(w, `{"name":%q,"root":"%d/00","last_verified_epoch":%d,"status":"Online","new":[1]}`, space, a.root, a.last)
	case r.URL.Path == base:
		fmt.Fprintf(w, `{"name":%q,"root":null,"status":"Online"}`, space)
	case r.URL.Path == base+"/last-verified-epoch" && a.last > 0:
		fmt.Fprintf(w, `{"epoch":%d}`, a.last)
	case strings.HasPrefix(r.URL.Path, base+"/audits/"):
		fmt.Sscan(strings.TrimPrefix(r.URL.Path, base+"/audits/"), &epoch)
		if a.answer != nil && a.answer(w, epoch) {
			return
		}
		w.Write(statement(epoch))
	default:
		http.NotFound(w, r)
	}
}

func client(t *testing.T, a *auditor) (*Client, *[]time.Duration) {
	t.Helper()
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL, space, "fleetctl/test", 1000)
	if err != nil {
		t.Fatal(err)
	}
	waits := &[]time.Duration{}
	c.Wait = func(ctx context.Context, d time.Duration) error {
		if d > time.Second/2 {
			*waits = append(*waits, d)
		}
		return ctx.Err()
	}
	return c, waits
}

// save is how many statements a run adds.
func save(ctx context.Context, c *Client, file string, from uint64) (int64, error) {
	s, err := c.Save(ctx, file, Options{From: from})
	return s.New, err
}

func lines(t *testing.T, file string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}

func TestItSavesGoesOnAndStartsAtTheAnchor(t *testing.T) {
	a := &auditor{root: 3, last: 6, inLast: true}
	c, _ := client(t, a)
	file := filepath.Join(t.TempDir(), "all.jsonl")
	n, err := save(t.Context(), c, file, 0)
	if err != nil || n != 4 {
		t.Fatal(n, err)
	}
	for i, l := range lines(t, file) {
		if !bytes.Equal(l, statement(uint64(i)+3)) {
			t.Errorf("%d: %s", i, l)
		}
	}
	// Cut off in a line, and the auditor went on.
	data, _ := os.ReadFile(file)
	os.WriteFile(file, data[:len(data)-10], 0o600)
	a.last, a.asked = 8, nil
	if n, err = save(t.Context(), c, file, 0); err != nil || n != 3 || len(lines(t, file)) != 6 {
		t.Fatal(n, err)
	}
	if slices.Sort(a.asked); len(slices.Compact(a.asked)) != 7 {
		t.Errorf("asks for %q", a.asked)
	}
	if len(a.agents) != 1 || !a.agents["fleetctl/test"] {
		t.Errorf("calls itself %v", a.agents)
	}
	// Without an anchor from epoch 1, or from where one wants.
	a.inLast, a.last = false, 2
	if n, err = save(t.Context(), c, file+"2", 0); err != nil || n != 2 {
		t.Error(n, err)
	}
	if n, err = save(t.Context(), c, file+"3", 2); err != nil || n != 1 {
		t.Error(n, err)
	}
	a.last = 0
	if n, err = save(t.Context(), c, file+"4", 0); err != nil || n != 0 {
		t.Error(n, err)
	}
}

func TestItWaitsAsLongAsItIsAsked(t *testing.T) {
	times := 0
	a := &auditor{root: 1, last: 1, inLast: true, answer: func(w http.ResponseWriter, _ uint64) bool {
		if times++; times < 3 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		if times == 3 {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	}}
	c, waits := client(t, a)
	var told []string
	c.Again = func(err error, in time.Duration) { told = append(told, fmt.Sprint(err, " ", in)) }
	if n, err := save(t.Context(), c, filepath.Join(t.TempDir(), "f"), 0); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if got := fmt.Sprint(*waits); got != "[7s 7s 4s]" {
		t.Errorf("waited %s", got)
	}
	if got := strings.Join(told, "; "); got != "answers 429 Too Many Requests 7s; answers 429 Too Many Requests 7s; answers 502 Bad Gateway 4s" {
		t.Errorf("told %q", got)
	}
	// There is no waiting for a try that isn't made.
	*waits = nil
	a.answer = func(w http.ResponseWriter, _ uint64) bool { w.WriteHeader(503); return true }
	if _, err := save(t.Context(), c, filepath.Join(t.TempDir(), "f"), 0); err == nil || len(*waits) != tries-1 {
		t.Errorf("%v, waited %v", err, *waits)
	}
}

func TestItRefusesWhatIsNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, epoch uint64)
		want   string
	}{
		"none":          {func(w http.ResponseWriter, _ uint64) { w.WriteHeader(404) }, "a gap, or it limits our rate"},
		"always busy":   {func(w http.ResponseWriter, _ uint64) { w.WriteHeader(503) }, "answers 503"},
		"not allowed":   {func(w http.ResponseWriter, _ uint64) { w.WriteHeader(403) }, "answers 403"},
		"another epoch": {func(w http.ResponseWriter, e uint64) { w.Write(statement(e + 1)) }, "it answers with epoch 2"},
		"no JSON":       {func(w http.ResponseWriter, _ uint64) { w.Write([]byte("<html>")) }, "is not JSON"},
		"huge":          {func(w http.ResponseWriter, _ uint64) { w.Write(make([]byte, 1<<20)) }, "more than 4096 bytes"},
		"elsewhere": {func(w http.ResponseWriter, _ uint64) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(302)
		}, "another server"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &auditor{root: 1, last: 3, inLast: true, answer: func(w http.ResponseWriter, e uint64) bool { c.answer(w, e); return true }}
			cl, _ := client(t, a)
			n, err := save(t.Context(), cl, filepath.Join(t.TempDir(), "f"), 0)
			if n != 0 || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("saved %d: %v", n, err)
			}
		})
	}
}

func TestAnAnswerOfSeveralLinesIsSavedOnOne(t *testing.T) {
	a := &auditor{root: 1, last: 1, inLast: true, answer: func(w http.ResponseWriter, e uint64) bool {
		w.Write(bytes.ReplaceAll(statement(e), []byte(","), []byte(",\r\n  ")))
		return true
	}}
	c, _ := client(t, a)
	file := filepath.Join(t.TempDir(), "f")
	if _, err := save(t.Context(), c, file, 0); err != nil {
		t.Fatal(err)
	}
	if l := lines(t, file); len(l) != 1 || !bytes.Equal(l[0], statement(1)) {
		t.Errorf("%s", l)
	}
}

func TestItCanBeInterruptedAndKeepsToTheRate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := &auditor{root: 1, last: 100, inLast: true}
	c, _ := client(t, a)
	file := filepath.Join(t.TempDir(), "f")
	saved, err := c.Save(ctx, file, Options{Tell: func(done, total int64) {
		if total != 100 {
			t.Errorf("total is %d", total)
		}
		if done == 5 {
			cancel()
		}
	}})
	if n := saved.New; n != 5 || !errors.Is(err, context.Canceled) || len(lines(t, file)) != 5 {
		t.Errorf("saved %d: %v", saved.New, err)
	}
	slow, _ := client(t, &auditor{root: 1, last: 3, inLast: true})
	slow.Rate, slow.Wait = 50, wait
	began := time.Now()
	if _, err := save(t.Context(), slow, file+"2", 0); err != nil || time.Since(began) < 55*time.Millisecond {
		t.Errorf("4 requests at 50 a second took %v: %v", time.Since(began), err)
	}
}

func TestAddressesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "ftp://x", "http://example.com", "https://", "https://u:p@h", "https://h?x=1", "http://127.0.0.1.example.com"} {
		if _, err := New(bad, space, "x", 1); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"https://h/v1", "http://localhost:1", "http://[::1]:8080", "http://127.0.0.1"} {
		if _, err := New(good, space, "x", 1); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if _, err := New("https://h", "a b", "x", 1); err == nil {
		t.Error("a namespace with a space")
	}
	if _, err := New("https://h", space, "x", 0); err == nil {
		t.Error("a rate of 0")
	}
}
