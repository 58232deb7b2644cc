package rekor

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// known is a log of version 2 that has the bundle already, at an index in its
// second tile, and says no more than that. serve may answer in its place.
func known(t *testing.T, serve func(w http.ResponseWriter, r *http.Request) bool) (*Result, error) {
	t.Helper()
	l := testrekor.New(auditlog.RekorV2, "rekor.test")
	grow := func(n int) {
		for i := range n {
			l.Add(fmt.Appendf(nil, "another's %d", i))
		}
	}
	grow(256)
	bundle := bundleOf(t, 100)
	envelope := envelopeOf(bundle)
	body, err := auditlog.RekorBody(auditlog.RekorV2, envelope, submitter(t))
	if err != nil {
		t.Fatal(err)
	}
	index := l.Add(body)
	grow(40)
	// The checkpoint is older than the tiles that are served by now.
	checkpoint := l.Checkpoint()
	grow(300)
	files := l.Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("x-log-index", fmt.Sprint(index))
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"message":"an equivalent entry exists"}`)
		case serve != nil && serve(w, r):
		case r.URL.Path == "/api/v2/checkpoint":
			fmt.Fprint(w, checkpoint)
		default:
			files.ServeHTTP(w, r)
		}
	}))
	defer srv.Close()
	log, err := auditlog.NewRekorLog(auditlog.RekorV2, "rekor.test", l.PEM())
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(log, Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c.Append(t.Context(), bundle, envelope, submitter(t))
}

func TestAnEntryThatIsThereAlreadyIsProvenFromTheTiles(t *testing.T) {
	r, err := known(t, nil)
	if err != nil || !r.Existed || r.Inclusion.Index != 259 || r.Inclusion.Size != 300 {
		t.Errorf("%+v, %v", r, err)
	}
	// A server may keep no partial tile once there is the full one, whatever kind
	// of page says so.
	for _, kind := range []string{"text/plain", "application/json"} {
		refused := 0
		r, err = known(t, func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, ".p/") || strings.HasPrefix(r.URL.Path, "/api/v2/tile/1/") {
				return false
			}
			refused++
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(http.StatusNotFound)
			return true
		})
		if err != nil || !r.Existed || refused == 0 {
			t.Errorf("%s: %+v, %v, %d refused", kind, r, err, refused)
		}
	}
}

func TestTilesThatCannotProveAnEntryAreNotBelieved(t *testing.T) {
	tile := func(answer func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/tile/") {
				return false
			}
			answer(w)
			return true
		}
	}
	for name, c := range map[string]struct {
		serve func(http.ResponseWriter, *http.Request) bool
		kind  error
		says  string
	}{
		"none":      {tile(func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }), errAnswer, "is not served"},
		"empty":     {tile(func(w http.ResponseWriter) {}), errAnswer, "has 0 bytes"},
		"too short": {tile(func(w http.ResponseWriter) { w.Write(make([]byte, 43*32)) }), errAnswer, "has 1376 bytes, 44 hashes are in the tree"},
		"torn":      {tile(func(w http.ResponseWriter) { w.Write(make([]byte, 256*32-1)) }), errAnswer, "has 8191 bytes"},
		"zeros":     {tile(func(w http.ResponseWriter) { w.Write(make([]byte, 256*32)) }), errAnswer, "can't be believed"},
		"endless":   {tile(func(w http.ResponseWriter) { w.Write(make([]byte, maxAnswer+1)) }), errAnswer, "more than 4 MB"},
		"too busy":  {tile(func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) }), errBusy, "HTTP 429"},
	} {
		_, err := known(t, c.serve)
		if !errors.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.kind, c.says)
		}
	}
}
