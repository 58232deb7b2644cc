package evidence

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Report is the answer to a verification. Verified is the verdict; everything
// else says why.
type Report struct {
	Object    Type
	File      string
	Digest    [32]byte // SHA-256 of the file; zero for a folder
	Files     int
	Size      int // bytes
	Mode      string
	Fleet     string
	Namespace string
	Epoch     uint64
	Identity  string   // hex close head of a package
	Parties   *Parties // nil where nothing was judged that several sign
	Notice    *bundle.Notice
	Besides   []Beside   // given beside it and verified
	Standing  []Standing // what those show of its keys

	Media []Recording // named by a package's index, whose places agree with its records' times

	// Story is how the ceremony went, by its records and the plan's keys: not a
	// claim, and not judged. Nil where nothing that was verified tells it.
	Story *story.Story
	// NotPinned are the people of its plan whom the policy doesn't pin in their part:
	// what they signed counts for nothing here.
	NotPinned []string

	Policy   *Policy
	Time     time.Time
	Claims   []Claim
	Problems []Problem
	Others   int // further problems, which are counted and not listed

	Demanded, Shown int
	// NotAsked are demands of the policy that the question left out, or that no bundle
	// can meet.
	NotAsked []string
	// Classical are the links of a hybrid policy, and of what it judges, that are not
	// post-quantum.
	Classical []string
	FirstUse  bool // the question takes keys that were never confirmed
	Verified  bool
}

// Recording is a recording that a package's index names: it is in no package.
type Recording struct {
	File     string    `strict:"file"`
	SHA256   [32]byte  `strict:"sha256,hex"`
	Size     uint64    `strict:"size"`
	Start    time.Time `strict:"start"`
	Places   int       `strict:"places"`   // in the transcript
	Compared bool      `strict:"compared"` // the recording itself was given
}

// Claim is one claim and how it is shown.
type Claim struct {
	Name   string
	Grade  Grade
	Least  Grade // demanded; NotShown where the policy doesn't ask
	Detail string
	Where  string // the file and record that carry it
	Next   string // what would help, where it falls short
}

// Short says that less is shown than is demanded.
func (c Claim) Short() bool { return c.Grade < c.Least }

// Problem is something malformed or wrong, whatever the policy demands.
type Problem struct {
	Where string
	What  string
	Next  string
}

// Claim finds a claim by its name.
func (r *Report) Claim(name string) *Claim {
	for i := range r.Claims {
		if r.Claims[i].Name == name {
			return &r.Claims[i]
		}
	}
	return nil
}

// conclude derives the verdict: it is never set by hand, nothing demanded is no
// success, and neither are keys that are nobody's for sure.
func (r *Report) conclude(demands []Demand, firstUse bool) {
	r.FirstUse = firstUse
	for _, d := range demands {
		c := r.Claim(d.Claim)
		c.Least = d.Least
		r.Demanded++
		if !c.Short() {
			r.Shown++
		}
	}
	for _, d := range r.Policy.Demands {
		if c := r.Claim(d.Claim); c != nil && !slices.ContainsFunc(demands, func(x Demand) bool { return x.Claim == d.Claim }) {
			r.NotAsked = append(r.NotAsked, d.Claim)
		}
	}
	r.Verified = r.Met() && (firstUse || len(r.Policy.Unpinned()) == 0)
}

// Met says that nothing is wrong and every demand is met, whoever's the policy's
// keys are. That is a verdict only where Verified says so too.
func (r *Report) Met() bool {
	return len(r.Problems) == 0 && r.Demanded > 0 && r.Shown == r.Demanded
}

// Rest is what a verdict does not rest on, by the names of claims.
type Rest struct {
	Undemanded []string // shown, and nothing demanded it
	Silent     []string // neither demanded nor shown: the verdict says nothing of it
	OwnWord    []string // an HSM's own word, which nobody else can check
}

// Rest names what the verdict does not rest on, so that nobody reads it as more
// than it is.
func (r *Report) Rest() (rest Rest) {
	for _, c := range r.Claims {
		if c.Grade == Device {
			rest.OwnWord = append(rest.OwnWord, c.Name)
		}
		switch {
		case c.Least > NotShown || slices.Contains(r.NotAsked, c.Name):
		case c.Grade > NotShown:
			rest.Undemanded = append(rest.Undemanded, c.Name)
		default:
			rest.Silent = append(rest.Silent, c.Name)
		}
	}
	return rest
}

// reportJSON is the report as `--format json` prints it.
type reportJSON struct {
	Format    string        `strict:"format"`
	Object    string        `strict:"object"`
	File      string        `strict:"file"`
	SHA256    string        `strict:"sha256,optional"`
	Files     int           `strict:"files,optional"`
	Size      int           `strict:"size"`
	Mode      string        `strict:"mode,optional"`
	Fleet     string        `strict:"fleet,optional"`
	Namespace string        `strict:"namespace,optional"`
	Epoch     uint64        `strict:"epoch,optional"`
	Identity  string        `strict:"identity,optional"`
	Parties   *partiesJSON  `strict:"third_parties,optional"`
	Notice    *noticeJSON   `strict:"notice,optional"`
	Besides   []Beside      `strict:"beside,optional"`
	Standing  []Standing    `strict:"standing,optional"`
	Media     []Recording   `strict:"media,optional"`
	Policy    policyJSON    `strict:"policy"`
	Time      time.Time     `strict:"time"`
	Claims    []claimJSON   `strict:"claims"`
	Problems  []problemJSON `strict:"problems"`
	Otherwise []troubleJSON `strict:"otherwise,optional"` // what went otherwise than planned
	NotPinned []string      `strict:"people_not_pinned,optional"`
	Others    int           `strict:"other_problems,optional"`
	Demanded  int           `strict:"demanded"`
	Shown     int           `strict:"shown"`
	NotAsked  []string      `strict:"not_asked,optional"`      // demands that the question left out
	Beyond    []string      `strict:"not_demanded,optional"`   // shown, and the verdict doesn't rest on it
	Silent    []string      `strict:"nothing_said,optional"`   // neither demanded nor shown
	OwnWord   []string      `strict:"unchecked,optional"`      // of grade device: nobody else can check it
	Classical []string      `strict:"classical_only,optional"` // under a policy that requires post-quantum signatures
	Verified  bool          `strict:"verified"`
}

type partiesJSON struct {
	Needed int      `strict:"needed"`
	Pinned int      `strict:"pinned"`
	Signed []Party  `strict:"signed"`
	Absent []string `strict:"absent"`
}

// noticeJSON is what a retirement or a void says.
type noticeJSON struct {
	Format    string     `strict:"format"`
	Previous  [32]byte   `strict:"previous,hex"`
	Effective *time.Time `strict:"effective,optional"`
	Reason    string     `strict:"reason"`
}

type policyJSON struct {
	File     string   `strict:"file"`
	SHA256   [32]byte `strict:"sha256,hex"`
	Mode     string   `strict:"mode"`
	Unpinned []string `strict:"unpinned"`
	FirstUse bool     `strict:"trust_on_first_use"`
	Allows   []string `strict:"allows"`
}

type claimJSON struct {
	Name     string `strict:"name"`
	Grade    string `strict:"grade"`
	Demanded string `strict:"demanded,optional"`
	OK       bool   `strict:"ok"`
	Detail   string `strict:"detail,optional"`
	Where    string `strict:"where,optional"`
	Next     string `strict:"next,optional"`
}

type troubleJSON struct {
	What  string `strict:"what"`
	Count int    `strict:"count"`
}

type problemJSON struct {
	Where string `strict:"where,optional"`
	What  string `strict:"what"`
	Next  string `strict:"next,optional"`
}

// JSON is the report for programs; its fields are described in docs/SPEC.md.
func (r *Report) JSON() []byte { return strict.EncodeJSON(r.toJSON()) }

func (r *Report) toJSON() *reportJSON {
	j := &reportJSON{
		Format: "fleetctl report v1", Object: string(r.Object), File: r.File,
		Files: r.Files, Size: r.Size, Mode: r.Mode, Fleet: r.Fleet, Namespace: r.Namespace, Epoch: r.Epoch,
		Identity: r.Identity, Time: r.Time, Demanded: r.Demanded, Shown: r.Shown, Verified: r.Verified, Others: r.Others,
		Policy: policyJSON{File: r.Policy.File, SHA256: r.Policy.Digest, Mode: r.Policy.Mode, Unpinned: r.Policy.Unpinned(), FirstUse: r.FirstUse, Allows: r.Policy.Allows()},
		Claims: []claimJSON{}, Problems: []problemJSON{}, Besides: r.Besides, Standing: r.Standing, Media: r.Media, NotPinned: r.NotPinned, Classical: r.Classical,
	}
	rest := r.Rest()
	j.NotAsked, j.Beyond, j.Silent, j.OwnWord = r.NotAsked, rest.Undemanded, rest.Silent, rest.OwnWord
	if r.Digest != [32]byte{} {
		j.SHA256 = hex.EncodeToString(r.Digest[:])
	}
	if r.Story != nil {
		for _, w := range story.Troubles() {
			if n := r.Story.Count(w); n > 0 {
				j.Otherwise = append(j.Otherwise, troubleJSON{string(w), n})
			}
		}
	}
	if p := r.Parties; p != nil {
		j.Parties = &partiesJSON{p.Needed, len(p.Signed) + len(p.Absent), p.Signed, p.Absent}
	}
	if j.Policy.Unpinned == nil {
		j.Policy.Unpinned = []string{}
	}
	if n := r.Notice; n != nil {
		j.Notice = &noticeJSON{n.Format, n.Previous, n.Effective, n.Reason}
	}
	for _, c := range r.Claims {
		cj := claimJSON{Name: c.Name, Grade: c.Grade.String(), OK: !c.Short(), Detail: c.Detail, Where: c.Where, Next: c.Next}
		if c.Least > NotShown {
			cj.Demanded = c.Least.String()
		}
		j.Claims = append(j.Claims, cj)
	}
	for _, p := range r.Problems {
		j.Problems = append(j.Problems, problemJSON(p))
	}
	return j
}
