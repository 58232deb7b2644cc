package bundle

import (
	"bytes"
	"fmt"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// ResponseFormat is the first field of a response.
const ResponseFormat = "fleetctl response v1"

// maxResponse bounds a response, in bytes: a statement of MaxStatement in
// base64, and the key.
const maxResponse = 8 << 10

// Response is a third party's answer to a request.
type Response struct {
	Signed

	file string
	raw  []byte
}

type responseFile struct {
	Format    string   `strict:"format"`
	Key       [32]byte `strict:"key,base64"`
	Statement []byte   `strict:"statement,base64"` // the JSON as served
}

// NewResponse makes a response and reads back what it wrote.
func NewResponse(s Signed) (*Response, error) {
	return ParseResponse("", strict.EncodeJSON(&responseFile{ResponseFormat, s.Key, s.Statement.Raw()}))
}

// ParseResponse reads a response of at most 8 KiB. It checks no signature.
func ParseResponse(file string, data []byte) (*Response, error) {
	var f responseFile
	if _, err := open(file, data, maxResponse, ResponseFormat, &f); err != nil {
		return nil, err
	}
	s, err := parseSigned(file+" statement", signedFile{f.Key, f.Statement})
	if err != nil {
		return nil, err
	}
	return &Response{Signed: s, file: file, raw: bytes.Clone(data)}, nil
}

// Raw is the response as it was read. It must not be changed.
func (r *Response) Raw() []byte { return r.raw }

// Check checks that the response answers exactly this request, that the pinned key
// signed it, and that its time isn't before the same key's last statement.
func (r *Response) Check(core *Core, key [32]byte) error {
	if err := r.check(core, key); err != nil {
		return strict.Errorf(r.file, "the response %v", err).
			WithHint("Keep the file and ask the third party. Nothing of it was used.")
	}
	return nil
}

func (r *Response) check(core *Core, key [32]byte) error {
	if r.Key != key {
		return fmt.Errorf("has key %s, but %s is pinned", keyText(r.Key[:]), keyText(key[:]))
	}
	if err := isAbout(r.Statement, core.KeySet.about()); err != nil {
		return err
	}
	for _, before := range core.Previous {
		if before.Key == key && r.Statement.Timestamp < before.Statement.Timestamp {
			return fmt.Errorf("has a timestamp of %s, before that of the same key's last statement, %s",
				strict.FormatTime(r.Statement.Time()), strict.FormatTime(before.Statement.Time()))
		}
	}
	return r.Statement.Verify(key)
}
