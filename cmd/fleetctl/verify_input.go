package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// input reads what is to be verified and what lies beside it.
func (a *app) input(file string, o verifyOptions) (in evidence.Input, err error) {
	in.File = file
	object := evidence.TypeEvidence
	switch info, serr := os.Stat(file); {
	case file == "-":
		in.File = "standard input"
		in.Data, err = readAll(a.stdin, in.File, 0, evidence.MaxPackage)
	case serr != nil:
		return in, usage(missing(serr))
	case info.IsDir():
		in.Folder, err = evidence.ReadFolder(file)
	default:
		in.Data, err = readWhole(file)
	}
	var fault *strict.Error
	if errors.As(err, &fault) {
		return in, wrong(err) // too large, or no package's folder
	} else if err != nil {
		return in, err
	}
	if in.Folder == nil {
		object = evidence.Detect(in.Data)
	}
	for _, b := range []struct {
		flag, given, usual string
		of                 evidence.Type
		into               *[]byte
	}{
		{"rekor", o.rekor, file + ".rekor.json", evidence.TypeBundle, &in.Rekor},
		{"evidence-proof", o.logged, evidenceProof(file), evidence.TypeEvidence, &in.Logged},
		{"plan", o.plan, filepath.Join(filepath.Dir(file), ceremony.PlanFile), evidence.TypeTranscript, &in.Plan},
	} {
		switch {
		case b.given != "" && object != "" && object != b.of:
			return in, usagef("what it needs of this, an evidence package holds itself", "--%s goes with %s, and %s is %s", b.flag, b.of.Noun(), in.File, object.Noun())
		case b.given != "":
			*b.into, err = readNamed(b.given, maxBeside)
		case object == b.of && in.Folder == nil && file != "-":
			*b.into, err = readBeside(b.usual)
		}
		if err != nil {
			return in, err
		}
	}
	return in, a.proofs(&in, file, object, o.proofs)
}

// proofs reads the log proofs that were named, or that lie beside: an entry may
// have several, and the earliest dates it.
func (a *app) proofs(in *evidence.Input, file string, object evidence.Type, named []string) error {
	base := file + ".tlog-proof"
	if object == evidence.TypeEvidence {
		base = evidenceProof(file)
	} else if object != evidence.TypeBundle && object != "" && len(named) > 0 {
		return usagef("", "--proof goes with a bundle or a package, and %s is %s", in.File, object.Noun())
	}
	first := &in.Proof
	switch {
	case object == evidence.TypeEvidence:
		first = &in.Logged
	case object != evidence.TypeBundle:
		return nil
	case len(named) > 0:
		data, err := readFile(named[0])
		if err != nil {
			return err
		}
		*first, named = data, named[1:]
		base = ""
	}
	if in.Folder == nil && file != "-" && base != "" {
		for n := 1; n <= maxProofs; n++ {
			path := proofNumber(base, n)
			data, err := readBeside(path)
			switch {
			case err != nil:
				return err
			case data == nil:
				n = maxProofs
			case *first == nil:
				*first = data
			case n > 1:
				in.Proofs = append(in.Proofs, evidence.Input{File: path, Data: data})
			}
		}
	}
	for _, path := range named {
		data, err := readFile(path)
		if err != nil {
			return err
		}
		in.Proofs = append(in.Proofs, evidence.Input{File: path, Data: data})
	}
	return nil
}

// maxProofs bounds the proofs that are looked for beside a file.
const maxProofs = 32

// proofNumber names the proofs of one file: log prove --refresh writes a new one
// beside the older ones.
func proofNumber(base string, n int) string {
	if n == 1 {
		return base
	}
	return fmt.Sprintf("%s-%d", base, n)
}

// readBeside reads a file that need not be there: its absence is an answer. One
// that is there and can't be read is none.
func readBeside(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, strict.Errorf(path, "is no regular file")
	}
	return readUpTo(path, maxBeside)
}

// maxBeside is the size of the largest file that lies beside what is verified,
// in bytes: a plan, a Rekor entry.
const maxBeside = 1 << 20

// readFile reads a file that the caller named.
func readFile(path string) ([]byte, error) { return readNamed(path, evidence.MaxPackage) }

func readNamed(path string, limit int) ([]byte, error) {
	data, err := readUpTo(path, limit)
	if err != nil {
		return nil, usage(missing(err))
	}
	return data, nil
}

func readWhole(path string) ([]byte, error) { return readUpTo(path, evidence.MaxPackage) }

func readUpTo(path string, limit int) ([]byte, error) {
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
	return readAll(f, path, int(size), limit)
}

// readAll reads no more than a file may have: a pipe or a device says nothing of
// its size and may never end. Where it doesn't (size is 0), the room for the
// largest is asked for at once, so that nothing has to be copied: the system
// gives it page by page, as it is filled.
func readAll(r io.Reader, name string, size, limit int) ([]byte, error) {
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
