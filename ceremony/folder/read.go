// Package folder reads a ceremony's folder, and stores in it what people signed. It opens
// no token and writes no transcript, so that verifiers can use it too.
package folder

import (
	"path/filepath"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ReadRecords is Read that also returns the records. Like Read, it refuses a transcript
// whose last line is torn.
func ReadRecords(dir string) (*ceremony.Account, *ceremony.Transcript, error) {
	account, t, err := ReadTorn(dir)
	if err != nil {
		return nil, nil, err
	}
	if len(t.Torn) > 0 {
		return nil, nil, strict.At(filepath.Join(dir, ceremony.TranscriptFile), account.N+1, "is cut off after record %d: %d bytes of a record that was never finished", account.N, len(t.Torn)).
			WithHint("go on with\nfleetctl ceremony resume %s --site SITE", dir)
	}
	return account, t, nil
}

// Read replays the ceremony in a folder. It changes nothing.
func Read(dir string) (*ceremony.Account, error) {
	account, _, err := ReadRecords(dir)
	return account, err
}

// ReadToLastRecord is Read of a transcript whose last line may be torn.
func ReadToLastRecord(dir string) (*ceremony.Account, error) {
	account, _, err := ReadTorn(dir)
	return account, err
}

// ReadTorn is ReadRecords of a transcript whose last line may be torn; Torn then has
// that line.
func ReadTorn(dir string) (*ceremony.Account, *ceremony.Transcript, error) {
	planPath, path := filepath.Join(dir, ceremony.PlanFile), filepath.Join(dir, ceremony.TranscriptFile)
	raw, err := durable.ReadFile(planPath)
	if err != nil {
		return nil, nil, err
	}
	plan, err := ceremony.ParsePlan(planPath, raw)
	if err != nil {
		return nil, nil, err
	}
	data, err := durable.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	return ceremony.Replay(plan, path, data)
}
