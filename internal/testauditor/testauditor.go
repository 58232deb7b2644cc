// Package testauditor stands in for Cloudflare's auditor: its API as documented, where
// an owner submits epoch and digest over mTLS and is answered with the statement. It
// shares no code with what it tests. It misbehaves as it is told.
package testauditor

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Auditor is one that runs until the test ends.
type Auditor struct {
	URL    string // mTLS
	Public string // for readers, plain
	Key    ed25519.PrivateKey
	Suite  uint32
	Files  Files

	mu         sync.Mutex
	signed     map[string]map[uint64]*statement
	asked      []string
	misbehaves func(w http.ResponseWriter, r *http.Request) bool
}

type statement struct {
	Version   uint32  `json:"version"`
	Suite     uint32  `json:"ciphersuite"`
	Namespace string  `json:"namespace"`
	Timestamp uint64  `json:"timestamp"`
	Epoch     uint64  `json:"epoch"`
	Digest    string  `json:"digest"`
	Signature string  `json:"signature"`
	KeyID     uint8   `json:"key_id"`
	Message   *string `json:"serialized_message"`
}

// Start starts an auditor whose key follows from a name. Its files are in dir.
func Start(t testing.TB, dir, name string, suite uint32) *Auditor {
	t.Helper()
	a, stop, err := Run(dir, name, suite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return a
}

// Run is Start for whoever has no test at hand.
func Run(dir, name string, suite uint32) (a *Auditor, stop func(), err error) {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, "testauditor "+name)
	a = &Auditor{Key: ed25519.NewKeyFromSeed(seed), Suite: suite, signed: map[string]map[uint64]*statement{}}
	server, files, err := certificates(dir)
	if err != nil {
		return nil, nil, err
	}
	a.Files = files
	private, public := httptest.NewUnstartedServer(a), httptest.NewServer(http.HandlerFunc(a.read))
	private.TLS = server
	private.Config.ErrorLog = log.New(io.Discard, "", 0) // it is strangers that it turns away
	private.StartTLS()
	a.URL, a.Public = private.URL, public.URL
	return a, func() {
		a.Misbehave(nil)
		private.CloseClientConnections()
		private.Close()
		public.Close()
	}, nil
}

// Misbehave has f answer first; where it says that it did, nothing else does.
func (a *Auditor) Misbehave(f func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.misbehaves = f
}

// Asked are the methods of all questions at the mTLS listener so far, and forgets them.
func (a *Auditor) Asked() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := strings.Join(a.asked, " ")
	a.asked = nil
	return list
}

// ServeHTTP answers owners.
func (a *Auditor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Read first: before that nobody is told that the client has gone.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	a.mu.Lock()
	a.asked = append(a.asked, r.Method)
	f := a.misbehaves
	a.mu.Unlock()
	switch {
	case f != nil && f(w, r):
	case r.Method == http.MethodPost:
		a.post(w, r)
	default:
		a.read(w, r)
	}
}

// post is "Publish a new epoch".
func (a *Auditor) post(w http.ResponseWriter, r *http.Request) {
	s, err := a.Publish(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer(w, s)
}

// Publish signs what was submitted: epochs rise by one, digests are unique, and
// nothing is published twice.
func (a *Auditor) Publish(r *http.Request) (json.RawMessage, error) {
	ns, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/namespaces/"), "/audits")
	var in struct {
		Epoch  uint64
		Digest string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	digest, err := hex.DecodeString(in.Digest)
	if err != nil || !ok || len(digest) != 32 {
		return nil, fmt.Errorf("%s: no digest of an epoch", r.URL.Path)
	}
	return a.Sign(ns, in.Epoch, digest)
}

// Sign publishes an epoch, and gives its statement as served.
func (a *Auditor) Sign(ns string, epoch uint64, digest []byte) (json.RawMessage, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signed[ns] == nil {
		a.signed[ns] = map[uint64]*statement{}
	}
	switch last := uint64(len(a.signed[ns])); {
	case epoch <= last:
		return nil, fmt.Errorf("Epochs cannot be republished.")
	case epoch > last+1:
		return nil, fmt.Errorf("Epochs must be increasing.")
	}
	for _, s := range a.signed[ns] {
		if s.Digest == hex.EncodeToString(digest) {
			return nil, fmt.Errorf("Epochs must have a unique digest.")
		}
	}
	s := a.statement(a.Suite, ns, epoch, digest)
	a.signed[ns][epoch] = s
	return json.Marshal(s)
}

// Statement signs whatever a test wants, and publishes nothing.
func (a *Auditor) Statement(suite uint32, ns string, epoch uint64, digest []byte) json.RawMessage {
	text, err := json.Marshal(a.statement(suite, ns, epoch, digest))
	if err != nil {
		panic(err)
	}
	return text
}

func (a *Auditor) statement(suite uint32, ns string, epoch uint64, digest []byte) *statement {
	at := uint64(time.Now().UnixMilli())
	m := message(suite, ns, at, epoch, digest)
	text := hex.EncodeToString(m)
	return &statement{suite, suite, ns, at, epoch, hex.EncodeToString(digest), hex.EncodeToString(ed25519.Sign(a.Key, m)),
		a.Key[ed25519.PrivateKeySize-1], &text}
}

// message is what is signed: proto2 with every field, or bincode's fixed widths.
func message(suite uint32, ns string, at, epoch uint64, digest []byte) (b []byte) {
	if suite == 2 {
		le := binary.LittleEndian
		b = le.AppendUint64(le.AppendUint32(nil, suite), uint64(len(ns)))
		b = le.AppendUint64(le.AppendUint64(append(b, ns...), at), epoch)
		return append(le.AppendUint64(b, uint64(len(digest))), digest...)
	}
	inner := binary.AppendUvarint([]byte{0x08}, epoch)
	b = append(binary.AppendUvarint([]byte{0x08, byte(suite), 0x12}, uint64(len(ns))), ns...)
	b = append(binary.AppendUvarint(append(b, 0x18), at), 0x22, byte(len(inner)))
	return append(append(append(b, inner...), 0x2a, byte(len(digest))), digest...)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// read is what everybody may ask.
func (a *Auditor) read(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.URL.Path == "/info" {
		answer(w, map[string]any{"keys": []any{map[string]any{"public_key": hex.EncodeToString(a.Key.Public().(ed25519.PublicKey)), "not_before": 0}}, "logs": []string{}})
		return
	}
	if part[0] != "namespaces" || len(part) < 2 || a.signed[part[1]] == nil {
		http.NotFound(w, r)
		return
	}
	ns, epochs := part[1], a.signed[part[1]]
	last := epochs[uint64(len(epochs))]
	switch {
	case len(part) == 2:
		answer(w, map[string]any{"name": ns, "log_directory": nil, "root": "1/" + epochs[1].Digest, "last_verified_epoch": len(epochs), "status": "Online",
			"reports_uri": "/namespaces/" + ns + "/reports", "audits_uri": "/namespaces/" + ns + "/audits", "signature_version": a.Suite, "ciphersuite": a.Suite})
		return
	case len(part) == 3 && part[2] == "last-verified-epoch":
		answer(w, map[string]any{"job_id": "00000000-0000-8000-8000-000000000000", "epoch": last.Epoch, "start_hash": strings.Repeat("00", 32), "end_hash": last.Digest, "timestamp": last.Timestamp})
		return
	case len(part) == 4 && part[2] == "audits":
		epoch, err := strconv.ParseUint(part[3], 10, 64)
		if s := epochs[epoch]; err == nil && s != nil {
			answer(w, s)
			return
		}
	}
	http.NotFound(w, r)
}
