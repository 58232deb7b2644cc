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
	policy        *device.Policy
	now           func() time.Time
	list          atomic.Pointer[[]*answer] // the current one first

	reading sync.Mutex
	seen    map[string]*device.State // by fleet, of a device that took all that was handed out
}

// New reads a bundle and its proof, and refuses to hand out what a device would
// refuse at first contact under the policy given.
func New(bundleFile, proofFile string, p *device.Policy, now func() time.Time) (*Server, error) {
	s := &Server{bundle: bundleFile, proof: proofFile, policy: p, now: now, seen: map[string]*device.State{}}
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
func (s *Server) Healthy() error {
	a := (*s.list.Load())[0]
	_, err := device.Judge(a.bundle, a.proof, s.policy, nil, s.now())
	var r *bundle.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r):
		return fmt.Errorf("devices refuse what is handed out, for the reason %s", r.Reason)
	}
	return errors.New("what is handed out can't be judged")
}

// Age is how long ago a quorum of witnesses had seen the bundle that is handed out;
// it is negative where that can't be said.
func (s *Server) Age() time.Duration {
	a := (*s.list.Load())[0]
	p, err := auditlog.ParseProof(s.proof, a.proof)
	if err != nil {
		return -1
	}
	in, err := s.policy.Log.VerifyAt(a.bundle, s.now(), []*auditlog.Proof{p})
	if err != nil || !in.Quorum {
		return -1
	}
	return s.now().Sub(in.NewestQuorumTime)
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
	if err == nil && s.seen[v.State.Fleet] != nil {
		v, err = device.Judge(b, p, s.policy, s.seen[v.State.Fleet], s.now())
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
