//go:build unix

package tiled

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/transparency-dev/tessera/api/layout"

	"github.com/fleetctl/fleetctl/auditlog"
)

// resource matches the paths of C2SP tlog-tiles and no others: no state, no
// temporary file, no path out of the directory.
var resource = regexp.MustCompile(`^/(?:checkpoint|tile/(?:entries|[0-9]|[1-5][0-9]|6[0-3])/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/(?:[1-9][0-9]{0,2}))?)$`)

// Handler serves a log's directory by C2SP tlog-tiles. dir is the log's directory
// or any other with tiles. Only files below dir are opened, even where a symbolic
// link leads elsewhere.
func Handler(dir string) (*Server, error) {
	if _, err := os.Stat(filepath.Join(dir, configName)); err == nil {
		dir = filepath.Join(dir, logName)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Server{root}, nil
}

// Server answers from one directory.
type Server struct{ root *os.Root }

// Checkpoint is the one that is served. It is read, not verified: the directory
// need not say whose log it is.
func (s *Server) Checkpoint() (*auditlog.Checkpoint, error) {
	f, err := s.root.OpenFile(layout.CheckpointPath, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, auditlog.MaxText+1))
	if err != nil {
		return nil, err
	}
	return auditlog.ParseCheckpoint(layout.CheckpointPath, data)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*") // what is public may be read by any page
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "this server only lets a log be read", http.StatusMethodNotAllowed)
		return
	case r.URL.RawPath != "" || !resource.MatchString(r.URL.Path):
		http.NotFound(w, r)
		return
	}
	// Readers aren't told the reason, which may be a link that leads outside.
	// O_NONBLOCK keeps a named pipe from making it wait.
	f, err := s.root.OpenFile(r.URL.Path[1:], os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	if r.URL.Path == "/checkpoint" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
	} else {
		// A tile never changes: a partial one has its width in its name.
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
}
