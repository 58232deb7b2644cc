package monitor

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxRekorAnswer is above any entry that a server of version 1 takes: what it
// stores of other people's artifacts may be long.
const maxRekorAnswer = 64 << 20

// maxRekorWord is more bytes than any answer about the log itself has.
const maxRekorWord = 1 << 20

// maxProof bounds a proof's hashes, in bytes of JSON.
const maxProof = 8 << 10

// rekorAtOnce is how many requests are under way at once: each gets one entry.
const rekorAtOnce = 8

// rekorV1 is a log behind the interface of Rekor version 1, which has no tiles:
// entries come one by one, and the tree over them is computed here.
//
// A server has one active tree and others that it has closed; a checkpoint is of
// one of them. The server counts entries over all its trees, so a request adds the
// number of those in older trees.
type rekorV1 struct {
	base   string
	client *http.Client
	log    *auditlog.RekorLog
	verify func(*auditlog.Checkpoint) (*auditlog.Cosigning, error)

	tree   string // that is followed
	before uint64 // entries in older trees
}

// rekorInfo is the answer of /api/v1/log.
type rekorInfo struct {
	rekorTree
	Inactive []rekorTree `json:"inactiveShards"`
}

type rekorTree struct {
	TreeID         string `json:"treeID"`
	SignedTreeHead string `json:"signedTreeHead"`
	TreeSize       uint64 `json:"treeSize"`
}

func (r *rekorV1) get(ctx context.Context, path string, limit int, v any) error {
	data, err := httpReader(r.client, r.base)(ctx, path, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return strict.Errorf(r.base+"/"+path, "the answer is not one of Rekor version 1: %s", strict.Said(err.Error())).WithHint("Is the server of this version, and is this its URL?")
	}
	return nil
}

// newest gives the newest checkpoint of the tree of the last checkpoint seen; if
// none was seen, of the pinned tree; if none is pinned, of the active one.
func (r *rekorV1) newest(ctx context.Context, last *auditlog.Checkpoint) (*head, error) {
	const path = "api/v1/log"
	var info rekorInfo
	if err := r.get(ctx, path, maxRekorWord, &info); err != nil {
		return nil, err
	}
	_, want, _ := strings.Cut(r.log.Origin(), " - ")
	if last != nil {
		_, want, _ = strings.Cut(last.Origin, " - ")
	}
	if want == "" {
		want = info.TreeID
	}
	var text string
	r.tree, r.before = "", 0
	if strict.CheckToken(info.TreeID) != nil {
		return nil, strict.Errorf(r.base+"/"+path, "the server calls its active tree %q", strict.Said(info.TreeID))
	}
	for _, t := range append(slices.Clone(info.Inactive), info.rekorTree) {
		if t.TreeID == want {
			r.tree, text = t.TreeID, t.SignedTreeHead
			break
		}
		r.before += t.TreeSize
	}
	if r.tree == "" {
		return nil, strict.Errorf(r.base+"/"+path, "the server has no tree %q any more", want).
			WithHint("The monitor has followed that tree. Ask the log's operator; a new tree wants a --state of its own.")
	}
	c, err := auditlog.ParseCheckpoint(r.base+"/"+path+": signedTreeHead", []byte(text))
	if err != nil {
		return nil, err
	}
	cosigning, err := r.verify(c)
	if err != nil {
		return nil, err
	}
	if _, tree, _ := strings.Cut(c.Origin, " - "); tree != want || last != nil && c.Origin != last.Origin {
		return nil, strict.Errorf(r.base+"/"+path, "the checkpoint of tree %s is of %q", want, c.Origin)
	}
	h := &head{Checkpoint: c, Cosigning: cosigning}
	if want != info.TreeID {
		h.found = append(h.found, Finding{KindRotated, c.Size, fmt.Sprintf("the log goes on in tree %s; %s, which is followed here, ends with %d entries", info.TreeID, want, c.Size)})
	}
	return h, nil
}

// rekorEntry is the part of the answer to a request for an entry that is used.
type rekorEntry struct {
	Body         string
	Verification struct {
		InclusionProof struct {
			Hashes   hexHashes `json:"hashes"`
			LogIndex uint64    `json:"logIndex"`
			TreeSize uint64    `json:"treeSize"`
		} `json:"inclusionProof"`
	}
}

// hexHashes are a proof's hashes. A list that is longer than any tree needs is
// refused before it takes five times its size in memory.
type hexHashes []string

func (h *hexHashes) UnmarshalJSON(data []byte) error {
	if len(data) > maxProof {
		return fmt.Errorf("a proof has %d bytes", len(data))
	}
	return json.Unmarshal(data, (*[]string)(h))
}

// rekorAnswer is the one entry of an answer, which is an object with a member for
// each entry. A server could put millions into it.
type rekorAnswer struct {
	entry *rekorEntry // nil where there is none, or more than one
}

func (a *rekorAnswer) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') || !d.More() {
		return err
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	var e *rekorEntry
	if err := d.Decode(&e); err != nil {
		return err
	}
	if !d.More() {
		a.entry = e
	}
	return nil
}

func entryName(index uint64) string { return fmt.Sprintf("entry %d", index) }

// entry asks for an entry by its place in the tree.
func (r *rekorV1) entry(ctx context.Context, index uint64) (*rekorEntry, []byte, error) {
	var answer rekorAnswer
	err := r.get(ctx, fmt.Sprintf("api/v1/log/entries?logIndex=%d", r.before+index), maxRekorAnswer, &answer)
	var refused *strict.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, broken(entryName(index), "is missing")
	case errors.As(err, &refused):
		return nil, nil, broken(entryName(index), "%v", err)
	case err != nil:
		return nil, nil, err
	case answer.entry == nil:
		return nil, nil, broken(entryName(index), "did not come as one entry")
	}
	body, err := base64.StdEncoding.DecodeString(answer.entry.Body)
	if err != nil || len(body) == 0 {
		return nil, nil, broken(entryName(index), "has no body in base64")
	}
	return answer.entry, body, nil
}

// made is an entry as it was read.
type made struct {
	hash []byte
	made any
	err  error
}

func (r *rekorV1) grow(ctx context.Context, s *state, from, size uint64, w *walk) (*grown, error) {
	tree, err := r.start(ctx, s, from)
	if err != nil {
		return nil, err
	}
	g := &grown{start: tree.End(), size: size}
	workers := w.workers
	if workers < 1 {
		workers = rekorAtOnce
	}
	for next := g.start; next < size; {
		list := make([]made, min(uint64(workers), size-next))
		var wg sync.WaitGroup
		for i := range list {
			wg.Go(func() {
				_, body, err := r.entry(ctx, next+uint64(i))
				if err != nil {
					list[i].err = err
					return
				}
				list[i] = made{rfc6962.DefaultHasher.HashLeaf(body), w.judge.Read(next+uint64(i), body), nil}
			})
		}
		wg.Wait()
		for i, m := range list {
			if m.err != nil {
				return nil, m.err
			}
			if err := tree.Append(m.hash, nil); err != nil {
				return nil, err
			}
			if w.hold != nil {
				if err := w.hold(next+uint64(i), [][32]byte{[32]byte(m.hash)}); err != nil {
					return nil, err
				}
			}
			w.take(w.judge.Take(next+uint64(i), m.made))
		}
		if next += uint64(len(list)); w.progress != nil {
			w.progress(next, size)
		}
	}
	root := rfc6962.DefaultHasher.EmptyRoot()
	if size > 0 {
		if root, err = tree.GetRootHash(nil); err != nil {
			return nil, err
		}
	}
	g.root = [32]byte(root)
	g.keep = func(s *state) {
		s.Size, s.Levels, s.Range = size, nil, nil
		for _, h := range tree.Hashes() {
			s.Range = append(s.Range, [32]byte(h))
		}
	}
	return g, nil
}

func ranges() *compact.RangeFactory {
	return &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
}

// start is the tree up to where reading begins. If nothing was read before, the
// log itself says what the tree before the entry from is. In the end the root that
// follows from it is compared with the one that the log signed.
func (r *rekorV1) start(ctx context.Context, s *state, from uint64) (*compact.Range, error) {
	if s.Checkpoint != "" || from == 0 {
		hashes := make([][]byte, len(s.Range))
		for i, h := range s.Range {
			hashes[i] = h[:]
		}
		return ranges().NewRange(0, s.Size, hashes)
	}
	hashes, body, err := r.left(ctx, from-1)
	if err != nil {
		return nil, err
	}
	tree, err := ranges().NewRange(0, from-1, hashes)
	if err != nil {
		return nil, err
	}
	return tree, tree.Append(rfc6962.DefaultHasher.HashLeaf(body), nil)
}

// left are the perfect subtrees before an entry, the largest first: the left
// siblings on its way to the root, which are the same in every tree that has
// the entry.
func (r *rekorV1) left(ctx context.Context, index uint64) (hashes [][]byte, body []byte, err error) {
	e, body, err := r.entry(ctx, index)
	if err != nil {
		return nil, nil, err
	}
	p := e.Verification.InclusionProof
	if p.LogIndex != index || p.TreeSize <= index {
		return nil, nil, broken(entryName(index), "comes with the proof of entry %d in a tree of %d", p.LogIndex, p.TreeSize)
	}
	path, err := unhex(entryName(index), p.Hashes)
	if err != nil {
		return nil, nil, err
	}
	inner := bits.Len64(index ^ (p.TreeSize - 1)) // above, all siblings are left ones
	for l, h := range path {
		if l >= inner || index>>l&1 == 1 {
			hashes = append(hashes, h[:])
		}
	}
	if len(path) != inner+bits.OnesCount64(index>>inner) {
		return nil, nil, broken(entryName(index), "comes with a proof of %d hashes, which is not one in a tree of %d", len(path), p.TreeSize)
	}
	slices.Reverse(hashes)
	return hashes, body, nil
}

func unhex(name string, list []string) ([][32]byte, error) {
	if len(list) > 64 {
		return nil, broken(name, "has %d hashes in a proof", len(list))
	}
	hashes := make([][32]byte, len(list))
	for i, s := range list {
		h, err := hex.DecodeString(s)
		if err != nil || len(h) != 32 {
			return nil, broken(name, "has a hash in a proof that is no SHA-256")
		}
		hashes[i] = [32]byte(h)
	}
	return hashes, nil
}

func (r *rekorV1) rootAt(ctx context.Context, earlier, size uint64) (root [32]byte, proof [][32]byte, err error) {
	if earlier == 0 || earlier >= size {
		return root, nil, strict.Errorf("", "there is nothing to prove from %d entries to %d", earlier, size)
	}
	hashes, _, err := r.left(ctx, earlier)
	if err != nil {
		return root, nil, err
	}
	tree, err := ranges().NewRange(0, earlier, hashes)
	if err != nil {
		return root, nil, err
	}
	h, err := tree.GetRootHash(nil)
	if err != nil {
		return root, nil, err
	}
	var answer struct {
		Hashes hexHashes `json:"hashes"`
	}
	if err := r.get(ctx, fmt.Sprintf("api/v1/log/proof?firstSize=%d&lastSize=%d&treeID=%s", earlier, size, r.tree), maxRekorWord, &answer); err != nil {
		return root, nil, err
	}
	proof, err = unhex("the consistency proof", answer.Hashes)
	return [32]byte(h), proof, err
}

func (r *rekorV1) verifySplit(s *auditlog.SplitView) error { return r.log.VerifySplit(s) }
