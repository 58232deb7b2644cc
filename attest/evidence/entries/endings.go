package entries

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/attest/evidence"
)

// endingJSON says how a ceremony ended, by the first entry about it.
type endingJSON struct {
	Ceremony   string   `strict:"ceremony,token"`
	Index      uint64   `strict:"index"`
	Ending     string   `strict:"ending"`
	Head       [32]byte `strict:"head,hex"`
	Signatures [32]byte `strict:"signatures,hex"`
}

// endings are the known endings in the order of their entries. A ceremony's id is unique
// in all namespaces.
type endings struct {
	list []endingJSON
	by   map[string]int // index into list, by the ceremony's id
}

func (s *endings) find(ceremony string) *endingJSON {
	if i, ok := s.by[ceremony]; ok {
		return &s.list[i]
	}
	return nil
}

// add adds an ending. If there are maxRemembered, it first forgets the older half.
func (s *endings) add(x endingJSON) {
	if len(s.list) >= maxRemembered {
		s.restore(slices.Delete(s.list, 0, (len(s.list)+1)/2))
	}
	if s.by == nil {
		s.by = map[string]int{}
	}
	s.by[x.Ceremony] = len(s.list)
	s.list = append(s.list, x)
}

func (s *endings) restore(list []endingJSON) {
	s.list, s.by = list, make(map[string]int, len(list))
	for i, x := range list {
		s.by[x.Ceremony] = i
	}
}

// ending judges an evidence leaf by the entries before it. A ceremony ends once: with one
// head, and with the signatures that its first leaf commits to.
func (e *Judge) ending(f *followed, index uint64, x *Entry) (faults []Fault) {
	l := x.leaf
	fault := func(kind, format string, args ...any) {
		faults = append(faults, Fault{kind, index, fmt.Sprintf("entry %d: evidence of %s, epoch %d, ceremony %s, ", index, l.Namespace, l.Epoch, l.Ceremony) + fmt.Sprintf(format, args...)})
	}
	switch old := e.endings.find(l.Ceremony); {
	case old == nil:
		e.endings.add(endingJSON{l.Ceremony, index, l.Ending, l.Head, l.Signatures})
	case old.Ending != l.Ending || old.Head != l.Head:
		fault(FaultEndings, "says that it ended %s with %x; entry %d says %s with %x", l.Ending, l.Head, old.Index, old.Ending, old.Head)
	case old.Signatures != l.Signatures:
		fault(FaultRepeated, "is in entry %d already, with other signatures", old.Index)
	}
	epoch := f.find(l.Epoch)
	made := epoch != nil && !epoch.Notice && (epoch.Ceremony == "" || epoch.Ceremony == l.Ceremony)
	switch {
	case l.Ending == evidence.EndingAborted:
		if epoch != nil && epoch.Ceremony == l.Ceremony {
			fault(FaultEndings, "says that it was aborted; the bundle that it released is in entry %d", epoch.Index)
		}
	case l.Ending == evidence.EndingDestroyed && (epoch == nil || !epoch.Notice):
		fault(FaultGap, "says that keys were destroyed, and no retirement of that epoch is before it")
	case l.Ending == evidence.EndingDestroyed:
	case epoch == nil:
		fault(FaultGap, "is there, and no bundle of that epoch is before it")
	case !made:
		fault(FaultEndings, "is of another ceremony than the one whose artifact is in entry %d", epoch.Index)
	case len(epoch.Head) == 0:
		epoch.Head = slices.Clone(l.Head[:])
	case !bytes.Equal(epoch.Head, l.Head[:]) && len(faults) == 0:
		fault(FaultEndings, "ends with %x, and with %x before", l.Head, epoch.Head)
	}
	return faults
}

// released reports the bundle of a ceremony that an earlier entry says was aborted.
func (e *Judge) released(index uint64, x *Entry) []Fault {
	if old := e.endings.find(x.about.Ceremony); old != nil && old.Ending == evidence.EndingAborted && !x.notice {
		return []Fault{{FaultEndings, index, fmt.Sprintf("entry %d: is the bundle of the ceremony %s, which was aborted by entry %d", index, x.about.Ceremony, old.Index)}}
	}
	return nil
}
