package evidence_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func init() { vectors = append(vectors, archiveVectors...) }

// rearranged is a small fleet's package, and its archive changed.
func rearranged(t *testing.T, name string, change func(archive []byte) []byte) made {
	m := plainly(t, testfleet.New(t, testfleet.Options{Name: name, HSMs: 1}), nil)
	was := m.archive
	if m.archive = change(bytes.Clone(was)); bytes.Equal(m.archive, was) {
		t.Fatalf("%s: nothing is changed", name)
	}
	return m
}

// entry is the length of an archive's first file with its header.
func entry(archive []byte) int {
	size, err := strconv.ParseInt(strings.Trim(string(archive[124:136]), "\x00 "), 8, 64)
	if err != nil {
		panic(err)
	}
	return 512 + int(size+511)/512*512
}

// summed gives the archive's first header the checksum that fits.
func summed(archive []byte) []byte {
	copy(archive[148:156], "        ")
	sum := 0
	for _, b := range archive[:512] {
		sum += int(b)
	}
	copy(archive[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return archive
}

// archiveVectors are packages whose archive is not of the one form, or has other files.
var archiveVectors = []vector{
	{"archive-of-another-order", "two files of the archive in another order", "is not in the one form of an evidence archive", "", func(t *testing.T) made {
		return rearranged(t, "vector archive", func(a []byte) []byte {
			first := entry(a)
			second := first + entry(a[first:])
			return bytes.Join([][]byte{a[first:second], a[:first], a[second:]}, nil)
		})
	}},
	{"archive-with-a-time", "a file of the archive with the time at which it was changed last", "is not in the one form of an evidence archive", "", func(t *testing.T) made {
		return rearranged(t, "vector archive", func(a []byte) []byte {
			copy(a[136:147], "15000000000")
			return summed(a)
		})
	}},
	{"archive-with-more-behind", "a block of zeros more at the archive's end", "is not in the one form of an evidence archive", "", func(t *testing.T) made {
		return rearranged(t, "vector archive", func(a []byte) []byte { return append(a, make([]byte, 512)...) })
	}},
	{"manifest-of-another-digest", "a MANIFEST that gives a file another digest", "MANIFEST", "", func(t *testing.T) made {
		f := testfleet.New(t, testfleet.Options{Name: "vector archive", HSMs: 1})
		files := with(f.Files, evidence.ManifestFile, nil)
		manifest := files.Manifest()
		manifest[0] = "01"[1-manifest[0]&1]
		return made{archive: must(evidence.Pack(with(files, evidence.ManifestFile, manifest))), policy: f.Policy, now: f.Now()}
	}},
	{"file-of-no-package", "a file beside the package's, which no record lists", "is no file of an evidence package", "", func(t *testing.T) made {
		return plainly(t, testfleet.New(t, testfleet.Options{Name: "vector archive", HSMs: 1}), func(x evidence.Files) { x["notes.txt"] = []byte("hello\n") })
	}},
	{"proof-left-out", "the proof that the bundle is logged is left out", "bundle.json.tlog-proof", "", func(t *testing.T) made {
		return plainly(t, testfleet.New(t, testfleet.Options{Name: "vector archive", HSMs: 1}), func(x evidence.Files) { delete(x, ceremony.ProofFile) })
	}},
}
