//go:build unix

package monitor

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

type answering []byte

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(a))}, nil
}

// FuzzRekorAnswer: whatever a server of version 1 answers, a checkpoint is one
// that the log signed, and the subtrees before an entry have the number that a
// tree has.
func FuzzRekorAnswer(f *testing.F) {
	l := testrekor.New(1, "rekor.test")
	grow(l, "a", 10)
	log, err := auditlog.NewRekorLog(1, l.Host, l.PEM())
	check(f, err)
	for _, path := range []string{"/api/v1/log", "/api/v1/log/entries?logIndex=3", "/api/v1/log/entries?logIndex=12", "/api/v1/log/proof?firstSize=3&lastSize=12&treeID=1"} {
		rec := httptest.NewRecorder()
		l.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		f.Add(rec.Body.Bytes(), uint64(3))
	}
	f.Fuzz(func(t *testing.T, answer []byte, index uint64) {
		r := &rekorV1{base: "http://rekor.test", client: &http.Client{Transport: answering(answer)}, log: log,
			verify: func(c *auditlog.Checkpoint) (*auditlog.Cosigning, error) { return log.Cosigning(c, nil) }}
		ctx := context.Background()
		if h, err := r.newest(ctx, nil); err == nil {
			if _, err := log.VerifyCheckpoint(h.Checkpoint); err != nil || h.Origin != l.Origin() {
				t.Errorf("taken for the log's checkpoint: %s", h.Marshal())
			}
		}
		if hashes, body, err := r.left(ctx, index); err == nil {
			if _, err := ranges().NewRange(0, index, hashes); err != nil || len(body) == 0 {
				t.Errorf("%d hashes before entry %d: %v", len(hashes), index, err)
			}
		}
		_, _, _ = r.rootAt(ctx, index, index+1)
	})
}
