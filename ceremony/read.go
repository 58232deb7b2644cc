package ceremony

import (
	"os"
	"path/filepath"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// ReadRecords is ReadFolder with the records themselves. Like it, it takes no
// transcript that is cut off.
func ReadRecords(dir string) (*Account, *Transcript, error) {
	account, t, err := ReadTorn(dir)
	if err != nil {
		return nil, nil, err
	}
	if len(t.Torn) > 0 {
		return nil, nil, strict.At(filepath.Join(dir, TranscriptFile), account.N+1, "is cut off after record %d: %d bytes of a record that was never finished", account.N, len(t.Torn)).
			WithHint("go on with\nfleetctl ceremony resume %s --site SITE", dir)
	}
	return account, t, nil
}

// ReadFolder replays the ceremony in a folder without changing anything.
func ReadFolder(dir string) (*Account, error) {
	account, _, err := ReadRecords(dir)
	return account, err
}

// ReadToLastRecord is ReadFolder up to the last whole record, whatever stands after it.
func ReadToLastRecord(dir string) (*Account, error) {
	account, _, err := ReadTorn(dir)
	return account, err
}

func ReadTorn(dir string) (*Account, *Transcript, error) {
	planPath, path := filepath.Join(dir, PlanFile), filepath.Join(dir, TranscriptFile)
	raw, err := os.ReadFile(planPath)
	if err != nil {
		return nil, nil, err
	}
	plan, err := ParsePlan(planPath, raw)
	if err != nil {
		return nil, nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	return Replay(plan, path, data)
}
