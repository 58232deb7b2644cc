package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ReadPlan reads a plan that the caller named.
func ReadPlan(file string) (*ceremony.Plan, error) {
	data, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, err := ceremony.ParsePlan(file, data)
	return p, Usage(err)
}

// ReadSite reads the site file of a plan.
func ReadSite(file string, p *ceremony.Plan) (*engine.Site, error) {
	data, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := engine.ParseSite(file, data, p)
	return s, Usage(err)
}

// ReadBeside reads a file that need not exist: then it returns nil. If it exists and can't
// be read, that is an error.
func ReadBeside(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, strict.Errorf(path, "is no regular file")
	}
	return readUpTo(path, MaxBeside)
}

// MaxBeside is the size in bytes of the largest file, such as a plan or a Rekor entry, that
// may lie beside a file that is verified.
const MaxBeside = 1 << 20

// ReadFile reads a file that the caller named.
func ReadFile(path string) ([]byte, error) { return ReadNamed(path, evidence.MaxPackage) }

// ReadNamed is [ReadFile] of at most limit bytes.
func ReadNamed(path string, limit int) ([]byte, error) {
	data, err := readUpTo(path, limit)
	if err != nil {
		return nil, Usage(Missing(err))
	}
	return data, nil
}

// ReadWhole is ReadFile without [Usage]: the caller decides about an error's exit code.
func ReadWhole(path string) ([]byte, error) { return readUpTo(path, evidence.MaxPackage) }

func readUpTo(path string, limit int) ([]byte, error) {
	data, err := readAny(path, limit)
	if err == nil {
		err = notPrivate(path, data)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

func readAny(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	if size > int64(limit) {
		return nil, strict.Errorf(path, "has %d bytes, %d are allowed", size, limit)
	}
	return ReadAll(f, path, int(size), limit)
}

// maxHead is how many bytes at the beginning of a file are looked at for a private key.
const maxHead = 4 << 10

// notPrivate refuses a private key where something public is wanted, as after a name
// that was completed one letter short. Parsers quote what they can't read, and a plan
// has files in it word for word: the key would be on the screen, in a log or published.
func notPrivate(path string, data []byte) error {
	if !IsPrivate(data) {
		return nil
	}
	where := "openssl pkey -in " + path + " -pubout"
	if bytes.Contains(data[:min(len(data), maxHead)], []byte("BEGIN OPENSSH ")) {
		where = path + ".pub"
	}
	return strict.Errorf(path, "is a private key: nothing of it was used or shown").WithHint("something public is wanted here; its public half is: %s", where)
}

// IsPrivate says whether a file begins as private keys do, in whichever format.
func IsPrivate(data []byte) bool {
	what, _ := keys.Private(data[:min(len(data), maxHead)])
	return what != ""
}

// ReadMedium reads a recording, of any size, and gives its digest.
func ReadMedium(path string) (s media.Seen, err error) {
	info, err := os.Stat(path) // opening a pipe would wait for its writer
	switch {
	case err != nil:
		return s, err
	case !info.Mode().IsRegular():
		return s, strict.Errorf(path, "is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	s.Size = uint64(n)
	h.Sum(s.SHA256[:0])
	return s, err
}

// ReadAll reads a file of a known size, or if size is 0, such as of a pipe, of at most
// limit bytes. Then it allocates limit bytes at once, so that nothing has to be copied:
// the system provides the memory page by page as it is filled.
func ReadAll(r io.Reader, name string, size, limit int) ([]byte, error) {
	if size == 0 {
		size = limit
	}
	buf := make([]byte, size+1)
	n, err := io.ReadFull(r, buf)
	switch {
	case err == nil && size < limit:
		return nil, strict.Errorf(name, "grows while it is read")
	case err == nil:
		return nil, strict.Errorf(name, "has more than the %d bytes that are allowed", limit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return buf[:n:n], nil
	}
	return nil, err
}
