package simdisk

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// do changes a file for readers; on the disk it comes with the next sync.
func (n *node) do(w write) {
	n.data, n.writes = w.apply(n.data), append(n.writes, w)
}

// handle is an open file.
type handle struct {
	d               *Disk
	n               *node
	path            string
	life            int
	at              int
	writes, appends bool
	closed          bool
	listed          bool
}

// use locks the disk for a call, or says why there is none.
func (h *handle) use(op string) (unlock func(), err error) {
	h.d.mu.Lock()
	switch {
	case h.closed:
		err = fs.ErrClosed
	case h.d.dead || h.life != h.d.life:
		err = errDead
	}
	if err != nil {
		h.d.mu.Unlock()
		return nil, wrong(op, h.path, err)
	}
	return h.d.mu.Unlock, nil
}

func (h *handle) Name() string { return h.path }

func (h *handle) Read(p []byte) (int, error) {
	n, err := h.ReadAt(p, int64(h.at))
	h.at += n
	if n > 0 {
		err = nil
	}
	return n, err
}

func (h *handle) ReadAt(p []byte, at int64) (int, error) {
	unlock, err := h.use("read")
	if err != nil {
		return 0, err
	}
	defer unlock()
	if h.n.mode.IsDir() {
		return 0, wrong("read", h.path, syscall.EISDIR)
	}
	if int(at) >= len(h.n.data) {
		return 0, io.EOF
	}
	n := copy(p, h.n.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) Write(p []byte) (int, error) {
	if h.appends {
		h.at = len(h.n.data)
	}
	n, err := h.WriteAt(p, int64(h.at))
	h.at += n
	return n, err
}

func (h *handle) WriteAt(p []byte, at int64) (int, error) {
	unlock, err := h.use("write")
	if err != nil {
		return 0, err
	}
	defer unlock()
	if !h.writes {
		return 0, wrong("write", h.path, syscall.EBADF)
	}
	fault, err := h.d.call(Write, h.path)
	if err != nil {
		return 0, wrong("write", h.path, err)
	}
	p = slices.Clone(p)
	if fault != None {
		p = p[:h.d.rnd.IntN(len(p)+1)]
	}
	h.n.do(write{at: int(at), data: p})
	switch fault {
	case None:
		return len(p), nil
	case KillTorn, CutTorn:
		h.d.die()
	}
	return len(p), wrong("write", h.path, fault.error())
}

func (h *handle) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		h.at = int(offset)
	case io.SeekCurrent:
		h.at += int(offset)
	case io.SeekEnd:
		h.at = len(h.n.data) + int(offset)
	}
	return int64(h.at), nil
}

func (h *handle) Close() error {
	h.closed = true
	return nil
}

func (h *handle) Stat() (fs.FileInfo, error) { return h.n.info(filepath.Base(h.path)), nil }

func (h *handle) Sync() error {
	unlock, err := h.use("sync")
	if err != nil {
		return err
	}
	defer unlock()
	fault, err := h.d.call(Sync, h.path)
	if err != nil {
		return wrong("sync", h.path, err)
	}
	if fault == SyncDropped {
		h.n.writes = nil // as Linux does: what could not be written counts as written
	}
	if fault != None {
		return wrong("sync", h.path, fault.error())
	}
	if h.d.left(Sync, h.path) {
		return nil
	}
	for _, w := range h.n.writes {
		h.n.kept = w.apply(h.n.kept)
	}
	h.n.writes = nil
	return nil
}

func (h *handle) Truncate(size int64) error {
	unlock, err := h.use("truncate")
	if err != nil {
		return err
	}
	defer unlock()
	if err := h.d.alter(Truncate, h.path); err != nil {
		return err
	}
	h.n.do(write{at: int(size), size: true})
	return nil
}

// ReadDir lists a folder at once, whatever was asked for.
func (h *handle) ReadDir(n int) ([]fs.DirEntry, error) {
	unlock, err := h.use("readdir")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if h.listed && n > 0 {
		return nil, io.EOF
	}
	h.listed = true
	list := h.n.list()
	if len(list) == 0 && n > 0 {
		return nil, io.EOF
	}
	return list, nil
}

// LinkTo gives a file that has no name one.
func (h *handle) LinkTo(path string) error {
	unlock, err := h.use("link")
	if err != nil {
		return err
	}
	defer unlock()
	dir, name, err := h.d.place(path)
	if err == nil && h.d.find(path) != nil {
		err = os.ErrExist
	}
	if err != nil {
		return wrong("link", path, err)
	}
	if err := h.d.alter(Link, path); err != nil {
		return err
	}
	h.d.enter(entry{dir, name, h.n})
	return nil
}

// info is what Stat says.
type info struct {
	n    *node
	name string
}

func (n *node) info(name string) fs.FileInfo { return info{n, name} }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(len(i.n.data)) }
func (i info) Mode() fs.FileMode  { return i.n.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.n.mode.IsDir() }
func (i info) Sys() any           { return i.n }
