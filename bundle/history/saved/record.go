package saved

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// Record is the file of what earlier runs saw.
type Record struct {
	Seen   *history.Record // nil before the first run
	Torn   int64           // bytes of a run that was cut off, kept in TornAt
	TornAt string

	path   string
	file   durable.File
	unlock func()
}

// OpenRecord opens a record for one run; a path that doesn't exist is a record
// that is yet to be begun.
func OpenRecord(path string) (*Record, error) {
	unlock, err := durable.Lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	r := &Record{path: path, unlock: unlock}
	err = durable.Temp(filepath.Dir(path)).Sweep()
	if err == nil {
		err = r.open()
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Record) open() error {
	f, err := durable.OpenFile(r.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.file = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if r.Seen, err = history.OpenRecord(r.path, f, info.Size()); err != nil {
		return err
	}
	if err := r.keepTorn(info.Size()); err != nil {
		return err
	}
	// Its last run may be there for readers alone: whoever wrote it was killed, or
	// the disk refused it.
	return durable.SettleFrom(r.path, r.Seen.Last)
}

// keepTorn sets aside what a run that was cut off has left: it can't be relied on,
// but nothing is thrown away.
func (r *Record) keepTorn(size int64) error {
	if r.Torn = size - r.Seen.Size; r.Torn == 0 {
		return nil
	}
	data, err := io.ReadAll(io.NewSectionReader(r.file, r.Seen.Size, r.Torn))
	if err != nil {
		return err
	}
	r.TornAt = fmt.Sprintf("%s.torn-%d", r.path, r.Seen.Size)
	if err := durable.Create(r.TornAt, data, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return r.file.Truncate(r.Seen.Size)
}

// Close releases the record for other processes.
func (r *Record) Close() {
	if r.file != nil {
		r.file.Close()
	}
	r.unlock()
}

// Extend adds what a run saw.
func (r *Record) Extend(report *history.Report, now time.Time) error {
	if r.file == nil {
		return r.begin(report, now)
	}
	if _, err := r.file.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if err := report.Extend(r.file, r.Seen, now); err != nil {
		return err
	}
	return r.file.Sync()
}

// begin writes the first run. If it is cut off, the file has no whole run, and
// opening it says so.
func (r *Record) begin(report *history.Report, now time.Time) error {
	f, err := durable.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = report.Extend(f, nil, now)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		durable.Remove(r.path)
		return err
	}
	return durable.SyncDir(filepath.Dir(r.path))
}

// KeepEvidence writes every pair of statements that can't both be honest, and gives
// the files' names. It changes no file that exists.
func KeepEvidence(dir string, pairs []history.Pair) ([]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	if err := durable.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var files []string
	for _, p := range pairs {
		for _, data := range [][]byte{p.A, p.B} {
			name := filepath.Join(dir, evidenceName(p, data))
			if err := durable.CreateSame(name, data, 0o644); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
			files = append(files, name)
		}
	}
	return files, nil
}

func evidenceName(p history.Pair, data []byte) string {
	sum := bundle.Digest(data)
	return fmt.Sprintf("%s-%d-%x.json", p.Namespace, p.Epoch, sum[:8])
}
