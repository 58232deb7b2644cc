//go:build unix

package tiled

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// theirs verifies a proof with transparency-dev's code and x/mod's, and none of
// ours.
func theirs(text, leaf []byte, origin string, v note.Verifier) error {
	var p fproof.TLogProof
	if err := p.Unmarshal(text); err != nil {
		return err
	}
	c, _, _, err := log.ParseCheckpoint(p.Checkpoint, origin, v)
	if err != nil {
		return err
	}
	var path tlog.RecordProof
	var hashes [][]byte
	for _, h := range p.Hashes {
		path, hashes = append(path, h), append(hashes, h[:])
	}
	a := tlog.CheckRecord(path, int64(c.Size), tlog.Hash(c.Hash), int64(p.Index), tlog.RecordHash(leaf))
	b := proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, c.Size, rfc6962.DefaultHasher.HashLeaf(leaf), hashes, c.Hash)
	if (a == nil) != (b == nil) {
		return fmt.Errorf("x/mod says %v, transparency-dev %v", a, b)
	}
	return a
}

// TestOthersVerifyWhatTheLogWrites: every proof of every entry, as the log
// grows, and the directory as a whole.
func TestOthersVerifyWhatTheLogWrites(t *testing.T) {
	ctx := context.Background()
	_, l := newTestLog(t)
	v, err := fnote.NewVerifier(l.VKey())
	if err != nil {
		t.Fatal(err)
	}
	var leaves [][]byte
	verified, refused := 0, 0
	for round, n := range []int{1, 2, 5, 250, 300} {
		for _, leaf := range numbered(fmt.Sprintf("r%d-", round), n) {
			leaves = append(leaves, []byte(leaf))
		}
		mustAppend(t, l, numbered(fmt.Sprintf("r%d-", round), n)...)
		for i := range leaves {
			text, err := l.Prove(ctx, uint64(i))
			if err != nil {
				t.Fatal(err)
			}
			if err := theirs(text, leaves[i], l.key.Name(), v); err != nil {
				t.Fatalf("entry %d of %d: %v", i, len(leaves), err)
			}
			verified++
			for what, err := range map[string]error{
				"another leaf":   theirs(text, append(bytes.Clone(leaves[i]), 'x'), l.key.Name(), v),
				"another origin": theirs(text, leaves[i], "log.example/other", v),
				"another entry":  theirs(text, leaves[(i+1)%len(leaves)], l.key.Name(), v),
			} {
				switch {
				case err != nil:
					refused++
				case what != "another entry" || len(leaves) > 1: // there is another
					t.Fatalf("entry %d of %d verifies with %s", i, len(leaves), what)
				}
			}
		}
	}
	assertClean(t, l.Reader) // the whole directory, by Tessera's own check
	t.Logf("%d proofs of %d entries verified by others, %d changed ones refused, fsck finds nothing", verified, len(leaves), refused)
}
