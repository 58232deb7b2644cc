package passkey

import (
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

var (
	//go:embed page.html
	pageHTML []byte
	//go:embed page.css
	pageCSS []byte
	//go:embed page.js
	pageJS []byte
)

// maxAnswer is the most that a browser's answer may have.
const maxAnswer = 64 << 10

// listen opens a port of localhost under both of its addresses: nobody else of this
// machine can then answer for it under the other one.
func listen() ([]net.Listener, string, error) {
	for range 20 {
		four, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, "", err
		}
		_, port, err := net.SplitHostPort(four.Addr().String())
		if err != nil {
			return nil, "", errors.Join(err, four.Close())
		}
		six, err := net.Listen("tcp6", "[::1]:"+port)
		switch {
		case err == nil:
			return []net.Listener{four, six}, "http://localhost:" + port, nil
		case noSix():
			return []net.Listener{four}, "http://localhost:" + port, nil
		}
		if err := four.Close(); err != nil {
			return nil, "", err
		}
	}
	return nil, "", errors.New("no port of localhost is free under both 127.0.0.1 and ::1")
}

// noSix is whether this machine has no localhost of IPv6 at all.
func noSix() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	return err != nil || l.Close() != nil
}

// site is one run's page.
type site struct {
	mu     sync.Mutex
	p      *party
	origin string
	path   string // with a secret that only who was shown the address knows
	ended  chan error
}

// run serves the page until the passkey has given what it is to give, or the run ends.
func run(ctx context.Context, random io.Reader, r *Record, create bool, visit Visit) ([]byte, error) {
	secret, err := draw(random, 16)
	if err != nil {
		return nil, err
	}
	listeners, origin, err := listen()
	if err != nil {
		return nil, fmt.Errorf("the passkey's page: %w", err)
	}
	p, err := newParty(origin, r, create)
	if err != nil {
		return nil, err
	}
	s := &site{p: p, origin: origin, path: "/" + hex.EncodeToString(secret) + "/", ended: make(chan error, 1)}
	server := &http.Server{Handler: s, ReadTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() { _ = server.Serve(l) })
	}
	defer serving.Wait()
	defer server.Close()
	if err := visit(ctx, origin+s.path); err != nil {
		return nil, err
	}
	select {
	case err := <-s.ended:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("the passkey wasn't used: %w", ctx.Err())
	}
	// The browser is told before the page is gone.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	_ = server.Shutdown(last)
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.prf, nil
}

// end ends the run, once.
func (s *site) end(err error) {
	select {
	case s.ended <- err:
	default: // it has ended
	}
}

// ServeHTTP answers whoever knows the address, from this machine, on the page's behalf.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin"} {
		w.Header().Set(name, value)
	}
	name, ok := strings.CutPrefix(r.URL.Path, s.path)
	if !ok || "http://"+r.Host != s.origin {
		http.NotFound(w, r)
		return
	}
	files := map[string]struct {
		kind string
		data []byte
	}{"": {"text/html; charset=utf-8", pageHTML}, "page.css": {"text/css", pageCSS}, "page.js": {"text/javascript", pageJS}}
	file, static := files[name]
	switch {
	case static && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", file.kind)
		_, _ = w.Write(file.data)
	case r.Method != http.MethodPost:
		http.NotFound(w, r)
	case r.Header.Get("Origin") != s.origin || r.Header.Get("Content-Type") != "application/json":
		http.Error(w, "not from this page", http.StatusForbidden)
	default:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
		if err != nil {
			http.Error(w, "too long", http.StatusRequestEntityTooLarge)
			return
		}
		s.answer(w, name, body)
	}
}

func (s *site) answer(w http.ResponseWriter, name string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var next *step
	var err error
	switch name {
	case "begin":
		next, err = s.p.begin()
	case "create", "get":
		next, err = s.p.answer(name, body)
	case "failed":
		err = failed(body)
	default:
		http.Error(w, "no such step", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		s.end(err)
		return
	}
	data, err := json.Marshal(next)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		s.end(err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
	if next.Kind == "done" {
		s.end(nil)
	}
}

// failed is what the browser says went wrong, such as a person's no.
func failed(body []byte) error {
	var said struct{ Error string }
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		said.Error = "it says nothing more"
	}
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, said.Error)
	return fmt.Errorf("the browser didn't use a passkey: %.200s; use the recovery code", plain)
}
