package closing

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// AddMedium adds a recording to the index in a ceremony's folder, once its places agree
// with the records that there are. The close lists the index: after it nothing is added.
// Whoever calls it holds the journal.
func AddMedium(dir string, a *ceremony.Account, m media.Medium) (*media.Index, error) {
	if a.Ended() {
		return nil, strict.Errorf(dir, "the ceremony has ended: its package names the recordings that it has")
	}
	file := filepath.Join(dir, media.File)
	x := &media.Index{}
	switch data, err := durable.ReadFile(file); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if x, err = media.Parse(file, data); err != nil {
			return nil, err
		}
	}
	x.Media = append(x.Media, m)
	text := x.Marshal()
	x, err := media.Parse(file, text) // its rules are the reader's
	if err != nil {
		return nil, err
	}
	transcript, err := durable.ReadFile(filepath.Join(dir, ceremony.TranscriptFile))
	if err != nil {
		return nil, err
	}
	_, t, err := ceremony.Replay(a.Plan, ceremony.TranscriptFile, transcript)
	if err != nil {
		return nil, err
	}
	var made []time.Time
	for _, r := range t.Records {
		made = append(made, r.Time)
	}
	if err := x.Check(file, made); err != nil {
		return nil, err
	}
	return x, folder.Temp(dir).Replace(file, text, 0o644)
}
