//go:build unix

package tiled

import (
	"crypto/sha256"
	"errors"
	"runtime"
	"sync"
)

// placing sorts entries that are to be added into those that the log has already
// and those that are new.
type placing struct {
	leaves [][]byte
	keys   [][]key      // of each, in their order
	at     []Position   // of each entry that isn't fresh
	fresh  [][]byte     // those to be added
	where  []int        // the place in leaves of each fresh one
	copies map[int]twin // entries that share a key with a fresh one before them
}

type key struct {
	text   string
	digest [32]byte
}

// twin is an earlier leaf's place, and the key that both have.
type twin struct {
	of  int
	key string
}

func newPlacing(k Keys, leaves [][]byte) (*placing, error) {
	p := &placing{leaves: leaves, keys: make([][]key, len(leaves)), at: make([]Position, len(leaves)), copies: map[int]twin{}}
	errs := make([]error, len(leaves))
	parallel(len(leaves), func(from, to int) {
		for i := from; i < to; i++ {
			var list []string
			if list, errs[i] = k.of(leaves[i]); errs[i] != nil {
				return
			}
			for _, s := range list {
				p.keys[i] = append(p.keys[i], key{s, sha256.Sum256([]byte(s))})
			}
		}
	})
	return p, errors.Join(errs...)
}

// parallel calls do for parts of n things on all cores, or on one if there are few.
func parallel(n int, do func(from, to int)) {
	parts := max(1, min(runtime.GOMAXPROCS(0), n/128))
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { do(i*n/parts, (i+1)*n/parts) })
	}
	wg.Wait()
}

// digests are those of all keys.
func (p *placing) digests() (list [][32]byte) {
	for _, own := range p.keys {
		for _, k := range own {
			list = append(list, k.digest)
		}
	}
	return list
}

// sort separates the fresh entries from the others. need is the last of the log's
// entries that were found.
func (p *placing) sort(found map[[32]byte]uint64) (need uint64) {
	seen := make(map[[32]byte]int, len(p.leaves)) // the place in leaves of the first fresh one with a key
	for i, leaf := range p.leaves {
		if p.known(i, found, seen) {
			need = max(need, p.at[i].Index)
			continue
		}
		p.fresh, p.where = append(p.fresh, leaf), append(p.where, i)
		for _, k := range p.keys[i] {
			seen[k.digest] = i
		}
	}
	return need
}

func (p *placing) known(i int, found map[[32]byte]uint64, seen map[[32]byte]int) bool {
	for _, k := range p.keys[i] {
		if n, there := found[k.digest]; there {
			p.at[i] = Position{n, true, k.text}
			return true
		}
		if j, there := seen[k.digest]; there {
			p.copies[i] = twin{j, k.text}
			return true
		}
	}
	return false
}

// positions gives the positions of all entries, given those of the fresh ones.
func (p *placing) positions(added []uint64) []Position {
	for i, n := range added {
		p.at[p.where[i]] = Position{Index: n}
	}
	for i, t := range p.copies {
		p.at[i] = Position{p.at[t.of].Index, true, t.key}
	}
	return p.at
}

// records are the keys of the fresh entries, of which first is the first one's
// number in the log.
func (p *placing) records(first uint64) (list []record) {
	for i, w := range p.where {
		for _, k := range p.keys[w] {
			list = append(list, record{k.digest, first + uint64(i)})
		}
	}
	return list
}
