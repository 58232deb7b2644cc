package evidence

import (
	"crypto/sha256"
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

// PackFolder gives the files of a closed ceremony as they are published, the
// manifest among them. withhold leaves out what restricted records say.
func PackFolder(dir string, withhold bool) (Files, *ceremony.Account, error) {
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
	if withhold {
		if files[ceremony.TranscriptFile], err = ceremony.Withhold(a.Plan, files[ceremony.TranscriptFile]); err != nil {
			return nil, nil, err
		}
	}
	delete(files, ManifestFile)
	files[ManifestFile] = files.Manifest()
	return files, a, nil
}
