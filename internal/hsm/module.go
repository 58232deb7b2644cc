//go:build cgo && unix

package hsm

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"github.com/fleetctl/fleetctl/internal/token"
)

// LeftOut says whether this program was built without PKCS#11.
const LeftOut = false

// Module is a PKCS#11 library that is loaded and initialised.
type Module struct {
	calls
	about token.Library
	text  string // Description

	mu     sync.RWMutex // held for writing by Close alone
	closed bool
}

// Open loads the library at an absolute path. A library that is opened twice is
// initialised once, and finalised when all its Modules and Tokens are closed.
//
// The library becomes part of this process: it can read its memory, and if it crashes,
// fleetctl crashes too. So Open refuses a file that others can write.
func Open(path string, opt Options) (*Module, error) {
	m := &Module{calls: calls{trace: newTracer(opt.Trace), deadline: opt.Deadline}}
	if err := openLibrary(path, &m.calls, opt.InitArgs); err != nil {
		return nil, err
	}
	info, err := m.info()
	if err != nil {
		_ = m.release() // the first error says more
		return nil, fmt.Errorf("%s: %w", m.lib.path, err)
	}
	m.about = token.Library{
		Manufacturer: cleanText(info.ManufacturerID),
		Description:  cleanText(info.LibraryDescription),
		Version:      version(info.LibraryVersion.Major, info.LibraryVersion.Minor),
	}
	m.text = fmt.Sprintf("%s, version %s, Cryptoki %s", strings.TrimSpace(m.about.Manufacturer+" "+m.about.Description),
		m.about.Version, version(info.CryptokiVersion.Major, info.CryptokiVersion.Minor))
	return m, nil
}

// Close closes the module. Its Tokens stay usable.
func (m *Module) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	return m.release()
}

// open keeps Close from closing the module until the returned function is called.
func (m *Module) open() (func(), error) {
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return nil, fmt.Errorf("PKCS#11 module %s %w", m.lib.path, ErrClosed)
	}
	return m.mu.RUnlock, nil
}

// Digest is the SHA-256 digest of the library's file as it was loaded.
func (m *Module) Digest() [sha256.Size]byte { return m.lib.digest }

// Description is the library's maker and versions, as it reports them.
func (m *Module) Description() string { return m.text }

// Tokens are all tokens that the module shows now, initialised or not.
func (m *Module) Tokens() ([]token.Info, error) {
	done, err := m.open()
	if err != nil {
		return nil, err
	}
	defer done()
	views, err := m.views()
	if err != nil {
		return nil, err
	}
	list := make([]token.Info, len(views))
	for i, v := range views {
		list[i] = v.Info
	}
	return list, nil
}

// Token opens a session with the one token that the selector names.
func (m *Module) Token(sel Selector) (*Token, error) {
	if sel.Serial == "" && sel.Label == "" {
		return nil, fmt.Errorf("%w: a token has to be named by its serial number or its label", ErrNoToken)
	}
	done, err := m.open()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := checkLibrary(sel.Library, m.about); err != nil {
		return nil, fmt.Errorf("%s: %w", m.lib.path, err)
	}
	views, err := m.views()
	if err != nil {
		return nil, err
	}
	v, err := one(views, sel)
	if err != nil {
		return nil, err
	}
	if !v.Initialized {
		return nil, fmt.Errorf("%s: %w: give it a label and a PIN first, with fleetctl hsm init", describe(v.Info), ErrNotInitialized)
	}
	h, err := m.openSession(v.Slot)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(v.Info), err)
	}
	m.lib.hold()
	return &Token{calls: m.calls, session: h, opened: v.Info}, nil
}
