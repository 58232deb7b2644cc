// Package statepage serves where a ceremony stands to second screens: a page that can
// be read and nothing else. What it gives is published in the end all the same: the
// records so far, without what restricted ones say. It has no key, takes no input, and
// whoever reads it believes nothing of it.
package statepage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// The paths of the page.
const (
	StatePath      = "/state"
	TranscriptPath = "/transcript.jsonl"
)

// page is a ceremony's folder as it was read last.
type page struct {
	dir  string
	plan *ceremony.Plan

	mu         sync.Mutex
	size       int64
	changed    time.Time
	state      string
	transcript []byte
	err        error // why it can't be read
}

// Handler serves the ceremony of a plan in a folder, which it may not have yet. It
// answers whoever asks for the address that it is reached at, or for one of the names:
// another site's page that has its own name lead here is refused.
func Handler(dir string, plan *ceremony.Plan, names ...string) http.Handler {
	p := &page{dir: dir, plan: plan, size: -1}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
			return
		}
		if !asksHere(r, names) {
			http.Error(w, "this page is asked for by the address that it is served at", http.StatusMisdirectedRequest)
			return
		}
		text, transcript, err := p.read()
		if err != nil {
			// What is wrong is for those who sit at the machine: see their screen.
			http.Error(w, "the ceremony can't be read at the moment", http.StatusServiceUnavailable)
			return
		}
		kind, body := "text/plain; charset=utf-8", []byte(text+"\n")
		switch r.URL.Path {
		case StatePath:
		case TranscriptPath:
			kind, body = "application/jsonl", transcript
		case "/":
			body = fmt.Appendf(nil, "Where the ceremony of %s stands, for second screens:\n\n   fleetctl screen PLAN --role auditor --dir screen --from http://%s\n\n%s\n", p.plan.Fleet, r.Host, text)
		default:
			http.NotFound(w, r)
			return
		}
		h.Set("Content-Type", kind)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}

// asksHere says whether a request names the address or a name of this page. A browser
// that was led here by another site's name says that name.
func asksHere(r *http.Request, names []string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = strings.Trim(r.Host, "[]"), "80"
	}
	if port != strconv.Itoa(local.Port) {
		return false
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.Equal(local.IP)
	}
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, host) })
}

// read gives the state and the whole records, read anew where the file has changed. One
// that hasn't is not judged again, whole or not: whoever asks and asks costs the
// ceremony's machine nothing.
func (p *page) read() (text string, transcript []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := filepath.Join(p.dir, ceremony.TranscriptFile)
	var data []byte
	info, err := durable.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.size = -1
	case err != nil:
		return "", nil, err
	case info.Size() > ceremony.MaxTranscript:
		return "", nil, fmt.Errorf("%s is too large", path)
	case info.Size() == p.size && info.ModTime().Equal(p.changed):
		return p.state, p.transcript, p.err
	default:
		if data, err = durable.ReadFile(path); err != nil {
			return "", nil, err
		}
		p.size, p.changed = info.Size(), info.ModTime()
		if int64(len(data)) != p.size {
			p.size = -1 // it has grown meanwhile
		}
	}
	p.state, p.transcript, p.err = p.judge(path, data[:bytes.LastIndexByte(data, '\n')+1])
	return p.state, p.transcript, p.err
}

// judge replays whole records.
func (p *page) judge(path string, data []byte) (text string, transcript []byte, err error) {
	a, _, err := ceremony.Replay(p.plan, path, data)
	if err != nil {
		return "", nil, err
	}
	s, err := state.Of(a)
	if err != nil {
		return "", nil, err
	}
	transcript, err = ceremony.Withhold(p.plan, data)
	return s.String(), transcript, err
}
