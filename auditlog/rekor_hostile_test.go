package auditlog

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

func TestEveryByteOfARekorEntryMatters(t *testing.T) {
	bothVersions(t, func(t *testing.T, w *rekorWorld) {
		good := w.entry.File()
		if _, err := w.verify(t, good); err != nil {
			t.Fatal(err)
		}
		for i := range good {
			for _, bit := range []byte{1 << (i % 8), 32} { // 32 is a letter's case
				bad := bytes.Clone(good)
				bad[i] ^= bit
				if _, err := w.verify(t, bad); err == nil {
					t.Fatalf("verified with byte %d changed from %q to %q: …%s…", i, good[i], bad[i], bad[max(0, i-20):min(len(bad), i+20)])
				}
			}
			if _, err := w.verify(t, good[:i]); err == nil {
				t.Fatalf("verified when cut at byte %d", i)
			}
		}
		if _, err := w.verify(t, append(bytes.Clone(good), '\n')); err == nil {
			t.Error("verified with a byte more")
		}
	})
}

var member = regexp.MustCompile(`(?m)^  "([a-z0-9_]+)": `)

// Every member dropped, doubled, and swapped with that of another entry: of
// another bundle in the same log, and of this bundle in another log.
func TestEveryFieldOfARekorEntryMatters(t *testing.T) {
	bothVersions(t, func(t *testing.T, w *rekorWorld) {
		stranger := testrekor.New(w.log.Version, "rekor.stranger")
		others := map[string][]byte{
			"another bundle's":    w.log.Append([]byte("another bundle"), testrekor.Submitter("us")).File(),
			"another submitter's": w.log.Append(rekorBundle, testrekor.Submitter("stranger")).File(),
			"another log's":       stranger.Append(rekorBundle, testrekor.Submitter("us")).File(),
			"a later tree's":      w.log.Entry(w.entry.Envelope, w.entry.Body, w.entry.Index).File(),
		}
		good := split(w.entry.File())
		for i := range good.members {
			name := good.members[i][0]
			if _, err := w.verify(t, good.with(i, "")); err == nil {
				t.Errorf("verified without %s", name)
			}
			if _, err := w.verify(t, good.with(i, good.members[i][1]+good.members[i][1])); err == nil {
				t.Errorf("verified with %s twice", name)
			}
			for what, file := range others {
				other := split(file)
				if other.members[i][1] == good.members[i][1] {
					continue // the same in both
				}
				bad := good.with(i, other.members[i][1])
				if _, err := w.verify(t, bad); err == nil {
					t.Errorf("verified with %s %s", what, name)
				}
			}
		}
		for what, file := range others {
			_, err := w.verify(t, file)
			if ok := what == "a later tree's"; ok != (err == nil) {
				t.Errorf("%s whole entry: %v", what, err)
			}
		}
	})
}

// parts is a file cut into its members.
type parts struct {
	head    string
	members [][2]string // name, text
}

func split(file []byte) parts {
	at := member.FindAllSubmatchIndex(file, -1)
	p := parts{head: string(file[:at[0][0]])}
	for i, m := range at {
		end := len(file) - len("}\n")
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(file[m[0]:end]), "\n"), ",")
		p.members = append(p.members, [2]string{string(file[m[2]:m[3]]), text})
	}
	return p
}

func (p parts) with(i int, text string) []byte {
	var list []string
	for j, m := range p.members {
		switch {
		case j != i:
			list = append(list, m[1])
		case text != "":
			list = append(list, text)
		}
	}
	return []byte(p.head + strings.Join(list, ",\n") + "\n}\n")
}

// What a log with its own key could do, and what an attacker in between could.
func TestRekorEntryRefused(t *testing.T) {
	us, stranger := testrekor.Submitter("us"), testrekor.Submitter("stranger")
	another := []byte("another bundle")
	cases := map[string]struct {
		version int // 0: both
		change  func(w *rekorWorld, e *testrekor.Entry)
		says    string
	}{
		// GHSA-whqx-f9j3-ch6m: everything about the entry is right, and it is
		// someone else's.
		"another bundle's entry under our envelope": {0, func(w *rekorWorld, e *testrekor.Entry) {
			o := w.log.Append(another, us)
			o.Envelope = e.Envelope
			*e = o
		}, "is another entry's"},
		"a stranger's entry under our envelope": {0, func(w *rekorWorld, e *testrekor.Entry) {
			o := w.log.Append(rekorBundle, stranger)
			o.Envelope = e.Envelope
			*e = o
		}, "is another entry's"},
		"our body, a stranger's signature": {0, func(w *rekorWorld, e *testrekor.Entry) { e.Envelope = testrekor.Envelope(rekorBundle, stranger) },
			"none of the 2 pinned submitter keys signed"},
		"another bundle's whole entry": {0, func(w *rekorWorld, e *testrekor.Entry) { *e = w.log.Append(another, us) }, "is about another bundle"},
		"a stranger's whole entry": {0, func(w *rekorWorld, e *testrekor.Entry) { *e = w.log.Append(rekorBundle, stranger) },
			"none of the 2 pinned submitter keys signed"},
		"logged with the key of another kind of body": {0, func(w *rekorWorld, e *testrekor.Entry) {
			body := bytes.Replace(e.Body, []byte(`"kind":"`), []byte(`"kind":"x`), 1)
			*e = w.log.Entry(e.Envelope, body, w.log.Add(body))
		}, "is another entry's"},
		"logged with a space more": {0, func(w *rekorWorld, e *testrekor.Entry) {
			body := bytes.Replace(e.Body, []byte(`,"kind"`), []byte(`, "kind"`), 1)
			*e = w.log.Entry(e.Envelope, body, w.log.Add(body))
		}, "is another entry's"},
		"the timestamp of another entry": {1, func(w *rekorWorld, e *testrekor.Entry) { e.SET = w.log.Append(another, us).SET }, "timestamp does not verify"},
		"another time":                   {1, func(w *rekorWorld, e *testrekor.Entry) { e.Integrated = "2026-11-21T12:00:01Z" }, "timestamp does not verify"},
		"another index":                  {1, func(w *rekorWorld, e *testrekor.Entry) { e.Index++ }, "timestamp does not verify"},
		"its time without a signature":   {1, func(w *rekorWorld, e *testrekor.Entry) { e.SET = nil }, "version 1 has integrated_time and"},
		"a signature without its time":   {1, func(w *rekorWorld, e *testrekor.Entry) { e.Integrated = "" }, "version 1 has integrated_time and"},
		"a time in version 2":            {2, func(w *rekorWorld, e *testrekor.Entry) { e.Integrated = "2026-11-21T12:00:00Z" }, "one of version 2 has neither"},
		"a signature in version 2":       {2, func(w *rekorWorld, e *testrekor.Entry) { e.SET = []byte("signature") }, "one of version 2 has neither"},
		"two counts":                     {2, func(w *rekorWorld, e *testrekor.Entry) { e.Index++ }, "has one count"},
		"another log's key": {0, func(w *rekorWorld, e *testrekor.Entry) {
			o := testrekor.New(w.log.Version, "rekor.stranger")
			o.Host = "rekor.test"
			*e = o.Append(rekorBundle, us)
		}, "is of the log with id"},
		"another log's key under our id": {0, func(w *rekorWorld, e *testrekor.Entry) {
			o := testrekor.New(w.log.Version, "rekor.stranger")
			o.Host = "rekor.test"
			id := e.LogID
			*e = o.Append(rekorBundle, us)
			e.LogID = id
			if e.Version == 1 {
				e.SET = w.log.SET(*e)
			}
		}, "not signed by the pinned key"},
		"another log's entry": {0, func(w *rekorWorld, e *testrekor.Entry) {
			*e = testrekor.New(w.log.Version, "rekor.stranger").Append(rekorBundle, us)
		}, "is of the log with id"},
		"a checkpoint of another size": {0, func(w *rekorWorld, e *testrekor.Entry) { w.log.Add(another); e.Checkpoint = w.log.Checkpoint() }, "has "},
		"a checkpoint of another tree of this size": {0, func(w *rekorWorld, e *testrekor.Entry) {
			o := testrekor.New(w.log.Version, "rekor.test")
			o.Add(another)
			e.Checkpoint = o.Checkpoint()
		}, "does not show that its body"},
		"an empty tree's checkpoint": {0, func(w *rekorWorld, e *testrekor.Entry) {
			e.Checkpoint = w.log.Sign(w.log.Origin() + "\n0\n" + strings.SplitN(e.Checkpoint, "\n", 4)[2] + "\n")
		}, "has only 0 entries"},
		"a checkpoint that nobody signed": {0, func(w *rekorWorld, e *testrekor.Entry) {
			e.Checkpoint = strings.Replace(e.Checkpoint, "— rekor.test ", "— other.test ", 1)
		}, "not signed by the pinned key"},
		"a checkpoint signed twice": {0, func(w *rekorWorld, e *testrekor.Entry) {
			line := e.Checkpoint[strings.Index(e.Checkpoint, "— "):]
			e.Checkpoint += line
		}, "two signatures"},
		"a checkpoint of another origin": {0, func(w *rekorWorld, e *testrekor.Entry) {
			lines := strings.SplitN(e.Checkpoint, "\n\n", 2)
			e.Checkpoint = w.log.Sign(strings.Replace(lines[0], "rekor.test", "rekor.other", 1) + "\n")
		}, "the checkpoint is of log"},
		"a checkpoint without its tree's number": {1, func(w *rekorWorld, e *testrekor.Entry) {
			lines := strings.SplitN(e.Checkpoint, "\n\n", 2)
			e.Checkpoint = w.log.Sign(strings.Replace(lines[0], w.log.Origin(), "rekor.test", 1) + "\n")
		}, "the checkpoint is of log"},
		"a checkpoint with a timestamp": {2, func(w *rekorWorld, e *testrekor.Entry) {
			e.Checkpoint = w.log.Checkpoint("Timestamp: 1692374735595899989\n")
		}, "was expected"},
		"a checkpoint with another line": {0, func(w *rekorWorld, e *testrekor.Entry) { e.Checkpoint = w.log.Checkpoint("Extra: foo\n") }, "was expected"},
		"a timestamp that is none": {1, func(w *rekorWorld, e *testrekor.Entry) {
			e.Checkpoint = w.log.Checkpoint("Timestamp: 0692374735595899989\n")
		}, "no time in nanoseconds"},
		"a hash more": {0, func(w *rekorWorld, e *testrekor.Entry) {
			e.Inclusion.Hashes = append(e.Inclusion.Hashes, make([]byte, 32))
		}, "has 3 hashes, entry 3 of 4 has 2"},
		"a hash less":          {0, func(w *rekorWorld, e *testrekor.Entry) { e.Inclusion.Hashes = e.Inclusion.Hashes[1:] }, "has 1 hashes, entry 3 of 4 has 2"},
		"a hash of 31 bytes":   {0, func(w *rekorWorld, e *testrekor.Entry) { e.Inclusion.Hashes[0] = e.Inclusion.Hashes[0][1:] }, "has 31 bytes"},
		"as the other version": {0, func(w *rekorWorld, e *testrekor.Entry) { e.Version = 3 - e.Version }, "version"},
		"as version 3":         {0, func(w *rekorWorld, e *testrekor.Entry) { e.Version = 3 }, "known are 1 and 2"},
		"of another format":    {0, func(w *rekorWorld, e *testrekor.Entry) { e.Format = "fleetctl rekor-entry v2" }, "format is"},
		"an envelope of another type": {0, func(w *rekorWorld, e *testrekor.Entry) {
			e.Envelope = bytes.Replace(e.Envelope, []byte("fleetctl.bundle"), []byte("fleetctl.bungle"), 1)
		}, "has the payload type"},
		"an envelope with a space": {0, func(w *rekorWorld, e *testrekor.Entry) {
			e.Envelope = append(e.Envelope, ' ')
		}, "is not in the one form"},
		"an envelope signed twice": {0, func(w *rekorWorld, e *testrekor.Entry) {
			sig := regexp.MustCompile(`\{"sig":"[^"]+"\}`).Find(e.Envelope)
			e.Envelope = bytes.Replace(e.Envelope, sig, fmt.Appendf(nil, "%s,%s", sig, sig), 1)
		}, "has 2 signatures"},
		"an envelope that is none": {0, func(w *rekorWorld, e *testrekor.Entry) { e.Envelope = []byte("{") }, "can't be read"},
	}
	for name, c := range cases {
		bothVersions(t, func(t *testing.T, w *rekorWorld) {
			if c.version != 0 && c.version != w.log.Version {
				return
			}
			e := w.entry
			c.change(w, &e)
			_, err := w.verify(t, e.File())
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: got %v, want %q", name, err, c.says)
			}
		})
	}
}

func TestRekorSubmittersOfOtherKindsDoNotCount(t *testing.T) {
	w := newRekorWorld(t, RekorV2)
	ed, err := keys.FromEd25519(logKey.public())
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][]*keys.Public{"none": nil, "Ed25519": {ed}} {
		w.submitters = list
		_, err := w.verify(t, w.entry.File())
		wantStrict(t, err, fmt.Sprintf("none of the %d pinned submitter keys", len(list)))
		t.Log(name)
	}
}

func TestRekorEntryOfTheWrongBundle(t *testing.T) {
	w := newRekorWorld(t, RekorV1)
	e, err := ParseRekorEntry("f", w.entry.File())
	if err != nil {
		t.Fatal(err)
	}
	if !e.Holds(rekorBundle) || e.Holds(rekorBundle[1:]) || e.Holds(nil) {
		t.Error("Holds")
	}
	_, err = w.pinned.Verify(append(bytes.Clone(rekorBundle), ' '), e, w.submitters, nil)
	wantStrict(t, err, "is about another bundle")
}
