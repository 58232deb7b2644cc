package main

import (
	"errors"
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
		in.Data, err = readAll(a.stdin, in.File)
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
		{"proof", o.proof, file + ".tlog-proof", evidence.TypeBundle, &in.Proof},
		{"rekor", o.rekor, file + ".rekor.json", evidence.TypeBundle, &in.Rekor},
		{"evidence-proof", o.logged, evidenceProof(file), evidence.TypeEvidence, &in.Logged},
		{"plan", o.plan, filepath.Join(filepath.Dir(file), ceremony.PlanFile), evidence.TypeTranscript, &in.Plan},
	} {
		switch {
		case b.given != "" && object != "" && object != b.of:
			return in, usagef("what it needs of this, an evidence package holds itself", "--%s goes with %s, and %s is %s", b.flag, b.of.Noun(), in.File, object.Noun())
		case b.given != "":
			*b.into, err = readFile(b.given)
		case object == b.of && in.Folder == nil && file != "-":
			*b.into, err = readBeside(b.usual)
		}
		if err != nil {
			return in, err
		}
	}
	return in, nil
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
	return readWhole(path)
}

// readFile reads a file that the caller named.
func readFile(path string) ([]byte, error) {
	data, err := readWhole(path)
	if err != nil {
		return nil, usage(missing(err))
	}
	return data, nil
}

func readWhole(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > evidence.MaxPackage {
		return nil, strict.Errorf(path, "has %d bytes, %d are allowed", info.Size(), evidence.MaxPackage)
	}
	return readAll(f, path)
}

// readAll reads no more than the largest of our files may have: a pipe or a
// device says nothing of its size and may never end.
func readAll(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, evidence.MaxPackage+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > evidence.MaxPackage:
		return nil, strict.Errorf(name, "has more than the %d bytes that are allowed", evidence.MaxPackage)
	}
	return data, nil
}
