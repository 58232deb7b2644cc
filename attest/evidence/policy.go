package evidence

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	policyFormat = "fleetctl policy v1"
	maxPolicy    = strict.MaxYAML
)

// Policy is what a verifier pins: whose signatures count, and which claims
// must be shown how strongly. It never travels inside what it judges.
type Policy struct {
	Mode       string
	Namespaces []string
	Digest     [32]byte // SHA-256 of the file
	File       string
	Demands    []Demand // in the order of reports
	Log        *auditlog.Policy
	Rekor      *RekorPins // nil where no Rekor log is pinned
	// Tolerates names attempts on a key that may have succeeded, if the plan
	// tolerates them too: see ceremony.Tolerable.
	Tolerates []string
	// Attestation is what is required of devices' attestations; nil where nothing
	// is pinned for them.
	Attestation *require.Block
	Sites       *Sites // nil where nothing is demanded of them

	roster    keys.Roster // whose each key is
	shares    []keys.Shared
	allows    []string
	threshold int
	people    []pinnedPerson
	parties   []bundle.ThirdParty
	needed    int
	operators []bundle.Operator
	requires  []string               // of whom both a classical and a post-quantum signature are required
	added     []bundle.AdditionalKey // third parties' post-quantum keys
	keepers   []keeper
	enough    int      // keepers that must have signed
	unpinned  []string // names of keys that nobody confirmed from another channel
}

// Demand is a claim with the least grade it must be shown with.
type Demand struct {
	Claim string
	Least Grade
}

// policyFile is the YAML file. Pointers are parts that a policy for less than
// a whole package may leave out.
type policyFile struct {
	Format       string           `strict:"format"`
	Mode         string           `strict:"mode"`
	Namespaces   []string         `strict:"namespaces,token"`
	Threshold    int              `strict:"threshold,optional"`
	People       []pinnedPerson   `strict:"people,optional"`
	ThirdParties []pinnedParty    `strict:"third_parties"`
	Needed       int              `strict:"third_parties_needed"`
	Operators    []pinnedOperator `strict:"operators,optional"`
	RequireAll   []string         `strict:"require_all,token,optional"`
	Additional   []pinnedKey      `strict:"additional_keys,optional"`
	LogPolicy    string           `strict:"log_policy,optional"`
	LogConfirmed string           `strict:"log_confirmed,optional"`
	LogWindows   []logWindow      `strict:"log_windows,optional"`
	LogOrg       string           `strict:"log_org,token,optional"`
	WitnessOrgs  []witnessOrg     `strict:"witness_orgs,optional"`
	Rekor        *pinnedRekor     `strict:"rekor,optional"`
	Attestation  *require.Text    `strict:"attestation,optional"`
	Sites        *Sites           `strict:"sites,optional"`
	Tolerates    []string         `strict:"tolerates,token,optional"`
	Allows       []allowance      `strict:"allows,optional"`
	Succession   *succession      `strict:"succession,optional"`
	Claims       *strict.Node     `strict:"claims"`
}

// window is when a key's signatures count: see keys.Window.
type window struct {
	NotBefore        *time.Time `strict:"not_before,optional"`
	NotAfter         *time.Time `strict:"not_after,optional"`
	CompromisedAfter *time.Time `strict:"compromised_after,optional"`
}

// succession says whose signatures make another policy the one that follows.
type succession struct {
	Threshold int            `strict:"threshold"`
	Keys      []pinnedKeeper `strict:"keys"`
}

type pinnedKeeper struct {
	Name      string `strict:"name,token"`
	Key       string `strict:"key"`
	Confirmed string `strict:"confirmed,optional"`
	Window    window `strict:"window,optional"`
}

// keeper is a pinned keeper whose key was admitted.
type keeper struct {
	name   string
	key    *sshsig.Key
	window keys.Window
}

// logWindow is the window of one key of log_policy, which has no place for it.
type logWindow struct {
	Key    string `strict:"key"` // the vkey of a log or a witness
	Window window `strict:"window"`
}

type pinnedPerson struct {
	Name      string `strict:"name,token"`
	Role      string `strict:"role"`
	Key       string `strict:"key"`
	Org       string `strict:"org,token,optional"`
	Confirmed string `strict:"confirmed,optional"`
	Window    window `strict:"window,optional"`
}

type pinnedParty struct {
	Name      string   `strict:"name,token"`
	Key       [32]byte `strict:"key,base64"`
	Org       string   `strict:"org,token,optional"`
	Confirmed string   `strict:"confirmed,optional"`
	Window    window   `strict:"window,optional"`
}

// pinnedKey is a post-quantum key of a third party, whose statements are Ed25519's.
type pinnedKey struct {
	Name      string         `strict:"name,token"`
	Algorithm keys.Algorithm `strict:"algorithm"`
	Key       []byte         `strict:"key,base64"`
	Confirmed string         `strict:"confirmed,optional"`
	Window    window         `strict:"window,optional"`
}

type pinnedOperator struct {
	Name      string         `strict:"name,token"`
	Algorithm keys.Algorithm `strict:"algorithm"`
	Key       []byte         `strict:"key,base64"`
	Form      string         `strict:"form"`
	Org       string         `strict:"org,token,optional"`
	Confirmed string         `strict:"confirmed,optional"`
	Window    window         `strict:"window,optional"`
}

// ParsePolicy reads and checks a policy. The error is a strict.Errors with
// every fault found, each with its line.
func ParsePolicy(file string, data []byte) (*Policy, error) {
	f := &policyFile{}
	root, err := strict.DecodeFormat(file, data, maxPolicy, policyFormat, f)
	c := &policyChecker{file: file, root: root, f: f, p: &Policy{File: file, Digest: sha256.Sum256(data)}}
	c.faults.Add(err)
	if root == nil {
		return nil, c.faults.Err()
	}
	c.check()
	if err := c.faults.Err(); err != nil {
		return nil, err
	}
	return c.p, nil
}

// Unpinned names the keys that were taken on first use and never confirmed
// from another channel.
func (p *Policy) Unpinned() []string { return p.unpinned }

// Pins says whether the policy knows the namespace.
func (p *Policy) Pins(namespace string) bool { return slices.Contains(p.Namespaces, namespace) }

// Trust is the policy as the bundle's verifier takes it.
func (p *Policy) Trust(namespace string) *bundle.Trust {
	return &bundle.Trust{
		Mode: p.Mode, Namespace: namespace,
		ThirdParties: p.parties, Needed: p.needed, Operators: p.operators, Shares: p.shares,
		RequireAll: p.requires, Additional: p.added,
	}
}

// Voices are the keys of a set that somebody has whom the policy names.
func (p *Policy) Voices(set *bundle.KeySet) []string { return set.Voices(&p.roster) }

// PinnedPeople are a plan's people whom the policy pins in the same part, by part, and
// how many officers have to agree: the larger number of both.
func (p *Policy) PinnedPeople(plan *ceremony.Plan) (names map[string][]string, officers int) {
	names = map[string][]string{}
	for _, x := range plan.People {
		if slices.ContainsFunc(p.people, func(y pinnedPerson) bool { return sameKey(x.Key, y.Key) && x.Role == y.Role }) {
			names[x.Role] = append(names[x.Role], x.Name)
		}
	}
	return names, max(p.threshold, plan.Threshold)
}

// notPinned are a plan's people none of whose keys the policy pins in their part.
func (p *Policy) notPinned(plan *ceremony.Plan) (names []string) {
	pinned, _ := p.PinnedPeople(plan)
	for _, x := range plan.People {
		if !slices.Contains(pinned[x.Role], x.Name) && !slices.Contains(names, x.Name) {
			names = append(names, x.Name)
		}
	}
	return names
}

// Keepers verifies what keepers signed of a text, as .sig files, and names those whose
// signatures count at a time, and how many have to. A policy without succession has no
// keepers: nothing follows it. Nobody has witnessed when they signed, so that a key
// counts while the time lies inside its window. A signature that doesn't verify, that is
// nobody's, or a second one of the same keeper is an error.
func (p *Policy) Keepers(namespace string, text []byte, signatures map[string][]byte, now time.Time) (names []string, enough int, err error) {
	if err := keys.CheckNow(now); err != nil {
		return nil, 0, err
	}
	if len(p.keepers) == 0 {
		return nil, 0, strict.Errorf(p.File, "names nobody under succession: no policy follows it by signature").
			WithHint("take the next policy as you took this one: compare its keys with their owners")
	}
	for _, file := range slices.Sorted(maps.Keys(signatures)) {
		sig, err := sshsig.Parse(file, signatures[file])
		if err != nil {
			return nil, 0, err
		}
		i := slices.IndexFunc(p.keepers, func(k keeper) bool { return k.key.Equal(sig.Key()) })
		switch {
		case i < 0:
			return nil, 0, strict.Errorf(file, "is by the key %s, which is no keeper's of %s", sig.Key().Fingerprint(), p.File)
		case slices.Contains(names, p.keepers[i].name):
			return nil, 0, strict.Errorf(file, "is a second signature of %s", p.keepers[i].name)
		}
		if err := sig.Verify(namespace, text); err != nil {
			return nil, 0, strict.Errorf(file, "%s: %v", p.keepers[i].name, err)
		}
		if p.keepers[i].window.Holds(now) {
			names = append(names, p.keepers[i].name)
		}
	}
	return names, p.enough, nil
}

// everyone are all pinned people: who does not agree is heard, whatever became
// of their key since.
func (p *Policy) everyone() (*ceremony.People, error) {
	var list []ceremony.Person
	for _, x := range p.people {
		list = append(list, ceremony.Person{Name: x.Name, Role: x.Role, Key: x.Key})
	}
	return ceremony.NewPeople(list, p.threshold)
}

// CheckPlan demands that everyone and everything a plan trusts is pinned: its
// people in their parts, no smaller number of officers, its third parties, its
// countersigner; and that what it tolerates is taken.
func (p *Policy) CheckPlan(plan *ceremony.Plan) error {
	var faults strict.Errors
	fail := func(format string, args ...any) { faults.Add(strict.Errorf(p.File, format, args...)) }
	if plan.Mode != p.Mode || !p.Pins(plan.Namespace) {
		fail("is for other modes or namespaces than the plan's: %s, %s", plan.Mode, plan.Namespace)
	}
	if plan.Threshold < p.threshold {
		fail("wants %d officers to agree, the plan %d", p.threshold, plan.Threshold)
	}
	if plan.Answers() < p.needed {
		fail("wants %d third parties to sign, the plan %d", p.needed, plan.Answers())
	}
	for _, x := range plan.People {
		if !slices.ContainsFunc(p.people, func(y pinnedPerson) bool { return sameKey(x.Key, y.Key) && x.Role == y.Role }) {
			fail("does not pin %s %q of the plan with that key", x.Role, x.Name)
		}
	}
	for _, x := range plan.ThirdParties {
		if !slices.ContainsFunc(p.parties, func(y bundle.ThirdParty) bool { return x.Key == y.Key }) {
			fail("does not pin the third party %q of the plan with that key", x.Name)
		}
	}
	if !slices.ContainsFunc(p.operators, func(y bundle.Operator) bool {
		return bytes.Equal(plan.Countersigner.Key, y.Key.SPKI()) && plan.Countersigner.Form == y.Form
	}) {
		fail("does not pin the countersigner %q of the plan with that key and form", plan.Countersigner.Name)
	}
	for _, lack := range p.Lacks(plan) {
		fail("%s", lack)
	}
	if list := ceremony.Beyond(plan.Tolerates(), p.Tolerates); len(list) > 0 {
		fail("does not take what the plan tolerates: %s", ceremony.TellTolerated(list))
	}
	return faults.Err()
}

// sameKey compares two lines that were admitted already.
func sameKey(a, b string) bool {
	x, errX := sshsig.ParsePublicKey(a)
	y, errY := sshsig.ParsePublicKey(b)
	return errX == nil && errY == nil && x.Equal(y)
}

// TellPinned says, for a line about a policy, whether its keys were confirmed.
func (p *Policy) TellPinned() string {
	switch n := len(p.Unpinned()); n {
	case 0:
		return "every key pinned"
	case 1:
		return "UNPINNED: " + p.Unpinned()[0] + " was never confirmed"
	default:
		return fmt.Sprintf("UNPINNED: %d keys were never confirmed", n)
	}
}

// TellUnpinned is the verdict line's word about keys that were never confirmed;
// empty where there are none.
func (p *Policy) TellUnpinned() string {
	names := p.Unpinned()
	if len(names) < 2 {
		return strings.TrimPrefix(p.TellPinned(), "every key pinned")
	}
	return fmt.Sprintf("UNPINNED: %d keys were never confirmed (%s)", len(names), strings.Join(names, ", "))
}

// ConfirmHint is what to do about them.
const ConfirmHint = "compare each key with its owner over another channel, and write how under confirmed:; or take them as they are with --trust-on-first-use"

// Sites is what a policy demands of the sites and the vendors of a fleet's HSMs. A
// majority of the HSMs acts as the fleet.
type Sites struct {
	Least            int  `strict:"least,optional"`
	NoSiteMajority   bool `strict:"no_site_majority,optional"`
	NoVendorMajority bool `strict:"no_vendor_majority,optional"`
}

const maxSites = 1 << 10

// attestation reads the blocks attestation and sites.
func (c *policyChecker) attestation() {
	if t := c.f.Attestation; t != nil {
		b, err := t.Block(c.file, c.root.Get("attestation").LineOf)
		c.faults.Add(err)
		if err == nil {
			c.p.Attestation = b
			for _, name := range b.Unconfirmed() {
				c.unpinned("anchor", strict.Clip(name), "")
			}
			// Else whoever wrote the level takes it for demanded, and nothing would be.
			if claims := c.root.Get("claims"); b.Countersigner != 0 && (claims == nil || claims.Get(ClaimCountersignerAttested) == nil) {
				c.failf(c.root.Get("attestation").LineOf("countersigner"), "attestation: countersigner is %s, and claims: doesn't demand %s: add it there, or leave countersigner out", b.Countersigner, ClaimCountersignerAttested)
			}
		}
	}
	s := c.f.Sites
	if s == nil {
		return
	}
	c.p.Sites = s
	switch {
	case *s == Sites{}:
		c.failf(c.line("sites"), "sites demands nothing: leave it out, or say least, no_site_majority or no_vendor_majority")
	case s.Least < 0 || s.Least > maxSites:
		c.failf(c.root.Get("sites").LineOf("least"), "sites: least is %d; it is from 1 to %d", s.Least, maxSites)
	case s.NoVendorMajority && c.f.Attestation == nil:
		c.failf(c.root.Get("sites").LineOf("no_vendor_majority"), "sites: which vendor an HSM is of, its attestation shows, and attestation: is missing")
	}
}
