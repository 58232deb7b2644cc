//go:build unix

package tiled

import "crypto/sha256"

// placing says of entries that are to be added which of them are there already.
type placing struct {
	leaves [][]byte
	keys   [][]key      // of each, in their order
	at     []Position   // of each that isn't fresh
	fresh  [][]byte     // those to be added
	where  []int        // the place in leaves of each fresh one
	copies map[int]twin // those that share a key with a fresh one before them
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
	p := &placing{leaves: leaves, at: make([]Position, len(leaves)), copies: map[int]twin{}}
	for _, leaf := range leaves {
		list, err := k.of(leaf)
		if err != nil {
			return nil, err
		}
		own := make([]key, len(list))
		for i, s := range list {
			own[i] = key{s, sha256.Sum256([]byte(s))}
		}
		p.keys = append(p.keys, own)
	}
	return p, nil
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

// sort parts those that are fresh from the others, and gives the last one of the
// log's entries that were found.
func (p *placing) sort(found map[[32]byte]uint64) (need uint64) {
	seen := map[[32]byte]int{} // the place in leaves of the first fresh one with a key
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

// positions are all of them, given those of the fresh ones.
func (p *placing) positions(added []uint64) []Position {
	for i, n := range added {
		p.at[p.where[i]] = Position{Index: n}
	}
	for i, t := range p.copies {
		p.at[i] = Position{p.at[t.of].Index, true, t.key}
	}
	return p.at
}

// records are the keys of the fresh ones.
func (p *placing) records(added []uint64) (list []record) {
	for i, n := range added {
		for _, k := range p.keys[p.where[i]] {
			list = append(list, record{k.digest, n})
		}
	}
	return list
}
