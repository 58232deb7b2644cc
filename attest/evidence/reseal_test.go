package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// reseal is the strongest forger who has no key: he changes what he likes and
// makes everything fit again that can be made without signing. The chain of
// records is linked anew from the first change on; core, digests of files,
// page and close record are made to fit; the manifest too. What he gets past a
// verifier is bound by nobody's signature.
//
// edit sees each record before it is linked. keep are the files that he leaves
// as they are. A package that he can't even parse gives nil.
func reseal(files evidence.Files, edit func(*ceremony.Record), keep ...string) evidence.Files {
	f := maps.Clone(files)
	kept := map[string]bool{}
	for _, k := range keep {
		kept[k] = true
	}
	plan, err := ceremony.ParsePlan(ceremony.PlanFile, f[ceremony.PlanFile])
	if err != nil {
		return nil
	}
	t, err := ceremony.ParseTranscript(ceremony.TranscriptFile, f[ceremony.TranscriptFile], plan.Digest())
	if err != nil {
		return nil
	}
	var out bytes.Buffer
	prev, release := plan.Digest(), bundle.Head{}
	for _, r := range t.Records {
		switch c := r.Content.(type) {
		case *ceremony.Request:
			if !kept[ceremony.CoreFile] {
				if core := follow(f[ceremony.CoreFile], release); core != nil {
					f[ceremony.CoreFile] = core
				}
			}
			c.Core = sha256.Sum256(f[ceremony.CoreFile])
			rewrite(r, c)
		case *ceremony.LogProof:
			c.Bundle, c.Proof = sha256.Sum256(f[ceremony.BundleFile]), sha256.Sum256(f[ceremony.ProofFile])
			rewrite(r, c)
		case *ceremony.Drill:
			if data, ok := f[ceremony.DrillFile(c.Number)]; ok && c.Outcome != ceremony.DrillNone && !kept[ceremony.TranscriptFile] {
				c.Report, c.Size = sha256.Sum256(data), len(data)
				rewrite(r, c)
			}
		case *ceremony.Close:
			f[ceremony.TranscriptFile] = bytes.Clone(out.Bytes())
			if page, err := evidence.Page(f); err == nil && !kept[evidence.PageFile] {
				f[evidence.PageFile] = page
			}
			c.Files = nil
			for _, path := range f.Paths() {
				if path != ceremony.TranscriptFile && path != evidence.ManifestFile && !strings.HasPrefix(path, ceremony.CloseSignoffDir+"/") {
					c.Files = append(c.Files, ceremony.File{Path: path, SHA256: sha256.Sum256(f[path])})
				}
			}
			rewrite(r, c)
		}
		if edit != nil {
			edit(r)
		}
		if !r.Withheld() {
			r.Commit = sha256.Sum256(append(bytes.Clone(r.Salt), r.Body...))
		}
		r.Prev = prev
		prev = r.Hash()
		if r.Kind == ceremony.KindRelease {
			release = bundle.Head{Hash: prev, N: uint64(r.N)}
		}
		out.Write(r.Line())
	}
	f[ceremony.TranscriptFile] = out.Bytes()
	return f
}

func rewrite(r *ceremony.Record, content any) {
	if !r.Withheld() {
		r.Body = string(strict.EncodeLine(content))
	}
}

// follow is the core with another release in it; nil where it has the right one.
func follow(core []byte, release bundle.Head) []byte {
	c, err := bundle.ParseCore(ceremony.CoreFile, core)
	if err != nil || c.Release == release {
		return nil
	}
	next, err := bundle.NewCore(c.KeySet, c.Predecessor, c.Previous, release)
	if err != nil {
		return nil
	}
	return next.Raw()
}
