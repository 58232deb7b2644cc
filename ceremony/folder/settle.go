package folder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// A process that was killed may have written files without fsync: others can read them,
// but after a power cut they may be gone. So they are made durable before anything
// depends on them.

// LockFile is the file that a process locks while it may append to the transcript.
func LockFile(root string) string { return filepath.Join(root, ceremony.PrivateDir, "lock") }

// SettleClosed makes the last record of a closed ceremony durable, before people sign it
// and before it is published. For an open ceremony, opening the journal does that.
func SettleClosed(root string) error {
	unlock, err := durable.Lock(LockFile(root))
	if errors.Is(err, durable.ErrLocked) {
		return syncTranscript(root) // the process that holds the lock has done it
	}
	if err != nil {
		return err
	}
	defer unlock()
	return durable.Settle(filepath.Join(root, ceremony.TranscriptFile), 1)
}

// syncTranscript makes the transcript durable before somebody signs one of its records.
// Another process may be writing it meanwhile. If there is none, it does nothing.
func syncTranscript(root string) error {
	err := durable.SyncFile(filepath.Join(root, ceremony.TranscriptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// settleSignatures makes a folder of signatures, as a list of names, durable.
func settleSignatures(root, dir string) error {
	path := root
	for part := range strings.SplitSeq(dir, "/") {
		path = filepath.Join(path, part)
		if err := durable.SyncDir(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
