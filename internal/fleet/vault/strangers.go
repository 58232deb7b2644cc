package vault

import "sync"

// mostStrangers is for how many unknown accounts a node counts guesses. Where more are
// asked for, all of them begin anew.
const mostStrangers = 4096

// strangers counts the guesses at accounts that there aren't as the log counts others:
// the same attempt once, and one too many ends it for good.
type strangers struct {
	limit uint32
	mu    sync.Mutex
	by    map[string]*stranger
}

type stranger struct {
	left   map[[32]byte]uint32 // guesses left, by the attempt that was counted
	locked bool
}

// guess counts one, and gives what is left.
func (s *strangers) guess(account string, attempt [32]byte) (left uint32, locked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[account]
	if one == nil {
		if s.by == nil || len(s.by) >= mostStrangers {
			s.by = map[string]*stranger{}
		}
		one = &stranger{left: map[[32]byte]uint32{}}
		s.by[account] = one
	}
	if one.locked {
		return 0, true
	}
	if left, counted := one.left[attempt]; counted {
		return left, false
	}
	used := uint32(len(one.left))
	if used >= s.limit {
		one.left, one.locked = nil, true
		return 0, true
	}
	one.left[attempt] = s.limit - used - 1
	return one.left[attempt], false
}
