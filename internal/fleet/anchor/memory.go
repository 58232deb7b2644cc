package anchor

import (
	"bytes"
	"errors"
	"sync"
)

// Memory is a keeper in memory, with the faults of an HSM: for tests. The zero
// value is an empty one.
type Memory struct {
	mu      sync.Mutex
	data    []byte
	writes  int
	waiting int
	fail    error
	blocked chan struct{} // closed when it is not blocked any more; nil: it isn't
	era     int
}

// ErrOver is the error of a write that began before Abandon.
var ErrOver = errors.New("the process that wrote is gone")

// Read gives what was written last.
func (m *Memory) Read() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	if m.data == nil {
		return nil, ErrNone
	}
	return bytes.Clone(m.data), nil
}

// Write waits as long as the keeper is blocked.
func (m *Memory) Write(data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for era := m.era; m.blocked != nil; {
		free := m.blocked
		m.waiting++
		m.mu.Unlock()
		<-free
		m.mu.Lock()
		m.waiting--
		if m.era != era {
			return ErrOver
		}
	}
	if m.fail != nil {
		return m.fail
	}
	m.data = bytes.Clone(data)
	m.writes++
	return nil
}

// Block has writes wait, as if the HSM's cable were pulled, until Unblock.
func (m *Memory) Block() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blocked == nil {
		m.blocked = make(chan struct{})
	}
}

// Unblock lets writes go on, those that wait too.
func (m *Memory) Unblock() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blocked != nil {
		close(m.blocked)
		m.blocked = nil
	}
}

// Abandon is Unblock after the process that uses the keeper was killed: what waited
// is never written.
func (m *Memory) Abandon() {
	m.mu.Lock()
	m.era++
	m.mu.Unlock()
	m.Unblock()
}

// Fail has every call give an error; nil ends that.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Waiting is how many writes wait for Unblock.
func (m *Memory) Waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting
}

// Writes is how many writes there were.
func (m *Memory) Writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}
