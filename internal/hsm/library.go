//go:build cgo && unix

package hsm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// library is a module's file that is loaded into this process. PKCS#11 allows one
// C_Initialize for each process and module, and C_Finalize ends it for all users. So there
// is one library for each file, which counts its users.
//
// When the last user leaves, it is finalised but stays loaded, because some modules
// (SoftHSM on Fedora) crash while they are unloaded.
type library struct {
	path   string // absolute, without symbolic links
	digest [sha256.Size]byte
	ctx    *pkcs11.Ctx
	own    functions
	hung   atomic.Bool // a call did not return

	// Guarded by libraries.
	users    int
	initArgs string
}

var libraries = struct {
	sync.Mutex
	byPath map[string]*library
}{byPath: make(map[string]*library)}

// openLibrary adds a user to the library, who calls release once.
func openLibrary(path string, c *calls, initArgs string) error {
	real, err := checkFile(path)
	if err != nil {
		return err
	}
	libraries.Lock()
	defer libraries.Unlock()
	l := libraries.byPath[real]
	digest, err := digestFile(real)
	if err != nil {
		return err
	}
	switch {
	case l == nil:
		if l, err = load(real, digest); err != nil {
			return err
		}
		libraries.byPath[real] = l
	case l.digest != digest:
		return strict.Errorf(real, "has changed since it was loaded").WithHint("find out who replaced it, then start fleetctl again")
	case l.users > 0 && l.initArgs != initArgs:
		return strict.Errorf(real, "is in use with other parameters for C_Initialize").WithHint("give all tokens of one module the same parameters")
	}
	c.lib = l
	if l.users == 0 {
		if err := c.initialize(initArgs); err != nil {
			return fmt.Errorf("%s: %w (is the module's configuration there? its own environment variable, such as SOFTHSM2_CONF, says where; NSS wants its parameters)", real, err)
		}
		l.initArgs = initArgs
	}
	l.users++
	return nil
}

// hold adds a user to a library that has one.
func (l *library) hold() {
	libraries.Lock()
	defer libraries.Unlock()
	l.users++
}

func (c *calls) release() error {
	libraries.Lock()
	defer libraries.Unlock()
	if c.lib.users--; c.lib.users > 0 {
		return nil
	}
	return c.call("C_Finalize", subject{}, "", func() uint { return code(c.lib.ctx.Finalize()) })
}

func (c *calls) initialize(args string) error {
	var options []pkcs11.InitializeOption
	if args != "" {
		s := newCString(args)
		defer s.free()
		options = append(options, pkcs11.InitializeWithReserved(unsafe.Pointer(s.p)))
	}
	return c.call("C_Initialize", subject{}, "", func() uint { return code(c.lib.ctx.Initialize(options...)) })
}

func load(path string, digest [sha256.Size]byte) (*library, error) {
	own, err := loadFunctions(path)
	if err != nil {
		return nil, strict.Errorf(path, "is not a PKCS#11 module for this machine: %v", err).
			WithHint("give the .so that the token's vendor calls its PKCS#11 library, of the same architecture as fleetctl")
	}
	ctx := pkcs11.New(path)
	if ctx == nil {
		return nil, strict.Errorf(path, "can't be loaded a second time").WithHint("start fleetctl again")
	}
	return &library{path: path, digest: digest, ctx: ctx, own: own}, nil
}

// checkFile follows links to the file itself, and refuses a file that others could
// replace, since a module sees every PIN.
func checkFile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", strict.Errorf(path, "is not an absolute path to a PKCS#11 module").WithHint("give all of it, such as /usr/lib/softhsm/libsofthsm2.so")
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", unreachable(path, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", unreachable(path, err)
	}
	if !info.Mode().IsRegular() {
		return "", strict.Errorf(real, "is not a regular file, so no PKCS#11 module")
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return "", strict.Errorf(real, "can be written by others than its owner (mode %04o)", mode).
			WithHint("find out whether it is the vendor's file, then: chmod go-w %s", real)
	}
	if uid, ok := owner(info); ok && uid != 0 && uid != os.Getuid() {
		return "", strict.Errorf(real, "belongs to user %d, neither root nor you", uid).
			WithHint("find out whether it is the vendor's file, then: chown root %s", real)
	}
	return real, nil
}

func unreachable(path string, err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		err = e.Err // without the path, which the error below has
	}
	return strict.Errorf(path, "can't be opened as a PKCS#11 module: %v", err).WithHint("install the token's software, or correct the path")
}

func owner(info fs.FileInfo) (int, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

func digestFile(path string) ([sha256.Size]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return [sha256.Size]byte{}, unreachable(path, err)
	}
	return sha256.Sum256(data), nil
}
