package bundle

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// requestFormat is the first field of a request.
const requestFormat = "fleetctl request v1"

// MaxRequest bounds a request, in bytes.
const MaxRequest = 16 << 20

// Request is the one file that goes to a third party: the core, and the approvals
// and evidence that the third party checks before it signs.
type Request struct {
	Core  *Core
	Files []File // sorted by path

	raw []byte
}

// File is one file of the evidence.
type File struct {
	Path string `strict:"path"` // relative; its segments are tokens, separated by "/"
	Data []byte `strict:"data,base64,empty"`
}

type requestFile struct {
	Format string `strict:"format"`
	Core   []byte `strict:"core,base64"`
	Files  []File `strict:"files"`
}

// NewRequest makes a request and reads back what it wrote.
func NewRequest(core *Core, files []File) (*Request, error) {
	return ParseRequest("", strict.EncodeJSON(&requestFile{requestFormat, core.Raw(), files}))
}

// ParseRequest reads a request of at most MaxRequest bytes. It doesn't look into
// its files.
func ParseRequest(file string, data []byte) (*Request, error) {
	var f requestFile
	d, err := open(file, data, MaxRequest, requestFormat, &f)
	if err != nil {
		return nil, err
	}
	r := &Request{Files: f.Files, raw: bytes.Clone(data)}
	if r.Core, err = ParseCore(file+" core", f.Core); err != nil {
		return nil, err
	}
	for i, one := range f.Files {
		if err := checkPath(one.Path); err != nil {
			d.failf(d.at("files", i, "path"), "files[%d].path %v", i, err)
		}
		if i > 0 && f.Files[i-1].Path >= one.Path {
			d.failf(d.at("files", i, "path"), "files[%d].path is %q, which doesn't come after %q; paths are sorted bytewise and distinct", i, one.Path, f.Files[i-1].Path)
		}
	}
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// Raw is the request as it was read. It must not be changed.
func (r *Request) Raw() []byte { return r.raw }

// checkPath accepts paths that mean the same on every system and stay below the
// folder into which they are unpacked.
func checkPath(path string) error {
	for segment := range strings.SplitSeq(path, "/") {
		if err := strict.CheckToken(segment); err != nil {
			return fmt.Errorf("is %q; a segment %w", path, err)
		}
		if segment == "." || segment == ".." {
			return fmt.Errorf("is %q; the segment %q is not allowed", path, segment)
		}
	}
	return nil
}
