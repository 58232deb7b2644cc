package ceremony

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// planChecker finds a plan's faults beyond those of single fields.
type planChecker struct {
	file   string
	root   *strict.Node
	plan   *Plan
	faults *strict.Errors
	roster keys.Roster // the holder of each key; a key has one part and one name
}

// enter reports a key that somebody else in the plan has too.
func (c *planChecker) enter(line int, part, name string, points ...keys.Point) {
	if err := c.roster.Add(keys.Holder{Part: part, Name: name}, points...); err != nil {
		c.failf(line, oneKey, "%v", err)
	}
}

// oneKey is the hint about a key that stands twice.
const oneKey = "give each person and each part a key of their own: otherwise one could act for two"

func (c *planChecker) failf(line int, hint, format string, args ...any) {
	*c.faults = append(*c.faults, strict.At(c.file, line, format, args...).WithHint("%s", hint))
}

func (c *planChecker) check() {
	c.mode()
	c.epoch()
	c.hsms()
	c.roles()
	c.people()
	c.signers()
	c.log()
	c.drill()
	c.lockdown()
	c.destroys()
	if len(*c.faults) == 0 {
		c.order()
		c.size()
	}
}

func (c *planChecker) mode() {
	p := c.plan
	if p.Mode != "" && p.Mode != Production && p.Mode != Rehearsal {
		c.failf(c.root.LineOf("mode"), "", "mode is %q; it is production or rehearsal", p.Mode)
		return
	}
	if p.Namespace != "" && (p.Mode == Rehearsal) != strings.HasPrefix(p.Namespace, RehearsalPrefix) {
		c.failf(c.root.LineOf("namespace"), "a rehearsal can then never use up a real epoch",
			"namespace %q: a rehearsal's namespace, and no other, begins with %q", p.Namespace, RehearsalPrefix)
	}
	if p.Mode == Production && c.root.Get("rehearses") != nil {
		c.failf(c.root.LineOf("rehearses"), "", "a production plan rehearses nothing")
	}
}

func (c *planChecker) epoch() {
	p := c.plan
	if c.root.Get("epoch") != nil && p.Epoch == 0 {
		c.failf(c.root.LineOf("epoch"), "", "epoch is 0; a namespace's first is 1")
	}
	if p.Epoch > 1 && p.Previous == [32]byte{} {
		c.failf(c.root.LineOf("previous"), "it is the SHA-256 of the predecessor's fleet-keys.json", "epoch %d needs the digest of epoch %d's artifact", p.Epoch, p.Epoch-1)
	}
	if p.Epoch == 1 && p.Previous != [32]byte{} {
		c.failf(c.root.LineOf("previous"), "", "epoch 1 has no predecessor, so previous is \"\"")
	}
}

func (c *planChecker) hsms() {
	names, serials := map[string]int{}, map[string]int{}
	for i, h := range c.plan.HSMs {
		at := c.root.LineOf("hsms", i)
		if h.Serial == "" {
			c.failf(at, "every HSM is named by the serial its token reports; list them with\nfleetctl hsm list --module MODULE", "hsm %q has no serial", h.Name)
		} else if len(h.Serial) > 64 {
			c.failf(at, "", "hsm %q has a serial of %d bytes; a token's has 16 at most, 64 are allowed", h.Name, len(h.Serial))
		} else if err := strict.CheckText(h.Serial, 64); err != nil {
			c.failf(at, "write it as the token reports it", "hsm %q has a serial that %v", h.Name, err)
		} else if first, ok := serials[h.Serial]; ok && h.Attestation == nil && c.plan.Destroys == nil {
			c.failf(at, "HSMs whose serials can't tell them apart are named by what they attest: attestation", "hsm %q has the serial of line %d", h.Name, first)
		} else {
			serials[h.Serial] = at
		}
		if err := CheckTolerates(h.Tolerates); err != nil {
			c.failf(at, "", "hsm %q %v", h.Name, err)
		}
		if first, ok := names[h.Name]; ok && h.Name != "" {
			c.failf(at, "", "hsm %q is already at line %d", h.Name, first)
		} else {
			names[h.Name] = at
		}
	}
	c.devices()
	c.models()
	c.agreements()
	n := len(c.plan.HSMs)
	if c.root.Get("hsms") != nil && n == 0 {
		c.failf(c.root.LineOf("hsms"), "", "the plan has no HSM")
		return
	}
	if m := c.plan.Majority; n > 0 && (m <= n/2 || m > n) {
		c.failf(c.root.LineOf("majority"), "", "majority %d of %d HSMs: it is at least %d and at most %d", m, n, n/2+1, n)
	}
}

// devices demands that a plan has attestation identities for every HSM or for none,
// and names no device twice: whoever holds an HSM holds all its keys.
func (c *planChecker) devices() {
	lines := map[Device]int{}
	enter := func(at int, who string, d *Device) {
		if d == nil {
			return
		}
		if err := strict.CheckText(d.Identity, maxToldText); err != nil && d.Identity != "" {
			c.failf(at, "it is what the vendor's evidence names the device by; see\nfleetctl attestation check FILE", "%s has an attestation identity that %v", who, err)
		}
		if first, ok := lines[*d]; ok && d.Identity != "" {
			c.failf(at, "each HSM of the plan, and the countersigner's, is a device of its own", "%s has the attestation identity of line %d", who, first)
		} else {
			lines[*d] = at
		}
	}
	bare, named := "", ""
	for i, h := range c.plan.HSMs {
		enter(c.root.LineOf("hsms", i), fmt.Sprintf("hsm %q", h.Name), h.Attestation)
		if h.Attestation == nil {
			bare = cmp.Or(bare, h.Name)
		} else {
			named = cmp.Or(named, h.Name)
		}
	}
	if bare != "" && named != "" {
		c.failf(c.root.LineOf("hsms"), "give every HSM an attestation, or none: the others could be any device", "hsm %q is named by its attestation, and hsm %q is not", named, bare)
	}
	enter(c.root.LineOf("countersigner"), fmt.Sprintf("countersigner %q", c.plan.Countersigner.Name), c.plan.Countersigner.Attestation)
}

// agreements demands that an HSM whose keys agree by the TPM itself has such keys,
// of a kind that TPMs have.
func (c *planChecker) agreements() {
	for i, h := range c.plan.HSMs {
		at := c.root.LineOf("hsms", i)
		if h.Agreement == "" {
			continue
		}
		if h.Agreement != AgreementTPM {
			c.failf(at, "leave it out where the module itself agrees", "hsm %q: agreement is %q; it is %s, of keys that tpm2-pkcs11 makes", h.Name, h.Agreement, AgreementTPM)
			continue
		}
		agree := false
		for _, r := range c.plan.Roles {
			agree = agree || r.Algorithm.Use() == keys.Agree
			if r.Algorithm == keys.X25519 || r.Algorithm.IsMLKEM() {
				c.failf(at, "use ecdh-p256", "hsm %q agrees by %s, and no TPM has %s, role %q", h.Name, AgreementTPM, r.Algorithm, r.Name)
			}
		}
		if !agree {
			c.failf(at, "leave it out", "hsm %q: agreement says how its keys agree, and the plan has no role that does", h.Name)
		}
	}
}

func (c *planChecker) models() {
	if c.plan.Models != nil && len(c.plan.Models) == 0 {
		c.failf(c.root.LineOf("models"), "leave it out where all HSMs are of one model", "models lists nothing")
	}
	for i, m := range c.plan.Models {
		switch err := strict.CheckText(m, maxToldText); {
		case err != nil:
			c.failf(c.root.LineOf("models", i), "write it as the token reports it; see\nfleetctl hsm list --module MODULE", "model %d %v", i+1, err)
		case slices.Contains(c.plan.Models[:i], m):
			c.failf(c.root.LineOf("models", i), "", "model %q is there twice", m)
		}
	}
}

func (c *planChecker) roles() {
	if n := len(c.plan.HSMs) * len(c.plan.Roles); n > maxKeys {
		c.failf(c.root.LineOf("hsms"), "plan fewer HSMs or roles", "the plan has %d keys, and a validation bundle holds at most %d", n, maxKeys)
	}
	names := map[string]bool{}
	for i := range c.plan.Roles {
		r := &c.plan.Roles[i]
		at := c.root.LineOf("roles", i)
		if names[r.Name] && r.Name != "" {
			c.failf(at, "", "role %q is there twice", r.Name)
		}
		names[r.Name] = true
		if r.Use == "" {
			r.Use = keys.Sign
		}
		switch {
		case r.Algorithm == "":
		case r.Use != keys.Sign && r.Use != keys.Agree:
			c.failf(at, "leave it out for a key that signs", "role %q: use is %q; it is %s or %s", r.Name, r.Use, keys.Sign, keys.Agree)
		case !r.Algorithm.Known():
			c.failf(at, "", "role %q: algorithm %q is not known; known are %s", r.Name, r.Algorithm, algorithmList())
		case r.Algorithm.Use() != r.Use:
			c.failf(at, "choose an algorithm for that use, or set use", "role %q: the use of a key of kind %s is %s, the plan says use: %s", r.Name, r.Algorithm, r.Algorithm.Use(), r.Use)
		}
		r.readAttributes(c.file, c.root.Get("roles").Items[i].Get("attributes"), c.faults)
	}
	if c.root.Get("roles") != nil && len(c.plan.Roles) == 0 {
		c.failf(c.root.LineOf("roles"), "", "the plan has no key role")
	}
}

func algorithmList() string {
	var list []string
	for _, a := range keys.Algorithms {
		list = append(list, string(a))
	}
	return strings.Join(list, ", ")
}

func (c *planChecker) people() {
	count := map[string]int{}
	names := map[string]bool{}
	for i, p := range c.plan.People {
		at := c.root.LineOf("people", i)
		if names[p.Name] && p.Name != "" {
			c.failf(at, "", "person %q is there twice", p.Name)
		}
		names[p.Name] = true
		switch p.Role {
		case Officer, Witness, Auditor:
			count[p.Role]++
		case "":
		default:
			c.failf(at, "", "person %q: role %q is none of officer, witness, auditor", p.Name, p.Role)
		}
		if p.Key == "" {
			continue
		}
		k, err := sshsig.ParsePublicKey(p.Key)
		if err != nil {
			c.failf(at, "take the line from the person's own .pub file", "person %q: key %v", p.Name, err)
			continue
		}
		c.enter(at, keys.PartPerson, p.Name, k.Points()...)
	}
	if c.root.Get("people") == nil {
		return
	}
	least := 1
	if c.plan.Mode == Production {
		least = 2
	}
	if t := c.plan.Threshold; t < least || t > count[Officer] {
		c.failf(c.root.LineOf("threshold"), "", "threshold %d with %d officers: in a %s plan it is at least %d and at most their number", t, count[Officer], c.plan.Mode, least)
	}
	for _, role := range []string{Witness, Auditor} {
		if count[role] == 0 {
			c.failf(c.root.LineOf("people"), "", "the plan has no %s", role)
		}
	}
}

func (c *planChecker) signers() {
	names := map[string]bool{}
	for i, t := range c.plan.ThirdParties {
		at := c.root.LineOf("third_parties", i)
		if names[t.Name] {
			c.failf(at, "", "third party %q is there twice", t.Name)
		}
		names[t.Name] = true
		if err := keys.AdmitEd25519(t.Key[:]); err != nil {
			c.failf(at, "", "third party %q: key %v", t.Name, err)
		} else {
			c.enter(at, keys.PartThirdParty, t.Name, keys.Ed25519Point(t.Key))
		}
		if t.Ciphersuite != 1 && t.Ciphersuite != 2 {
			c.failf(at, "", "third party %q: ciphersuite %d is neither 1 (protobuf) nor 2 (bincode)", t.Name, t.Ciphersuite)
		}
		c.postQuantum(at, keys.PartThirdParty, t.Name, t.PostQuantum)
	}
	if c.root.Get("third_parties") != nil && len(c.plan.ThirdParties) == 0 {
		c.failf(c.root.LineOf("third_parties"), "", "the plan has no third party")
	}
	if n := len(c.plan.ThirdParties); n > 0 && c.root.Get("third_parties_needed") != nil && (c.plan.Needed < 1 || c.plan.Needed > n) {
		c.failf(c.root.LineOf("third_parties_needed"), "", "third_parties_needed is %d; with %d third parties it is from 1 to %d", c.plan.Needed, n, n)
	}
	cs := c.plan.Countersigner
	if len(cs.Key) == 0 {
		return
	}
	k, err := keys.ParseSPKI(cs.Key)
	switch {
	case err != nil:
		c.failf(c.root.LineOf("countersigner", "key"), "", "countersigner %q: key %v", cs.Name, err)
	case k.Algorithm() == cs.Algorithm && !cs.Algorithm.CanSign():
		c.failf(c.root.LineOf("countersigner", "algorithm"), "", "countersigner %q: a key of kind %s can't sign", cs.Name, cs.Algorithm)
	case k.Algorithm() != cs.Algorithm || !cs.Algorithm.CanSign():
		c.failf(c.root.LineOf("countersigner", "algorithm"), "", "countersigner %q: the key is %s, the plan says %s", cs.Name, k.Algorithm(), cs.Algorithm)
	}
	if err == nil {
		c.enter(c.root.LineOf("countersigner", "key"), keys.PartOperator, cs.Name, k.Point())
	}
	if cs.Form != bundle.FormBound && cs.Form != bundle.FormSignature {
		c.failf(c.root.LineOf("countersigner", "form"), "", "countersigner %q: form %q is neither %q nor %q", cs.Name, cs.Form, bundle.FormBound, bundle.FormSignature)
	}
	if cs.Form == bundle.FormSignature && len(c.plan.ThirdParties) > 1 {
		c.failf(c.root.LineOf("countersigner", "form"), "use form bound", "form signature covers one statement, the plan has %d third parties", len(c.plan.ThirdParties))
	}
	if cs.PostQuantum != nil && cs.Algorithm.IsMLDSA() {
		c.failf(c.root.LineOf("countersigner", "post_quantum"), "leave it out, or name a classical key above", "countersigner %q: both keys are post-quantum", cs.Name)
	}
	c.postQuantum(c.root.LineOf("countersigner", "post_quantum"), keys.PartOperator, cs.Name, cs.PostQuantum)
}

// postQuantum checks the key of a signature that stands beside another one. The
// countersignature's text names each of them, which that of form signature doesn't.
func (c *planChecker) postQuantum(at int, part, name string, q *PostQuantum) {
	if q == nil || len(q.Key) == 0 {
		return
	}
	k, err := q.public()
	switch {
	case err != nil:
		c.failf(at, "", "%s %q: its post_quantum key %v", part, name, err)
		return
	case k.Algorithm() != q.Algorithm || !q.Algorithm.IsMLDSA():
		c.failf(at, "it is one of ml-dsa-44, ml-dsa-65, ml-dsa-87", "%s %q: its post_quantum key is %s, the plan says %s", part, name, k.Algorithm(), q.Algorithm)
	case c.plan.Countersigner.Form == bundle.FormSignature:
		c.failf(c.root.LineOf("countersigner", "form"), "use form bound", "form signature covers no post-quantum signature, and %s %q has a post_quantum key", part, name)
	}
	c.enter(at, part, name, k.Point())
}

func (c *planChecker) log() {
	if c.plan.LogPolicy == "" {
		return
	}
	p, err := auditlog.ParsePolicy("log_policy", []byte(c.plan.LogPolicy))
	if err != nil {
		c.failf(c.root.LineOf("log_policy"), "it is a tlog-policy as C2SP has it: lines log, witness, group, quorum", "%v", err)
		return
	}
	if err := p.Enter(&c.roster); err != nil {
		c.failf(c.root.LineOf("log_policy"), oneKey, "%v", err)
	}
}

// maxLockdown is the largest entry of lockdown in bytes: people read it aloud.
const maxLockdown = 300

func (c *planChecker) lockdown() {
	if c.plan.Lockdown != nil && len(c.plan.Lockdown) == 0 {
		c.failf(c.root.LineOf("lockdown"), "leave it out, or list what is done after the log", "lockdown lists nothing")
	}
	for i, text := range c.plan.Lockdown {
		at := c.root.LineOf("lockdown", i)
		switch {
		case len(text) > maxLockdown:
			c.failf(at, "split it into several entries", "lockdown entry %d has %d bytes, %d are allowed", i+1, len(text), maxLockdown)
		case strings.TrimSpace(text) != text || strict.CheckText(text, maxLockdown) != nil:
			c.failf(at, "say what is to be done, and what is read off", "lockdown entry %d is empty, or has space or control characters around or within it", i+1)
		}
		if hsm, ok := loginRefused(text); ok && c.plan.HSM(hsm) == nil {
			c.failf(at, "write login-refused and the name of one of the plan's HSMs", "lockdown entry %d: hsm %q is not in the plan", i+1, hsm)
		}
	}
}

func (c *planChecker) order() {
	for _, fault := range c.plan.orderFaults(c.plan.Steps()) {
		c.failf(c.root.Line, "", "%s", fault)
	}
}

// orderFaults reports each step for which a fact that it needs is not given by a step
// before it.
func (p *Plan) orderFaults(steps []Step) (faults []string) {
	given := map[string]bool{}
	for i, s := range steps {
		for _, need := range p.Needs(s) {
			if !given[need] {
				faults = append(faults, fmt.Sprintf("step %d (%s) can't be done: it needs that %s, and no earlier step does that", i+1, s.String(), need))
			}
		}
		for _, fact := range p.gives(s) {
			given[fact] = true
		}
	}
	return faults
}

func (c *planChecker) size() {
	if n := c.plan.MaxBundle(); n > bundle.MaxBundle {
		c.failf(c.root.LineOf("hsms"), "plan fewer HSMs or roles, shorter names, or smaller keys",
			"the validation bundle could have %d bytes; a log entry holds at most %d, which of these roles is enough for %d of the %d HSMs", n, bundle.MaxBundle, c.plan.Room(), len(c.plan.HSMs))
	}
}
