package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The files that only the package has.
const (
	ManifestFile = "MANIFEST"
	PageFile     = "index.html"
	RekorFile    = ceremony.BundleFile + ".rekor.json" // may be there
)

// Limits of a package, in bytes and files: what a verifier reads before it
// has checked anything.
const (
	maxFile     = 64 << 20
	MaxPackage  = 256 << 20
	maxFiles    = 4096
	maxManifest = 1 << 20
)

// Files is a package's content by path.
type Files map[string][]byte

// Paths are the files' paths in bytewise order.
func (f Files) Paths() []string { return slices.Sorted(maps.Keys(f)) }

// Size is the sum of the files' sizes in bytes.
func (f Files) Size() int {
	n := 0
	for _, data := range f {
		n += len(data)
	}
	return n
}

// single are the paths that a package may have once; below these folders it
// may have any number.
var (
	single  = []string{ceremony.PlanFile, ceremony.TranscriptFile, ceremony.ArtifactFile, ceremony.CoreFile, ceremony.BundleFile, ceremony.ProofFile, RekorFile, PageFile, ManifestFile}
	folders = []string{ceremony.PlanApprovalsDir + "/", ceremony.ApprovalsDir + "/", ceremony.ReleaseSignoffDir + "/", closeSignoffs}
)

const closeSignoffs = ceremony.CloseSignoffDir + "/"

func known(path string) bool {
	if slices.Contains(single, path) {
		return true
	}
	for _, d := range folders {
		if strings.HasPrefix(path, d) {
			return true
		}
	}
	return false
}

// checkPath refuses paths that could mean something else when unpacked.
func checkPath(path string) error {
	if path == "" || len(path) > 100 {
		return fmt.Errorf("path %q has %d bytes; 1 to 100 are allowed", path, len(path))
	}
	for part := range strings.SplitSeq(path, "/") {
		if err := strict.CheckToken(part); err != nil || part == "." || part == ".." {
			return fmt.Errorf("path %q is not one of plain names", path)
		}
	}
	return nil
}

// ReadFolder reads a ceremony's folder or an unpacked package. What stands in
// the private folder isn't part of it.
func ReadFolder(dir string) (Files, error) {
	files, total := Files{}, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == ceremony.PrivateDir {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return strict.Errorf(path, "is no regular file")
		}
		if err := checkPath(rel); err != nil {
			return strict.Errorf(path, "%v", err)
		}
		data, err := readFile(path)
		if err != nil {
			return err
		}
		if total += len(data); total > MaxPackage || len(files) >= maxFiles {
			return strict.Errorf(dir, "holds more than %d files or %d MB", maxFiles, MaxPackage>>20)
		}
		files[rel] = data
		return nil
	})
	return files, err
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, strict.Errorf(path, "has %d bytes, %d are allowed", info.Size(), maxFile)
	}
	return os.ReadFile(path)
}

// Manifest lists every file but itself, as sha256sum does. It guards the
// transport only; the package's identity is the close record's hash.
func (f Files) Manifest() []byte {
	var b bytes.Buffer
	for _, path := range f.Paths() {
		if path != ManifestFile {
			fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(f[path]), path)
		}
	}
	return b.Bytes()
}

// checkManifest says what the manifest and the files disagree about.
func (f Files) checkManifest() error {
	have, ok := f[ManifestFile]
	if !ok {
		return strict.Errorf(ManifestFile, "is missing")
	}
	want := f.Manifest()
	if bytes.Equal(have, want) {
		return nil
	}
	if len(have) > maxManifest {
		return strict.Errorf(ManifestFile, "has %d bytes, %d are allowed", len(have), maxManifest)
	}
	listed := map[string]string{}
	l := strict.NewLines(ManifestFile, have)
	for l.More() {
		sum, path, ok := strings.Cut(l.Next(), "  ")
		_, err := strict.ParseHash(sum)
		switch {
		case !ok || err != nil:
			l.Failf("is no line of sha256sum: digest, two spaces, path")
		case listed[path] != "":
			l.Failf("lists %q twice", path)
		case f[path] == nil:
			l.Failf("lists %q, which is not in the package", path)
		case sum != fmt.Sprintf("%x", sha256.Sum256(f[path])):
			l.Failf("%s has another content than is listed", path)
		}
		listed[path] = sum
	}
	if err := l.Done(); err != nil {
		return err
	}
	for _, path := range f.Paths() {
		if path != ManifestFile && listed[path] == "" {
			return strict.Errorf(ManifestFile, "does not list %q", path)
		}
	}
	return strict.Errorf(ManifestFile, "is not sorted bytewise by path")
}

var errNoPackage = errors.New("is neither a package nor anything else that can be verified")
