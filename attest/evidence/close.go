package evidence

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Close renders the page and records the digest of every file that will be
// published. The record's hash, the close head, is the package's identity.
func Close(j *ceremony.Journal) (*ceremony.Record, error) {
	files, err := ReadFolder(j.Dir())
	if err != nil {
		return nil, err
	}
	for _, path := range files.Paths() {
		if !known(path) {
			return nil, strict.Errorf(filepath.Join(j.Dir(), path), "is no file of an evidence package").
				WithHint("everything in the folder is published: move it away, or into %s", filepath.Join(j.Dir(), ceremony.PrivateDir))
		}
	}
	page, err := Page(files)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(j.Dir(), PageFile)
	// A page from a close that was cut off before its record is rendered anew.
	if err := durable.Replace(path, page, 0o644); err != nil {
		return nil, err
	}
	files[PageFile] = page
	return j.Finish(closeFiles(files))
}

func closeFiles(files Files) []ceremony.File {
	var list []ceremony.File
	for _, path := range files.Paths() {
		if !unlisted(path) {
			list = append(list, ceremony.File{Path: path, SHA256: sha256.Sum256(files[path])})
		}
	}
	return list
}

// PackFolder makes the archive of a closed ceremony and writes it to out,
// which must not exist.
func PackFolder(dir, out string) (Files, *ceremony.Account, error) {
	a, err := ceremony.ReadFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	if !a.Ended() {
		s, _ := a.Next()
		return nil, nil, strict.Errorf(dir, "the ceremony is not closed: its next step is %q", s.Act).
			WithHint("when all is done, close it with\nfleetctl ceremony close %s", dir)
	}
	files, err := ReadFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	delete(files, ManifestFile)
	files[ManifestFile] = files.Manifest()
	data, err := Pack(files)
	if err != nil {
		return nil, nil, err
	}
	if err := durable.Create(out, data, 0o644); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, nil, strict.Errorf(out, "exists; nothing is overwritten").WithHint("name another with --out")
		}
		return nil, nil, err
	}
	return files, a, nil
}
