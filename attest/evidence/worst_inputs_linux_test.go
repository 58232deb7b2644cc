//go:build linux

package evidence_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const largest = evidence.MaxPackage

// fill repeats a text up to so many bytes.
func fill(size int, text string) []byte { return bytes.Repeat([]byte(text), size/len(text)) }

// worstInputs are all of them.
func worstInputs(t *testing.T) []worst {
	f := testfleet.New(t, testfleet.Options{HSMs: 1, Roles: []draft.Role{{Name: "session", Algorithm: keys.P384}}})
	list := slices.Concat(worstBytes(f), worstArchives(f), worstTranscripts(t, f), worstSignings(t, f), worstPolicies(f))
	for i := range list {
		if list[i].policy == nil {
			list[i].policy = f.Policy
		}
	}
	return list
}

// worstBytes are no files of ours, or no more than the beginning of one.
func worstBytes(f *testfleet.Fleet) []worst {
	small := func(head, body, tail string) []byte {
		return append(append([]byte(head), fill(bundle.MaxBundle-len(head)-len(tail), body)...), tail...)
	}
	return []worst{
		{name: "zeros", data: func() []byte { return make([]byte, largest) }},
		{name: "white space", data: func() []byte { return fill(largest, " ") }},
		{name: "line ends", data: func() []byte { return fill(largest, "\n") }},
		{name: "a string", data: func() []byte { return append(append([]byte(`"`), fill(largest-2, "a")...), '"') }},
		{name: "a string of escapes", data: func() []byte { return append(append([]byte(`"`), fill(largest-2, `\n`)...), '"') }},
		{name: "a list of numbers", data: func() []byte { return append(append([]byte("["), fill(largest-2, "0,")...), ']') }},
		{name: "lists", data: func() []byte { return fill(largest, "[") }},
		{name: "objects", data: func() []byte { return fill(largest, `{"a":`) }},
		{name: "a line for each object", data: func() []byte { return fill(largest, "{}\n") }},
		{name: "a line for each record", data: func() []byte { return fill(largest, `{"prev":""}`+"\n") }, plan: f.Plan.Raw, want: evidence.TypeTranscript},
		{name: "a bundle that doesn't end", data: func() []byte {
			return append([]byte(`{"format":"`+bundle.BundleFormat+`","artifact":[`), fill(largest-60, "{},")...)
		}, want: evidence.TypeBundle},
		{name: "a small list of numbers", data: func() []byte { return small("[", "0,", "0]") }},
		{name: "a small bundle of members", data: func() []byte { return small(`{"format":"`+bundle.BundleFormat+`","statements":[`, "[],", "[]]}") }, want: ""},
		{name: "a bundle of statements", data: func() []byte {
			return small(`{"format":"`+bundle.BundleFormat+`","artifact":"","countersignatures":[],"statements":[`, `{"key":"","json":""},`, `{}]}`)
		}},
		{name: "a bundle signed by as many strangers as it holds", data: func() []byte { return strangersBundle(f) }, want: evidence.TypeBundle},
		{name: "a proof of hashes", data: func() []byte { return f.Files[ceremony.BundleFile] }, proof: func() []byte {
			return append([]byte("c2sp.org/tlog-proof@v1\nindex 0\n"), fill(256<<10-40, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")...)
		}, want: evidence.TypeBundle},
		{name: "a proof of 64 MiB", data: func() []byte { return f.Files[ceremony.BundleFile] }, proof: func() []byte { return fill(largest, "c2sp.org/tlog-proof@v1\n") }, want: evidence.TypeBundle},
		{name: "a statement in white space", data: func() []byte { return slices.Concat(fill(largest-4096, " "), f.Response.Statement.Raw()) }},
		{name: "a transcript, its plan 64 MiB", data: func() []byte { return f.Transcript() }, plan: func() []byte { return fill(largest, "a:\n") }, want: evidence.TypeTranscript},
	}
}

// strangersBundle is signed, properly, by everybody but those who are pinned.
func strangersBundle(f *testfleet.Fleet) []byte {
	s := f.Response.Statement
	var statements []bundle.Signed
	var counter []bundle.Countersignature
	for i := range 50 {
		k := testfleet.SoftSigner(keys.Ed25519, fmt.Sprint("third party ", i))
		raw, _ := k.Public.Ed25519()
		one := must(bundle.NewStatement(s.Ciphersuite, s.Namespace, s.Timestamp, s.Epoch, s.Digest))
		statements = append(statements, bundle.Signed{Key: [32]byte(raw), Statement: must(one.Seal([32]byte(raw), must(k.Sign(one.Message()))))})
	}
	for i := range 50 {
		k := testfleet.SoftSigner(keys.P384, fmt.Sprint("operator ", i))
		counter = append(counter, bundle.Countersignature{Key: k.Public, Form: bundle.FormBound, Signature: must(k.Sign([]byte("x")))})
	}
	return must(bundle.Assemble(f.Files[ceremony.ArtifactFile], statements, counter, &bundle.Head{Hash: [32]byte{1}, N: 1})).Raw()
}

// worstArchives have too much of everything that a package has.
func worstArchives(f *testfleet.Fleet) []worst {
	as := func(path string, data []byte) []byte { return must(evidence.Pack(with(f.Files, path, data))) }
	room := largest - len(f.Archive) - 4096
	many := func(path string) []byte {
		files := with(f.Files, "x", nil)
		for i := len(files); i < 8190; i++ {
			files[fmt.Sprintf(path, i)] = nil
		}
		return archived(files)
	}
	list := []worst{
		{name: "a page of 64 MiB", data: func() []byte {
			return as(evidence.PageFile, append(bytes.Clone(f.Files[evidence.PageFile]), fill(room, "x")...))
		}},
		{name: "a page of letters to escape", data: func() []byte {
			return as(evidence.PageFile, append([]byte(`content="fleetctl page v4"`), fill(room, "<>&")...))
		}},
		{name: "a page of another version, of as many elements as may be", data: func() []byte {
			return as(evidence.PageFile, append([]byte("<!doctype html>"), fill(4<<20-15, "<b>")...))
		}},
		{name: "a manifest of empty lines", data: func() []byte { return as(evidence.ManifestFile, fill(1<<20, "\n")) }},
		{name: "a folder's manifest of lines", folder: func() evidence.Files {
			return with(f.Files, evidence.ManifestFile, fill(1<<20, strings.Repeat("0", 64)+"  a\n"))
		}},
		{name: "as many unknown files as may be", data: func() []byte { return many("unknown/%090d") }},
		{name: "as many texts without signature", data: func() []byte { return many(ceremony.ApprovalsDir + "/%d") }},
		{name: "as many signatures without text", data: func() []byte { return many(ceremony.ReleaseSignoffDir + "/%d.sig") }},
		{name: "a folder of as many files", folder: func() evidence.Files { return must(evidence.Unpack("", many("unknown/%d"))) }},
		{name: "headers alone", data: func() []byte { return fill(largest, string(f.Archive[:512])) }, want: evidence.TypeEvidence},
		{name: "an archive of one file", data: func() []byte { return must(evidence.Pack(evidence.Files{"a": make([]byte, largest-4096)})) }},
	}
	for _, path := range []string{ceremony.BundleFile, ceremony.CoreFile, ceremony.PlanFile, ceremony.TranscriptFile, ceremony.ProofFile, evidence.RekorFile} {
		list = append(list, worst{name: path + " of 64 MiB", data: func() []byte { return as(path, append(bytes.Clone(f.Files[path]), fill(room, "[0,")...)) }})
	}
	for i := range list {
		list[i].want = evidence.TypeEvidence
	}
	return list
}

// worstTranscripts are followed to their end, or nearly.
func worstTranscripts(t *testing.T, f *testfleet.Fleet) []worst {
	var list []worst
	add := func(name string, make func(m *maker)) {
		transcript := func() evidence.Files {
			m := newMaker(t, f)
			make(m)
			return m.files()
		}
		list = append(list, worst{name: name, data: func() []byte { return archived(transcript()) }, want: evidence.TypeEvidence},
			worst{name: name + ", alone", data: func() []byte { return transcript()[ceremony.TranscriptFile] }, plan: f.Plan.Raw, want: evidence.TypeTranscript})
	}
	add("as many keys as may be begun", func(m *maker) { m.keys(768) })
	add("as many exceptions, as long as may be", func(m *maker) { m.until(ceremony.KindClose); m.exceptions(1024, 4096) })
	add("as many refusals as may be", func(m *maker) {
		m.until(ceremony.KindClose)
		signed := f.Response
		for range 256 {
			other := must(bundle.NewStatement(signed.Statement.Ciphersuite, signed.Statement.Namespace, signed.Statement.Timestamp+1, signed.Statement.Epoch, signed.Statement.Digest))
			other = must(other.Seal(signed.Key, must(f.Parties.ThirdParty.Sign(other.Message()))))
			m.put(ceremony.KindRefusal, &ceremony.Refusal{Key: signed.Key, Statement: other.Raw(), Reason: "no"})
		}
	})
	add("as many records as may be", func(m *maker) {
		m.until(ceremony.KindClose)
		for m.account.N < 8191 {
			m.put(ceremony.KindResume, &ceremony.Resume{Since: m.at})
		}
	})
	add("readings without end", func(m *maker) {
		m.until(ceremony.KindInventory)
		m.put(ceremony.KindInventory, &ceremony.Inventory{HSM: "hsm-1", Objects: slices.Repeat([]ceremony.Object{{Class: "data"}}, 20_000)})
	})
	add("a close record of as many files as it holds", func(m *maker) {
		m.until(ceremony.KindClose)
		var files []ceremony.File
		for i := range 7000 {
			files = append(files, ceremony.File{Path: fmt.Sprintf("approvals/%06d", i)})
		}
		m.put(ceremony.KindClose, &ceremony.Close{Files: files})
	})
	list = append(list, worst{name: "a page as long as its transcript can make it", want: evidence.TypeEvidence, data: func() []byte {
		m := newMaker(t, f)
		m.until(ceremony.KindClose)
		m.exceptions(1024, 4096)
		files := m.files()
		files[evidence.PageFile] = must(evidence.Page(files))
		m.put(ceremony.KindClose, &ceremony.Close{Files: []ceremony.File{{Path: "a"}}})
		return archived(with(files, ceremony.TranscriptFile, m.out.Bytes()))
	}})
	return append(list, worst{name: "a record of lists", want: evidence.TypeEvidence, data: func() []byte {
		m := newMaker(t, f)
		m.until(ceremony.KindInventory)
		line := append([]byte(`{"n":8,"time":"2026-11-21T10:00:00Z","kind":"inventory","prev":[`), fill(1<<20-100, "[],")...)
		return archived(with(f.Files, ceremony.TranscriptFile, slices.Concat(m.out.Bytes(), line, []byte("[]]}\n"))))
	}})
}

// worstSignings are by people whom nobody pins, whose signatures are right: an
// exception after the other, and approvals of each.
func worstSignings(t *testing.T, f *testfleet.Fleet) []worst {
	var list []worst
	add := func(name string, exceptions, signings int, by func(i int) signer) {
		list = append(list, worst{name: name, want: evidence.TypeEvidence, data: func() []byte {
			m := newMaker(t, f)
			m.until(ceremony.KindClose)
			m.exceptions(exceptions, 1)
			files := m.files()
			approve(files, m.account.Needs[len(m.account.Needs)-1], signings, by)
			return archived(files)
		}})
	}
	one, slow := testfleet.NewPerson("a stranger", ceremony.Officer), newStranger()
	add("200 exceptions and 2,000 approvals by a stranger", 200, 2000, func(int) signer { return one })
	add("1,024 exceptions and 4,000 approvals by as many strangers", 1024, 4000, func(i int) signer {
		return testfleet.NewPerson(fmt.Sprint("stranger ", i), ceremony.Officer)
	})
	add("1,000 approvals on P-384", 1024, 1000, func(int) signer { return slow })
	list = append(list, worst{name: "as many keys, and approvals on P-384", want: evidence.TypeEvidence, data: func() []byte {
		m := newMaker(t, f)
		m.keys(768)
		m.exceptions(700, 1)
		files := m.files()
		approve(files, m.account.Needs[len(m.account.Needs)-1], 1000, func(int) signer { return slow })
		return archived(files)
	}})
	add("more approvals on P-384 than may be", 1, 1100, func(int) signer { return slow })
	return list
}

// worstPolicies are a verifier's own; somebody may have given it to him.
func worstPolicies(f *testfleet.Fleet) []worst {
	people := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  - name: p%d\n    role: officer\n    key: %s\n", i, testfleet.NewPerson(fmt.Sprint("person ", i), ceremony.Officer).Key())
		}
		before, rest, _ := strings.Cut(string(f.Policy), "people:\n")
		return []byte(before + "people:\n" + b.String() + rest)
	}
	yaml := func(head, body string) []byte {
		return append([]byte(head), fill(512<<10-len(head), body)...)
	}
	archive := func() []byte { return f.Archive }
	list := []worst{{name: "as many people as may be pinned", data: archive, policy: people(1000), want: evidence.TypeEvidence}}
	var parties strings.Builder
	for i := range 1000 {
		raw, _ := testfleet.SoftSigner(keys.Ed25519, fmt.Sprint("pinned party ", i)).Public.Ed25519()
		fmt.Fprintf(&parties, "  - name: t%d\n    key: %s\n", i, base64.StdEncoding.EncodeToString(raw))
	}
	before, rest, _ := strings.Cut(string(f.Policy), "third_parties:\n")
	list = append(list, worst{name: "a statement under as many third parties as may be pinned", data: f.Response.Statement.Raw, policy: []byte(before + "third_parties:\n" + parties.String() + rest), want: evidence.TypeStatement})
	for name, policy := range map[string][]byte{
		"lists in a flow": yaml("[", "[],"), "scalars in a flow": yaml("[", "a,"), "pairs in a flow": yaml("[", "a: b,"), "a list of lines": yaml("", "- a\n"),
		"questions": yaml("", "?\n"), "comments": yaml("", "- #\n"), "depth": yaml("", "- "), "a folded text": yaml("a: >\n", " \n"), "people without names": yaml("format: fleetctl policy v1\npeople: [", "{},"),
	} {
		list = append(list, worst{name: "a policy of " + name, data: archive, policy: policy, want: "refused"})
		list = append(list, worst{name: "a plan of " + name, data: func() []byte { return archived(with(f.Files, ceremony.PlanFile, policy)) }, want: evidence.TypeEvidence})
	}
	return list
}
