package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// filmed is a fleet whose package has an index of one recording, which begins with the
// first record.
func filmed(t testing.TB, name, places string) *testfleet.Fleet {
	start := time.Date(2026, 11, 21, 10, 0, 1, 0, time.UTC)
	text := fmt.Sprintf("fleetctl media v1\nmedium room.mp4\nsha256 %x\nsize 4\nstart %s\nwithin 00:00:02\n%s", sha256.Sum256([]byte("film")), start.Format(time.RFC3339), places)
	return testfleet.New(t, testfleet.Options{Name: name, HSMs: 1, Unwary: true, Start: start.Add(-time.Second),
		Beside: func([]byte) map[string][]byte { return map[string][]byte{media.File: []byte(text)} }})
}

// TestRecordingsAreBoundByTheirIndexAndAgreeWithTheTranscript: an index that doesn't agree
// is a problem whatever is demanded, and so is a recording that isn't the one it names.
func TestRecordingsAreBoundByTheirIndexAndAgreeWithTheTranscript(t *testing.T) {
	verify := func(f *testfleet.Fleet, data []byte, get func(string) (media.Seen, error)) *evidence.Report {
		policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
		return must(evidence.Verify(evidence.Input{File: "e", Data: data, Media: get}, policy, evidence.Question{Now: f.Now(), Expect: evidence.TypeEvidence}))
	}
	film := func(data string) func(string) (media.Seen, error) {
		return func(name string) (media.Seen, error) {
			if name != "room.mp4" {
				return media.Seen{}, fmt.Errorf("%s was asked for", name)
			}
			return media.Seen{SHA256: sha256.Sum256([]byte(data)), Size: uint64(len(data))}, nil
		}
	}
	good := filmed(t, "filmed", "at 00:00:00 record 1\nat 00:00:05 record 2\n")
	r := verify(good, good.Archive, nil)
	if !r.Verified || len(r.Media) != 1 || r.Media[0].Compared || r.Media[0].Places != 2 {
		t.Fatalf("the good one: %s%+v", says(r), r.Media)
	}
	if r = verify(good, good.Archive, film("film")); !r.Verified || !r.Media[0].Compared || !bytes.Contains(r.JSON(), []byte(`"compared": true`)) {
		t.Errorf("compared: %s%+v", says(r), r.Media)
	}
	if r = verify(good, good.Archive, film("flim")); r.Verified || !strings.Contains(says(r), "names the recording room.mp4 with 4 bytes and digest") {
		t.Errorf("another recording: %s", says(r))
	}
	changed := bytes.Replace(good.Files[media.File], []byte("00:00:05 record 2"), []byte("00:00:04 record 2"), 1)
	if r = verify(good, must(sealed(with(good.Files, media.File, changed))), nil); r.Verified || !strings.Contains(says(r), "is not the file that the close record lists") {
		t.Errorf("changed after the close: %s", says(r))
	}
	plain := testfleet.New(t, testfleet.Options{Name: "not filmed", HSMs: 1})
	if r = verify(plain, plain.Archive, film("film")); r.Verified || !strings.Contains(says(r), "no recording can be compared with it") {
		t.Errorf("no index, and recordings given: %s", says(r))
	}
	for places, want := range map[string]string{
		"at 00:10:00 record 2\n":                        "which is more than 00:00:02 apart",
		"at 00:00:00 record 1\nat 00:00:01 record 99\n": "there is no record 99",
		"at 00:00:01 record 1\nat 00:00:00 record 2\n":  "not in rising order",
		"": "has no place in the transcript",
	} {
		f := filmed(t, "filmed "+want, places)
		if r := verify(f, f.Archive, nil); r.Verified || !strings.Contains(says(r), want) {
			t.Errorf("%q: verified %t: %s", places, r.Verified, says(r))
		}
	}
}

// TestNothingInAPackageIsBoundByNobody: of a package whose end is logged, and of one that
// was aborted, no file can be changed, emptied or left out without being noticed, though
// the manifest is made anew.
func TestNothingInAPackageIsBoundByNobody(t *testing.T) {
	closed := filmed(t, "bound", "at 00:00:00 record 1\n")
	given, account := abandonedFor(t, "bound and aborted")
	signAbort(t, given, account.AbortApproval(), testfleet.Signers...)
	for name, c := range map[string]struct {
		f      *testfleet.Fleet
		data   []byte
		expect evidence.Type
	}{"closed": {closed, closed.Archive, evidence.TypeEvidence}, "aborted": {given, packed(t, given), evidence.TypeAbort}} {
		policy := must(evidence.ParsePolicy("policy.yaml", c.f.Policy))
		logged := endLogged(c.f, c.data)
		verify := func(data []byte) *evidence.Report {
			return must(evidence.Verify(evidence.Input{File: "e", Data: data, Logged: logged}, policy, evidence.Question{Now: c.f.Now().Add(time.Hour), Expect: c.expect}))
		}
		if r := verify(c.data); !r.Verified {
			t.Fatalf("%s: %s", name, says(r))
		}
		files := must(evidence.Unpack("e", c.data))
		for path, content := range files {
			if path == evidence.ManifestFile {
				continue
			}
			for how, data := range map[string][]byte{"a byte more": append(bytes.Clone(content), '\n'), "empty": {}, "left out": nil} {
				if r := verify(must(sealed(with(files, path, data)))); r.Verified || len(r.Problems) == 0 && r.Claim(evidence.ClaimLogged).Grade == evidence.Proven {
					t.Errorf("%s: %s, %s: verified %t, and nothing is wrong", name, path, how, r.Verified)
				}
			}
		}
	}
}
