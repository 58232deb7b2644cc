package auditlog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// publicEntry is an entry of a log that is not ours, as Go modules carry them
// in their test data; its file names the source.
type publicEntry struct {
	Source         string   `json:"source"`
	Origin         string   `json:"origin"`
	Key            string   `json:"key"`
	LogID          []byte   `json:"log_id"`
	Index          uint64   `json:"index"`
	IntegratedTime int64    `json:"integrated_time"`
	Body           []byte   `json:"body"`
	SET            []byte   `json:"set"`
	TreeIndex      uint64   `json:"tree_index"`
	Hashes         [][]byte `json:"hashes"`
	Checkpoint     string   `json:"checkpoint"`
}

func readPublicEntries(t testing.TB) map[string]*publicEntry {
	t.Helper()
	files, _ := filepath.Glob("testdata/rekor/*.json")
	if len(files) < 2 {
		t.Fatalf("only %d vectors", len(files))
	}
	list := map[string]*publicEntry{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		p := &publicEntry{}
		if err != nil || json.Unmarshal(data, p) != nil {
			t.Fatal(file, err)
		}
		list[filepath.Base(file)] = p
	}
	return list
}

// verify checks what is the log's own; the entries are of other kinds, so that
// there is no bundle to hold them to.
func (p *publicEntry) verify(t testing.TB) error {
	t.Helper()
	l, err := NewRekorLog(RekorV1, p.Origin, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseRekorCheckpoint("public", RekorV1, []byte(p.Checkpoint))
	if err != nil {
		return err
	}
	e := &RekorEntry{Version: RekorV1, Body: p.Body, LogID: [32]byte(p.LogID), Index: p.Index, Integrated: time.Unix(p.IntegratedTime, 0),
		TreeIndex: p.TreeIndex, Checkpoint: c, SET: p.SET, file: "public"}
	for _, h := range p.Hashes {
		e.Hashes = append(e.Hashes, [32]byte(h))
	}
	_, err = l.verifyLogged(e, nil)
	return err
}

func TestPublicRekorEntriesAreVerifiedOffline(t *testing.T) {
	for name, p := range readPublicEntries(t) {
		t.Run(name, func(t *testing.T) {
			if err := p.verify(t); err != nil {
				t.Fatalf("%s: %v", p.Source, err)
			}
			n := 0
			refused := func(what string, change func(q *publicEntry)) {
				t.Helper()
				q := *p
				q.LogID, q.Body, q.SET = slices.Clone(p.LogID), slices.Clone(p.Body), slices.Clone(p.SET)
				q.Hashes = slices.Clone(p.Hashes)
				change(&q)
				n++
				if q.verify(t) == nil {
					t.Errorf("verified with %s", what)
				}
			}
			refused("another index", func(q *publicEntry) { q.Index++ })
			refused("another index in the tree", func(q *publicEntry) { q.TreeIndex-- })
			refused("another time", func(q *publicEntry) { q.IntegratedTime++ })
			refused("a hash less", func(q *publicEntry) { q.Hashes = q.Hashes[1:] })
			refused("two hashes swapped", func(q *publicEntry) { q.Hashes[0], q.Hashes[1] = q.Hashes[1], q.Hashes[0] })
			for i := range p.LogID {
				refused("another log's id", func(q *publicEntry) { q.LogID[i] ^= 1 })
			}
			for i := range p.SET {
				refused("a byte of the timestamp changed", func(q *publicEntry) { q.SET[i] ^= 1 })
			}
			for i := 0; i < len(p.Body); i += 1 + len(p.Body)/200 {
				refused("a byte of the body changed", func(q *publicEntry) { q.Body[i] ^= 1 })
			}
			for i := range p.Checkpoint {
				refused("a byte of the checkpoint changed", func(q *publicEntry) {
					b := []byte(q.Checkpoint)
					b[i] ^= 1
					q.Checkpoint = string(b)
				})
			}
			t.Logf("%d changes refused", n)
		})
	}
}
