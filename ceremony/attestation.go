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

// Device names an HSM by the identity that its vendor attests. Unlike a serial,
// which the PKCS#11 module reports, a device signs this identity.
type Device struct {
	Format   string `strict:"format,token"` // one that package attest/formats has a verifier for
	Identity string `strict:"identity"`     // as that format spells it
}

// Attestation records what the operator's own check of a device's evidence showed in
// the room. Verifiers don't rely on it: they check the evidence themselves.
type Attestation struct {
	Intent   int      `strict:"intent,optional"` // 0: it is about the countersigner's key
	Format   string   `strict:"format,token"`
	Evidence [32]byte `strict:"evidence,hex"` // SHA-256 of the file
	Identity string   `strict:"identity"`
	Level    string   `strict:"level,token"` // an attest.Level's name
	Anchor   string   `strict:"anchor,optional"`
	Firmware string   `strict:"firmware,optional"`
	Problems []string `strict:"problems"` // what the operator's own policy demands and the evidence doesn't show
	By       string   `strict:"by,token"`
}

// The values of Attestation.By.
const (
	Collected = "collected" // the device was asked
	Imported  = "imported"  // people brought a file that the vendor's tool made
)

// AttestationsDir is the folder of the devices' evidence, a file for each key.
const AttestationsDir = "attestations"

// CountersignerAttestation is the file of the evidence about the countersigner's key.
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
	N    int       // the record's number
	Time time.Time // when it was recorded
}

// AttestationStep is an attestation that the plan asks for, with its record.
type AttestationStep struct {
	Key   *Key // nil: it is about the countersigner's key
	HSM   string
	Role  string
	Wants Device
	SPKI  []byte
	// Nonce is the challenge to the device. It follows from records that nobody could
	// know beforehand, so evidence with this nonce was made after them.
	Nonce  [32]byte
	File   string
	Record *Attested // nil if it isn't on the record yet
}

// Intent is the number of the key's intent, 0 for the countersigner's key.
func (s *AttestationStep) Intent() int {
	if s.Key == nil {
		return 0
	}
	return s.Key.N
}

// Name is the key's name as screens and errors have it.
func (s *AttestationStep) Name() string {
	if s.Key == nil {
		return "countersigner"
	}
	return s.HSM + " " + s.Role
}

// Attested says whether the plan's HSMs are named by attestation identities.
func (p *Plan) Attested() bool { return len(p.HSMs) > 0 && p.HSMs[0].Attestation != nil }

// NamedDevice is a device with the plan's name for its HSM or for the countersigner.
type NamedDevice struct {
	Name string
	Device
}

// Devices are all that the plan names by attestation identities, the countersigner's
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

// attestSteps come after all keys are generated, so that people use a vendor's tool
// once for each HSM, and before the fleet check, whose record the artifact names.
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

// AttestationSteps are the attestations that the plan asks for, about the keys
// generated so far, in the order of the steps.
func (a *Account) AttestationSteps() (list []AttestationStep) {
	for _, s := range a.Plan.attestSteps() {
		if w, ok := a.attestationOf(s); ok {
			list = append(list, w)
		}
	}
	return list
}

// NextAttestation is the attestation that the current step takes; false if the step
// takes none.
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

// Limits of the texts in an attestation record, for those who shorten texts to them.
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
		return fmt.Errorf("its level is %q; without evidence there is no such record", level)
	case (level >= attest.Anchored) != (c.Anchor != ""):
		return fmt.Errorf("its level is %q and its anchor %q: from level %q on an anchor is named, and none below it", level, c.Anchor, attest.Anchored)
	case c.By != Collected && c.By != Imported:
		return fmt.Errorf("its by is %q, which is neither %s nor %s", c.By, Collected, Imported)
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

// MayAttest says why an attestation can't be the next record. It has to be about the
// current step's key, with the plan's format and identity, and its evidence must not
// have been given for another key.
func (a *Account) MayAttest(c *Attestation) error {
	if err := c.form(); err != nil {
		return err
	}
	w, ok := a.NextAttestation()
	switch {
	case !ok:
		return fmt.Errorf("the current step takes no attestation")
	case c.Intent != w.Intent():
		return fmt.Errorf("it is about intent %d; the current step is about %s, intent %d", c.Intent, w.Name(), w.Intent())
	case c.Format != w.Wants.Format:
		return fmt.Errorf("its evidence is of the format %q; the plan names %q for %s", c.Format, w.Wants.Format, w.Name())
	case c.Identity != w.Wants.Identity:
		return fmt.Errorf("its evidence is of the device %q; the plan names %q for %s", strict.Clip(c.Identity), w.Wants.Identity, w.Name())
	}
	for _, o := range a.Attestations {
		if o.Evidence == c.Evidence {
			return fmt.Errorf("its evidence is that of record %d; each key has its own evidence", o.N)
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

// takeExcused checks that an exception names only attestations on the record that
// have problems.
func (a *Account) takeExcused(c *Exception) error {
	if c.Attestations != nil && len(c.Attestations) == 0 {
		return fmt.Errorf("its list of attestations is empty; then the list is left out")
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

// AboutText says in words which attestations the exception is about, and without
// which claims the ceremony goes on; empty if there are neither.
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

// MayRelease says why the key set may not be released yet: people must first record
// an exception about each attestation that has problems.
func (a *Account) MayRelease() error {
	list := a.Unexcused()
	if len(list) == 0 {
		return nil
	}
	o := list[0]
	return fmt.Errorf("the attestation of record %d has problems, and no exception is about it: %s", o.N, o.Problems[0])
}

// CheckAttestations demands that files, by path, hold the evidence of each attestation
// on the record, with the recorded digest, and no other evidence.
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
			faults.Add(strict.Errorf(path, "is missing: record %d names its digest", a.Attestations[intent].N))
		case sha256.Sum256(data) != a.Attestations[intent].Evidence:
			faults.Add(strict.Errorf(path, "is not the evidence whose digest record %d names", a.Attestations[intent].N))
		}
		delete(left, path)
	}
	for _, path := range slices.Sorted(maps.Keys(left)) {
		faults.Add(strict.Errorf(path, "is evidence that no record names"))
	}
	return faults.Err()
}
