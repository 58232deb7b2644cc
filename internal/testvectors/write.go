package testvectors

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// writing says whether the cases are to be written anew.
func writing() bool { return os.Getenv("FLEETCTL_WRITE") == "1" }

// sharedFrom is the size from which a file that another case has lies there alone.
const sharedFrom = 1024

// Set are the cases of a kind as a test makes them today.
type Set struct {
	kind  string
	files map[string][]byte   // by path from the kind's folder
	seen  map[[32]byte]string // where a large file lies
}

// NewSet begins the cases of a kind.
func NewSet(kind string) *Set {
	return &Set{kind, map[string][]byte{}, map[[32]byte]string{}}
}

// Part is a file of a case: its part in the question, its name and its bytes. Of
// what lies in another case's folder, or among the files that cases share, At is the
// path from testdata/vectors, and nothing else is given.
type Part struct {
	Part, Name string
	Data       []byte
	At         string
}

// Share adds a file that several cases name, and says where it lies: for Part.At.
func (s *Set) Share(name string, data []byte) (at string) {
	s.files[path.Join("_files", name)] = data
	return path.Join(s.kind, "_files", name)
}

// From is a path from the folder of a case to a file that lies at a path from
// testdata/vectors.
func (s *Set) From(at string) string {
	if inside, ok := strings.CutPrefix(at, s.kind+"/"); ok {
		return "../" + inside
	}
	return "../../" + at
}

// Add adds a case. What lies in an earlier one of the same kind is named there.
func (s *Set) Add(t testing.TB, c Case, files ...Part) {
	t.Helper()
	c.Format, c.Kind, c.Go = Format, s.kind, c.Verdict
	if c.Files == nil {
		c.Files = map[string]string{}
	}
	for _, f := range files {
		if f.At != "" {
			c.Files[f.Part] = s.From(f.At)
		}
		if f.Data == nil {
			continue
		}
		at, digest := path.Join(c.Name, f.Name), sha256.Sum256(f.Data)
		if old := s.seen[digest]; old != "" && len(f.Data) >= sharedFrom {
			c.Files[f.Part] = "../" + old
			continue
		}
		s.seen[digest], s.files[at], c.Files[f.Part] = at, f.Data, f.Name
	}
	c.Shell, c.JavaScript = NotChecked, NotChecked
	if old, err := Read(s.kind, c.Name); err == nil { // what the others must say is written by hand
		c.Shell, c.JavaScript = old.Shell, old.JavaScript
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := errors.Join(c.Check(), e.Encode(c)); err != nil {
		t.Fatal(err)
	}
	at := path.Join(c.Name, "case.json")
	if s.files[at] != nil {
		t.Fatalf("%s is there twice", at)
	}
	s.files[at] = out.Bytes()
}

// Check holds the folder to the set, file by file; FLEETCTL_WRITE=1 writes it.
func (s *Set) Check(t testing.TB) {
	t.Helper()
	dir := filepath.Join(Dir(), s.kind)
	if writing() {
		s.Write(t)
	}
	for name, data := range s.files {
		if have, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || !bytes.Equal(have, data) {
			t.Errorf("%s/%s is not what is made today; scripts/vectors writes it, git diff shows why (%v)", dir, name, err)
		}
	}
	err := walk(dir, func(name string) error {
		if s.files[name] == nil {
			t.Errorf("%s/%s belongs to no case", dir, name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Write writes the set, whatever was asked for: of cases that are made with fresh keys,
// and never made twice alike.
func (s *Set) Write(t testing.TB) {
	t.Helper()
	if err := s.write(filepath.Join(Dir(), s.kind)); err != nil {
		t.Fatal(err)
	}
}

// write leaves exactly the set's files.
func (s *Set) write(dir string) error {
	for name, data := range s.files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, data, 0o644)); err != nil {
			return err
		}
	}
	return walk(dir, func(name string) error {
		if s.files[name] != nil {
			return nil
		}
		at := filepath.Join(dir, filepath.FromSlash(name))
		return errors.Join(os.Remove(at), removeEmpty(filepath.Dir(at)))
	})
}

func removeEmpty(dir string) error {
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return err
	}
	return os.Remove(dir)
}

// walk calls do with each file below a folder, by its path from there.
func walk(dir string, do func(name string) error) error {
	var names []string
	err := filepath.WalkDir(dir, func(at string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, filepath.ToSlash(strings.TrimPrefix(at, dir+string(filepath.Separator))))
		}
		return err
	})
	for _, name := range names {
		err = errors.Join(err, do(name))
	}
	return err
}
