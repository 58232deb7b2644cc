// Package answer is what a node of a fleet says to a device that has yet to trust
// it: the fleet's bundle and its proof, over HTTP. It has no key; what it hands out
// is public and is checked by whoever takes it.
package answer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	// WellKnown is where the index of what is current is (RFC 8615).
	WellKnown = "/.well-known/fleetctl-bundle"
	// ByDigest begins the path of what is named by its SHA-256, which never changes.
	ByDigest = "/sha256/"

	indexFormat = "fleetctl fleet-answer v1"
	// kept is how many answers before the current one are still handed out: a device
	// may have read the index just before it changed.
	kept = 2
)

// index says what is current: SPEC section 24.6.
type index struct {
	Format    string   `strict:"format"`
	Namespace string   `strict:"namespace,token"`
	Fleet     string   `strict:"fleet,token"`
	Epoch     uint64   `strict:"epoch"`
	Bundle    resource `strict:"bundle"`
	Proof     resource `strict:"proof"`
}

type resource struct {
	SHA256 [32]byte `strict:"sha256,hex"`
	Bytes  int      `strict:"bytes"`
}

// answer is a bundle with its proof, as a device would take them.
type answer struct {
	bundle, proof, index []byte
	is                   bundle.About
	state                *device.State // of a device that took it, and all of its fleet before
}

// Server hands out one fleet's bundle.
type Server struct {
	bundle, proof string // the files
	state         string // folder of what was handed out, by fleet; empty: it is forgotten at the end
	policy        *device.Policy
	now           func() time.Time
	list          atomic.Pointer[[]*answer] // the current one first

	reading sync.Mutex
	seen    map[string]*device.State // by fleet, of a device that took all that was handed out

	judging sync.Mutex
	judged  verdict
}

// verdict is what devices think of an answer in one minute. Anybody may ask for it as
// often as they like, and a check costs a thousand times what an answer costs.
type verdict struct {
	of     *answer
	minute int64
	err    error     // why they would refuse it
	seen   time.Time // when a quorum of witnesses had seen it last; zero where none counts
}

// New reads a bundle and its proof, and refuses to hand out what a device would
// refuse under the policy given: one at first contact or, where state names a folder,
// one that took all that a server with this folder has handed out.
func New(bundleFile, proofFile, state string, p *device.Policy, now func() time.Time) (*Server, error) {
	s := &Server{bundle: bundleFile, proof: proofFile, state: state, policy: p, now: now, seen: map[string]*device.State{}}
	a, err := s.read()
	if err != nil {
		return nil, err
	}
	s.seen[a.is.Fleet] = a.state
	s.list.Store(&[]*answer{a})
	return s, nil
}

// Current is what the bundle that is handed out says of itself.
func (s *Server) Current() bundle.About { return (*s.list.Load())[0].is }

// Reread looks whether the files have changed: a proof is refreshed long before a
// bundle is. What a device would refuse does not take the place of what is there,
// and devices may have taken all that was handed out since New.
func (s *Server) Reread() (changed bool, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	a, err := s.read()
	if err != nil {
		return false, err
	}
	before := *s.list.Load()
	if bytes.Equal(a.index, before[0].index) {
		return false, nil
	}
	s.seen[a.is.Fleet] = a.state
	list := append([]*answer{a}, before[:min(len(before), kept)]...)
	s.list.Store(&list)
	return true, nil
}

// Healthy says why devices would refuse what is handed out now; its text is public.
func (s *Server) Healthy() error { return s.verdict().err }

// verdict is what devices think of the current answer in this minute.
func (s *Server) verdict() verdict {
	s.judging.Lock()
	defer s.judging.Unlock()
	a, now := (*s.list.Load())[0], s.now()
	if minute := now.Unix() / 60; s.judged.of != a || s.judged.minute != minute {
		s.judged = s.judge(a, now)
		s.judged.minute = minute
	}
	return s.judged
}

func (s *Server) judge(a *answer, now time.Time) verdict {
	v := verdict{of: a}
	_, err := device.Judge(a.bundle, a.proof, s.policy, nil, now)
	var r *bundle.Refusal
	switch {
	case errors.As(err, &r):
		v.err = fmt.Errorf("devices refuse what is handed out, for the reason %s", r.Reason)
	case err != nil:
		v.err = errors.New("what is handed out can't be judged")
	}
	p, err := auditlog.ParseProof(s.proof, a.proof)
	if err != nil {
		return v
	}
	if in, err := s.policy.Log.VerifyAt(a.bundle, now, []*auditlog.Proof{p}); err == nil && in.Quorum {
		v.seen = in.NewestQuorumTime
	}
	return v
}

// Age is how long ago a quorum of witnesses had seen the bundle that is handed out;
// it is negative where that can't be said.
func (s *Server) Age() time.Duration {
	v := s.verdict()
	if v.seen.IsZero() {
		return -1
	}
	return s.now().Sub(v.seen)
}

func (s *Server) read() (*answer, error) {
	b, err := readUpTo(s.bundle, bundle.MaxBundle)
	if err != nil {
		return nil, err
	}
	p, err := readUpTo(s.proof, auditlog.MaxText)
	if err != nil {
		return nil, err
	}
	v, err := device.Judge(b, p, s.policy, nil, s.now())
	switch {
	case err != nil:
	case s.state != "":
		v, err = s.remember(b, p, v.State.Fleet)
	case s.seen[v.State.Fleet] != nil:
		v, err = device.Judge(b, p, s.policy, s.seen[v.State.Fleet], s.now())
	}
	if r := (*bundle.Refusal)(nil); errors.As(err, &r) && r.Reason != device.ReasonState {
		err = r.Named(s.bundle, s.proof)
	}
	if err != nil {
		return nil, err
	}
	a := &answer{bundle: b, proof: p, is: v.Bundle.About(), state: v.State}
	a.index = append(strict.EncodeLine(&index{
		Format: indexFormat, Namespace: a.is.Namespace, Fleet: a.is.Fleet, Epoch: a.is.Epoch,
		Bundle: resource{sha256.Sum256(b), len(b)}, Proof: resource{sha256.Sum256(p), len(p)},
	}), '\n')
	return a, nil
}

// remember is the check of a device whose state lies in the server's folder: it is on
// the disk before anything is handed out.
func (s *Server) remember(b, proof []byte, fleet string) (*device.Verdict, error) {
	if err := durable.MkdirAll(s.state, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(s.state, fleet+".json")
	return device.Check(device.Question{
		Bundle: b, Proof: proof, Policy: s.policy, Now: s.now(),
		State: device.File(file), Guard: device.File(file + ".guard"), Begin: true,
	})
}

func readUpTo(path string, limit int) ([]byte, error) {
	info, err := durable.Stat(path) // who opens a pipe waits for its other end
	if err == nil && !info.Mode().IsRegular() {
		err = strict.Errorf(path, "is no regular file")
	}
	if err != nil {
		return nil, err
	}
	f, err := durable.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = strict.Errorf(path, "has more than the %d bytes that are allowed", limit)
	}
	return data, err
}

// Route names what is asked for, of a few.
func Route(r *http.Request) string {
	switch {
	case r.URL.Path == WellKnown:
		return "index"
	case strings.HasPrefix(r.URL.Path, ByDigest):
		return "digest"
	}
	return "other"
}

// ServeHTTP answers GET and HEAD for the index and for what it names.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*") // what is public may be read by any page
	h.Set("Cache-Control", "no-store")        // what isn't here yet may be here in a moment
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "a bundle is only read here", http.StatusMethodNotAllowed)
		return
	}
	list := *s.list.Load()
	if r.URL.Path == WellKnown {
		h.Set("Cache-Control", "no-cache")
		give(w, r, "application/json", list[0].index)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, ByDigest)
	digest, err := strict.ParseHash(name)
	if !ok || err != nil || r.URL.RawPath != "" {
		http.NotFound(w, r)
		return
	}
	for _, a := range list {
		for kind, data := range map[string][]byte{"application/json": a.bundle, "text/plain; charset=utf-8": a.proof} {
			if sha256.Sum256(data) == digest {
				h.Set("Cache-Control", "public, max-age=31536000, immutable")
				give(w, r, kind, data)
				return
			}
		}
	}
	http.NotFound(w, r)
}

// give answers with data whose name, for caches, is its digest.
func give(w http.ResponseWriter, r *http.Request, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(data))))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}
