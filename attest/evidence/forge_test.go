package evidence_test

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
)

// forgeries change time and salt of every record and link the rest anew. Up to
// the fleet check that has to be caught, since the artifact names its hash and
// a third party signs the artifact.
func (w *world) forgeries(yield func(mutant) bool) {
	plan := must(ceremony.ParsePlan(ceremony.PlanFile, w.good.Files[ceremony.PlanFile]))
	t := must(ceremony.ParseTranscript(ceremony.TranscriptFile, w.good.Transcript(), plan.Digest()))
	signed := true
	for _, r := range t.Records {
		class := func(what string) string {
			switch {
			case signed:
				return ""
			case r.Kind == ceremony.KindClose:
				return what + " of the close record"
			}
			return fmt.Sprintf("%s of a %s record", what, r.Kind)
		}
		later := r.Time.Add(time.Second)
		if r.N < len(t.Records) && t.Records[r.N].Time.Before(later) {
			later = r.Time.Add(-time.Second) // records of one second: towards the other side
		}
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s, another second", r.N, r.Kind), class: class("time"),
			files: reseal(w.good.Files, func(x *ceremony.Record) {
				if x.N == r.N {
					x.Time = later
				}
			})})
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("record %d, %s, another salt", r.N, r.Kind), class: class("salt"),
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
		signed = signed && r.Kind != ceremony.KindFleetCheck
	}
}

// others are the remaining forgeries, each for a reason of its own.
func (w *world) others(yield func(mutant) bool) {
	good := w.good.Files
	page := bytes.Replace(good[evidence.PageFile], []byte("fleetctl page v1"), []byte("fleetctl page v0"), 1)
	yield(mutant{file: evidence.PageFile, how: "of another version", files: with(good, evidence.PageFile, page)})
	yield(mutant{file: evidence.PageFile, how: "of another version, closed again", class: "another page version, closed again",
		files: reseal(with(good, evidence.PageFile, []byte("<p>All is well.")), nil, evidence.PageFile)})
	yield(mutant{file: evidence.PageFile, how: "dropped, closed again", files: reseal(with(good, evidence.PageFile, nil), nil, evidence.PageFile)})

	core := bytes.Replace(good[ceremony.CoreFile], []byte("{"), []byte("{ "), 1)
	yield(mutant{file: ceremony.CoreFile, how: "white space, recorded anew", class: "white space of the core, recorded anew",
		files: reseal(with(good, ceremony.CoreFile, core), nil, ceremony.CoreFile)})

	proof := must(w.good.Parties.Log.Append(good[ceremony.BundleFile]))
	yield(mutant{file: ceremony.ProofFile, how: "of the same bundle's second entry", files: with(good, ceremony.ProofFile, proof)})
	yield(mutant{file: ceremony.ProofFile, how: "of the same bundle's second entry, recorded anew", class: "another valid proof, recorded anew",
		files: reseal(with(good, ceremony.ProofFile, proof), nil)})
	proof = append(bytes.Clone(good[ceremony.ProofFile]), "— nobody AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n"...)
	yield(mutant{file: ceremony.ProofFile, how: "with a stranger's line, recorded anew", class: "a stranger's line in the log's checkpoint",
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
		cut := bytes.TrimSuffix(good[ceremony.TranscriptFile], last(good[ceremony.TranscriptFile]))
		yield(mutant{file: ceremony.TranscriptFile, how: fmt.Sprintf("with %.9q for its close record", end), files: with(good, ceremony.TranscriptFile, append(cut, strings.TrimSpace(end)...))})
	}
}

func last(transcript []byte) []byte {
	at := bytes.LastIndexByte(transcript[:len(transcript)-1], '\n')
	return transcript[at+1:]
}
