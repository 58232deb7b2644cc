package simulation

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// hit is a fault at a call of one computer.
type hit struct {
	on    string
	call  int
	fault simdisk.Fault
}

func (h hit) String() string { return fmt.Sprintf("%s:%d:%s", h.on, h.call, dashed(h.fault)) }

func dashed(f simdisk.Fault) string { return strings.ReplaceAll(f.String(), " ", "-") }

// schedule is what hits a life: at most one fault a call.
type schedule []hit

func (s schedule) String() string {
	var list []string
	for _, h := range s {
		list = append(list, h.String())
	}
	return strings.Join(list, ",")
}

// suffer has the disks fail at the calls that are hit.
func (l *life) suffer(s schedule) {
	at := func(on string) func(simdisk.Call) simdisk.Fault {
		return func(c simdisk.Call) simdisk.Fault {
			for _, h := range s {
				if h.on == on && h.call == c.N && h.fault.Hits(c) {
					l.hits++
					return h.fault
				}
			}
			return simdisk.None
		}
	}
	for _, name := range l.computers() {
		l.on(name).Fault = at(name)
	}
}

// every are all single faults of the last ceremony of a life that had none, one
// after the other. Where people abort what is cut off, they can until they have
// asked the third parties.
func (l *life) every() (list []schedule) {
	for _, name := range l.computers() {
		until := l.lived[name]
		if l.kind&abortsCut != 0 {
			until = map[string]int{operator: l.asked}[name]
		}
		for _, c := range l.on(name).Trace[l.began[name]:max(l.began[name], until)] {
			for _, f := range simdisk.Faults {
				if f.Hits(c) {
					list = append(list, schedule{{name, c.N, f}})
				}
			}
		}
	}
	return list
}

// fewFaults are faults of a disk that follow each other, the next one often soon after
// the one before: while what the first left is being mended.
func fewFaults(seed uint64, lived int) (s schedule) {
	r := rand.New(rand.NewPCG(seed, 3))
	at := 1 + r.IntN(lived)
	for range 2 + r.IntN(3) {
		s = append(s, hit{operator, at, simdisk.Faults[r.IntN(len(simdisk.Faults))]})
		if at += 1 + r.IntN(8); r.IntN(3) == 0 {
			at += r.IntN(lived)
		}
	}
	return s
}

// several are the operator's, and up to two more of each third party's.
func (l *life) several(seed uint64) schedule {
	s, r := fewFaults(seed, l.lived[operator]), rand.New(rand.NewPCG(seed, 4))
	for _, name := range l.computers()[1:] {
		for range r.IntN(3) {
			s = append(s, hit{name, 1 + r.IntN(2*max(1, l.lived[name])), simdisk.Faults[r.IntN(len(simdisk.Faults))]})
		}
	}
	return s
}

// parseSchedule reads what String wrote.
func parseSchedule(text string) (s schedule, err error) {
	for part := range strings.SplitSeq(text, ",") {
		f := strings.Split(part, ":")
		if len(f) != 3 {
			return nil, fmt.Errorf("%q is no fault", part)
		}
		h := hit{on: f[0]}
		if h.call, err = strconv.Atoi(f[1]); err != nil {
			return nil, err
		}
		for _, fault := range simdisk.Faults {
			if dashed(fault) == f[2] {
				h.fault = fault
			}
		}
		if h.fault == simdisk.None || h.on != operator && !strings.HasPrefix(h.on, thirdParty) {
			return nil, fmt.Errorf("%q is no fault", part)
		}
		s = append(s, h)
	}
	return s, nil
}
