package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// destroyedFleet is the ceremony that destroyed the keys of a fleet of two HSMs; without
// are HSMs that were left out.
func destroyedFleet(t *testing.T, without ...string) *testfleet.Fleet {
	t.Helper()
	return destroyedBy(t, testfleet.Options{Name: "vector destroyed", HSMs: 2, Witnesses: 2}, without...)
}

// destroyedWith is its package with other files, made by whoever has the HSMs' keys and a
// program that looks at nothing, before people who sign what it shows them.
func destroyedWith(t *testing.T, change func(*testfleet.Fleet, evidence.Files)) made {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "vector destroyed", HSMs: 2, Witnesses: 2})
	g := f.Destroying(t, nil)
	for _, tok := range f.Tokens {
		tok.Remember()
	}
	if err := g.Destroy("destroyed"); err != nil {
		t.Fatal(err)
	}
	for _, tok := range f.Tokens {
		tok.Recall()
	}
	files := with(g.Files, evidence.ManifestFile, nil)
	change(g, files)
	return made{archive: must(sealed(signedAnew(g, files))), policy: g.Policy, now: g.Now()}
}

// signedAnew makes records anew that fit the files, with each key's proof of possession and
// everything that people sign.
func signedAnew(g *testfleet.Fleet, files evidence.Files) evidence.Files {
	sign := func(name, path, namespace string, text []byte) {
		files[path], files[path+".sig"] = text, must(g.Parties.People[name].Sign(namespace, text)).Armor()
	}
	a := ceremony.NewAccount(g.Plan)
	t := must(ceremony.ParseTranscript(ceremony.TranscriptFile, files[ceremony.TranscriptFile], g.Plan.Digest()))
	files[ceremony.TranscriptFile] = nil
	for _, path := range files.Paths() {
		if strings.HasPrefix(path, ceremony.ApprovalsDir+"/") {
			delete(files, path)
		}
	}
	for _, r := range t.Records {
		switch c := r.Content.(type) {
		case *ceremony.Retirement:
			for i, sum := range []*[32]byte{&c.Bundle, &c.Proof, &c.Keys, &c.KeysProof} {
				*sum = sha256.Sum256(files[endFiles[i]])
			}
		case *ceremony.Possession:
			k := a.OpenIntent()
			i := slices.IndexFunc(g.Plan.HSMs, func(h ceremony.PlanHSM) bool { return h.Name == k.HSM })
			c.Intent, c.Signature = k.N, must(g.Tokens[i].Key(k.Intent.ID).SignAs(keys.ForPossession, a.PossessionText(k)))
		case *ceremony.Close:
			for _, need := range a.Needs {
				for _, name := range []string{"olga", "omar"} {
					need.Role = ceremony.Officer
					sign(name, fmt.Sprintf("%s/%s-%d-%s", ceremony.ApprovalsDir, need.Act, need.Head.N, name), need.Namespace(), need.Text())
				}
			}
			files[evidence.PageFile], c.Files = must(evidence.Page(files)), nil
			for _, path := range files.Paths() {
				if path != ceremony.TranscriptFile && !strings.HasPrefix(path, ceremony.CloseSignoffDir+"/") {
					c.Files = append(c.Files, ceremony.File{Path: path, SHA256: sha256.Sum256(files[path])})
				}
			}
		}
		rewrite(r, r.Content)
		made := &ceremony.Record{N: r.N, Time: r.Time, Kind: r.Kind, Prev: a.Head, Commit: sha256.Sum256(append(bytes.Clone(r.Salt), r.Body...)), Salt: r.Salt, Body: r.Body, Content: r.Content}
		if err := a.Apply(made); err != nil {
			panic(err)
		}
		files[ceremony.TranscriptFile] = append(files[ceremony.TranscriptFile], made.Line()...)
	}
	want := must(a.WantedSignoff(ceremony.StageClose))
	for _, p := range g.Plan.People {
		if _, there := files[ceremony.CloseSignoffDir+"/"+p.Name]; there {
			want.Role, want.Verdict = p.Role, ceremony.Agree
			sign(p.Name, ceremony.CloseSignoffDir+"/"+p.Name, want.Namespace(), want.Text())
		}
	}
	return files
}

// endFiles are the files that show why the keys may be destroyed, as the record has them.
var endFiles = []string{ceremony.RetirementFile, ceremony.RetirementProofFile, ceremony.RetiredFile, ceremony.RetiredProofFile}

// otherRetirement puts another retirement of the fleet in place of the one that the plan
// names, signed and logged too.
func otherRetirement(g *testfleet.Fleet, files evidence.Files, change func(*bundle.Notice)) {
	g.Parties.Log.(*testfleet.Witnesses).At = func(int) time.Time { return g.Now() }
	n := must(bundle.ParseAny("retirement", files[ceremony.RetirementFile])).Notice
	other := *n
	change(&other)
	raw := g.Noticed(must(bundle.ParseNotice("notice", other.Encode())), g.Parties.ThirdParty, g.Parties.Operator, bundle.FormBound)
	files[ceremony.RetirementFile], files[ceremony.RetirementProofFile] = raw, must(g.Parties.Log.Append(raw))
}

func init() {
	add := func(name, kind, want string, make func(t *testing.T) made) {
		vectors = append(vectors, vector{name, kind, want, evidence.TypeDestruction, make})
	}
	add("destroyed", "nothing: a ceremony that destroyed the keys of a retired fleet, and its end is logged", "", func(t *testing.T) made {
		g := destroyedFleet(t)
		m := plainly(t, g, nil)
		m.logged = must(g.Parties.Log.Append(must(evidence.PackageLeaf("evidence.tar", m.archive)).Marshal()))
		m.policy = append(slices.Clip(m.policy), "  log.witnessed: proven\n  evidence.logged: proven\n"...)
		m.now = m.now.Add(time.Hour)
		return m
	})
	vectors = append(vectors, vector{"destroyed-taken-for-a-fleet", "the same kind of package, asked for as one that brings keys", "a ceremony that destroyed keys", evidence.TypeEvidence, func(t *testing.T) made {
		return plainly(t, destroyedFleet(t), nil)
	}})
	add("destroyed-but-for-one", "the key of an HSM that was left out of the plan is destroyed by nobody", "1 of 2 keys of epoch 1 are destroyed; nothing here shows that of hsm-2 session", func(t *testing.T) made {
		return plainly(t, destroyedFleet(t, "hsm-2"), nil)
	})
	add("destroyed-without-the-auditors-word", "the auditor's verdict on the close is left out, whatever it was", "no auditor has signed", func(t *testing.T) made {
		return plainly(t, destroyedFleet(t), func(x evidence.Files) {
			delete(x, "signoffs/close/ada")
			delete(x, "signoffs/close/ada.sig")
		})
	})
	add("destroyed-under-another-retirement", "a retirement of the same fleet that takes effect a year later than the plan says", "the retirement takes effect at", func(t *testing.T) made {
		return destroyedWith(t, func(g *testfleet.Fleet, files evidence.Files) {
			otherRetirement(g, files, func(n *bundle.Notice) { n.Effective = new(n.Effective.AddDate(1, 0, 0)) })
		})
	})
	add("destroyed-under-a-retirement-that-nobody-countersigned", "the retirement's bundle without the operator's countersignature", "no pinned operator countersigned", func(t *testing.T) made {
		return destroyedWith(t, func(g *testfleet.Fleet, files evidence.Files) {
			b := must(bundle.ParseAny("retirement", files[ceremony.RetirementFile]))
			raw := must(bundle.Assemble(b.Artifact(), b.Statements, nil, nil)).Raw()
			files[ceremony.RetirementFile], files[ceremony.RetirementProofFile] = raw, must(g.Parties.Log.Append(raw))
		})
	})
	add("destroyed-keys-of-another-artifact", "another artifact with the same keys, signed by the same parties, in the place of the one that was retired", "the bundle of the keys brings", func(t *testing.T) made {
		return destroyedWith(t, func(g *testfleet.Fleet, files evidence.Files) {
			b := must(bundle.ParseBundle("keys", files[ceremony.RetiredFile]))
			other := *b.KeySet
			other.Created = other.Created.Add(time.Second)
			set := must(bundle.ParseKeySet("keys", other.Encode()))
			raw, _ := g.Parties.ThirdParty.Public.Ed25519()
			s := must(bundle.NewStatement(bundle.Protobuf, set.Namespace, uint64(set.Created.UnixMilli()), set.Epoch, set.Digest()))
			signed := []bundle.Signed{{Key: [32]byte(raw), Statement: must(s.Seal([32]byte(raw), must(g.Parties.ThirdParty.Sign(s.Message()))))}}
			counter := bundle.Countersignature{Key: g.Parties.Operator.Public, Form: bundle.FormBound, Signature: must(g.Parties.Operator.Sign(must(bundle.CountersignMessage(bundle.FormBound, set, signed))))}
			data := must(bundle.Assemble(set.Raw(), signed, []bundle.Countersignature{counter}, b.Transcript)).Raw()
			files[ceremony.RetiredFile], files[ceremony.RetiredProofFile] = data, must(g.Parties.Log.Append(data))
		})
	})
	add("destroyed-and-the-retirement-left-out", "the retirement is left out of the package", "retirement.json: is missing", func(t *testing.T) made {
		return plainly(t, destroyedFleet(t), func(x evidence.Files) { delete(x, ceremony.RetirementFile) })
	})
	add("destroyed-beside-a-key-set", "a key set among the files of a package that brings no keys", "has no place in the package of a ceremony that destroyed keys", func(t *testing.T) made {
		return destroyedWith(t, func(g *testfleet.Fleet, files evidence.Files) {
			files[ceremony.ArtifactFile] = must(bundle.ParseBundle("keys", files[ceremony.RetiredFile])).Artifact()
		})
	})
	add("destroyed-and-still-found", "a search that still finds the last key that was destroyed, and the token's list that leaves it out", "still finds 1", func(t *testing.T) made {
		g, n := destroyedFleet(t), 0
		files := reseal(g.Files, func(r *ceremony.Record) {
			if c, ok := r.Content.(*ceremony.Destruction); ok {
				if n++; n == 2 {
					c.Searches[1].Found = 1
					rewrite(r, c)
				}
			}
		})
		return made{archive: must(sealed(files)), policy: g.Policy, now: g.Now()}
	})
	add("destroyed-in-a-log-written-anew", "an end that is an entry of the tree by which the retirement was logged before it", "it can't be among them", func(t *testing.T) made {
		g := destroyedFleet(t)
		m := plainly(t, g, nil)
		m.logged = must(g.Parties.Log.(*testfleet.Witnesses).Copy(1).Append(must(evidence.PackageLeaf("evidence.tar", m.archive)).Marshal()))
		return m
	})
}
