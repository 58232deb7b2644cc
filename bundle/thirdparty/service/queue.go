package service

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Queue is a folder of requests that wait for a person: one for each epoch.
// What lies in it was read and fits the policy, and is checked again by whoever
// signs it.
type Queue struct {
	Dir    string
	Policy *thirdparty.Policy
	Log    *slog.Logger

	// Most is how many may wait at once; 100 where it is 0.
	Most int

	bucket *bucket
	one    sync.Mutex // is held while it is seen what waits, and stored what does from now on
}

// Waiting is a request in the queue.
type Waiting struct {
	File      string
	Namespace string
	Epoch     uint64
	Digest    [32]byte // of the artifact
	Size      int64
	Time      time.Time
	Bare      bool     // an epoch and a digest alone: it waits for its request
	Against   [32]byte // the digest that also waits for this epoch: one of the two is wrong; zero where none does
	Fault     string   // why it can't be read any more
}

const (
	queued      = ".request.json"
	defaultMost = 100
)

// OpenQueue makes the folder if need be.
func OpenQueue(dir string, p *thirdparty.Policy, log *slog.Logger) (*Queue, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// A submission costs much more than an answer, and a fleet makes one every
	// few years.
	return &Queue{Dir: dir, Policy: p, Log: log, Most: defaultMost, bucket: newBucket(0.2, 10)}, nil
}

// List is what waits, by namespace and epoch. A submission whose request is there
// waits no more by itself.
func List(dir string) ([]Waiting, error) {
	entries, err := durable.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []Waiting
	for _, e := range entries {
		if !waits(e) {
			continue
		}
		w, err := readWaiting(dir, e)
		if errors.Is(err, fs.ErrNotExist) {
			continue // signed, or rejected, meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	list = slices.DeleteFunc(list, func(w Waiting) bool {
		return w.Bare && slices.ContainsFunc(list, func(r Waiting) bool {
			return !r.Bare && r.Namespace == w.Namespace && r.Epoch == w.Epoch && r.Digest == w.Digest
		})
	})
	for i, w := range list {
		for _, x := range list {
			if w.Fault == "" && x.Fault == "" && x.Namespace == w.Namespace && x.Epoch == w.Epoch && x.Digest != w.Digest {
				list[i].Against = x.Digest
			}
		}
	}
	slices.SortFunc(list, func(a, b Waiting) int { return strings.Compare(a.File, b.File) })
	return list, nil
}

func readWaiting(dir string, e fs.DirEntry) (Waiting, error) {
	w := Waiting{File: filepath.Join(dir, e.Name())}
	info, err := e.Info()
	if err != nil {
		return w, err
	}
	w.Size, w.Time = info.Size(), info.ModTime().UTC()
	data, err := durable.ReadFile(w.File)
	if err != nil {
		return w, err
	}
	if err := w.read(data); err != nil {
		w.Fault = err.Error()
	}
	return w, nil
}

// waits says whether a file of the queue's folder is something that waits.
func waits(e fs.DirEntry) bool {
	name := e.Name()
	return e.Type().IsRegular() && (strings.HasSuffix(name, queued) || strings.HasSuffix(name, submitted))
}

func (w *Waiting) read(data []byte) error {
	if w.Bare = strings.HasSuffix(w.File, submitted); w.Bare {
		x, err := parseSubmission(w.File, data)
		if err == nil {
			w.Namespace, w.Epoch, w.Digest = x.Namespace, x.Epoch, x.Digest
		}
		return err
	}
	r, err := bundle.ParseRequest(w.File, data)
	if err == nil {
		set := r.Core.KeySet
		w.Namespace, w.Epoch, w.Digest = set.Namespace, set.Epoch, set.Digest()
	}
	return err
}

// errTaken says that another request, or another digest, waits for the same epoch.
var errTaken = errors.New("another request for this epoch was here first")

// taken is an errTaken that names both digests.
type taken struct {
	there Waiting
	has   [32]byte // what comes now
}

func (e *taken) Is(target error) bool { return target == errTaken }

func (e *taken) Error() string {
	return fmt.Sprintf("the request of digest %x was submitted for epoch %d, and this submission has %x: one of the two has to be taken out", e.there.Digest, e.there.Epoch, e.has)
}

// place is the file of what waits for an epoch. 16 digits are more than an epoch has,
// and files come in its order.
func (q *Queue) place(namespace string, epoch uint64, suffix string) string {
	return filepath.Join(q.Dir, fmt.Sprintf("%s-%016d%s", namespace, epoch, suffix))
}

// other reads what waits under a name; nil where nothing does.
func other(file string) (*Waiting, error) {
	data, err := durable.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	w := &Waiting{File: file}
	if err == nil {
		err = w.read(data)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// parseRequest reads a request, and holds it against the policy.
func (q *Queue) parseRequest(data []byte) (*bundle.KeySet, error) {
	r, err := bundle.ParseRequest("request", data)
	if err != nil {
		return nil, err
	}
	return r.Core.KeySet, q.Policy.Allows("request", r.Core.KeySet)
}

// Put stores a request. Of several for one epoch exactly one is stored, be it
// by several processes; the same one again is no fault. again says so. A digest
// that was submitted alone keeps no request out: whoever submits one has shown
// nothing. Where it is another one, both wait, for a person to see.
func (q *Queue) Put(data []byte) (again bool, w *Waiting, err error) {
	set, err := q.parseRequest(data)
	if err != nil {
		return false, nil, err
	}
	return q.put(set, data)
}

func (q *Queue) put(set *bundle.KeySet, data []byte) (again bool, w *Waiting, err error) {
	w = &Waiting{Namespace: set.Namespace, Epoch: set.Epoch, Digest: set.Digest(), Size: int64(len(data))}
	w.File = q.place(set.Namespace, set.Epoch, queued)
	q.one.Lock()
	defer q.one.Unlock()
	if x, err := other(q.place(set.Namespace, set.Epoch, submitted)); err != nil {
		q.Log.Error("what was submitted for the epoch can't be read", "error", err)
	} else if x != nil && x.Digest != w.Digest {
		w.Against = x.Digest
	}
	again, err = q.store(w.File, queued, data)
	return again, w, err
}

// store writes a file of the queue, unless it is there with the same content. Another
// content is errTaken. Requests are counted by themselves: digests that nobody follows
// with a request keep none out.
func (q *Queue) store(file, suffix string, data []byte) (again bool, err error) {
	if _, err := durable.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if n, err := q.count(suffix); err != nil {
			return false, err
		} else if n >= q.Most {
			return false, errFull
		}
	}
	err = durable.Create(file, data, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	first, err := durable.ReadFile(file)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(first, data) {
		return false, errTaken
	}
	// Whoever stored it may have been killed before its name was durable.
	return true, durable.SyncDir(q.Dir)
}

var errFull = errors.New("too many requests wait already")

// Count is how many requests wait, and how many digests whose request isn't there.
func (q *Queue) Count() (requests, digests int, err error) {
	entries, err := durable.ReadDir(q.Dir)
	has := map[string]bool{}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), queued); ok && waits(e) {
			requests++
			has[name] = true
		}
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), submitted); ok && waits(e) && !has[name] {
			digests++
		}
	}
	return requests, digests, err
}

func (q *Queue) count(suffix string) (n int, err error) {
	entries, err := durable.ReadDir(q.Dir)
	for _, e := range entries {
		if waits(e) && strings.HasSuffix(e.Name(), suffix) {
			n++
		}
	}
	return n, err
}

type acceptedJSON struct {
	Namespace string   `strict:"namespace"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Request   [32]byte `strict:"request,hex"`          // SHA-256 of what was submitted
	Against   [32]byte `strict:"against,hex,optional"` // another digest that was submitted for the epoch
	Status    string   `strict:"status"`               // queued, or queued before
}

// Handler takes requests, POST /requests with the request's file as the body, and
// submissions as Cloudflare's auditor does: POST /namespaces/NAMESPACE/audits. What it
// has signed it serves too. It is for a listener with mTLS, and refuses any other.
func (q *Queue) Handler(s *Service) http.Handler {
	s.tell(q.settle)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /requests", q.sparing(func(w http.ResponseWriter, r *http.Request) { q.submit(s, w, r) }))
	mux.HandleFunc("POST /namespaces/{ns}/audits", q.sparing(func(w http.ResponseWriter, r *http.Request) { q.take(s, w, r) }))
	mux.Handle("/", s.Handler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			fail(w, http.StatusForbidden, "a client certificate is wanted")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// sparing limits how often something is submitted.
func (q *Queue) sparing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if d := q.bucket.take(time.Now()); d > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int(d/time.Second)+1))
			fail(w, http.StatusTooManyRequests, "too many submissions")
			return
		}
		next(w, r)
	}
}

func (q *Queue) submit(s *Service, w http.ResponseWriter, r *http.Request) {
	who := r.TLS.VerifiedChains[0][0].Subject.String()
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bundle.MaxRequest))
	var huge *http.MaxBytesError
	switch {
	case errors.As(err, &huge):
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a request has at most %d bytes", bundle.MaxRequest))
		return
	case err != nil:
		fail(w, http.StatusBadRequest, "the request was cut off")
		return
	}
	set, err := q.parseRequest(data)
	if err != nil {
		q.Log.Info("refused", "from", who, "error", err)
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if q.answered(s, &submission{submissionFormat, set.Namespace, set.Epoch, set.Digest()}, "a request", who, w) {
		return
	}
	again, x, err := q.put(set, data)
	switch {
	case errors.Is(err, errTaken):
		q.Log.Warn("a second request for one epoch", "from", who, "sha256", fmt.Sprintf("%x", sha256.Sum256(data)))
		fail(w, http.StatusConflict, err.Error())
	case errors.Is(err, errFull):
		q.Log.Warn("the queue is full", "from", who)
		fail(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		q.Log.Error("a request can't be stored", "error", err)
		fail(w, http.StatusInternalServerError, "the request can't be stored")
	default:
		status, code := "queued", http.StatusCreated
		if again {
			status, code = "queued before", http.StatusOK
		}
		if x.Against != ([32]byte{}) {
			q.Log.Warn("a request and a digest of one epoch contradict each other", "from", who, "epoch", x.Epoch, "digest", fmt.Sprintf("%x", x.Digest), "submitted", fmt.Sprintf("%x", x.Against))
		}
		q.Log.Info(status, "from", who, "file", x.File)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		w.Write(strict.EncodeLine(&acceptedJSON{x.Namespace, x.Epoch, x.Digest, sha256.Sum256(data), x.Against, status}))
	}
}

// ServerTLS wants a client certificate of the given authorities.
func ServerTLS(cert tls.Certificate, clients *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}
}
