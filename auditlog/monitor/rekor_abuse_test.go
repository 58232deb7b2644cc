//go:build unix

package monitor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

// A fork whose proof isn't served at first: once it is, the file that the alarm
// names has it.
func TestASplitIsProvenWhenItsProofComes(t *testing.T) {
	l := testrekor.New(1, "rekor.test")
	grow(l, "a", 7)
	fork := l.Clone()
	grow(l, "here", 5)
	grow(fork, "there", 9)
	srv := newRekorServer(t, l)
	w := watchRekor(t, l, srv.url)
	w.quiet(uint64(l.Size()), uint64(l.Size()))
	inner := fork.Handler()
	var withheld http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/proof") {
			http.Error(rw, "later", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(rw, r)
	})
	srv.handler.Store(&withheld)
	w.alarm(KindDamaged)
	srv.show(fork)
	a := w.alarm(KindSplit)
	data, err := os.ReadFile(a.Evidence)
	check(t, err)
	s, err := auditlog.ParseSplitView(a.Evidence, data)
	check(t, err)
	if err := w.log.VerifySplit(s); err != nil {
		t.Errorf("the alarm's evidence: %v", err)
	}
}

// A server that shows new checkpoints and never what they are of is silent.
func TestCheckpointsWithoutEntriesAreSilence(t *testing.T) {
	l := testrekor.New(1, "rekor.test")
	grow(l, "a", 3)
	srv := newRekorServer(t, l)
	w := watchRekor(t, l, srv.url)
	w.quiet(uint64(l.Size()), uint64(l.Size()))
	grow(l, "b", 3)
	inner := l.Handler()
	var withheld http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/entries") {
			http.Error(rw, "later", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(rw, r)
	})
	srv.handler.Store(&withheld)
	w.o.Silence = time.Hour
	if _, alarms, err := w.pass(); err == nil || len(alarms) > 0 {
		t.Errorf("%v %v", alarms, err)
	}
	w.o.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	w.alarm(KindSilence)
}

// What a server says of itself is kept on the disk for good: it is short.
func TestARekorServersWordsAreShort(t *testing.T) {
	l := testrekor.New(1, "rekor.test")
	long := strings.Repeat("9", 500<<10)
	for name, answer := range map[string]string{
		"a tree's name":   fmt.Sprintf(`{"treeID":%q}`, long),
		"a number":        fmt.Sprintf(`{"treeID":"1","treeSize":%s}`, long),
		"a checkpoint":    fmt.Sprintf(`{"treeID":"1","signedTreeHead":%q}`, long),
		"too long at all": strings.Repeat(" ", maxRekorWord+1),
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
		w := watchRekor(t, l, srv.URL)
		_, alarms, err := w.pass()
		if err == nil && len(alarms) == 0 {
			t.Errorf("%s: nothing is wrong", name)
		}
		for _, file := range []string{"alarms.jsonl", "state.json"} {
			if info, err := os.Stat(filepath.Join(w.state, file)); err == nil && info.Size() > 20<<10 {
				t.Errorf("%s: %s has %d bytes", name, file, info.Size())
			}
		}
		srv.Close()
	}
}

// An answer takes no more memory than a few times its size, whatever it lists:
// 6 times, and 9 where the race detector counts.
func TestARekorAnswerIsNotBlownUp(t *testing.T) {
	var names strings.Builder
	for i := 0; names.Len() < 8<<20; i++ {
		fmt.Fprintf(&names, `,"%x":{}`, i)
	}
	for name, answer := range map[string]string{
		"hashes":  `{"a":{"body":"QQ==","verification":{"inclusionProof":{"logIndex":3,"treeSize":9,"hashes":[""` + strings.Repeat(`,""`, 3<<20) + `]}}}}`,
		"entries": "{" + names.String()[1:] + "}",
	} {
		r := &rekorV1{base: "http://rekor.test", client: &http.Client{Transport: answering(answer)}}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := r.left(context.Background(), 3)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > uint64(14*len(answer)) {
			t.Errorf("%s: an answer of %d bytes took %d: %v", name, len(answer), took, err)
		} else {
			t.Logf("%s: an answer of %d bytes took %d", name, len(answer), took)
		}
	}
}
