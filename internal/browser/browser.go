// Package browser drives a headless Chromium over a pipe, by the DevTools protocol. No
// port is opened: only who started it can drive it.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Browser is a Chromium at the other end of a pipe.
type Browser struct {
	to      *os.File // what it reads
	from    *os.File // what it writes
	theirs  []*os.File
	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	pages   map[string]*Page
	ended   chan struct{}
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// Event is what a page tells without having been asked.
type Event struct {
	Method string
	Params json.RawMessage
}

// message is one of the browser's: an answer where it has an id.
type message struct {
	ID        int
	SessionID string
	Event
	answer
}

// Command is a Chromium that isn't started yet, with its profile in a folder that is
// made for it alone. Whoever starts the command calls Begin next.
//
// It runs without its sandbox, which neither root nor most containers let it have, and
// reaches no address but this machine's: it is for pages of our own.
func Command(path, home string) (*exec.Cmd, *Browser, error) {
	cmd := exec.Command(path, "--no-sandbox", "--headless=new", "--remote-debugging-pipe", "--user-data-dir="+filepath.Join(home, "profile"), "--no-first-run", "--disable-gpu",
		"--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
	cmd.Env = append(os.Environ(), "HOME="+home)
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, inRead.Close(), inWrite.Close())
	}
	cmd.ExtraFiles = []*os.File{inRead, outWrite}
	return cmd, &Browser{to: inWrite, from: outRead, theirs: cmd.ExtraFiles, waiting: map[int]chan answer{}, pages: map[string]*Page{}, ended: make(chan struct{})}, nil
}

// Begin listens to a browser that was started.
func (b *Browser) Begin() error {
	go b.listen()
	return errors.Join(b.theirs[0].Close(), b.theirs[1].Close())
}

// Close closes what the browser reads, upon which it ends.
func (b *Browser) Close() error { return b.to.Close() }

// Ended waits until nothing has the other end of the pipe any more.
func (b *Browser) Ended() error {
	<-b.ended
	return b.from.Close()
}

func (b *Browser) listen() {
	defer close(b.ended)
	for r := bufio.NewReaderSize(b.from, 1<<20); ; {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		if c := b.waiting[m.ID]; m.ID > 0 && c != nil {
			delete(b.waiting, m.ID)
			c <- m.answer
		} else if p := b.pages[m.SessionID]; p != nil {
			p.hear(m.Event)
		}
		b.mu.Unlock()
	}
}

// send writes a message, and gives where its answer comes.
func (b *Browser) send(session, method string, params any) (id int, c chan answer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	m := map[string]any{"id": b.next, "method": method}
	if params != nil {
		m["params"] = params
	}
	if session != "" {
		m["sessionId"] = session
	}
	data, err := json.Marshal(m)
	if err != nil {
		return 0, nil, err
	}
	c = make(chan answer, 1)
	b.waiting[b.next] = c
	_, err = io.Copy(b.to, bytes.NewReader(append(data, 0)))
	return b.next, c, err
}

// call asks the browser, and puts its answer into result where that isn't nil.
func (b *Browser) call(ctx context.Context, session, method string, params, result any) error {
	id, c, err := b.send(session, method, params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
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
	case <-ctx.Done():
		b.mu.Lock()
		delete(b.waiting, id)
		b.mu.Unlock()
		return fmt.Errorf("%s: the browser doesn't answer: %w", method, ctx.Err())
	}
}
