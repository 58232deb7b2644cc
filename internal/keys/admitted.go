package keys

import "sync"

// maxAdmitted bounds what is remembered: 128 KiB of keys, more than any fleet
// and its parties have.
const maxAdmitted = 1 << 12

// admitted remembers keys that passed. Admission depends on the key's bytes
// alone and costs more than a signature, so a device that checks a fleet's
// bundle with each new proof, or a history of one third party's statements,
// does it once. Refusals aren't remembered: a stranger could fill the memory
// with them.
var admitted = keySet{max: maxAdmitted}

type keySet struct {
	mu   sync.RWMutex
	max  int
	keys map[[32]byte]struct{}
}

func (s *keySet) has(key [32]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.keys[key]
	return ok
}

func (s *keySet) add(key [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || len(s.keys) >= s.max {
		s.keys = map[[32]byte]struct{}{} // begin anew: it will be filled by what is used
	}
	s.keys[key] = struct{}{}
}

// maxParsed bounds how many other keys are remembered: those of operators and
// submitters, of which a log of a million bundles has a few.
const maxParsed = 1 << 8

// parsed remembers keys by their encoding, which is at most MaxSPKI long. Like
// admitted it holds no refusals.
var parsed = publicSet{}

type publicSet struct {
	mu   sync.RWMutex
	keys map[string]*Public
}

func (s *publicSet) get(spki []byte) *Public {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.keys[string(spki)]
}

func (s *publicSet) add(p *Public) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || len(s.keys) >= maxParsed {
		s.keys = map[string]*Public{}
	}
	s.keys[string(p.spki)] = p
}
