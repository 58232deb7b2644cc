//go:build unix

package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func wantStatus(tb testing.TB, err error, status int, says string) *witness.Refusal {
	tb.Helper()
	var no *witness.Refusal
	if !errors.As(err, &no) || no.Status != status || !strings.Contains(err.Error(), says) {
		tb.Fatalf("got %T %v, want a refusal with %d that says %q", err, err, status, says)
	}
	return no
}

func TestWitnessNeverGoesBackAndNeverForks(t *testing.T) {
	l := newLog(t)
	w, _, _ := ours(t, l, "w.example/1")
	l.grow(t, "a", 3)
	older := l.request(t, 0)
	if _, err := w.Cosign(older); err != nil {
		t.Fatal(err)
	}
	fork := l.fork(t)
	l.grow(t, "b", 4)
	if _, err := w.Cosign(l.request(t, 3)); err != nil {
		t.Fatal(err)
	}

	wantStatus(t, second(w.Cosign(older)), http.StatusConflict, "it doesn't go back")
	if no := wantStatus(t, second(w.Cosign(l.request(t, 3))), http.StatusConflict, "has cosigned 7"); no.Size != 7 {
		t.Errorf("it says size %d", no.Size)
	}
	// Another history of the same size, and of a larger one.
	fork.grow(t, "c", 4)
	same := fork.request(t, 7)
	wantStatus(t, second(w.Cosign(same)), http.StatusUnprocessableEntity, "another root: the log was forked")
	fork.grow(t, "d", 1)
	wantStatus(t, second(w.Cosign(fork.request(t, 7))), http.StatusUnprocessableEntity, "is not shown to hold")
	// The pair that proves the fork is kept.
	kept, err := filepath.Glob(filepath.Join(w.State(), "*.fork"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if data, _ := os.ReadFile(kept[0]); !bytes.Equal(data, same.Checkpoint.Marshal()) {
		t.Errorf("kept is %q", data)
	}
	// And the true history goes on, also at the same size.
	if _, err := w.Cosign(l.request(t, 7)); err != nil {
		t.Fatal(err)
	}
	if c, size, err := w.Last(origin); err != nil || size != 7 || len(c.Signatures) != 1 {
		t.Errorf("%+v, %d, %v", c, size, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestWitnessRefusesByName(t *testing.T) {
	l := newLog(t)
	w, _, _ := ours(t, l, "w.example/1")
	l.grow(t, "a", 2)
	good := l.request(t, 0)

	unknown := *good
	c := *good.Checkpoint
	c.Origin = "other.example"
	unknown.Checkpoint = &c
	wantStatus(t, second(w.Cosign(&unknown)), http.StatusNotFound, "is not known here")

	unsigned := *good
	d := *good.Checkpoint
	d.Signatures = nil
	unsigned.Checkpoint = &d
	wantStatus(t, second(w.Cosign(&unsigned)), http.StatusForbidden, "is not signed by")

	spoilt := *good
	e := *good.Checkpoint
	e.Root[0] ^= 1
	spoilt.Checkpoint = &e
	wantStatus(t, second(w.Cosign(&spoilt)), http.StatusForbidden, "signature")

	larger := *good
	larger.Old = 3
	wantStatus(t, second(w.Cosign(&larger)), http.StatusBadRequest, "fewer than the 3")

	proof := *good
	proof.Hashes = make([][32]byte, 1)
	wantStatus(t, second(w.Cosign(&proof)), http.StatusUnprocessableEntity, "nothing to prove")
	if _, size, err := w.Last(origin); err != nil || size != 0 {
		t.Errorf("a refusal moved the record to %d, %v", size, err)
	}
}

func TestRecordIsDurableBeforeTheSignature(t *testing.T) {
	l := newLog(t)
	k := key("w.example/1")
	state := filepath.Join(t.TempDir(), "seen")
	asked := 0
	s := must(witness.NewSigner("w.example/1", must(keys.FromEd25519(k.Public().(ed25519.PublicKey))), func(msg []byte) ([]byte, error) {
		asked++
		data, err := os.ReadFile(filepath.Join(state, witness.OriginID(origin)))
		if err != nil || !bytes.Contains(data, []byte("\nsize 2\n")) {
			t.Errorf("asked to sign before the record says so: %q, %v", data, err)
		}
		return nil, errors.New("token removed")
	}))
	o := witness.Options{State: state, Logs: []*auditlog.Verifier{l.key(t)}, First: true}
	w, err := witness.Open(s, o)
	check(t, err)
	l.grow(t, "a", 2)
	if _, err := w.Cosign(l.request(t, 0)); err == nil || !strings.Contains(err.Error(), "token removed") {
		t.Fatalf("got %v", err)
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	// With the key back, from the size that may have been signed.
	o.First = false
	again, err := witness.Open(signer("w.example/1"), o)
	check(t, err)
	if _, err := again.Cosign(l.request(t, 2)); err != nil {
		t.Error(err)
	}
}

func TestLostOrSpoiltRecordIsARefusal(t *testing.T) {
	l := newLog(t)
	w, _, _ := ours(t, l, "w.example/1")
	l.grow(t, "a", 2)
	if _, err := w.Cosign(l.request(t, 0)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.State(), witness.OriginID(origin))
	good, err := os.ReadFile(path)
	check(t, err)
	o := witness.Options{State: w.State(), Logs: []*auditlog.Verifier{l.key(t)}}
	for name, spoil := range map[string]func() error{
		"lost":      func() error { return os.Remove(path) },
		"empty":     func() error { return os.WriteFile(path, nil, 0o644) },
		"truncated": func() error { return os.WriteFile(path, good[:len(good)-2], 0o644) },
		"size changed": func() error {
			return os.WriteFile(path, bytes.Replace(good, []byte("size 2"), []byte("size 1"), 1), 0o644)
		},
		"no checkpoint": func() error {
			return os.WriteFile(path, good[:bytes.Index(good, []byte("\n\n"))+1], 0o644)
		},
		"other key": func() error {
			return os.WriteFile(path, bytes.Replace(good, []byte(origin+"+"), []byte("x+"), 1), 0o644)
		},
	} {
		check(t, spoil())
		if _, err := witness.Open(signer("w.example/1"), o); err == nil {
			t.Errorf("%s: opened", name)
		}
		if _, err := w.Cosign(l.request(t, 2)); err == nil {
			t.Errorf("%s: cosigned", name)
		}
		check(t, os.WriteFile(path, good, 0o644))
	}
	// --first on a record that is there changes nothing.
	o.First = true
	again, err := witness.Open(signer("w.example/1"), o)
	check(t, err)
	if _, size, err := again.Last(origin); err != nil || size != 2 {
		t.Errorf("size %d, %v", size, err)
	}
	_, err = witness.Open(signer("w.example/1"), witness.Options{State: filepath.Join(t.TempDir(), "nowhere"), Logs: o.Logs})
	if err == nil || !strings.Contains(err.Error(), "nothing is known") {
		t.Errorf("got %v", err)
	}
	if _, err := witness.Open(signer("w.example/1"), witness.Options{State: w.State()}); err == nil {
		t.Error("a witness of no log")
	}
}

// TestOneHistoryUnderRace has two histories asked for at once, over and over:
// what is cosigned must be one of them.
func TestOneHistoryUnderRace(t *testing.T) {
	l := newLog(t)
	l.grow(t, "a", 1)
	other := l.fork(t)
	w, _, _ := ours(t, l, "w.example/1")
	if _, err := w.Cosign(l.request(t, 0)); err != nil {
		t.Fatal(err)
	}
	second, err := witness.Open(signer("w.example/1"), witness.Options{State: w.State(), Logs: []*auditlog.Verifier{l.key(t)}})
	check(t, err)
	size := uint64(1)
	var cosigned [2]int
	for round := range 8 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := map[string]bool{}
		for i, h := range []*testLog{l, other} {
			h.grow(t, fmt.Sprintf("%s %d", h.dir, round), 1)
			r := h.request(t, size)
			for _, who := range []*witness.Witness{w, second} {
				wg.Go(func() {
					if _, err := who.Cosign(r); err == nil {
						mu.Lock()
						won[r.Checkpoint.Text()] = true
						cosigned[i]++
						mu.Unlock()
					}
				})
			}
		}
		wg.Wait()
		if len(won) > 1 {
			t.Fatal("both histories were cosigned")
		}
		_, last, err := w.Last(origin)
		check(t, err)
		if last == size {
			break // the other history has nothing to follow any more
		}
		size = last
	}
	if cosigned[0] > 0 == (cosigned[1] > 0) {
		t.Errorf("cosigned of each history: %v", cosigned)
	}
}
