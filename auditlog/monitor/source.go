package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/tile"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// width is how many entries a bundle, and hashes a tile, have at most (C2SP
// tlog-tiles).
const width = tile.Width

// Limits of what is read of a log.
const (
	maxTile   = width * 32
	maxBundle = width * (2 + 1<<16 - 1)
)

// Source is where a log is read: a directory of C2SP tlog-tiles, or its URL.
type Source struct {
	ref  string
	read func(ctx context.Context, path string, limit int) ([]byte, error)
}

// Open opens a log by its directory or URL. A directory is one that
// `fleetctl log init` made, or any that has the tiles themselves.
func Open(ref string, client *http.Client) (*Source, error) {
	if isURL(ref) {
		if err := checkURL(ref); err != nil {
			return nil, err
		}
		return &Source{ref, httpReader(sameServer(client), strings.TrimRight(ref, "/"))}, nil
	}
	dir := ref
	if _, err := durable.Stat(filepath.Join(dir, "log", ".state")); err == nil {
		dir = filepath.Join(dir, "log")
	}
	info, err := durable.Stat(dir)
	if err == nil && !info.IsDir() {
		err = strict.Errorf(ref, "is neither a log's directory nor its URL")
	}
	if err != nil {
		return nil, err
	}
	return &Source{ref, func(_ context.Context, path string, limit int) ([]byte, error) {
		f, err := durable.Open(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return readAll(path, f, info.Size(), limit)
	}}, nil
}

func isURL(ref string) bool {
	return strings.HasPrefix(ref, "http://") || strings.HasPrefix(ref, "https://")
}

func checkURL(ref string) error {
	u, err := url.Parse(ref)
	if err != nil || !isURL(ref) || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return strict.Errorf("", "%q is no URL of a log", ref)
	}
	return nil
}

// maxRedirects is how many redirects, each to the same server, are followed.
const maxRedirects = 3

// sameServer is a client that follows no redirect to another server: only the
// server that was named answers for a log.
func sameServer(client *http.Client) *http.Client {
	c := http.Client{Timeout: time.Minute}
	if client != nil {
		c = *client
	}
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if first := via[0].URL; r.URL.Host != first.Host || r.URL.Scheme != first.Scheme {
			return fmt.Errorf("the log's server sends us to another one, %s://%s", strict.Said(r.URL.Scheme), strict.Said(r.URL.Host))
		}
		if len(via) > maxRedirects {
			return fmt.Errorf("the log's server sends us on more than %d times", maxRedirects)
		}
		return nil
	}
	return &c
}

func (s *Source) String() string { return s.ref }

func httpReader(client *http.Client, prefix string) func(context.Context, string, int) ([]byte, error) {
	return func(ctx context.Context, path string, limit int) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, prefix+"/"+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("User-Agent", "fleetctl")
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusOK:
			return readAll(path, resp.Body, 0, limit)
		case http.StatusNotFound, http.StatusGone:
			return nil, &fs.PathError{Op: "get", Path: prefix + "/" + path, Err: fs.ErrNotExist}
		}
		return nil, fmt.Errorf("get %s/%s: %s", prefix, path, resp.Status)
	}
}

// readAll reads one of a log's files; about is its size if that is known. A file
// of more than limit bytes is a *[Broken] and no network error: the log serves what
// it can't have signed.
func readAll(name string, r io.Reader, about int64, limit int) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, min(about, int64(limit))+bytes.MinRead))
	_, err := b.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if err == nil && b.Len() > limit {
		return nil, broken(name, "has more than the %d bytes that are allowed", limit)
	}
	return b.Bytes(), err
}

// checkpoint reads the newest checkpoint and verifies it.
func (s *Source) checkpoint(ctx context.Context, p *auditlog.Policy) (*auditlog.Checkpoint, *auditlog.Cosigning, error) {
	data, err := s.read(ctx, tile.Checkpoint, auditlog.MaxText)
	if err != nil {
		return nil, nil, err
	}
	c, err := auditlog.ParseCheckpoint(s.ref+": checkpoint", data)
	if err != nil {
		return nil, nil, err
	}
	cosigning, err := p.VerifyCheckpoint(c)
	return c, cosigning, err
}

// part reads a tile or bundle that has n hashes or entries in a tree. The log may
// have replaced a partial one by the full one.
func (s *Source) part(ctx context.Context, path func(n int) string, n, limit int) (data []byte, name string, err error) {
	name = path(n)
	data, err = s.read(ctx, name, limit)
	if errors.Is(err, fs.ErrNotExist) && n < width {
		name = path(width)
		data, err = s.read(ctx, name, limit)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = broken(name, "is missing")
	}
	return data, name, err
}

// tile reads the first n hashes of a tile.
func (s *Source) tile(ctx context.Context, level, index uint64, n int) ([][32]byte, error) {
	data, name, err := s.part(ctx, func(n int) string { return tile.Path(level, index, n) }, n, maxTile)
	if err != nil {
		return nil, err
	}
	list, err := parseTile(name, data)
	if err == nil && len(list) < n {
		err = broken(name, "has %d hashes, %d are in the tree", len(list), n)
	}
	if err != nil {
		return nil, err
	}
	return list[:n], nil
}

// entries reads the first n entries of a bundle.
func (s *Source) entries(ctx context.Context, index uint64, n int) ([][]byte, error) {
	data, name, err := s.part(ctx, func(n int) string { return tile.EntriesPath(index, n) }, n, maxBundle)
	if err != nil {
		return nil, err
	}
	list, err := parseEntries(name, data)
	if err == nil && len(list) < n {
		err = broken(name, "has %d entries, %d are in the tree", len(list), n)
	}
	if err != nil {
		return nil, err
	}
	return list[:n], nil
}
