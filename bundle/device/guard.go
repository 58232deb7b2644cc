package device

import (
	"fmt"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	guardHeader = "fleetctl device-guard v1"
	maxGuard    = 256 // bytes
	none        = "-"
)

// guard says which state a device has. Before the state is replaced, the guard
// names the new one beside the old; after that, the new one alone. So whatever
// interrupts a check, the state that is there is one that the guard names, and no
// other state passes for it: neither an older one nor one that somebody wrote.
type guard struct {
	state [32]byte // digest of the state's file; zero before the first one
	next  [32]byte // of the one that was about to take its place; zero where none was
}

func (g *guard) text() []byte {
	return fmt.Appendf(nil, "%s\nstate %s\nnext %s\n", guardHeader, digestText(g.state), digestText(g.next))
}

func digestText(d [32]byte) string {
	if d == ([32]byte{}) {
		return none
	}
	return fmt.Sprintf("%x", d)
}

func parseGuard(file string, data []byte) (*guard, error) {
	if len(data) > maxGuard {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), maxGuard)
	}
	lines := strict.NewLines(file, data)
	lines.Literal(guardHeader)
	g := &guard{state: digestLine(lines, "state "), next: digestLine(lines, "next ")}
	if g.state == g.next && g.next != ([32]byte{}) {
		lines.Failf("names one state twice")
	}
	if err := lines.Done(); err != nil {
		return nil, err
	}
	return g, nil
}

func digestLine(lines *strict.Lines, prefix string) (d [32]byte) {
	text := lines.After(prefix)
	if text == none || lines.Err() != nil {
		return d
	}
	d, err := strict.ParseHash(text)
	lines.Check(err)
	if err == nil && d == ([32]byte{}) {
		lines.Failf("is of zeros, which is no digest")
	}
	return d
}

// knows says whether the guard names the state, of which nil is none at all.
func (g *guard) knows(state []byte) bool {
	var d [32]byte
	if state != nil {
		d = sum(state)
	}
	return d == g.state || d == g.next && state != nil
}
