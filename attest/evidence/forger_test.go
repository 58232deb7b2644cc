package evidence_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// hands are an attacker: which keys of others they hold. Everybody has a key of
// their own, can log what they like in the honest log, and have its honest
// witnesses cosign that, at the time of the attack.
type hands struct {
	name                string
	people              []string
	party               bool // the third party's key
	operator            bool // the countersigner's key, and the tokens with the fleet's
	log                 bool // the log's key
	witnesses           int  // so many witnesses, the first ones
	thief               bool // the verifier knows that the officers' keys were stolen
	everyone            bool // from the beginning: the log and its witnesses with them
	second              bool // and the second third party
	partyPQ, operatorPQ bool // their ML-DSA keys, where they have such
}

var all = []string{"olga", "omar", "ozan", "wanda", "ada"}

// attackers are those of docs/threat-model.md, each alone, and the largest conspiracies. What everyone together gets past
// a verifier is what somebody says and nobody else could know.
var attackers = []hands{ // the first ones together, the others alone
	{name: "everyone", people: all, party: true, second: true, operator: true, log: true, witnesses: 3, everyone: true},
	{name: "all but the third parties", people: all, operator: true, log: true, witnesses: 3, everyone: true},
	{name: "all but the officers", people: []string{"wanda", "ada"}, party: true, second: true, operator: true, log: true, witnesses: 3, everyone: true},
	{name: "nobody"},
	{name: "officers' keys, stolen later", people: []string{"olga", "omar", "ozan"}, thief: true},
	{name: "operator", operator: true},
	{name: "third party", party: true},
	{name: "auditor", people: []string{"ada"}},
	{name: "log", log: true},
	{name: "a witness of the log", witnesses: 1},
}

// base is a package from which forgeries start, and the world around it.
type base struct {
	fleet    *testfleet.Fleet
	records  []*ceremony.Record
	files    evidence.Files
	proof    []byte // that the end is logged
	leaf     []byte // its entry
	log      *testfleet.Witnesses
	before   int64     // the log's size before the bundle
	after    int64     // and with the end
	logged   time.Time // when the bundle was
	closed   time.Time // when the end was
	attack   time.Time
	now      time.Time
	policy   *evidence.Policy
	robbed   *evidence.Policy // of a verifier who knows of the theft
	stranger testfleet.Signer // the attacker's own key, and others of theirs
	operator testfleet.Signer
	adds     testfleet.Signer
	person   *testfleet.Person
	expect   evidence.Type
	by       []hands // who tells the lies
}

// lie is one field that is changed.
type lie struct {
	field, how string
	record     int // of the record that is changed; 0: none
	edit       func(*forgery, *ceremony.Record)
	file       string // that is changed, as soon as it is made
	bytes      func(*forgery, []byte) []byte
}

// forgery is a package that is made anew by somebody, with one lie in it. All that
// follows from others is made to fit: the chain, digests, lists of files, the page,
// the manifest, what the attacker can sign. What a person signed whose key they
// don't hold is kept where it still fits and left out where it doesn't.
type forgery struct {
	*base
	who     hands
	lie     lie
	a       *ceremony.Account
	files   evidence.Files
	out     bytes.Buffer
	prev    [32]byte
	refused bool
	late    bool // something had to be logged anew: the records from there on are of the attack's time
	log     *testfleet.Witnesses
	follow  *strings.Replacer // what the plan calls otherwise, in the records too
}

// forge gives the forged package and the proof that its end is logged.
func (b *base) forge(who hands, l lie) (files evidence.Files, proof []byte) {
	g := &forgery{base: b, who: who, lie: l, files: evidence.Files{}}
	size := b.after
	if who.everyone {
		size = b.before
	}
	g.log = b.log.Copy(size)
	raw := g.put(ceremony.PlanFile, b.files[ceremony.PlanFile])
	plan := b.fleet.Plan
	if !bytes.Equal(raw, plan.Raw()) {
		var err error
		if plan, err = ceremony.ParsePlan(ceremony.PlanFile, raw); err != nil {
			return g.kept(), b.proof
		}
	}
	g.a, g.prev = ceremony.NewAccount(plan), plan.Digest()
	g.follow = following(b.fleet.Plan, plan)
	for _, name := range testfleet.Signers[:2] {
		g.sign(ceremony.PlanApprovalsDir, name, name, ceremony.SignNamespace(ceremony.NamespacePlan, plan.Mode), raw)
	}
	for _, r := range b.records {
		g.link(r)
	}
	g.put(ceremony.TranscriptFile, g.out.Bytes())
	if g.refused {
		return g.kept(), b.proof
	}
	g.end()
	g.files[evidence.ManifestFile] = g.files.Manifest()
	g.put(evidence.ManifestFile, g.files.Manifest())
	return g.files, g.endLogged()
}

// following replaces in a record what a plan names otherwise than the honest one.
func following(honest, p *ceremony.Plan) *strings.Replacer {
	pairs := []string{}
	add := func(old, now string) {
		if old != now {
			pairs = append(pairs, `"`+old+`"`, `"`+now+`"`)
		}
	}
	add(honest.Fleet, p.Fleet)
	add(honest.Namespace, p.Namespace)
	if honest.Fleet != p.Fleet || honest.Epoch != p.Epoch {
		pairs = append(pairs, fmt.Sprintf(`"%s.%d.`, honest.Fleet, honest.Epoch), fmt.Sprintf(`"%s.%d.`, p.Fleet, p.Epoch))
		pairs = append(pairs, fmt.Sprintf(`"epoch":%d,`, honest.Epoch), fmt.Sprintf(`"epoch":%d,`, p.Epoch))
	}
	for i := range min(len(honest.HSMs), len(p.HSMs)) {
		add(honest.HSMs[i].Name, p.HSMs[i].Name)
		add(honest.HSMs[i].Serial, p.HSMs[i].Serial)
	}
	for i := range min(len(honest.Roles), len(p.Roles)) {
		add(honest.Roles[i].Name, p.Roles[i].Name)
	}
	for i := range min(len(honest.Lockdown), len(p.Lockdown)) {
		add(honest.Lockdown[i], p.Lockdown[i])
	}
	return strings.NewReplacer(pairs...)
}

// put puts a file into the package, and tells the lie that is about it.
func (g *forgery) put(path string, data []byte) []byte {
	if g.lie.file == path {
		data = g.lie.bytes(g, bytes.Clone(data))
	}
	g.files[path] = data
	return data
}

// kept is a package that can't be finished: what is left is as it was.
func (g *forgery) kept() evidence.Files {
	files := maps.Clone(g.base.files)
	maps.Copy(files, g.files)
	delete(files, evidence.ManifestFile)
	files[evidence.ManifestFile] = files.Manifest()
	return files
}

// link makes a record fit, tells the lie that is about it, and adds it.
func (g *forgery) link(old *ceremony.Record) {
	r := &ceremony.Record{N: old.N, Time: old.Time, Kind: old.Kind, Salt: old.Salt, Content: cloned(old.Content, g.follow)}
	if g.late {
		r.Time = g.attack
	}
	if !g.refused {
		g.derive(r)
	}
	if g.late {
		r.Time = g.attack // by what was just logged
	}
	if g.lie.record == old.N {
		g.lie.edit(g, r)
	}
	if r.Content != nil {
		r.Body = string(strict.EncodeLine(r.Content))
	}
	if r.Commit = old.Commit; !r.Withheld() {
		r.Commit = sha256.Sum256(append(bytes.Clone(r.Salt), r.Body...))
	}
	r.Prev = g.prev
	g.prev = r.Hash()
	g.out.Write(r.Line())
	if g.refused {
		return
	}
	g.refused = g.a.Apply(r) != nil
	if c, ok := r.Content.(*ceremony.Exception); ok && !g.refused {
		g.approve(must(g.a.ExceptionApproval(c.Number)))
	}
}

// cloned is a record's content, to be changed.
func cloned(content any, follow *strings.Replacer) any {
	if content == nil {
		return nil
	}
	c := reflect.New(reflect.TypeOf(content).Elem()).Interface()
	if err := strict.DecodeText("", follow.Replace(string(strict.EncodeLine(content))), 1<<20, c); err != nil {
		panic(err)
	}
	return c
}

// derive makes a record what the records before it make of it, and has people sign
// what they sign before it.
func (g *forgery) derive(r *ceremony.Record) {
	switch c := r.Content.(type) {
	case *ceremony.Unlock:
		if !g.a.Opened() {
			g.approve(g.a.Wanted(ceremony.ApproveOpen, [32]byte{}))
		}
	case *ceremony.Intent:
		c.Label = fmt.Sprintf("REHEARSAL/%s/%d/%s/%s", g.a.Plan.Fleet, g.a.Plan.Epoch, c.HSM, c.Role)
	case *ceremony.Resume:
		c.Since = g.a.Time
		g.approve(g.a.Wanted(ceremony.ApproveResume, [32]byte{}))
	case *ceremony.Exception:
		if c.Clock != nil {
			c.Clock.Since, c.Clock.Wall = g.a.Time, r.Time
		}
	case *ceremony.Reconvene:
		g.approve(g.a.Wanted(ceremony.ApproveReconvene, [32]byte{}))
	case *ceremony.Challenge:
		g.challenge(c)
	case *ceremony.Attributes, *ceremony.NegativeTest, *ceremony.Found, *ceremony.Possession, *ceremony.AgreementPeer, *ceremony.AgreementOpened:
		g.key(c)
	case *ceremony.Attestation:
		g.attest(c)
	case *ceremony.FleetCheck:
		r.Content = cloned(g.a.Matrix(), g.follow)
	case *ceremony.Release:
		if set, err := g.a.Artifact(); err == nil {
			c.Artifact = set.Digest()
			g.put(ceremony.ArtifactFile, set.Raw())
		}
	case *ceremony.Request:
		g.request(c)
	case *ceremony.Response:
		g.respond(c)
	case *ceremony.Countersignature:
		g.countersign(c)
	case *ceremony.LogProof:
		g.logProof(c)
	case *ceremony.Drill:
		g.drill(c, r)
	case *ceremony.Abort:
		g.signOff(ceremony.StageRelease)
	case *ceremony.Close:
		g.put(ceremony.TranscriptFile, bytes.Clone(g.out.Bytes()))
		if page, err := evidence.Page(g.files); err == nil {
			g.put(evidence.PageFile, page)
		}
		c.Files = nil
		for _, path := range g.files.Paths() {
			if path != ceremony.TranscriptFile {
				c.Files = append(c.Files, ceremony.File{Path: path, SHA256: sha256.Sum256(g.files[path])})
			}
		}
	}
}

func (g *forgery) challenge(c *ceremony.Challenge) {
	switch c.What {
	case ceremony.ChallengePlan:
		c.Subject = g.a.Plan.Digest()
	case ceremony.ChallengeKey:
		c.Subject = sha256.Sum256(g.last().Outcome.PublicKey)
	case ceremony.ChallengeFleet:
		c.Subject = g.a.FleetCheckHash
	case ceremony.ChallengeKeySet:
		if set, err := g.a.Artifact(); err == nil {
			c.Subject = set.Digest()
		}
	case ceremony.ChallengeBundle:
		if b, err := g.a.Bundle(); err == nil {
			c.Subject = sha256.Sum256(b.Raw())
		}
	}
}

func (g *forgery) last() *ceremony.Key { return g.a.Keys[len(g.a.Keys)-1] }

// key makes the records of a key those of the key that was generated, under its id.
func (g *forgery) key(content any) {
	k := g.last()
	was := g.was(k.N)
	switch c := content.(type) {
	case *ceremony.Attributes:
		identified(c.Private, was.ID, k.Intent.ID)
		identified(c.Public, was.ID, k.Intent.ID)
	case *ceremony.NegativeTest:
		if c.Relaxed != nil {
			identified(c.Relaxed.While, was.ID, k.Intent.ID)
			identified(c.Relaxed.After, was.ID, k.Intent.ID)
		}
	case *ceremony.Found:
		c.PublicKey = sha256.Sum256(k.Outcome.PublicKey)
		for i, o := range c.Objects {
			for _, k := range g.a.Keys { // those of the keys before it, too
				if bytes.Equal(o.ID, g.was(k.N).ID) {
					c.Objects[i].ID = k.Intent.ID
				}
			}
		}
	case *ceremony.Possession:
		if k.Use() == keys.Agree {
			g.answer(c, k)
			return
		}
		if bytes.Equal(k.Outcome.PublicKey, g.stranger.Public.SPKI()) {
			c.Signature = must(g.stranger.Sign(g.a.PossessionText(k)))
			return
		}
		if bytes.Equal(k.Outcome.PublicKey, g.operator.Public.SPKI()) {
			c.Signature = must(g.operator.Sign(g.a.PossessionText(k)))
			return
		}
		for _, t := range g.fleet.Tokens {
			if s := t.Key(was.ID); g.who.operator && s != nil && bytes.Equal(s.Public.SPKI(), k.Outcome.PublicKey) {
				c.Signature = must(s.Sign(g.a.PossessionText(k)))
			}
		}
	}
}

// answer is that of whoever knows the scalar, which every reader of the honest records
// does: no HSM is needed for it.
func (g *forgery) answer(c *ceremony.Possession, k *ceremony.Key) {
	for _, r := range g.records {
		o, ok := r.Content.(*ceremony.AgreementOpened)
		if !ok || o.Intent != k.N || k.Peer == nil {
			continue
		}
		s, err := keys.ParseScalar(k.Intent.Algorithm, o.Scalar)
		if err != nil {
			return
		}
		p, err := keys.ParseAs(k.Intent.Algorithm, k.Outcome.PublicKey)
		if err != nil {
			return
		}
		if answer, err := g.a.AnswerWith(must(s.Secret(p))); err == nil {
			c.Answer = answer
		}
	}
}

// identified replaces the id that was read.
func identified(list []ceremony.Attribute, old, id []byte) {
	for i, x := range list {
		if x.Name == "ID" && x.Value == fmt.Sprintf("%x", old) {
			list[i].Value = fmt.Sprintf("%x", id)
		}
	}
}

// was is the honest intent with a number.
func (g *forgery) was(n int) *ceremony.Intent {
	c, _ := g.records[n-1].Content.(*ceremony.Intent)
	return c
}

// judge is a verifier's verdict on a forgery, in a few words.
func (b *base) judge(who hands, l lie) (verdict string, accepted bool) {
	files, proof := b.forge(who, l)
	if l.field != "" && bytes.Equal(proof, b.proof) && maps.EqualFunc(files, b.files, bytes.Equal) {
		return "it changes nothing", false
	}
	policy := b.policy
	if who.thief {
		policy = b.robbed
	}
	in := evidence.Input{File: "f", Logged: proof}
	data, err := evidence.Pack(files)
	if err != nil {
		return "can't be packed: " + clean(err.Error()), false
	}
	in.Data = data
	r := must(evidence.Verify(in, policy, evidence.Question{Now: b.now, Expect: b.expect}))
	if r.Verified {
		return "VERIFIED", true
	}
	if len(r.Problems) > 0 {
		return clean(r.Problems[0].Where + ": " + r.Problems[0].What), false
	}
	var short []string
	for _, c := range r.Claims {
		if c.Short() {
			short = append(short, c.Name)
		}
	}
	return strings.Join(short, ", ") + " not shown", false
}

// newBase makes a package of everything that a ceremony can have, with all keys:
// the records given are put where they can be.
func newBase(t testing.TB, f *testfleet.Fleet, records []*ceremony.Record, expect evidence.Type) *base {
	t.Helper()
	w := f.Parties.Log.(*testfleet.Witnesses)
	b := &base{fleet: f, records: records, files: evidence.Files{}, log: w, before: decoyed, expect: expect,
		stranger: testfleet.SoftSigner(keys.Ed25519, "an attacker"), operator: testfleet.SoftSigner(keys.P256, "an attacker"), adds: testfleet.SoftSigner(keys.MLDSA44, "an attacker"), by: attackers, person: testfleet.NewPerson("an attacker", "")}
	b.logged, b.closed = f.Last(), f.Last()
	if f.Plan.Drill != nil { // which takes minutes, after the log
		b.logged = f.Account.LogProofTime
	}
	text := string(f.Policy) + "  log.witnessed: proven\n  evidence.logged: proven\n"
	b.policy = must(evidence.ParsePolicy("policy.yaml", []byte(text)))
	b.attack = b.closed.AddDate(0, 1, 0)
	b.now = b.attack.AddDate(0, 1, 0)
	var edits []string
	for _, name := range []string{"olga", "omar", "ozan"} {
		edits = append(edits, window(name, until("compromised_after", b.attack.Add(-time.Hour)))...)
	}
	b.robbed = must(evidence.ParsePolicy("policy.yaml", []byte(strings.NewReplacer(edits...).Replace(text))))
	b.files[ceremony.PlanFile] = f.Plan.Raw()
	log := w.Copy(b.before)
	b.files, b.proof = b.forge(attackers[0], lie{})
	b.leaf = must(evidence.PackageLeaf("e", must(evidence.Pack(b.files)))).Marshal()
	for _, leaf := range [][]byte{b.files[ceremony.BundleFile], b.leaf} {
		if leaf != nil {
			must(log.Append(leaf))
		}
	}
	b.after = log.Size()
	b.log = log
	for _, who := range attackers {
		if verdict, ok := b.judge(who, lie{}); !ok {
			t.Fatalf("the honest package, made by %s, is not verified: %s", who.name, verdict)
		}
	}
	return b
}

// decoyed is how many entries a test's log has before a fleet's.
const decoyed = 5
