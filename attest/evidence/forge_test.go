package evidence_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// forgeries change time, salt, kind and publicity of every record and link the
// rest anew. Up to the fleet check the artifact binds them, whose digest a
// third party signs; from there on the heads that people sign.
func (w *world) forgeries(yield func(mutant) bool) {
	plan := must(ceremony.ParsePlan(ceremony.PlanFile, w.good.Files[ceremony.PlanFile]))
	t := must(ceremony.ParseTranscript(ceremony.TranscriptFile, w.good.Transcript(), plan.Digest()))
	for _, r := range t.Records {
		later := r.Time.Add(time.Second)
		if r.N < len(t.Records) && t.Records[r.N].Time.Before(later) {
			later = r.Time.Add(-time.Second) // records of one second: towards the other side
		}
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s, another second", r.N, r.Kind),
			files: reseal(w.good.Files, func(x *ceremony.Record) {
				if x.N == r.N {
					x.Time = later
				}
			})})
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s, another salt", r.N, r.Kind),
			files: reseal(w.good.Files, func(x *ceremony.Record) {
				if x.N == r.N {
					x.Salt = bytes.Repeat([]byte{7}, 32)
				}
			})})
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s, a year early", r.N, r.Kind),
			files: reseal(w.good.Files, func(x *ceremony.Record) {
				if x.N == r.N && x.N > 1 {
					x.Time = x.Time.AddDate(-1, 0, 0)
				}
			})})
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s, of another kind", r.N, r.Kind),
			files: reseal(w.good.Files, func(x *ceremony.Record) {
				if x.N == r.N {
					x.Kind = t.Records[x.N%len(t.Records)].Kind
				}
			})})
		if r.Kind != ceremony.KindUnlock {
			yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s, withheld", r.N, r.Kind),
				files: reseal(w.good.Files, func(x *ceremony.Record) {
					if x.N == r.N {
						x.Salt, x.Body = nil, ""
					}
				})})
		}
	}
}

// others are the remaining forgeries, each for a reason of its own.
func (w *world) others(yield func(mutant) bool) {
	good := w.good.Files
	page := bytes.Replace(good[evidence.PageFile], []byte("fleetctl page v4"), []byte("fleetctl page v0"), 1)
	yield(mutant{file: evidence.PageFile, how: "of another version", files: with(good, evidence.PageFile, page)})
	yield(mutant{file: evidence.PageFile, how: "of another version, closed again",
		files: reseal(with(good, evidence.PageFile, []byte("<p>All is well.")), nil, evidence.PageFile)})
	yield(mutant{file: evidence.PageFile, how: "dropped, closed again", files: reseal(with(good, evidence.PageFile, nil), nil, evidence.PageFile)})

	core := bytes.Replace(good[ceremony.CoreFile], []byte("{"), []byte("{ "), 1)
	yield(mutant{file: ceremony.CoreFile, how: "white space, recorded anew",
		files: reseal(with(good, ceremony.CoreFile, core), nil, ceremony.CoreFile)})

	proof := must(w.good.Parties.Log.Append(good[ceremony.BundleFile]))
	yield(mutant{file: ceremony.ProofFile, how: "of the same bundle's second entry", files: with(good, ceremony.ProofFile, proof)})
	yield(mutant{file: ceremony.ProofFile, how: "of the same bundle's second entry, recorded anew",
		files: reseal(with(good, ceremony.ProofFile, proof), nil)})
	proof = append(bytes.Clone(good[ceremony.ProofFile]), "— nobody AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n"...)
	yield(mutant{file: ceremony.ProofFile, how: "with a stranger's line, recorded anew",
		files: reseal(with(good, ceremony.ProofFile, proof), nil)})

	// The whole of another ceremony under this one's plan, and the other way.
	for _, path := range []string{ceremony.PlanFile, ceremony.TranscriptFile} {
		yield(mutant{file: path, how: "all else the sister's", files: with(w.sister.Files, path, good[path])})
	}
	// A package of strangers is as good as this one, but to nobody who pins keys.
	yield(mutant{file: "(mixtures)", how: "the stranger's whole package", data: w.stranger.Archive})

	for _, end := range []string{"", "\n", "{}\n", "{", string(last(good[ceremony.TranscriptFile]))} {
		data := append(bytes.Clone(good[ceremony.TranscriptFile]), end...)
		if end != "" {
			yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("with %.9q after its end", end), files: with(good, ceremony.TranscriptFile, data)})
		}
		cut := bytes.Clone(bytes.TrimSuffix(good[ceremony.TranscriptFile], last(good[ceremony.TranscriptFile])))
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("with %.9q for its close record", end), files: with(good, ceremony.TranscriptFile, append(cut, strings.TrimSpace(end)...))})
	}
}

// signoffs change who says what of the close.
func (w *world) signoffs(yield func(mutant) bool) {
	good := w.good.Files
	file := func(name string) string { return ceremony.CloseSignoffDir + "/" + name }
	signed := func(p *testfleet.Person, verdict string) (text, sig []byte) {
		s := must(w.good.Account.WantedSignoff(ceremony.StageClose))
		s.Role, s.Verdict = p.Role, verdict
		return s.Text(), must(p.Sign(s.Namespace(), s.Text())).Armor()
	}
	add := func(f evidence.Files, name string, text, sig []byte) evidence.Files {
		return with(with(f, file(name), text), file(name+".sig"), sig)
	}
	text, sig := good[file("olga")], good[file("olga.sig")]
	yield(mutant{file: file("*"), how: "twice", files: add(good, "zoe", text, sig), class: "a close sign-off twice"})
	yield(mutant{file: file("*"), how: "renamed", files: add(add(good, "olga", nil, nil), "zoe", text, sig), class: "a close sign-off under another name"})

	// Nobody's voice counts for another's, or for two, or in another role.
	stranger := testfleet.NewPerson("a stranger", ceremony.Officer)
	text, sig = signed(stranger, ceremony.Agree)
	yield(mutant{file: file("*"), how: "a stranger's", files: add(good, "zoe", text, sig), class: "a stranger's close sign-off added"})
	for _, name := range testfleet.Signers {
		yield(mutant{file: file("*"), how: "a stranger's for " + name + "'s", files: add(good, name, text, sig)})
		yield(mutant{file: file("*"), how: name + "'s left out", files: add(good, name, nil, nil)})
		t, s := signed(w.good.Parties.People[name], ceremony.DoNotAgree)
		yield(mutant{file: file("*"), how: name + " does not agree", files: add(good, name, t, s)})
		yield(mutant{file: file("*"), how: name + " doesn't agree either", files: add(good, "zoe", t, s)})
		for _, other := range testfleet.Signers {
			if other != name {
				yield(mutant{file: file("*"), how: other + "'s for " + name + "'s", files: add(good, name, good[file(other)], good[file(other+".sig")])})
			}
		}
		p := *w.good.Parties.People[name]
		for _, p.Role = range []string{ceremony.Officer, ceremony.Witness, ceremony.Auditor, "king"} {
			if p.Role != w.good.Parties.People[name].Role {
				t, s := signed(&p, ceremony.Agree)
				yield(mutant{file: file("*"), how: name + " as " + p.Role, files: add(good, name, t, s)})
			}
		}
		yield(mutant{file: file("*"), how: name + "'s of the release", files: add(good, name,
			good[ceremony.ReleaseSignoffDir+"/"+name], good[ceremony.ReleaseSignoffDir+"/"+name+".sig"])})
	}
	text, sig = signed(w.good.Parties.People["ozan"], ceremony.Agree)
	more := add(good, "ozan", text, sig)
	yield(mutant{file: file("*"), how: "olga's left out, though ozan's is there", files: add(more, "olga", nil, nil), class: "a surplus close sign-off left out"})
	// The package with a voice against it is refused; without the voice it is this one.
	text, sig = signed(w.good.Parties.People["ozan"], ceremony.DoNotAgree)
	against := add(good, "ozan", text, sig)
	yield(mutant{file: file("*"), how: "ozan does not agree", files: against})
	yield(mutant{file: file("*"), how: "ozan does not agree, which is left out", files: add(add(add(against, "ozan", nil, nil), "olga", nil, nil), "zoe", good[file("olga")], good[file("olga.sig")]),
		class: "a verdict against the close left out"})
}

// A verdict of the close can be left out unnoticed by any signature. The report
// says of whom of the plan's people it has none.
func TestWhoGaveNoVerdictIsNamed(t *testing.T) {
	w := newWorld(t, testfleet.New)
	s := must(w.good.Account.WantedSignoff(ceremony.StageClose))
	s.Role, s.Verdict = ceremony.Officer, ceremony.Agree
	path := ceremony.CloseSignoffDir + "/ozan"
	all := with(with(w.good.Files, path, s.Text()), path+".sig", must(w.good.Parties.People["ozan"].Sign(s.Namespace(), s.Text())).Armor())
	olga := ceremony.CloseSignoffDir + "/olga"
	for _, c := range []struct {
		files evidence.Files
		want  string
	}{
		{w.good.Files, "2 officers, 1 witness, 1 auditor: agree; no verdict by ozan"},
		{with(with(all, olga, nil), olga+".sig", nil), "2 officers, 1 witness, 1 auditor: agree; no verdict by olga"},
		{all, "3 officers, 1 witness, 1 auditor: agree"},
	} {
		r := must(w.verify(must(sealed(c.files))))
		if got := r.Claim(evidence.ClaimCloseSignoff).Detail; !r.Verified || got != c.want {
			t.Errorf("verified %v: %q, want %q", r.Verified, got, c.want)
		}
		if got := r.Claim(evidence.ClaimReleaseSignoff).Detail; got != "2 officers, 1 witness, 1 auditor: agree; no verdict by ozan" {
			t.Errorf("release: %q", got)
		}
	}
}

func last(transcript []byte) []byte {
	at := bytes.LastIndexByte(transcript[:len(transcript)-1], '\n')
	return transcript[at+1:]
}
