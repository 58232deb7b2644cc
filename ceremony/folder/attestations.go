package folder

import (
	"path/filepath"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ReadAttestations reads the devices' evidence, by path.
func ReadAttestations(root string) (map[string][]byte, error) {
	entries, err := signedEntries(root, ceremony.AttestationsDir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		path := ceremony.AttestationsDir + "/" + e.Name()
		full := filepath.Join(root, path)
		info, err := durable.Lstat(full)
		switch {
		case err != nil:
			return nil, err
		case !e.Type().IsRegular():
			return nil, strict.Errorf(full, "is no regular file").WithHint("only evidence of devices stands here: move it away")
		case info.Size() > attest.MaxEvidenceFile:
			return nil, strict.Errorf(full, "has %d bytes; evidence has at most %d", info.Size(), attest.MaxEvidenceFile).WithHint("no record tells of it: move it away")
		}
		if files[path], err = durable.ReadFile(full); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// TidyAttestations sets aside evidence without a record: an interruption came between
// the file and its record.
func TidyAttestations(root string, a *ceremony.Account) error {
	files, err := ReadAttestations(root)
	if err != nil {
		return err
	}
	for intent := range a.Attestations {
		delete(files, ceremony.AttestationFile(intent))
	}
	for path := range files {
		if _, err := setAside(root, path); err != nil {
			return err
		}
	}
	return nil
}
