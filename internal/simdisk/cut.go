package simdisk

import "slices"

// powerCut leaves what is on the disk, and of what was not synced what the seed
// says. It is called with the disk locked.
func (d *Disk) powerCut() {
	// What an entry of a folder is, hangs on what it was before: a change that is
	// on the disk has those of the same entries before it there too.
	luck := d.rnd.IntN(4) // mostly all or nothing: the rest is drawn
	kept := make([]bool, len(d.pending))
	for i := range d.pending {
		kept[i] = luck == 1 || luck > 1 && d.rnd.IntN(2) == 0
	}
	for i := len(d.pending) - 1; i >= 0; i-- {
		for j := range i {
			kept[j] = kept[j] || kept[i] && d.pending[j].touches(d.pending[i])
		}
	}
	for i, c := range d.pending {
		if kept[i] {
			c.settle()
		}
	}
	d.pending = nil
	seen := map[*node]bool{}
	d.forget(d.top, seen)
}

// forget makes what is on the disk what readers see, from a node down.
func (d *Disk) forget(n *node, seen map[*node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	if !n.mode.IsDir() {
		for _, w := range n.writes {
			switch d.rnd.IntN(3) {
			case 0: // lost
			case 1:
				n.kept = w.apply(n.kept)
			default:
				if !w.size {
					w.data = w.data[:d.rnd.IntN(len(w.data)+1)]
				}
				n.kept = w.apply(n.kept)
			}
		}
		n.writes, n.data = nil, slices.Clone(n.kept)
		return
	}
	n.entries = map[string]*node{}
	for _, name := range sorted(n.settled) {
		n.entries[name] = n.settled[name]
		d.forget(n.settled[name], seen)
	}
}

func (c *change) settle() {
	for _, e := range *c {
		if e.to == nil {
			delete(e.dir.settled, e.name)
		} else {
			e.dir.settled[e.name] = e.to
		}
	}
}

// touches says that two changes are of one entry.
func (c *change) touches(other *change) bool {
	return slices.ContainsFunc(*c, func(e entry) bool {
		return slices.ContainsFunc(*other, func(o entry) bool { return o.dir == e.dir && o.name == e.name })
	})
}

// commit makes durable what changed in a folder, and what other changes those
// rest on.
func (d *Disk) commit(dir *node) {
	due := make([]bool, len(d.pending))
	for i, c := range d.pending {
		due[i] = slices.ContainsFunc(*c, func(e entry) bool { return e.dir == dir })
	}
	for i := len(d.pending) - 1; i >= 0; i-- {
		for j := range i {
			due[j] = due[j] || due[i] && d.pending[j].touches(d.pending[i])
		}
	}
	var left []*change
	for i, c := range d.pending {
		if due[i] {
			c.settle()
		} else {
			left = append(left, c)
		}
	}
	d.pending = left
}
