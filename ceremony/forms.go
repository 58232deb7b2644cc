package ceremony

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Every string in a record has a closed form: it is a token, a digest, one of a list,
// of a fixed pattern, or a text by people or a device, which is one visible line.

// Limits of texts, in bytes.
const (
	maxToldText  = 255  // names and versions that a token or a library reports
	maxSpoken    = 4096 // what people wrote
	maxRefusal   = 500  // why an answer was refused
	maxMechanism = 128  // a mechanism's name
)

// form checks each of a record's fields by itself, without the records before.
func form(content any) error {
	switch c := content.(type) {
	case *Open:
		return text("version", c.Version, maxToldText)
	case *Reading:
		return text("value", c.Value, maxToldText)
	case *Intake:
		return c.form()
	case *Inventory:
		return classes(c.Objects)
	case *Found:
		return classes(c.Objects)
	case *Gone:
		return classes(c.Objects)
	case *Destruction:
		return c.form()
	case *Outcome:
		return c.form()
	case *Attributes:
		if err := readingForms("private", c.Private); err != nil {
			return err
		}
		return readingForms("public", c.Public)
	case *NegativeTest:
		return c.form()
	case *Refusal:
		return text("reason", c.Reason, maxRefusal)
	case *Drill:
		return c.form()
	case *Lockdown:
		if c.Reading != "" {
			return text("reading", c.Reading, maxSpoken)
		}
	case *Exception:
		for _, f := range [][2]string{{"expected", c.Expected}, {"happened", c.Happened}, {"decided", c.Decided}} {
			if err := text(f[0], f[1], maxSpoken); err != nil {
				return err
			}
		}
	case *Adjourn:
		if err := text("reason", c.Reason, maxSpoken); err != nil {
			return err
		}
		return sealForms(c.Seals)
	case *Reconvene:
		return sealForms(c.Seals)
	case *Resume:
		if (c.Torn > 0) != (c.Kept != [32]byte{}) {
			return fmt.Errorf("torn is %d bytes; kept, their digest, is there if and only if torn is not 0", c.Torn)
		}
		if c.Version != "" {
			return text("version", c.Version, maxToldText)
		}
	case *Abort:
		return c.form()
	}
	return nil
}

func text(name, s string, most int) error {
	if err := strict.CheckText(s, most); err != nil {
		return fmt.Errorf("its %s %v", name, err)
	}
	return nil
}

// version is a CK_VERSION (PKCS#11 2.40, 3.1) as text: major and minor, a byte each.
var version = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})$`) })

func checkVersion(name, s string) error {
	if m := version().FindStringSubmatch(s); m != nil {
		_, major := strconv.ParseUint(m[1], 10, 8)
		_, minor := strconv.ParseUint(m[2], 10, 8)
		if major == nil && minor == nil {
			return nil
		}
	}
	return fmt.Errorf("its %s %q is not major.minor, a number from 0 to 255 each", name, strict.Clip(s))
}

func (c *Intake) form() error {
	for _, f := range []struct {
		name, value string
		empty       bool
	}{{"serial", c.Serial, false}, {"manufacturer", c.Manufacturer, true}, {"model", c.Model, true}, {"library", c.Library, false}} {
		if f.value == "" && f.empty {
			continue
		}
		if err := text(f.name, f.value, maxToldText); err != nil {
			return err
		}
	}
	if err := checkVersion("hardware", c.Hardware); err != nil {
		return err
	}
	return checkVersion("firmware", c.Firmware)
}

// objectClasses are the values of Object.Class.
var objectClasses = []string{"private", "public", "secret", "certificate", "data", "other"}

func classes(list []Object) error {
	for _, o := range list {
		if !slices.Contains(objectClasses, o.Class) {
			return fmt.Errorf("it has an object of class %q, which is none of %s", o.Class, strings.Join(objectClasses, ", "))
		}
	}
	return nil
}

// mechanism is the name of a PKCS#11 mechanism, or the number of one without a name.
var mechanism = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(CKM_[A-Z0-9_]+|0x(0|[1-9A-F][0-9A-F]{0,15}))$`) })

func (c *Outcome) form() error {
	switch c.Result {
	case Failed, Destroyed:
		switch {
		case c.PublicKey != nil || c.Reason == "":
			return fmt.Errorf("a key that is %s has a reason and no public key", c.Result)
		case c.Mechanism != "" || len(c.Dropped) > 0:
			return fmt.Errorf("a key that is %s has neither a mechanism nor dropped attributes", c.Result)
		}
		return text("reason", c.Reason, maxSpoken)
	case Generated:
	default:
		return fmt.Errorf("its result %q is none of generated, failed, destroyed", strict.Clip(c.Result))
	}
	switch {
	case c.Reason != "":
		return fmt.Errorf("a key that is generated has no reason")
	case c.Mechanism != "" && (len(c.Mechanism) > maxMechanism || !mechanism().MatchString(c.Mechanism)):
		return fmt.Errorf("its mechanism %q is neither CKM_ and a name nor a number in hex", strict.Clip(c.Mechanism))
	}
	for i, name := range c.Dropped {
		if slices.Contains(c.Dropped[:i], name) {
			return fmt.Errorf("it lists %s twice as dropped", name)
		}
	}
	return nil
}

// halfReadings are the attributes that may be read back from a half of a key: those
// that are judged, and those that are recorded for people to compare.
var halfReadings = map[string][]string{
	"private": {"CLASS", "KEY_TYPE", "ID", "LABEL", "KEY_GEN_MECHANISM", token.Token, token.Private, token.Sensitive, token.Extractable,
		token.NeverExtractable, token.AlwaysSensitive, token.Local, token.Modifiable, token.Copyable, token.Destroyable,
		token.Sign, token.SignRecover, token.Decrypt, token.Unwrap, token.Derive, "WRAP_WITH_TRUSTED", "ALWAYS_AUTHENTICATE", "PARAMETER_SET", token.Decapsulate},
	"public": {"CLASS", "KEY_TYPE", "ID", "LABEL", "KEY_GEN_MECHANISM", token.Token, token.Private, token.Local, "TRUSTED",
		token.Modifiable, token.Copyable, token.Destroyable, "VERIFY", "VERIFY_RECOVER", "ENCRYPT", "WRAP", token.Derive,
		"EC_PARAMS", "EC_POINT", "MODULUS", "PUBLIC_EXPONENT", "PARAMETER_SET", "ENCAPSULATE", "VALUE"},
}

// isValue says whether s is true, false or bytes in lowercase hex. It is written
// without allocations: each key has forty values.
func isValue(s string) bool {
	if s == "true" || s == "false" {
		return true
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s)%2 == 0
}

// readingForms demands known names, each with a value or a return code, not both. An
// attribute with neither was read as an empty value.
func readingForms(half string, list []Attribute) error {
	for _, r := range list {
		switch {
		case !slices.Contains(halfReadings[half], r.Name):
			return fmt.Errorf("%s is not an attribute that is read back from the %s half", r.Name, half)
		case r.Value != "" && r.Code != "":
			return fmt.Errorf("%s has a value and a return code", r.Name)
		case !isValue(r.Value):
			return fmt.Errorf("%s has the value %q, which is neither true, false nor bytes in lowercase hex", r.Name, strict.Clip(r.Value))
		case r.Code == codeOK:
			return fmt.Errorf("%s has the return code %s and no value", r.Name, codeOK)
		case r.Code == "":
			continue
		}
		if err := token.CheckCode(r.Code); err != nil {
			return fmt.Errorf("%s: %v", r.Name, err)
		}
	}
	return nil
}

func (c *NegativeTest) form() error {
	if err := attemptForms(c.Attempts); err != nil || c.Relaxed == nil {
		return err
	}
	for _, list := range [][]Attempt{c.Relaxed.Attempts, c.Relaxed.Restored} {
		if err := attemptForms(list); err != nil {
			return fmt.Errorf("made weaker: %w", err)
		}
	}
	for _, list := range [][]Attribute{c.Relaxed.While, c.Relaxed.After} {
		if err := readingForms("private", list); err != nil {
			return fmt.Errorf("made weaker: %w", err)
		}
	}
	return nil
}

// attemptForms demands that each attempt is known, was decided by a function that can
// decide it, and has a return code.
func attemptForms(list []Attempt) error {
	for _, t := range list {
		rules := rulesOf()[t.Name]
		if len(rules) == 0 {
			return fmt.Errorf("attempt %q is not known", t.Name)
		}
		if !slices.ContainsFunc(rules, func(r attemptRule) bool { return r.decides(t) }) {
			return fmt.Errorf("attempt %s names the call %s; %s decides it", t.Name, t.Call, rules[0].call)
		}
		err, ofTPM := token.CheckCode(t.Code), t.Call == token.CallTPMSign || t.Call == token.CallTPMAgree
		if ofTPM != slices.Contains(token.TPMCodes, t.Code) || !ofTPM && (err != nil || t.Code == token.Unavailable) {
			return fmt.Errorf("attempt %s: %q is no return code of a call", t.Name, strict.Clip(t.Code))
		}
	}
	return nil
}

// sealForms demands that each seal says what it is on and has a number, and that
// nothing has two seals.
func sealForms(list []Seal) error {
	for i, s := range list {
		if err := text("seal's object", s.What, maxToldText); err != nil {
			return err
		}
		if err := text("seal of "+s.What, s.Number, maxToldText); err != nil {
			return err
		}
		if slices.ContainsFunc(list[:i], func(o Seal) bool { return o.What == s.What }) {
			return fmt.Errorf("it has two seals of %s", s.What)
		}
	}
	return nil
}

func (c *Abort) form() error {
	for _, k := range c.Keys {
		if err := text("state of the key of "+k.HSM+" "+k.Role, k.State, maxSpoken); err != nil {
			return err
		}
	}
	return text("reason", c.Reason, maxSpoken)
}

// CeremonyIDRandom is the random part of a ceremony's id, in bytes.
const CeremonyIDRandom = 4

// CeremonyID names a ceremony: at most 80 bytes of its fleet's name, its epoch, the
// day (UTC) on which it began, and random bytes.
func CeremonyID(p *Plan, at time.Time, random []byte) string {
	return fmt.Sprintf("%.80s.%d.%s.%x", p.Fleet, p.Epoch, at.UTC().Format("20060102"), random)
}

// checkCeremonyID demands the id that CeremonyID makes, with any random part. The id's
// day may be one off the record's: the engine reads the clock for each of them, and
// midnight may pass in between.
func checkCeremonyID(p *Plan, id string, at time.Time) error {
	head := fmt.Sprintf("%.80s.%d.", p.Fleet, p.Epoch)
	rest, ok := strings.CutPrefix(id, head)
	day, random, has := strings.Cut(rest, ".")
	if _, err := strict.ParseHex(random, CeremonyIDRandom); !ok || !has || err != nil {
		return fmt.Errorf("its id %q is not %sYYYYMMDD and 8 hex digits", strict.Clip(id), head)
	}
	date, err := time.Parse("20060102", day)
	if err != nil || date.Format("20060102") != day {
		return fmt.Errorf("its id %q has %q for a date", strict.Clip(id), day)
	}
	if off := at.UTC().Truncate(24 * time.Hour).Sub(date).Abs(); off > 24*time.Hour {
		return fmt.Errorf("its id is of %s, the record of %s", day, strict.FormatTime(at))
	}
	return nil
}

// unlockMethods are the kinds of PIN source.
var unlockMethods = []string{"terminal", "protected", "fd", "file"}

// CheckWritten checks the bodies of restricted records. The engine calls it before it
// writes; Apply can't, since a verifier must judge a record alike with its body and
// without it.
func (a *Account) CheckWritten(content any) error {
	c, ok := content.(*Unlock)
	if !ok {
		return nil
	}
	switch {
	case a.Plan.HSM(c.HSM) == nil:
		return fmt.Errorf("hsm %q is not in the plan", c.HSM)
	case !slices.Contains(unlockMethods, c.Method):
		return fmt.Errorf("method %q is none of %s", c.Method, strings.Join(unlockMethods, ", "))
	case c.Result != UnlockOK && c.Result != UnlockRefused && token.CheckCode(c.Result) != nil:
		return fmt.Errorf("result %q is neither ok, refused nor a return code", strict.Clip(c.Result))
	}
	return nil
}
