package folder

import (
	"maps"
	"path/filepath"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ReadAttestations reads the devices' evidence, by path.
func ReadAttestations(root string) (map[string][]byte, error) {
	return readRecorded(root, ceremony.AttestationsDir, "only evidence of devices stands here", attest.MaxEvidenceFile)
}

// readDrills reads the reports of drills, by path.
func readDrills(root string) (map[string][]byte, error) {
	return readRecorded(root, ceremony.DrillsDir, "only reports of drills stand here", ceremony.MaxDrillReport)
}

// readRecorded reads a folder of files that records name by their digests.
func readRecorded(root, dir, only string, most int) (map[string][]byte, error) {
	entries, err := signedEntries(root, dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		full := filepath.Join(root, path)
		info, err := durable.Lstat(full)
		switch {
		case err != nil:
			return nil, err
		case !e.Type().IsRegular():
			return nil, strict.Errorf(full, "is no regular file").WithHint("%s: move it away", only)
		case info.Size() > int64(most):
			return nil, strict.Errorf(full, "has %d bytes; %s, of at most %d", info.Size(), only, most).WithHint("no record tells of it: move it away")
		}
		if files[path], err = durable.ReadFile(full); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// TidyRecorded sets aside evidence and reports of drills without a record: an
// interruption came between the file and its record.
func TidyRecorded(root string, a *ceremony.Account) error {
	files, err := ReadAttestations(root)
	if err != nil {
		return err
	}
	for intent := range a.Attestations {
		delete(files, ceremony.AttestationFile(intent))
	}
	drills, err := readDrills(root)
	if err != nil {
		return err
	}
	for _, d := range a.Drills {
		delete(drills, ceremony.DrillFile(d.Number))
	}
	maps.Copy(files, drills)
	for path := range files {
		if _, err := setAside(root, path); err != nil {
			return err
		}
	}
	return nil
}
