package phone

import (
	"io/fs"
	"sync"

	"github.com/fleetctl/fleetctl/bundle/device"
)

// Memory is a place that is forgotten with the process: of a device that asks once and
// keeps nothing. name tells a state's from a guard's.
func Memory(name string) device.Place { return &memory{name: name} }

type memory struct {
	name string
	lock sync.Mutex
	text []byte
}

func (m *memory) Name() string { return m.name }

func (m *memory) Read() ([]byte, error) {
	if m.text == nil {
		return nil, fs.ErrNotExist
	}
	return m.text, nil
}

func (m *memory) Write(text []byte) error {
	m.text = append([]byte{}, text...)
	return nil
}

func (m *memory) Lock() (unlock func(), err error) {
	m.lock.Lock()
	return m.lock.Unlock, nil
}
