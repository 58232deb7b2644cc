package folder

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// What a process that was killed has left is there for readers, and after a power
// cut it may be gone. So it is made durable before anything follows from it.

// LockFile is locked by whoever appends to the transcript.
func LockFile(root string) string { return filepath.Join(root, ceremony.PrivateDir, "lock") }

// SettleClosed makes the last record durable before people sign it off, and before
// it is published: nobody opens the transcript of a closed ceremony any more.
func SettleClosed(root string) error {
	unlock, err := durable.Lock(LockFile(root))
	if errors.Is(err, durable.ErrLocked) {
		return syncTranscript(root) // who is at work has settled what was there before
	}
	if err != nil {
		return err
	}
	defer unlock()
	return durable.Settle(filepath.Join(root, ceremony.TranscriptFile), 1)
}

// syncTranscript makes durable what a signature is about to say, beside whoever
// writes the transcript meanwhile. Where there is none, there is nothing to lose.
func syncTranscript(root string) error {
	err := durable.SyncFile(filepath.Join(root, ceremony.TranscriptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// settleSignatures makes durable which files a folder of signatures has.
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
