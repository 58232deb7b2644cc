package fetch

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/saved"
)

// rewritten is another statement about the epoch, as well signed as the first.
func rewritten(epoch uint64) []byte {
	s, err := bundle.NewStatement(bundle.Protobuf, space, 1795255200000+epoch, epoch, bundle.Digest(fmt.Append(nil, "other ", epoch)))
	if err != nil {
		panic(err)
	}
	return s.Encode([64]byte(ed25519.Sign(key, s.Message())))
}

// grown is an auditor of so many epochs, all of them saved.
func grown(t *testing.T, last uint64) (*auditor, *Client, string) {
	t.Helper()
	a := &auditor{root: 1, last: last, inLast: true}
	c, _ := client(t, a)
	c.Random = rand.NewChaCha8([32]byte{1})
	file := filepath.Join(t.TempDir(), "all.jsonl")
	if n, err := save(t.Context(), c, file, 0); err != nil || n != int64(last) {
		t.Fatal(n, err)
	}
	a.asked = nil
	return a, c, file
}

// judged is what the history says of a file and what became of it.
func judged(t *testing.T, file string, again *history.Again) *history.Report {
	t.Helper()
	archive, err := saved.Open([]string{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := history.Check(t.Context(), archive, history.Options{
		Keys: []history.Key{{Name: "auditor", Key: pub}}, Now: time.UnixMilli(1795255300000), Only: space, Again: again,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func says(r *history.Report, check string, epoch uint64, what string) bool {
	return slices.ContainsFunc(r.Problems, func(p history.Problem) bool {
		return p.Check == check && p.Epoch == epoch && p.Namespace == space && strings.Contains(p.What, what)
	})
}

func TestARewrittenEpochAtTheTipIsFoundAndNamed(t *testing.T) {
	a, c, file := grown(t, 200)
	a.answer = func(w http.ResponseWriter, epoch uint64) bool {
		if epoch == 195 {
			w.Write(rewritten(epoch))
		}
		return epoch == 195
	}
	a.last = 201
	s, err := c.Save(t.Context(), file, Options{})
	if err != nil || s.New != 1 || s.Again.Asked != neighbours+sample || !slices.Equal(s.Again.Rewritten, []uint64{195}) {
		t.Fatalf("%+v, %+v, %v", s, s.Again, err)
	}
	r := judged(t, file, s.Again)
	if r.Good() || !says(r, history.Unchanged, 195, "it is rewritten") || !says(r, history.OneDigest, 195, "signed two statements") || r.Faults != 2 {
		t.Errorf("%+v", r.Problems)
	}
	if len(r.Evidence) != 1 || !bytes.Equal(r.Evidence[0].A, statement(195)) || !bytes.Equal(r.Evidence[0].B, rewritten(195)) {
		t.Errorf("evidence %+v", r.Evidence)
	}
	// The file has both by now: it is asked again, and not added again.
	size := len(lines(t, file))
	if s, err = c.Save(t.Context(), file, Options{}); err != nil || len(s.Again.Rewritten) != 0 || len(lines(t, file)) != size {
		t.Errorf("%+v, %v, %d lines", s.Again, err, len(lines(t, file)))
	}
	if r = judged(t, file, s.Again); r.Good() || !says(r, history.OneDigest, 195, "signed two statements") {
		t.Errorf("the next run: %+v", r.Problems)
	}
}

func TestOfAnOldPastARandomSampleIsAskedForAgainAndWithAllEverything(t *testing.T) {
	a, c, file := grown(t, 200)
	seen := map[string]bool{}
	for range 3 {
		a.asked = nil
		s, err := c.Save(t.Context(), file, Options{})
		if err != nil || s.Again.Asked != neighbours+sample || len(a.asked) != 1+neighbours+sample {
			t.Fatalf("%+v, %v, asked %d times", s.Again, err, len(a.asked))
		}
		if r := judged(t, file, s.Again); !r.Good() || r.Checks[len(r.Checks)-1].Checked != neighbours+sample {
			t.Errorf("%+v, %+v", r.Problems, r.Checks)
		}
		for e := 191; e <= 200; e++ {
			if !slices.Contains(a.asked, fmt.Sprintf("/namespaces/%s/audits/%d", space, e)) {
				t.Errorf("epoch %d is the tip's neighbour and isn't asked for", e)
			}
		}
		for _, path := range a.asked[1:] {
			seen[path] = true
		}
	}
	if len(seen) <= neighbours+sample+5 {
		t.Errorf("three runs ask for the same %d epochs", len(seen))
	}
	a.answer = func(w http.ResponseWriter, epoch uint64) bool {
		switch epoch {
		case 2:
			w.Write(rewritten(epoch))
		case 3:
			http.NotFound(w, nil)
		}
		return epoch == 2 || epoch == 3
	}
	s, err := c.Save(t.Context(), file, Options{All: true})
	if err != nil || s.Again.Asked != 200 || !slices.Equal(s.Again.Rewritten, []uint64{2}) || !slices.Equal(s.Again.Gone, []uint64{3}) {
		t.Fatalf("%+v, %v", s.Again, err)
	}
	r := judged(t, file, s.Again)
	if r.Good() || !says(r, history.Unchanged, 2, "it is rewritten") || !says(r, history.Unchanged, 3, "it is gone") {
		t.Errorf("%+v", r.Problems)
	}
}

func TestAHistoryThatGotShorterIsAFault(t *testing.T) {
	a, c, file := grown(t, 12)
	before, _ := os.ReadFile(file)
	for last, want := range map[uint64]string{11: "newest epoch is now 11", 0: "newest epoch is now 0"} {
		a.last = last
		s, err := c.Save(t.Context(), file, Options{})
		if err != nil || s.New != 0 || s.Again.Newest != last || s.Again.Asked != int64(last) {
			t.Fatalf("%+v, %v", s.Again, err)
		}
		if r := judged(t, file, s.Again); r.Good() || !says(r, history.Unchanged, 12, "the history got shorter: the auditor's "+want) {
			t.Errorf("%+v", r.Problems)
		}
	}
	// An auditor that knows no such namespace any more.
	c.Base = c.Base.JoinPath("elsewhere")
	s, err := c.Save(t.Context(), file, Options{})
	if err != nil || s.Again.Newest != 0 {
		t.Fatalf("%+v, %v", s.Again, err)
	}
	if r := judged(t, file, s.Again); r.Good() {
		t.Error("a namespace that is gone is good")
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	if _, err := c.Save(t.Context(), file+"2", Options{}); err == nil || !strings.Contains(err.Error(), "knows no namespace") {
		t.Errorf("a namespace that was never there: %v", err)
	}
}

// The same statement in another spelling isn't another one.
func TestAnotherSpellingIsNoRewriting(t *testing.T) {
	a, c, file := grown(t, 3)
	a.answer = func(w http.ResponseWriter, e uint64) bool {
		w.Write(bytes.ReplaceAll(statement(e), []byte(","), []byte(", ")))
		return true
	}
	s, err := c.Save(t.Context(), file, Options{})
	if err != nil || s.Again.Asked != 3 || len(s.Again.Rewritten) != 0 || len(lines(t, file)) != 3 {
		t.Errorf("%+v, %v", s.Again, err)
	}
}

func TestWithoutRandomnessNothingIsChosen(t *testing.T) {
	_, c, file := grown(t, neighbours+sample+1)
	for _, c.Random = range []interface{ Read([]byte) (int, error) }{nil, strings.NewReader("short")} {
		if _, err := c.Save(t.Context(), file, Options{}); err == nil {
			t.Error("chosen")
		}
	}
	if s, err := c.Save(t.Context(), file, Options{All: true}); err != nil || s.Again.Asked != neighbours+sample+1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestNoNumberOfSecondsOverflowsTheWait(t *testing.T) {
	for _, after := range []string{"9223372037", "9223372036854775807", "18446744073709551616", "99999999999999999999999999"} {
		times := 0
		a := &auditor{root: 1, last: 1, inLast: true, answer: func(w http.ResponseWriter, _ uint64) bool {
			times++
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}}
		c, waits := client(t, a)
		_, err := save(t.Context(), c, filepath.Join(t.TempDir(), "f"), 0)
		if err == nil || times != tries || slices.ContainsFunc(*waits, func(d time.Duration) bool { return d != maxWait }) || errors.Is(err, context.Canceled) {
			t.Errorf("Retry-After %s: asked %d times, waited %v: %v", after, times, *waits, err)
		}
	}
}
