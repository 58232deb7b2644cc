// Package testbrowser drives a headless Chromium for tests, over a pipe and without a
// port, and keeps what the browser complains about.
package testbrowser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

// Browser is a running Chromium.
type Browser struct {
	to      io.Writer
	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	pages   map[string]*Page
	ended   chan struct{} // closed when the pipe is
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// Start starts Chromium and ends it with the test. Where there is none the test is
// skipped, but in CI. The race detector can't look into it, and go test -short is
// without what takes seconds.
func Start(t testing.TB) *Browser {
	t.Helper()
	if testing.Short() || await.RaceDetector {
		t.Skip("a browser is another process, and takes seconds: go test without -race and -short starts it")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing (Debian: chromium), and in CI nothing is left out")
		}
		t.Skip("chromium is missing (Debian: chromium): no page is opened")
	}
	home := t.TempDir()
	// Without its sandbox, which neither root nor most containers let it have: it opens
	// nothing but the pages of these tests.
	args := []string{"--no-sandbox", "--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + filepath.Join(home, "profile"), "--no-first-run", "--disable-gpu",
		"--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+home)
	inRead, inWrite, err := os.Pipe()
	must(t, err)
	outRead, outWrite, err := os.Pipe()
	must(t, err)
	cmd.ExtraFiles = []*os.File{inRead, outWrite}
	chromium := await.Start(t, cmd)
	must(t, errors.Join(inRead.Close(), outWrite.Close()))
	b := &Browser{to: inWrite, waiting: map[int]chan answer{}, pages: map[string]*Page{}, ended: make(chan struct{})}
	go b.read(outRead)
	t.Cleanup(func() {
		_ = inWrite.Close()
		chromium.Kill()
		<-b.ended
		_ = outRead.Close()
		// Its children end after it, and write to the profile until then: a file that
		// comes while the test's folder is removed would fail the test.
		await.Until(t, "Chromium's children have left its profile", func() bool { return os.RemoveAll(home) == nil })
	})
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the browser: %v", err)
	}
}

// event is a message of the browser: an answer where it has an id.
type event struct {
	ID        int
	SessionID string
	Method    string
	Params    json.RawMessage
	answer
}

func (b *Browser) read(from io.Reader) {
	defer close(b.ended)
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var e event
		if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &e) != nil {
			continue
		}
		b.mu.Lock()
		if c := b.waiting[e.ID]; e.ID > 0 && c != nil {
			delete(b.waiting, e.ID)
			c <- e.answer
		} else if p := b.pages[e.SessionID]; p != nil {
			p.heard(e)
		}
		b.mu.Unlock()
	}
}

// call asks the browser, and puts its answer into result where that isn't nil.
func (b *Browser) call(session, method string, params, result any) error {
	c := make(chan answer, 1)
	b.mu.Lock()
	b.next++
	id := b.next
	b.waiting[id] = c
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if session != "" {
		message["sessionId"] = session
	}
	data, err := json.Marshal(message)
	if err == nil {
		_, err = b.to.Write(append(data, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case a := <-c:
		if a.Error != nil {
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-b.ended:
		return errors.New(method + ": the browser has ended")
	case <-time.After(await.Longest):
		return errors.New(method + ": the browser doesn't answer")
	}
}
