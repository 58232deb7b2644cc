// Package service lets others read what a third party signed, with the API of
// Cloudflare's auditor (cloudflare/plexi at 0108f7d), and takes requests into a
// queue that a person signs from. It has no key: it can't sign.
package service

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Config says what is served. The zero values of the limits are theirs.
type Config struct {
	Ledger     string   // read again whenever it has changed
	Key        [32]byte // of the ledger
	Guard      string   // of the ledger, where it is there; beside it where none is named
	NotBefore  time.Time
	Namespaces []string // served, whether or not anything was signed in them yet
	Log        *slog.Logger

	Rate  float64 // requests a second for everybody together; 50
	Burst int     // at once; 100
}

// Service answers from a ledger.
type Service struct {
	c      Config
	bucket *bucket

	mu    sync.Mutex
	stamp stamp
	state *state
	told  string // why it isn't healthy, as the log has it

	changed func(*state) // is called with what a ledger that has changed says; nil where nobody asks
}

// stamp tells one state of the files from another.
type stamp struct{ ledger, guard fileStamp }

type fileStamp struct {
	size int64
	mod  time.Time
}

func stampOf(path string) (fileStamp, error) {
	info, err := durable.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.Size(), info.ModTime()}, nil
}

// state is the ledger, indexed.
type state struct {
	ledger *thirdparty.Ledger
	epochs map[string]map[uint64]*bundle.Statement
	last   map[string]*bundle.Statement
}

// New reads the ledger once, so that one that can't be read is noticed.
func New(c Config) (*Service, error) {
	if c.Guard == "" {
		c.Guard = thirdparty.GuardPath(c.Ledger)
	}
	if c.Rate == 0 {
		c.Rate = 50
	}
	if c.Burst == 0 {
		c.Burst = 100
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{c: c, bucket: newBucket(c.Rate, c.Burst)}
	_, err := s.read()
	return s, err
}

// read gives the ledger as it stands. One that lacks what was read before, or what its
// guard has seen, was put back from a copy: served, it would say of epochs that were
// signed that they never were.
func (s *Service) read() (*state, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state
	st, err := s.look()
	if err == nil && st != before && s.changed != nil {
		s.changed(st)
	}
	return st, err
}

// tell has changed called, now and whenever the ledger has changed.
func (s *Service) tell(changed func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed = changed; s.state != nil {
		changed(s.state)
	}
}

func (s *Service) look() (*state, error) {
	// A ledger that is gone has not become an empty one: clients would take its
	// epochs for epochs that were never signed.
	var now stamp
	var err error
	if now.ledger, err = stampOf(s.c.Ledger); err != nil {
		return nil, err
	}
	if now.guard, err = stampOf(s.c.Guard); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if s.state != nil && s.stamp == now {
		return s.state, nil
	}
	l, err := thirdparty.ReadGuarded(s.c.Ledger, s.c.Guard, s.c.Key)
	if err == nil && s.state != nil {
		err = l.Extends(s.state.ledger)
	}
	if err != nil {
		return nil, err
	}
	st := &state{ledger: l, epochs: map[string]map[uint64]*bundle.Statement{}, last: map[string]*bundle.Statement{}}
	for _, x := range l.Statements() {
		if st.epochs[x.Namespace] == nil {
			st.epochs[x.Namespace] = map[uint64]*bundle.Statement{}
		}
		st.epochs[x.Namespace][x.Epoch] = x
		st.last[x.Namespace] = x
	}
	if l.Torn == 0 { // else it is being written: look again next time
		s.stamp = now
	}
	s.state = st
	return st, nil
}

// Healthy says why nothing can be answered. The text is public; the log has the rest,
// once.
func (s *Service) Healthy() error {
	_, err := s.read()
	what, _ := unread(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.told = ""
		return nil
	case s.told != err.Error():
		s.told = err.Error()
		s.c.Log.Error(what, "error", err)
	}
	return errors.New(what)
}

// unread is what others are told of a ledger that gives no answers.
func unread(err error) (what string, code int) {
	if errors.Is(err, thirdparty.ErrBehind) {
		return "the ledger lacks what it had before: it is not served", http.StatusServiceUnavailable
	}
	return "the ledger can't be read", http.StatusInternalServerError
}

// failUnread answers, and logs, that the ledger gives no answers.
func (s *Service) failUnread(w http.ResponseWriter, err error) {
	what, code := unread(err)
	s.c.Log.Error(what, "error", err)
	fail(w, code, what)
}

// Signed says of each namespace how many statements the ledger has, and the newest
// epoch; of one without statements it says 0. Nothing is said of a ledger that can't be
// read.
func (s *Service) Signed(say func(namespace string, statements int, newest uint64)) {
	st, err := s.read()
	if err != nil {
		return
	}
	for _, ns := range s.c.Namespaces {
		var newest uint64
		if last := st.last[ns]; last != nil {
			newest = last.Epoch
		}
		say(ns, len(st.epochs[ns]), newest)
	}
}

// Handler is the reading API.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	s.get(mux, "/info", s.info)
	s.get(mux, "/namespaces", s.namespaces)
	s.get(mux, "/namespaces/{ns}", s.namespace)
	s.get(mux, "/namespaces/{ns}/last-verified-epoch", s.lastEpoch)
	s.get(mux, "/namespaces/{ns}/audits/{epoch}", s.audit)
	// There is no listing of epochs, as with Cloudflare's.
	mux.HandleFunc("/namespaces/{ns}/audits", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "")
		fail(w, http.StatusMethodNotAllowed, "there is no listing of epochs")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusNotFound, "there is nothing here") })
	return s.guard(mux)
}

// errAbsent makes a 404.
var errAbsent = errors.New("there is none")

func (s *Service) get(mux *http.ServeMux, path string, answer func(st *state, r *http.Request) ([]byte, error)) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		st, err := s.read()
		if err != nil {
			s.failUnread(w, err)
			return
		}
		body, err := answer(st, r)
		if err != nil {
			fail(w, http.StatusNotFound, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(body)
	})
}

// guard limits rate and headers' effects on every answer.
func (s *Service) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if d := s.bucket.take(time.Now()); d > 0 {
			h.Set("Retry-After", strconv.Itoa(int(d/time.Second)+1))
			fail(w, http.StatusTooManyRequests, "too many requests")
			return
		}
		next.ServeHTTP(w, r)
	})
}

type errorJSON struct {
	Error string `strict:"error"`
}

func fail(w http.ResponseWriter, code int, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(strict.EncodeLine(&errorJSON{what}))
}

type infoJSON struct {
	Keys []keyJSON `strict:"keys"`
	Logs []string  `strict:"logs"`
}

type keyJSON struct {
	PublicKey [32]byte `strict:"public_key,hex"`
	NotBefore uint64   `strict:"not_before"`
}

func (s *Service) info(*state, *http.Request) ([]byte, error) {
	k := keyJSON{PublicKey: s.c.Key}
	if !s.c.NotBefore.IsZero() {
		k.NotBefore = uint64(s.c.NotBefore.UnixMilli())
	}
	return strict.EncodeLine(&infoJSON{Keys: []keyJSON{k}, Logs: nil}), nil
}

// describe writes a namespace as plexi_core's NamespaceInfo. Its null members
// are why it isn't an encoded struct: our own formats have none.
func (s *Service) describe(st *state, ns string) []byte {
	suite, last, status := bundle.Protobuf, "", "Initialization"
	if x := st.last[ns]; x != nil {
		suite, last, status = x.Ciphersuite, fmt.Sprintf(`"last_verified_epoch":%d,`, x.Epoch), "Online"
	}
	root := "null"
	if first := firstOf(st.epochs[ns]); first != nil {
		root = fmt.Sprintf(`"%d/%s"`, first.Epoch, hex.EncodeToString(first.Digest[:]))
	}
	// A namespace is a token: it needs no escapes.
	return fmt.Appendf(nil, `{"name":"%s","log_directory":null,"root":%s,%s"status":"%s","reports_uri":"/namespaces/%s/reports","audits_uri":"/namespaces/%s/audits","signature_version":%d,"ciphersuite":%d}`,
		ns, root, last, status, ns, ns, suite, suite)
}

func firstOf(epochs map[uint64]*bundle.Statement) (first *bundle.Statement) {
	for _, x := range epochs {
		if first == nil || x.Epoch < first.Epoch {
			first = x
		}
	}
	return first
}

func (s *Service) namespaces(st *state, _ *http.Request) ([]byte, error) {
	b := []byte(`{"namespaces":[`)
	for i, ns := range s.c.Namespaces {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.describe(st, ns)...)
	}
	return append(b, "]}"...), nil
}

// known says whether the path's namespace is one that is served.
func (s *Service) known(r *http.Request) (string, error) {
	for _, ns := range s.c.Namespaces {
		if ns == r.PathValue("ns") {
			return ns, nil
		}
	}
	return "", errAbsent
}

func (s *Service) namespace(st *state, r *http.Request) ([]byte, error) {
	ns, err := s.known(r)
	if err != nil {
		return nil, err
	}
	return s.describe(st, ns), nil
}

// lastJSON is plexi_core's LastVerifiedEpoch. Cloudflare's auditor runs a job
// for each epoch; here the job's id follows from the statement, as a UUID of
// version 8 (RFC 9562).
type lastJSON struct {
	Job       string   `strict:"job_id"`
	Epoch     uint64   `strict:"epoch"`
	Start     [32]byte `strict:"start_hash,hex"` // the epoch before it; zeros where there is none
	End       [32]byte `strict:"end_hash,hex"`
	Timestamp uint64   `strict:"timestamp"`
}

func jobID(x *bundle.Statement) string {
	id := sha256.Sum256(x.Raw())
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

func (s *Service) lastEpoch(st *state, r *http.Request) ([]byte, error) {
	ns, err := s.known(r)
	if err != nil {
		return nil, err
	}
	x := st.last[ns]
	if x == nil {
		return nil, errAbsent
	}
	last := &lastJSON{Job: jobID(x), Epoch: x.Epoch, End: x.Digest, Timestamp: x.Timestamp}
	if before := st.epochs[ns][x.Epoch-1]; before != nil {
		last.Start = before.Digest
	}
	return strict.EncodeLine(last), nil
}

func (s *Service) audit(st *state, r *http.Request) ([]byte, error) {
	ns, err := s.known(r)
	if err != nil {
		return nil, err
	}
	epoch, err := strict.ParseUint(r.PathValue("epoch"))
	if err != nil {
		return nil, errAbsent
	}
	x := st.epochs[ns][epoch]
	if x == nil {
		return nil, errAbsent
	}
	return x.Raw(), nil
}
