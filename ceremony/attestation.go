package ceremony

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Device names an HSM by what its vendor attests: a format, which package attest
// has a verifier for, and the attestation identity as that format gives it. A
// serial is what a module says; this is what a device signs.
type Device struct {
	Format   string `strict:"format,token"`
	Identity string `strict:"identity"`
}

// Attestation is what a device's evidence showed of a key when the people in the
// room looked at it. It holds them to what they saw: nobody else takes its word.
type Attestation struct {
	Intent   int      `strict:"intent,optional"` // 0: of the countersigner's key
	Format   string   `strict:"format,token"`
	Evidence [32]byte `strict:"evidence,hex"` // SHA-256 of the file
	Identity string   `strict:"identity"`
	Level    string   `strict:"level,token"` // an attest.Level's name
	Anchor   string   `strict:"anchor,optional"`
	Firmware string   `strict:"firmware,optional"`
	Problems []string `strict:"problems"` // what the operator's own policy didn't find shown
	By       string   `strict:"by,token"`
}

// How evidence came.
const (
	Collected = "collected" // the device was asked
	Imported  = "imported"  // people brought what the vendor's tool made
)

// AttestationsDir has the evidence that devices gave, a file a key.
const AttestationsDir = "attestations"

// CountersignerAttestation is the file about the countersigner's key.
const CountersignerAttestation = AttestationsDir + "/countersigner.json"

// AttestationFile is the path of the evidence about the key of an intent, 0 for
// the countersigner's.
func AttestationFile(intent int) string {
	if intent == 0 {
		return CountersignerAttestation
	}
	return fmt.Sprintf("%s/%d.json", AttestationsDir, intent)
}

// Attested is an attestation on the record.
type Attested struct {
	*Attestation
	N    int       // of the record
	Time time.Time // at which the evidence was there
}

// AttestationStep is an attestation that the plan asks for, and what became of it.
type AttestationStep struct {
	Key   *Key // nil: it is of the countersigner's key
	HSM   string
	Role  string
	Wants Device
	SPKI  []byte
	// Nonce is what the device is challenged with. It follows from records that
	// nobody knew before: evidence that answers it was made since.
	Nonce  [32]byte
	File   string
	Record *Attested // nil: it isn't on the record yet
}

// Intent is the number of the key's intent, 0 for the countersigner's key.
func (s *AttestationStep) Intent() int {
	if s.Key == nil {
		return 0
	}
	return s.Key.N
}

// Name is the key's as people say it.
func (s *AttestationStep) Name() string {
	if s.Key == nil {
		return "countersigner"
	}
	return s.HSM + " " + s.Role
}

// Attested says whether the plan's HSMs are named by attestation identities.
func (p *Plan) Attested() bool { return len(p.HSMs) > 0 && p.HSMs[0].Attestation != nil }

// NamedDevice is a device with the name that the plan has for its HSM, or for the
// countersigner.
type NamedDevice struct {
	Name string
	Device
}

// Devices are those that the plan names by what they attest, the countersigner's
// last.
func (p *Plan) Devices() (list []NamedDevice) {
	for _, h := range p.HSMs {
		if h.Attestation != nil {
			list = append(list, NamedDevice{h.Name, *h.Attestation})
		}
	}
	if d := p.Countersigner.Attestation; d != nil {
		list = append(list, NamedDevice{p.Countersigner.Name, *d})
	}
	return list
}

// attestSteps come after all keys are made, so that a vendor's tool is used once
// an HSM, and before the fleet check, whose record the signed artifact names.
func (p *Plan) attestSteps() (steps []Step) {
	leaves := []Kind{KindAttestation}
	if p.Attested() {
		for _, h := range p.HSMs {
			for _, r := range p.Roles {
				steps = append(steps, Step{Act: ActAttest, HSM: h.Name, Role: r.Name, Leaves: leaves})
			}
		}
	}
	if p.Countersigner.Attestation != nil {
		steps = append(steps, Step{Act: ActAttest, Leaves: leaves})
	}
	return steps
}

// AttestationSteps are the attestations that the plan asks for, of the keys that
// stand so far, in the order of the steps.
func (a *Account) AttestationSteps() (list []AttestationStep) {
	for _, s := range a.Plan.attestSteps() {
		if w, ok := a.attestationOf(s); ok {
			list = append(list, w)
		}
	}
	return list
}

// NextAttestation is the attestation whose turn it is.
func (a *Account) NextAttestation() (AttestationStep, bool) {
	s, ok := a.Next()
	if !ok || a.Ended() || s.Act != ActAttest {
		return AttestationStep{}, false
	}
	return a.attestationOf(s)
}

func (a *Account) attestationOf(s Step) (AttestationStep, bool) {
	if s.HSM == "" {
		c := a.Plan.Countersigner
		if a.Open == nil {
			return AttestationStep{}, false
		}
		w := AttestationStep{Wants: *c.Attestation, SPKI: c.Key, File: CountersignerAttestation, Record: a.Attestations[0]}
		w.Nonce = attest.Nonce(a.openHash, sha256.Sum256(w.SPKI), w.Wants.Identity)
		return w, true
	}
	for _, k := range a.Keys {
		if k.HSM == s.HSM && k.Role == s.Role && k.Outcome != nil {
			w := AttestationStep{Key: k, HSM: k.HSM, Role: k.Role, Wants: *a.Plan.HSM(k.HSM).Attestation, SPKI: k.Outcome.PublicKey, File: AttestationFile(k.N), Record: a.Attestations[k.N]}
			w.Nonce = attest.Nonce(k.IntentHash, sha256.Sum256(w.SPKI), w.Wants.Identity)
			return w, true
		}
	}
	return AttestationStep{}, false
}

// What an attestation record may hold of texts that others wrote.
const (
	MaxToldText    = maxToldText // bytes of an anchor's name, a firmware
	MaxProblemText = maxRefusal  // bytes of a problem
	MaxSpokenText  = maxSpoken   // bytes of what an exception says
	MaxProblems    = 64
)

func (c *Attestation) form() error {
	if err := text("identity", c.Identity, maxToldText); err != nil {
		return err
	}
	for _, f := range [][2]string{{"anchor", c.Anchor}, {"firmware", c.Firmware}} {
		if f[1] != "" {
			if err := text(f[0], f[1], maxToldText); err != nil {
				return err
			}
		}
	}
	level, err := attest.ParseLevel(c.Level)
	switch {
	case err != nil:
		return fmt.Errorf("its level %w", err)
	case level == attest.None:
		return fmt.Errorf("its level is %q, and there is evidence or no such record", level)
	case (level >= attest.Anchored) != (c.Anchor != ""):
		return fmt.Errorf("its level is %q and its anchor %q: from %q on evidence stands under an anchor, below it under none", level, c.Anchor, attest.Anchored)
	case c.By != Collected && c.By != Imported:
		return fmt.Errorf("its evidence came by %q, which is neither %s nor %s", c.By, Collected, Imported)
	case len(c.Problems) > MaxProblems:
		return fmt.Errorf("it has %d problems; at most %d are recorded", len(c.Problems), MaxProblems)
	}
	for _, p := range c.Problems {
		if err := text("problem", p, MaxProblemText); err != nil {
			return err
		}
	}
	return nil
}

// MayAttest says why an attestation can't be the next record. It has to be of the
// format and the identity of the plan, of the key whose turn it is, and by
// evidence that was not given for another key.
func (a *Account) MayAttest(c *Attestation) error {
	if err := c.form(); err != nil {
		return err
	}
	w, ok := a.NextAttestation()
	switch {
	case !ok:
		return fmt.Errorf("there is no key whose attestation it could be")
	case c.Intent != w.Intent():
		return fmt.Errorf("it is about intent %d, and it is the turn of %s, intent %d", c.Intent, w.Name(), w.Intent())
	case c.Format != w.Wants.Format:
		return fmt.Errorf("its evidence is of the format %q; the plan names %q for %s", c.Format, w.Wants.Format, w.Name())
	case c.Identity != w.Wants.Identity:
		return fmt.Errorf("its evidence is of the device %q; the plan names %q for %s", strict.Clip(c.Identity), w.Wants.Identity, w.Name())
	}
	for _, o := range a.Attestations {
		if o.Evidence == c.Evidence {
			return fmt.Errorf("its evidence is that of record %d: each key has its own", o.N)
		}
	}
	return nil
}

func (a *Account) takeAttestation(c *Attestation, r *Record) error {
	if err := a.MayAttest(c); err != nil {
		return err
	}
	a.Attestations[c.Intent] = &Attested{c, r.N, r.Time}
	return nil
}

// takeExcused judges which attestations an exception is about: those on the record
// that have problems.
func (a *Account) takeExcused(c *Exception) error {
	if c.Attestations != nil && len(c.Attestations) == 0 {
		return fmt.Errorf("it names no attestation; then the list is left out")
	}
	for i, n := range c.Attestations {
		if slices.Contains(c.Attestations[:i], n) {
			return fmt.Errorf("it names the attestation of record %d twice", n)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(a.Attestations)), func(o *Attested) bool { return o.N == n && len(o.Problems) > 0 }) {
			return fmt.Errorf("it accepts record %d, which is no attestation with problems", n)
		}
	}
	return nil
}

// AboutText says which attestations the exception is about, and without which claims
// it goes on; empty where neither.
func (c *Exception) AboutText() (text string) {
	if len(c.Attestations) > 0 {
		text = "; about the attestations of records " + strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Attestations), " ", ", "), "[]")
	}
	if len(c.Unreached) > 0 {
		text += "; goes on without " + strings.Join(c.Unreached, ", ")
	}
	return text
}

// Unexcused are the attestations with problems that no exception is about, in the
// order of their records.
func (a *Account) Unexcused() (list []*Attested) {
	for _, o := range a.Attestations {
		named := slices.ContainsFunc(a.Exceptions, func(e *Exception) bool { return slices.Contains(e.Attestations, o.N) })
		if len(o.Problems) > 0 && !named {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(x, y *Attested) int { return x.N - y.N })
	return list
}

// MayRelease says why the fleet's keys may not leave the room yet: what the
// operator's own policy didn't find shown of a device is an exception first.
func (a *Account) MayRelease() error {
	list := a.Unexcused()
	if len(list) == 0 {
		return nil
	}
	o := list[0]
	return fmt.Errorf("the attestation of record %d has problems that no exception is about: %s", o.N, o.Problems[0])
}

// CheckAttestations demands the evidence of each attestation on the record, with
// its digest, and none besides: files are a folder's or a request's, by path.
func (a *Account) CheckAttestations(files map[string][]byte) error {
	var faults strict.Errors
	left := map[string]bool{}
	for path := range files {
		if strings.HasPrefix(path, AttestationsDir+"/") {
			left[path] = true
		}
	}
	for _, intent := range slices.Sorted(maps.Keys(a.Attestations)) {
		path := AttestationFile(intent)
		switch data, ok := files[path]; {
		case !ok:
			faults.Add(strict.Errorf(path, "is missing: record %d tells of it", a.Attestations[intent].N))
		case sha256.Sum256(data) != a.Attestations[intent].Evidence:
			faults.Add(strict.Errorf(path, "is not the evidence of record %d", a.Attestations[intent].N))
		}
		delete(left, path)
	}
	for _, path := range slices.Sorted(maps.Keys(left)) {
		faults.Add(strict.Errorf(path, "is evidence that no record tells of"))
	}
	return faults.Err()
}
