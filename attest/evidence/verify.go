package evidence

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Input is what is to be verified: a file's bytes or a folder's files, with the files
// beside it.
type Input struct {
	File   string // its name, for the report
	Data   []byte
	Folder Files
	Plan   []byte // for a transcript
	Proof  []byte // for a bundle
	Logged []byte // for a package: the proof that its leaf is logged
	// Proofs are further proofs of a bundle, or of a package's bundle or leaf, and
	// checkpoints that continue those of proofs (C2SP tlog-witness requests).
	Proofs []Input
	Rekor  []byte // for a bundle

	// Statements are statements that came after the countersignature, for a bundle or a
	// package: as served, or as responses.
	Statements []Input

	// Media reads a package's recording, by the name that its index has; nil if nobody asks
	// for them to be compared.
	Media func(name string) (media.Seen, error)

	// Beside are packages, bundles and notices, each with the files beside it, that may
	// say something about this object: another ending, or a later epoch.
	Beside []Input
}

// Question says what the caller asks.
type Question struct {
	Now    time.Time // the verifier's time; required
	Expect Type      // only this type passes, and only claims that it can carry are demanded
	Only   []string  // only these of the policy's demands
	// Current demands that the keys of a bundle or a package are not retired, void or
	// superseded, as far as the objects beside it show.
	Current bool

	// TrustOnFirstUse accepts keys that nobody compared with their owners. Without it,
	// nothing passes under a policy that pins such keys, since it may have been made from
	// the very file that is verified.
	TrustOnFirstUse bool
}

// Demands are those of the policy's demands that the question asks for. It is an error to
// ask for a claim that the policy doesn't demand, or for none.
func (q Question) Demands(p *Policy) ([]Demand, error) {
	var list []Demand
	asked := q.implied(p)
	for _, d := range asked {
		info, _ := findClaim(d.Claim)
		if q.Expect != "" && !info.carries(q.Expect) {
			continue
		}
		always := q.Expect == TypeAbort && (d.Claim == ClaimLogged || d.Claim == ClaimAbortSigned)
		if len(q.Only) > 0 && !slices.Contains(q.Only, d.Claim) && !always {
			continue
		}
		list = append(list, d)
	}
	for _, name := range q.Only {
		if !slices.ContainsFunc(list, func(d Demand) bool { return d.Claim == name }) {
			return nil, strict.Errorf(p.File, "does not demand the claim %q", name).
				WithHint("it demands %s", strings.Join(demandNames(asked), ", "))
		}
	}
	if len(list) == 0 {
		return nil, strict.Errorf(p.File, "demands no claim that %s can carry", q.Expect.Noun()).
			WithHint("a policy for it demands at least one of its claims under claims:")
	}
	return list, nil
}

// implied are the policy's demands; for a destruction also that the retirement is signed
// and what was destroyed; and for an abort that enough people signed it and that it is
// logged. Without these an abort shows nothing: the transcript may be that of
// a ceremony that went on, cut off and ended with an abort.
func (q Question) implied(p *Policy) []Demand {
	list := slices.Clone(p.Demands)
	var more []Demand
	switch q.Expect {
	case TypeAbort:
		more = []Demand{{ClaimLogged, Proven}, {ClaimAbortSigned, Attested}}
	case TypeDestruction:
		more = []Demand{{ClaimStatement, Proven}, {ClaimCountersigned, Proven}, {ClaimCloseSignoff, Proven}, {ClaimDestroyed, Attested}}
	default:
		return list
	}
	for _, d := range more {
		asked := slices.ContainsFunc(list, func(x Demand) bool { return x.Claim == d.Claim })
		if !asked && (d.Claim != ClaimLogged || p.Log != nil) {
			list = append(list, d)
		}
	}
	return list
}

// ownClaims are the claims about one type of object alone.
var ownClaims = map[Type]string{TypeAbort: ClaimAbortSigned, TypeDestruction: ClaimDestroyed}

func demandNames(list []Demand) []string {
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.Claim
	}
	return names
}

// Verify verifies an object under a policy. The report says what is wrong with it; an
// error means that the question can't be answered.
func Verify(in Input, p *Policy, q Question) (*Report, error) {
	if err := keys.CheckNow(q.Now); err != nil {
		return nil, err
	}
	if q.Current && q.Expect == "" {
		// Ask for the claims of the object's own type; stand refuses objects without keys.
		if q.Expect = TypeEvidence; in.Folder == nil && Detect(in.Data) == TypeBundle {
			q.Expect = TypeBundle
		}
	}
	demands, err := q.Demands(p)
	if err != nil {
		return nil, err
	}
	v := newVerifier(in, p, q.Now, q.Expect)
	v.object(in)
	v.unspent()
	if v.r.Object == TypeBundle && q.Expect == "" && len(q.Only) == 0 {
		demands = besideDemands(p, TypeBundle) // what it can carry, asked without being told
	}
	v.told.File, v.told.Object, v.told.trees = in.File, v.r.Object, v.trees
	v.besides(in.Beside, &v.told)
	v.stand(q)
	for t, name := range ownClaims { // of other objects they say nothing
		if v.r.Object != t && q.Expect != t && !slices.Contains(q.Only, name) {
			v.r.Claims = slices.DeleteFunc(v.r.Claims, func(c Claim) bool { return c.Name == name })
			demands = slices.DeleteFunc(demands, func(d Demand) bool { return d.Claim == name })
		}
	}
	for i := range v.r.Claims {
		c, _ := findClaim(v.r.Claims[i].Name)
		if v.r.Object == "" {
			v.r.Claims[i] = Claim{Name: c.name, Detail: "nothing that can be verified was given"}
			continue
		}
		if !c.carries(v.r.Object) {
			v.r.Claims[i] = Claim{Name: c.name, Detail: v.r.Object.Noun() + " can't carry it",
				Next: "verify the evidence package, or narrow the question with --expect " + string(v.r.Object)}
		}
	}
	switch {
	case q.Expect != "" && v.r.Object != q.Expect:
		v.problem(in.File, "", "is %s, and %s was expected", v.r.Object.Noun(), q.Expect.Noun())
	case q.Expect == "" && v.r.Object == TypeBundle && strings.HasSuffix(strings.ToLower(in.File), ".tar"):
		// Whoever asks for a package by its name must not be answered about less.
		v.problem(in.File, "--expect bundle, if that is what is asked for", "has the name of an evidence package, and is a bundle alone")
	case q.Expect == "" && v.r.Object == TypeNotice:
		// A caller that names no type takes what verifies for keys.
		v.problem(in.File, "--expect notice, if that is what is asked for", "is a notice, a %s: it brings no keys", v.r.Notice.Format)
	case q.Expect == "" && v.r.Object == TypeDestruction:
		v.problem(in.File, "--expect destruction, if that is what is asked for", "is of a ceremony that destroyed keys: it brings none")
	}
	v.r.conclude(demands, q.TrustOnFirstUse)
	return v.r, nil
}

func newVerifier(in Input, p *Policy, now time.Time, expect Type) *verifier {
	v := &verifier{policy: p, now: now, expect: expect, proofs: in.Proofs,
		r: &Report{File: in.File, Policy: p, Time: now.UTC().Truncate(time.Second)}}
	v.r.Classical = p.Classical()
	for _, c := range claimInfos {
		v.r.Claims = append(v.r.Claims, Claim{Name: c.name})
	}
	return v
}

type verifier struct {
	policy *Policy
	now    time.Time
	expect Type
	r      *Report
	told   Told                          // what the object says, once it was read
	said   map[Problem]bool              // the problems reported so far
	signed map[string][]ceremony.Signing // by folder
	sums   map[string][32]byte           // SHA-256 of a package's files, by path
	seen   *keys.Seen                    // signatures verified while the transcript was replayed
	fleet  *require.Fleet                // what devices' evidence shows; nil without evidence

	// witnessed is the time by which a quorum of witnesses had seen the bundle, and so all
	// that led to it; nil if none has.
	witnessed *time.Time
	// closed is the time by which a quorum had seen the package's leaf; nil if none has.
	closed   *time.Time
	newest   *time.Time // newest cosignature in the bundle's proof; nil if there is none
	auditors []string   // the policy's names of auditors whose agreement to the release counts
	opposed  []string   // people who disagreed with the release of an aborted ceremony
	// ignored are pinned people's signatures that don't count.
	ignored []uncounted
	proofs  []Input
	trees   []*auditlog.Checkpoint
	spent   map[int]bool // indexes into proofs of those that prove something
}

// object finds out the object's type and verifies it.
func (v *verifier) object(in Input) {
	if in.Folder != nil {
		v.r.Object, v.r.Files, v.r.Size = TypeEvidence, len(in.Folder), in.Folder.Size()
		_, sealed := in.Folder[ManifestFile]
		v.evidence(in, in.Folder, sealed)
		return
	}
	v.r.Digest, v.r.Size = sha256.Sum256(in.Data), len(in.Data)
	v.r.Object = Detect(in.Data)
	switch v.r.Object {
	case TypeEvidence:
		files, err := Unpack(in.File, in.Data)
		if err != nil {
			v.fault(in.File, err)
			return
		}
		v.r.Files = len(files)
		v.evidence(in, files, true)
	case TypeBundle:
		v.bundleFile(in)
	case TypeStatement:
		v.statement(in)
	case TypeTranscript:
		v.transcript(in)
	default:
		v.problem(in.File, "", "%v", errNoPackage)
	}
}

// maxFirstLine is the size in bytes within which Detect looks for the end of a
// transcript's first line.
const maxFirstLine = bundle.MaxBundle

// Detect finds out the type of an object; empty if it is none. It reads no more bytes
// than the formats that it looks for may have.
func Detect(data []byte) Type {
	if len(data) > 262 && string(data[257:262]) == "ustar" {
		return TypeEvidence
	}
	if end := bytes.IndexByte(data[:min(len(data), maxFirstLine)], '\n'); end >= 0 {
		if n, err := strict.ParseJSON("", data[:end], maxFirstLine); err == nil && n.Get("prev") != nil {
			return TypeTranscript
		}
	}
	n, err := strict.ParseJSON("", data, bundle.MaxBundle)
	format := ""
	switch {
	case err == nil && n.Get("format") != nil:
		format = n.Get("format").Text
	case err == nil && n.Get("namespace") != nil && n.Get("signature") != nil:
		return TypeStatement
	case len(data) > bundle.MaxBundle:
		format = bundle.FormatOf(data) // the format's parser says that it is too large
	}
	switch format {
	case bundle.BundleFormat:
		return TypeBundle
	case bundle.ResponseFormat:
		return TypeStatement
	}
	return ""
}

// format is the value of format in a JSON file; empty if there is none.
func format(data []byte) string {
	n, err := strict.ParseJSON("", data, bundle.MaxBundle)
	if err != nil {
		return ""
	}
	if f := n.Get("format"); f != nil {
		return f.Text
	}
	return ""
}

// maxProblems is how many problems a report lists; it only counts further ones.
const maxProblems = 1000

func (v *verifier) problem(where, next, format string, args ...any) {
	p := Problem{Where: where, What: fmt.Sprintf(format, args...), Next: next}
	if v.said[p] { // several claims may find the same problem
		return
	}
	if v.said == nil {
		v.said = map[Problem]bool{}
	}
	if len(v.said) >= maxProblems {
		v.r.Others++
		return
	}
	v.said[p] = true
	v.r.Problems = append(v.r.Problems, p)
}

// fault makes problems of an error: one for each error of a strict.Errors.
func (v *verifier) fault(where string, err error) {
	var list strict.Errors
	if errors.As(err, &list) {
		for _, e := range list {
			v.fault(where, e)
		}
		return
	}
	var e *strict.Error
	if errors.As(err, &e) && e.File != "" {
		if e.Line > 0 {
			v.problem(fmt.Sprintf("%s:%d", e.File, e.Line), e.Hint, "%s", e.Msg)
		} else {
			v.problem(e.File, e.Hint, "%s", e.Msg)
		}
		return
	}
	v.problem(where, "", "%v", err)
}

// show grades a claim.
func (v *verifier) show(name string, g Grade, where, format string, args ...any) {
	c := v.r.Claim(name)
	c.Grade, c.Where, c.Detail = g, where, fmt.Sprintf(format, args...)
}

// lack says why a claim is not shown, and what would help.
func (v *verifier) lack(name, where, next, format string, args ...any) {
	c := v.r.Claim(name)
	c.Grade, c.Where, c.Next, c.Detail = NotShown, where, next, fmt.Sprintf(format, args...)
}
