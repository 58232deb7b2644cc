package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ustar"
)

// The files that a package has beside those of the ceremony's folder.
const (
	ManifestFile = "MANIFEST"
	PageFile     = "index.html"
	RekorFile    = ceremony.BundleFile + ".rekor.json" // optional
)

// Limits of a package, which bound what a verifier reads before it has checked anything.
// SPEC 1.3 says what they leave room for.
const (
	MaxPackage  = 64 << 20 // bytes
	maxFiles    = 8192
	maxManifest = 1 << 20 // bytes
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

// single are the files that a package may have; in folders it may have any number.
var (
	single = []string{ceremony.PlanFile, ceremony.TranscriptFile, ceremony.ArtifactFile, ceremony.CoreFile, ceremony.BundleFile, ceremony.ProofFile, RekorFile, media.File, PageFile, ManifestFile,
		ceremony.RetirementFile, ceremony.RetirementProofFile, ceremony.RetiredFile, ceremony.RetiredProofFile}
	folders = []string{ceremony.PlanApprovalsDir + "/", ceremony.ApprovalsDir + "/", ceremony.ReleaseSignoffDir + "/", ceremony.AttestationsDir + "/", ceremony.DrillsDir + "/", closeSignoffs}
)

const closeSignoffs = ceremony.CloseSignoffDir + "/"

func known(path string) bool {
	return slices.Contains(single, path) || slices.ContainsFunc(folders, func(d string) bool { return strings.HasPrefix(path, d) })
}

// Unbound are the paths that no package may have.
func (f Files) Unbound() []string {
	return slices.DeleteFunc(f.Paths(), known)
}

// Listed are the files that a close record lists, with their digests.
func (f Files) Listed() (list []ceremony.File) {
	for _, path := range f.Paths() {
		if !unlisted(path) {
			list = append(list, ceremony.File{Path: path, SHA256: sha256.Sum256(f[path])})
		}
	}
	return list
}

// Pack writes the files' archive. The same files give the same bytes.
func Pack(files Files) ([]byte, error) { return ustar.Pack(files) }

// Unpack reads an archive that Pack could have written, byte by byte, and refuses any
// other, so that every reader sees the same files. The contents are slices of data.
func Unpack(file string, data []byte) (Files, error) {
	return ustar.Unpack(file, data, ustar.Limits{Bytes: MaxPackage, Files: maxFiles})
}

// ReadFolder reads a ceremony's folder or an unpacked package, without the private
// folder.
func ReadFolder(dir string) (Files, error) {
	r := &folderReader{dir: dir, files: Files{}, left: MaxPackage}
	return r.files, r.walk("")
}

// folderReader reads a folder, and stops if it holds more than a package may.
type folderReader struct {
	dir     string
	files   Files
	left    int64 // bytes
	folders int
}

func (r *folderReader) tooLarge() error {
	return strict.Errorf(r.dir, "holds more than %d files or %d MB", maxFiles, MaxPackage>>20)
}

func (r *folderReader) walk(rel string) error {
	if r.folders++; r.folders > maxFiles {
		return r.tooLarge()
	}
	f, err := durable.Open(filepath.Join(r.dir, rel))
	if err != nil {
		return err
	}
	defer f.Close()
	entries, err := f.ReadDir(maxFiles + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(entries) > maxFiles {
		return r.tooLarge()
	}
	slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
	for _, e := range entries {
		if err := r.entry(path.Join(rel, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

func (r *folderReader) entry(rel string, e fs.DirEntry) error {
	name := filepath.Join(r.dir, filepath.FromSlash(rel))
	switch {
	case e.IsDir() && rel == ceremony.PrivateDir:
		return nil
	case e.IsDir():
		return r.walk(rel)
	case !e.Type().IsRegular():
		return strict.Errorf(name, "is no regular file")
	}
	if err := ustar.CheckPath(rel); err != nil {
		return strict.Errorf(name, "%v", err)
	}
	f, err := durable.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > r.left || len(r.files) >= maxFiles {
		return r.tooLarge()
	}
	// One byte more, to notice a file that grows.
	data := make([]byte, info.Size()+1)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	if n == len(data) {
		return strict.Errorf(name, "grows while it is read")
	}
	r.left -= int64(n)
	r.files[rel] = data[:n:n]
	return nil
}

// signed are the signings in a folder of the package.
func (f Files) signed(dir string) ([]ceremony.Signing, error) { return ceremony.Signings(f, dir) }

// sums are the files' digests by path.
func (f Files) sums() map[string][32]byte {
	sums := make(map[string][32]byte, len(f))
	for path, data := range f {
		sums[path] = sha256.Sum256(data)
	}
	return sums
}

// Manifest lists every file but itself in the format of sha256sum. It only guards
// against damage; the package's identity is the hash of its last record.
func (f Files) Manifest() []byte { return f.manifest(f.sums()) }

func (f Files) manifest(sums map[string][32]byte) []byte {
	var b []byte
	for _, path := range f.Paths() {
		if path != ManifestFile {
			b = sumLine(b, path, sums[path])
		}
	}
	return b
}

// sumLine appends a file's line in the format of sha256sum.
func sumLine(b []byte, path string, sum [32]byte) []byte {
	return append(append(append(hex.AppendEncode(b, sum[:]), "  "...), path...), '\n')
}

// checkManifest says where the manifest and the files differ.
func (f Files) checkManifest(sums map[string][32]byte) error {
	have, ok := f[ManifestFile]
	if !ok {
		return strict.Errorf(ManifestFile, "is missing")
	}
	if len(have) > maxManifest {
		return strict.Errorf(ManifestFile, "has %d bytes, %d are allowed", len(have), maxManifest)
	}
	if bytes.Equal(have, f.manifest(sums)) {
		return nil
	}
	listed := map[string]bool{}
	l := strict.NewLines(ManifestFile, have)
	for l.More() {
		digits, path, ok := strings.Cut(l.Next(), "  ")
		sum, err := strict.ParseHash(digits)
		switch {
		case !ok || err != nil:
			l.Failf("is no line of sha256sum: digest, two spaces, path")
		case listed[path]:
			l.Failf("lists %q twice", strict.Clip(path))
		case f[path] == nil:
			l.Failf("lists %q, which is not in the package", strict.Clip(path))
		case sum != sums[path]:
			l.Failf("%s has another content than is listed", path)
		}
		listed[path] = true
	}
	if err := l.Done(); err != nil {
		return err
	}
	for _, path := range f.Paths() {
		if path != ManifestFile && !listed[path] {
			return strict.Errorf(ManifestFile, "does not list %q", path)
		}
	}
	return strict.Errorf(ManifestFile, "is not sorted bytewise by path")
}

var errNoPackage = errors.New("is neither a package nor anything else that can be verified")
