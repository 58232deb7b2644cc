package bundle

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// ResponseFormat is the first field of a response.
const ResponseFormat = "fleetctl response v1"

// maxResponse bounds a response, in bytes: a statement of MaxStatement and an
// addition of ML-DSA-87 in base64, and the key.
const maxResponse = 18 << 10

// Response is a third party's answer to a request.
type Response struct {
	Signed

	file   string
	raw    []byte
	served bool
}

type responseFile struct {
	Format    string   `strict:"format"`
	Key       [32]byte `strict:"key,base64"`
	Statement []byte   `strict:"statement,base64"` // the JSON as served

	Addition *additionFile `strict:"addition,optional"`
}

// NewResponse makes a response and reads back what it wrote.
func NewResponse(s Signed) (*Response, error) {
	return ParseResponse("", strict.EncodeJSON(&responseFile{ResponseFormat, s.Key, s.Statement.filed(), s.Addition.file()}))
}

// ParseResponse reads a response of at most 18 KiB. It checks no signature.
func ParseResponse(file string, data []byte) (*Response, error) {
	var f responseFile
	if _, err := open(file, data, maxResponse, ResponseFormat, &f); err != nil {
		return nil, err
	}
	s, err := parseSigned(file+" statement", signedFile{f.Key, f.Statement, f.Addition})
	if err != nil {
		return nil, err
	}
	return &Response{Signed: s, file: file, raw: bytes.Clone(data)}, nil
}

// ParseAnswer reads what a third party gave back: a response, or a statement as a
// live service serves it, which doesn't say whose it is. That is the one of the
// pinned keys under which it verifies; of a response no signature is checked.
func ParseAnswer(file string, data []byte, pinned [][32]byte) (*Response, error) {
	if FormatOf(data) == ResponseFormat {
		return ParseResponse(file, data)
	}
	s, err := ParseServed(file, data)
	if err != nil {
		return nil, err
	}
	for _, key := range pinned {
		if s.Verify(key) != nil {
			continue
		}
		// Not signed, but what is beside it must not contradict it.
		if err := s.checkKeyID(key); err != nil {
			return nil, strict.Errorf(file, "%v", err)
		}
		return &Response{Signed: Signed{Key: key, Statement: s}, file: file, raw: bytes.Clone(data), served: true}, nil
	}
	return nil, strict.Errorf(file, "the statement of epoch %d of %s verifies under none of the pinned keys, of which there are %d", s.Epoch, s.Namespace, len(pinned)).
		WithHint("Ask the third party which key signed it. Nothing of it was used.")
}

// AsServed says whether the third party's live service gave it: a statement alone.
func (r *Response) AsServed() bool { return r.served }

// ErrNotAsked is the error of a statement that is about something else than what was
// asked for.
var ErrNotAsked = errors.New("it was not asked for")

// CheckConcerns says whether a served statement is about what the party was asked for
// at all; else the error is ErrNotAsked. A statement about another epoch contradicts
// nothing: everybody can have it from the service.
func (r *Response) CheckConcerns(party, namespace string, epoch uint64, ciphersuite uint32) error {
	switch s := r.Statement; {
	case s.Namespace != namespace || s.Epoch != epoch:
		return strict.Errorf(r.file, "%s's statement is about epoch %d of %s; epoch %d of %s was asked for", party, s.Epoch, s.Namespace, epoch, namespace).
			WithHint("Nothing of it was used.").Because(ErrNotAsked)
	case s.Ciphersuite != ciphersuite:
		return strict.Errorf(r.file, "%s's statement has ciphersuite %d; the plan says %d", party, s.Ciphersuite, ciphersuite).
			WithHint("Nothing of it was used.").Because(ErrNotAsked)
	}
	return nil
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
