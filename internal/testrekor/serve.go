package testrekor

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Clone is a log with the same key, which goes on by itself: a second history.
func (l *Log) Clone() *Log {
	c := *l
	c.hashes, c.leaves = slices.Clone(l.hashes), slices.Clone(l.leaves)
	return &c
}

// Size is how many entries there are.
func (l *Log) Size() int64 { return l.size }

// Spoil changes what is served of an entry; the tree stays as it is.
func (l *Log) Spoil(index int64, leaf []byte) { l.leaves[index] = leaf }

// Handler serves a log's reading side: in version 1 as rekor-server answers,
// after trees that were closed; in version 2 as a file server before
// rekor-tiles.
func (l *Log) Handler(closed ...*Log) http.Handler {
	mux := http.NewServeMux()
	if l.Version == 2 {
		mux.HandleFunc("GET /api/v2/checkpoint", func(w http.ResponseWriter, _ *http.Request) { write(w, []byte(l.Checkpoint())) })
		mux.HandleFunc("GET /api/v2/tile/{path...}", func(w http.ResponseWriter, r *http.Request) { l.serveTile(w, r.PathValue("path")) })
		return mux
	}
	all := append(slices.Clone(closed), l)
	mux.HandleFunc("GET /api/v1/log", func(w http.ResponseWriter, _ *http.Request) {
		answer := l.info()
		shards := []map[string]any{}
		for _, c := range closed {
			shards = append(shards, c.info())
		}
		answer["inactiveShards"] = shards
		writeJSON(w, answer)
	})
	mux.HandleFunc("GET /api/v1/log/proof", func(w http.ResponseWriter, r *http.Request) {
		first, last := number(r, "firstSize"), number(r, "lastSize")
		for _, t := range all {
			if strconv.FormatInt(t.Tree, 10) != r.FormValue("treeID") || first < 1 || last > t.size || first > last {
				continue
			}
			hashes := []string{}
			for _, h := range must(tlog.ProveTree(last, first, t.hashes)) {
				hashes = append(hashes, hex.EncodeToString(h[:]))
			}
			writeJSON(w, map[string]any{"hashes": hashes, "rootHash": hex.EncodeToString(hashOf(must(tlog.TreeHash(last, t.hashes))))})
			return
		}
		http.Error(w, "no such proof", http.StatusBadRequest)
	})
	mux.HandleFunc("GET /api/v1/log/entries", func(w http.ResponseWriter, r *http.Request) {
		index := number(r, "logIndex")
		at := index
		for _, t := range all {
			if at >= 0 && at < t.size {
				hashes := []string{}
				for _, h := range must(tlog.ProveRecord(t.size, at, t.hashes)) {
					hashes = append(hashes, hex.EncodeToString(h[:]))
				}
				writeJSON(w, map[string]any{"0123": map[string]any{"body": t.leaves[at], "logIndex": index, "verification": map[string]any{
					"inclusionProof": map[string]any{"hashes": hashes, "logIndex": at, "treeSize": t.size}}}})
				return
			}
			at -= t.size
		}
		http.NotFound(w, r)
	})
	return mux
}

func (l *Log) info() map[string]any {
	return map[string]any{"treeID": strconv.FormatInt(l.Tree, 10), "treeSize": l.size, "signedTreeHead": l.Checkpoint(),
		"rootHash": hex.EncodeToString(hashOf(must(tlog.TreeHash(l.size, l.hashes))))}
}

// serveTile gives what is named tile/<level>/<index>[.p/<width>], or
// tile/entries/…
func (l *Log) serveTile(w http.ResponseWriter, path string) {
	path = strings.Replace(path, "entries/", "data/", 1)
	t, err := tlog.ParseTilePath("tile/8/" + path)
	if err != nil || t.N<<(8*max(t.L, 0)) > l.size {
		http.Error(w, "no such tile", http.StatusNotFound)
		return
	}
	if have := l.size>>(8*max(t.L, 0)) - t.N*256; have < int64(t.W) {
		http.Error(w, "not so wide yet", http.StatusNotFound)
		return
	}
	if t.L >= 0 {
		write(w, must(tlog.ReadTileData(t, l.hashes)))
		return
	}
	var bundle []byte
	for _, leaf := range l.leaves[t.N*256 : t.N*256+int64(t.W)] {
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...)
	}
	write(w, bundle)
}

func hashOf(h tlog.Hash) []byte { return h[:] }

func number(r *http.Request, name string) int64 {
	n, err := strconv.ParseInt(r.FormValue(name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	write(w, must(json.Marshal(v)))
}

func write(w http.ResponseWriter, data []byte) { _, _ = w.Write(data) }
