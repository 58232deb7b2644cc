package ceremony

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Record is one line of a transcript. Its hash covers a commitment to the body, not
// the body, so that a restricted record can be published without salt and body and
// the chain still verifies.
type Record struct {
	N      int       `strict:"n"`
	Time   time.Time `strict:"time"`
	Kind   Kind      `strict:"kind,token"`
	Prev   [32]byte  `strict:"prev,hex"`
	Commit [32]byte  `strict:"commit,hex"`
	Salt   []byte    `strict:"salt,base64,optional"`
	Body   string    `strict:"body,optional"`

	// Content is the decoded body; nil if it is withheld.
	Content any

	// sum is the hash of a record that was read from a transcript; such a record isn't
	// changed any more. nil for others.
	sum *[32]byte
}

// The files of a ceremony's folder. All but PrivateDir is published.
const (
	PlanFile       = "plan.yaml"
	TranscriptFile = "transcript.jsonl"
	ArtifactFile   = "fleet-keys.json"
	CoreFile       = "request-core.json"
	BundleFile     = "bundle.json"
	ProofFile      = "bundle.json.tlog-proof"
	PrivateDir     = "private"

	// Of a ceremony that destroys keys: why it may.
	RetirementFile      = "retirement.json"
	RetirementProofFile = "retirement.json.tlog-proof"
	RetiredFile         = "retired-bundle.json" // the bundle of the keys
	RetiredProofFile    = "retired-bundle.json.tlog-proof"
)

const saltSize = 32

// maxLine is the largest line in bytes. Most records have at most a few kilobytes; a
// close record lists every file.
const maxLine = 1 << 20

// Hash is the record's hash, which the next record has as prev.
func (r *Record) Hash() [32]byte {
	b := make([]byte, 0, 256)
	b = append(b, "fleetctl record v1\n"...)
	b = append(strconv.AppendInt(b, int64(r.N), 10), '\n')
	b = append(strict.AppendTime(b, r.Time), '\n')
	b = append(append(b, r.Kind...), '\n')
	b = append(hex.AppendEncode(b, r.Prev[:]), '\n')
	return sha256.Sum256(append(hex.AppendEncode(b, r.Commit[:]), '\n'))
}

// place is Hash, computed once for a record that was read from a transcript.
func (r *Record) place() [32]byte {
	if r.sum != nil {
		return *r.sum
	}
	return r.Hash()
}

// Withheld says whether salt and body were left out.
func (r *Record) Withheld() bool { return len(r.Salt) == 0 && r.Body == "" }

// Line is the record as it stands in the transcript, LF included.
func (r *Record) Line() []byte { return append(strict.EncodeLine(r), '\n') }

func commitment(salt []byte, body string) [32]byte {
	return sha256.Sum256(append(append(make([]byte, 0, 4096), salt...), body...)) // most are not longer
}

// NewRecord makes the next record, with salt from random. It reads the line back, and
// fails if that can't be done. It doesn't check whether the record may come next:
// Apply does.
func (a *Account) NewRecord(at time.Time, random io.Reader, content any) (*Record, error) {
	kind, ok := kindOf(content)
	if !ok {
		return nil, fmt.Errorf("no record kind has a body of type %T", content)
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	r := &Record{
		N: a.N + 1, Time: at.UTC().Truncate(time.Second), Kind: kind, Prev: a.Head,
		Salt: salt, Body: string(strict.EncodeLine(content)), Content: content,
	}
	r.Commit = commitment(r.Salt, r.Body)
	line := r.Line()
	if len(line) > maxLine {
		return nil, strict.Errorf("", "record %d would have %d bytes; a line has at most %d", r.N, len(line), maxLine)
	}
	read, err := parseRecord("", r.N, strings.TrimSuffix(string(line), "\n"))
	var faults strict.Errors
	if faults.Add(err); len(faults) > 0 {
		return nil, strict.Errorf("", "%s", faults[0].Msg).WithHint("nothing was recorded: enter it again in an allowed form")
	}
	return read, nil
}

// parseRecord reads a line, without its LF, and the body in it.
func parseRecord(file string, n int, line string) (*Record, error) {
	r := &Record{}
	if !strict.DecodeCanonical(line, maxLine, r) {
		*r = Record{} // read again, slowly, for the error
		if err := strict.DecodeText(file, line, maxLine, r); err != nil {
			return nil, relocate(err, file, n)
		}
		if string(strict.EncodeLine(r)) != line {
			return nil, strict.At(file, n, "record %d is not in its one canonical form", n)
		}
	}
	info, ok := kinds()[r.Kind]
	switch {
	case r.N != n:
		return nil, strict.At(file, n, "record %d says that it is record %d", n, r.N)
	case !ok:
		return nil, strict.At(file, n, "record %d is of the unknown kind %q", n, r.Kind)
	case r.Withheld() && !info.restricted:
		return nil, strict.At(file, n, "record %d, %q, is withheld, and only restricted kinds may be", n, r.Kind)
	case r.Withheld():
		return r, nil
	case len(r.Salt) != saltSize:
		return nil, strict.At(file, n, "record %d has a salt of %d bytes, not %d", n, len(r.Salt), saltSize)
	case commitment(r.Salt, r.Body) != r.Commit:
		return nil, strict.At(file, n, "record %d: its body is not the one it committed to", n)
	}
	r.Content = info.make()
	if strict.DecodeCanonical(r.Body, maxLine, r.Content) {
		return r, nil
	}
	r.Content = info.make()
	if err := strict.DecodeText(file, r.Body, maxLine, r.Content); err != nil {
		return nil, relocate(err, file, n)
	}
	if string(strict.EncodeLine(r.Content)) != r.Body {
		return nil, strict.At(file, n, "record %d: its body is not in its one canonical form", n)
	}
	return r, nil
}

// relocate gives the faults in a record the line of the record.
func relocate(err error, file string, n int) error {
	var faults strict.Errors
	faults.Add(err)
	for _, f := range faults {
		f.File, f.Line = file, n
		if !strings.HasPrefix(f.Msg, "record ") {
			f.Msg = fmt.Sprintf("record %d: %s", n, f.Msg)
		}
	}
	return faults.Err()
}

// Transcript has the records of a transcript file.
type Transcript struct {
	Records []*Record
	// Torn are the bytes after the last whole line: a record that an interruption left
	// half written.
	Torn []byte
}

// ParseTranscript reads every whole record and checks the chain, beginning with the
// plan's digest. It doesn't check what the records say; Replay does.
func ParseTranscript(file string, data []byte, plan [32]byte) (*Transcript, error) {
	if len(data) > MaxTranscript {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), MaxTranscript)
	}
	t := &Transcript{}
	prev := plan
	for text := string(data); text != ""; {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			t.Torn = data[len(data)-len(text):]
			break
		}
		n := len(t.Records) + 1
		if n > MaxRecords {
			return nil, strict.At(file, n, "has more than %d records", MaxRecords)
		}
		r, err := parseRecord(file, n, line)
		if err != nil {
			return nil, err
		}
		if r.Prev != prev {
			if n == 1 {
				return nil, strict.At(file, 1, "the transcript does not begin at this plan").
					WithHint("its first record names plan %x, the plan given is %x", r.Prev, plan)
			}
			return nil, strict.At(file, n, "record %d does not follow record %d: the chain is broken", n, n-1)
		}
		sum := r.Hash()
		prev, r.sum = sum, &sum
		t.Records = append(t.Records, r)
		text = rest
	}
	return t, nil
}

// Withhold returns a transcript without the salts and bodies of its restricted
// records. Its chain still verifies: it covers commitments.
func Withhold(p *Plan, data []byte) ([]byte, error) {
	t, err := ParseTranscript(TranscriptFile, data, p.Digest())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, r := range t.Records {
		if kinds()[r.Kind].restricted {
			r.Salt, r.Body = nil, ""
		}
		b.Write(r.Line())
	}
	return b.Bytes(), nil
}

// Limits of a ceremony. They bound a verifier's time and memory for any package that
// somebody gives it. A fleet of as many HSMs as a bundle holds, with 50 people and 200
// exceptions, reaches at most half of each.
const (
	MaxTranscript = 16 << 20 // bytes
	MaxRecords    = 8192
	maxIntents    = 768 // also those of failed and destroyed keys
	maxExceptions = 1024
	maxRefusals   = 256
	maxKeys       = 512 // HSMs times roles; the bundle's size allows fewer still
	maxSignings   = 4096
)
