package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What a forger signs, has signed and logs.

func (g *forgery) request(c *ceremony.Request) {
	g.signOff(ceremony.StageRelease)
	if set, err := g.a.Artifact(); err == nil {
		if core, err := bundle.NewCore(set, nil, nil, bundle.Head{Hash: g.a.ReleaseHash, N: uint64(g.a.ReleaseN)}); err == nil {
			c.Core = sha256.Sum256(g.put(ceremony.CoreFile, core.Raw()))
		}
	}
	g.approve(g.a.Wanted(ceremony.ApproveRequest, c.Core))
	c.Files = g.signed()
}

// signed are the files of people's signatures so far.
func (g *forgery) signed() (list []ceremony.File) {
	for _, path := range g.files.Paths() {
		for _, dir := range []string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir} {
			if strings.HasPrefix(path, dir+"/") {
				list = append(list, ceremony.File{Path: path, SHA256: sha256.Sum256(g.files[path])})
			}
		}
	}
	return list
}

// respond has the third party sign the artifact, if its key is there.
func (g *forgery) respond(c *ceremony.Response) {
	first := g.fleet.Parties.Auditor(testfleet.FirstAuditor)
	who := first
	if c.Key != first.Key() {
		who = g.fleet.Parties.Others[0]
	}
	old := must(bundle.ParseStatement("", c.Statement))
	if raw, _ := g.stranger.Public.Ed25519(); [32]byte(raw) == g.a.Plan.ThirdParties[0].Key && who.Name == testfleet.FirstAuditor {
		who.Signer, c.Key = g.stranger, [32]byte(raw)
	}
	if made := g.state(c.Key, who, old.Timestamp, g.a.Plan.Namespace, g.a.Plan.Epoch, g.a.Release.Artifact); made != nil {
		c.Statement = made
	}
	g.add(c)
}

// add has the third party's ML-DSA key sign the statement, if it is there and the plan
// names it; what was honestly signed stays where it is.
func (g *forgery) add(c *ceremony.Response) {
	party := g.a.ThirdParty(c.Key)
	s, err := bundle.ParseStatement("", c.Statement)
	switch {
	case err != nil || party == nil:
	case party.PostQuantum == nil:
		c.Addition = nil
	case bytes.Equal(party.PostQuantum.Key, g.adds.Public.SPKI()):
		c.Addition = must(g.adds.SignAs(keys.ForThirdParty, s.Message()))
	case g.who.partyPQ:
		c.Addition = must(g.fleet.Parties.PostQuantum[party.Name].SignAs(keys.ForThirdParty, s.Message()))
	}
}

// state is a third party's statement; nil where the attacker hasn't got its key.
func (g *forgery) state(key [32]byte, who testfleet.Auditor, timestamp uint64, namespace string, epoch uint64, digest [32]byte) []byte {
	own := bytes.Equal(who.Public.SPKI(), g.stranger.Public.SPKI())
	if !own && (!g.who.party || key != who.Key() || !g.who.second && who.Name != testfleet.FirstAuditor) {
		return nil
	}
	s, err := bundle.NewStatement(g.a.Plan.ThirdParties[0].Ciphersuite, namespace, timestamp, epoch, digest)
	if err != nil {
		return nil
	}
	return must(s.Seal(key, must(who.Sign(s.Message())))).Raw()
}

func (g *forgery) countersign(c *ceremony.Countersignature) {
	text, err := g.a.CountersignText()
	if err == nil {
		g.approve(g.a.Wanted(ceremony.ApproveCountersign, sha256.Sum256(text)))
		if own := g.operator.Public.SPKI(); bytes.Equal(own, g.a.Plan.Countersigner.Key) {
			c.Key, c.Signature = own, must(g.operator.Sign(text))
		} else if g.who.operator {
			c.Signature = must(g.fleet.Parties.Operator.Sign(text))
		}
		switch q := g.a.Plan.Countersigner.PostQuantum; {
		case q == nil:
			c.PostQuantum = nil
		case bytes.Equal(q.Key, g.adds.Public.SPKI()):
			c.PostQuantum = must(g.adds.Sign(text))
		case g.who.operatorPQ:
			c.PostQuantum = must(g.fleet.Parties.PostQuantum[g.a.Plan.Countersigner.Name].Sign(text))
		}
	}
	c.Files = g.signed()
}

func (g *forgery) logProof(c *ceremony.LogProof) {
	b, err := g.a.Bundle()
	if err != nil {
		return
	}
	data := g.put(ceremony.BundleFile, b.Raw())
	proof := g.append(data, g.base.files[ceremony.BundleFile], g.base.files[ceremony.ProofFile], g.logged)
	c.Bundle, c.Proof = sha256.Sum256(data), sha256.Sum256(g.put(ceremony.ProofFile, proof))
}

// append logs a leaf anew where it isn't the one that was logged: at once where
// everyone lies, else at the time of the attack. A witness in the attacker's hands
// says that it was there when the honest one was.
func (g *forgery) append(leaf, old, proof []byte, at time.Time) []byte {
	if bytes.Equal(leaf, old) && !g.who.everyone {
		return proof
	}
	g.log.At = func(i int) time.Time {
		if g.who.everyone || i < g.who.witnesses {
			return at
		}
		return g.attack
	}
	g.late = g.late || !g.who.everyone
	return must(g.log.Append(leaf))
}

// approve has the officers approve an act who approved it before.
func (g *forgery) approve(want ceremony.Approval) {
	want.Role = ceremony.Officer
	for _, name := range testfleet.Signers[:2] {
		g.sign(ceremony.ApprovalsDir, fmt.Sprintf("%s-%d-%s", want.Act, want.Head.N, name), name, want.Namespace(), want.Text())
	}
}

func (g *forgery) signOff(stage string) {
	for _, name := range testfleet.Signers {
		s, err := g.a.WantedSignoff(stage)
		if err != nil {
			return
		}
		s.Role, s.Verdict = g.fleet.Parties.People[name].Role, ceremony.Agree
		g.sign(ceremony.SignoffDir(stage), name, name, s.Namespace(), s.Text())
	}
}

// sign signs as a person whose key the attacker holds. What another signed stays,
// if it is the same text, or the lie.
func (g *forgery) sign(dir, name, person, namespace string, text []byte) {
	path := dir + "/" + name
	about := g.lie.file == path || g.lie.file == path+".sig"
	if g.lie.file == path {
		text = g.lie.bytes(g, bytes.Clone(text))
	}
	was, ok := g.base.files[path], g.base.files[path+".sig"] != nil
	if dir == ceremony.PlanApprovalsDir {
		was = g.base.files[ceremony.PlanFile]
	}
	sig := g.base.files[path+".sig"]
	switch {
	case slices.ContainsFunc(g.a.Plan.People, func(p ceremony.Person) bool { return p.Name == person && p.Key == g.person.Key().String() }):
		sig = must(g.person.Sign(namespace, text)).Armor()
	case slices.Contains(g.who.people, person):
		sig = must(g.fleet.Parties.People[person].Sign(namespace, text)).Armor()
	case !ok, !bytes.Equal(was, text) && !about:
		return // nobody signs that for the attacker
	}
	if dir != ceremony.PlanApprovalsDir {
		g.files[path] = text
	}
	g.put(path+".sig", sig)
}

// end has the end signed.
func (g *forgery) end() {
	if g.a.Close != nil {
		g.signOff(ceremony.StageClose)
		return
	}
	want := g.a.AbortApproval()
	for _, name := range testfleet.Signers {
		want.Role = g.fleet.Parties.People[name].Role
		g.sign(ceremony.ApprovalsDir, fmt.Sprintf("abort-%d-%s", want.Head.N, name), name, want.Namespace(), want.Text())
	}
}

// endFile is where the lie about the end's proof lies; it is in no package.
const endFile = "evidence.tlog-proof"

func (g *forgery) endLogged() []byte {
	proof := g.base.proof
	files := maps.Clone(g.files)
	files[evidence.ManifestFile] = with(files, evidence.ManifestFile, nil).Manifest()
	archive, err := evidence.Pack(files)
	if err != nil {
		return proof
	}
	leaf, err := evidence.PackageLeaf("forged", archive)
	if err != nil {
		proof = nil // nobody logs it
	} else {
		proof = g.append(leaf.Marshal(), g.leaf, proof, g.closed)
	}
	if g.lie.file == endFile {
		proof = g.lie.bytes(g, bytes.Clone(proof))
	}
	return proof
}
