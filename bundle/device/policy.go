package device

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// PolicyFormat is the first field of a device's policy.
const PolicyFormat = "fleetctl device-policy v1"

const (
	// MaxPolicy bounds a policy's file, in bytes.
	MaxPolicy = 512 << 10

	maxPins = 1024           // entries of each list
	maxName = 300            // bytes of an unconfirmed key's name
	maxAge  = 10 * 366 * day // longer is none
	day     = 24 * time.Hour
)

// Policy is what an app pins. It is compiled in, or comes the way that the app
// itself came; never with the bundle that it judges.
type Policy struct {
	Trust  *bundle.Trust
	Log    *auditlog.Policy
	MaxAge time.Duration // since a quorum of witnesses saw the log, in whole seconds

	// Artifacts and Keys narrow what is accepted; empty, they don't. A key set is
	// accepted only if its digest is one of Artifacts, and every key in it, as its
	// SPKI, is one of Keys. Neither takes the place of a signature or of the log. A
	// retirement or a void brings no keys and needs no pin.
	Artifacts [][32]byte
	Keys      [][]byte

	// SessionPostQuantum narrows it too: a role whose keys are of ML-DSA. A key set without
	// it is refused, and so is a node that doesn't sign each session with its key of it.
	// Where it is empty the key set alone says whether there is such a role.
	SessionPostQuantum string

	// Unconfirmed are the keys that were taken on first use when the policy was made,
	// and never compared with their owners.
	Unconfirmed []string

	File   string
	Digest [32]byte // SHA-256 of Raw
	raw    []byte
}

// Raw is the policy's file. It must not be changed.
func (p *Policy) Raw() []byte { return p.raw }

type policyFile struct {
	Format       string         `strict:"format"`
	Mode         string         `strict:"mode"`
	Namespace    string         `strict:"namespace,token"`
	MaxAge       int            `strict:"max_age"` // seconds
	Needed       int            `strict:"third_parties_needed"`
	ThirdParties []partyFile    `strict:"third_parties"`
	Operators    []operatorFile `strict:"operators"`
	Additional   []extraFile    `strict:"additional_keys,optional"`
	RequireAll   []string       `strict:"require_all,token,optional"`
	LogPolicy    string         `strict:"log_policy"`
	LogWindows   []logWindow    `strict:"log_windows,optional"`
	Artifacts    [][32]byte     `strict:"artifacts,hex,optional"`
	Keys         [][]byte       `strict:"keys,base64,optional"` // SPKI
	SessionPQ    string         `strict:"session_post_quantum,token,optional"`
	Unconfirmed  []string       `strict:"unconfirmed,optional"`
}

type partyFile struct {
	Name   string   `strict:"name,token"`
	Key    [32]byte `strict:"key,base64"`
	Window *window  `strict:"window,optional"`
}

// extraFile is a post-quantum key of a third party.
type extraFile struct {
	Name   string  `strict:"name,token"`
	Key    []byte  `strict:"key,base64"` // SPKI
	Window *window `strict:"window,optional"`
}

type operatorFile struct {
	Name   string  `strict:"name,token"`
	Key    []byte  `strict:"key,base64"`
	Form   string  `strict:"form"`
	Window *window `strict:"window,optional"`
}

type logWindow struct {
	Key    string  `strict:"key"`
	Window *window `strict:"window"`
}

// window is keys.Window: an end that is absent is open.
type window struct {
	NotBefore        *time.Time `strict:"not_before,optional"`
	NotAfter         *time.Time `strict:"not_after,optional"`
	CompromisedAfter *time.Time `strict:"compromised_after,optional"`
}

func (w *window) keys() (out keys.Window) {
	if w != nil {
		out = keys.Window(*w)
	}
	return out
}

func windowFile(w keys.Window) *window {
	if w == (keys.Window{}) {
		return nil
	}
	return new(window(w))
}

// ParsePolicy reads a device's policy of at most MaxPolicy bytes. It refuses one
// that demands less than it seems to: one by which nobody has to sign, witness or
// be recent. file names it in errors.
func ParsePolicy(file string, data []byte) (*Policy, error) {
	f := new(policyFile)
	if err := decode(file, data, MaxPolicy, PolicyFormat, f); err != nil {
		return nil, err
	}
	p := &Policy{File: file, Digest: sha256.Sum256(data), raw: append([]byte{}, data...), Unconfirmed: f.Unconfirmed, SessionPostQuantum: f.SessionPQ, MaxAge: time.Duration(f.MaxAge) * time.Second}
	var faults strict.Errors
	fail := func(format string, args ...any) { faults.Add(strict.Errorf(file, format, args...)) }
	if f.MaxAge < 1 || f.MaxAge > int(maxAge/time.Second) {
		fail("max_age is %d; it is in seconds, from 1 to %d", f.MaxAge, int(maxAge/time.Second))
	}
	p.lists(f, fail)
	if strings.HasPrefix(f.Namespace, bundle.RehearsalPrefix) != (f.Mode == bundle.Rehearsal) {
		fail("namespace is %q in mode %s; it begins with %q in a rehearsal and only there", f.Namespace, f.Mode, bundle.RehearsalPrefix)
	}
	p.Trust = &bundle.Trust{Mode: f.Mode, Namespace: f.Namespace, Needed: f.Needed}
	for _, x := range f.ThirdParties {
		if x.Window != nil && *x.Window == (window{}) {
			fail("third party %s has a window without an end: leave it out", x.Name)
		}
		p.Trust.ThirdParties = append(p.Trust.ThirdParties, bundle.ThirdParty{Name: x.Name, Key: x.Key, Window: x.Window.keys()})
	}
	for _, x := range f.Operators {
		k, err := keys.ParseSPKI(x.Key)
		switch {
		case err != nil:
			fail("operator %s: key %v", x.Name, err)
			continue
		case x.Window != nil && *x.Window == (window{}):
			fail("operator %s has a window without an end: leave it out", x.Name)
		}
		p.Trust.Operators = append(p.Trust.Operators, bundle.Operator{Name: x.Name, Key: k, Form: x.Form, Window: x.Window.keys()})
	}
	p.hybrid(f, fail)
	if err := p.log(f); err != nil {
		faults.Add(err)
	}
	if len(faults) == 0 {
		if err := p.Trust.CheckWith(p.Log); err != nil {
			fail("%v", err)
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// hybrid reads of whom both a classical and a post-quantum signature are required.
func (p *Policy) hybrid(f *policyFile, fail func(string, ...any)) {
	p.Trust.RequireAll = f.RequireAll
	for _, x := range f.Additional {
		k, err := keys.ParseSPKI(x.Key)
		switch {
		case err != nil:
			fail("additional key of %s: %v", x.Name, err)
			continue
		case x.Window != nil && *x.Window == (window{}):
			fail("the additional key of %s has a window without an end: leave it out", x.Name)
		}
		p.Trust.Additional = append(p.Trust.Additional, bundle.AdditionalKey{Name: x.Name, Key: k, Window: x.Window.keys()})
	}
}

func (p *Policy) log(f *policyFile) error {
	log, err := auditlog.ParsePolicy(p.File+" log_policy", []byte(f.LogPolicy))
	if err != nil {
		return err
	}
	if !log.Reachable() {
		return strict.Errorf(p.File, "log_policy demands no quorum of witnesses, and a device takes no bundle without one").
			WithHint("Name witnesses, and how many of them have to cosign, in log_policy.")
	}
	for _, w := range f.LogWindows {
		if *w.Window == (window{}) {
			return strict.Errorf(p.File, "log_windows: %.60q has a window without an end: leave it out", w.Key)
		}
		if err := log.SetWindow(w.Key, w.Window.keys()); err != nil {
			return strict.Errorf(p.File, "log_windows: %.60q %v", w.Key, err)
		}
	}
	p.Log = log
	return nil
}

// lists checks the lists: how long they are, and what is pinned.
func (p *Policy) lists(f *policyFile, fail func(string, ...any)) {
	for _, list := range []struct {
		name  string
		n     int
		given bool
	}{
		{"third_parties", len(f.ThirdParties), false}, {"operators", len(f.Operators), false}, {"log_windows", len(f.LogWindows), f.LogWindows != nil},
		{"additional_keys", len(f.Additional), f.Additional != nil}, {"require_all", len(f.RequireAll), f.RequireAll != nil},
		{"artifacts", len(f.Artifacts), f.Artifacts != nil}, {"keys", len(f.Keys), f.Keys != nil}, {"unconfirmed", len(f.Unconfirmed), f.Unconfirmed != nil},
	} {
		switch {
		case list.n > maxPins:
			fail("%s has %d entries; %d are allowed", list.name, list.n, maxPins)
		case list.given && list.n == 0: // it would read as a pin, and be none
			fail("%s is empty: leave it out", list.name)
		}
	}
	seen := map[string]bool{}
	twice := func(s string) bool { was := seen[s]; seen[s] = true; return was }
	for i, a := range f.Artifacts {
		if twice(string(a[:])) {
			fail("artifacts[%d] is there twice", i)
		}
	}
	for i, k := range f.Keys {
		if _, err := keys.ParseSPKI(k); err != nil {
			fail("keys[%d] %v", i, err)
		} else if twice(string(k)) {
			fail("keys[%d] is there twice", i)
		}
	}
	for _, name := range f.Unconfirmed {
		if err := strict.CheckText(name, maxName); err != nil {
			fail("unconfirmed: %v", err)
		}
	}
	p.Artifacts, p.Keys = f.Artifacts, f.Keys
}

// NewPolicy makes a policy of what a verifier pins, and reads back what it wrote. A
// device takes no key that two holders have, and doesn't know whose a witness is: a
// trust that allows the one, and a log policy in which a witness counts for
// nothing, are refused. Pins narrow it: see [Policy].
func NewPolicy(trust *bundle.Trust, log *auditlog.Policy, age time.Duration, pins Pins, unconfirmed []string) (*Policy, error) {
	switch {
	case log == nil:
		return nil, errors.New("no log is pinned, and a device takes no bundle that isn't logged: add log_policy")
	case len(trust.Shares) > 0:
		return nil, fmt.Errorf("one key is allowed to be %s's and %s's, and a device allows that to nobody", trust.Shares[0].Holder, trust.Shares[0].Other)
	case len(log.Discounted()) > 0:
		return nil, fmt.Errorf("log_policy has a witness that counts for nothing, %s: leave it out of log_policy", log.Discounted()[0])
	case pins.namespace != "" && (pins.namespace != trust.Namespace || pins.mode != trust.Mode):
		return nil, fmt.Errorf("%s has keys of the namespace %s, %s, and the policy is for %s, %s", pins.file, pins.namespace, pins.mode, trust.Namespace, trust.Mode)
	case age < time.Second || age%time.Second != 0:
		return nil, fmt.Errorf("the greatest age is %s; it is whole seconds, at least one", strict.FormatDuration(age))
	}
	f := &policyFile{
		Format: PolicyFormat, Mode: trust.Mode, Namespace: trust.Namespace, MaxAge: int(age / time.Second), Needed: trust.Needed,
		LogPolicy: log.Text(), Artifacts: pins.Artifacts, Keys: pins.Keys, SessionPQ: pins.SessionPostQuantum, Unconfirmed: unconfirmed,
	}
	for _, x := range trust.ThirdParties {
		f.ThirdParties = append(f.ThirdParties, partyFile{x.Name, x.Key, windowFile(x.Window)})
	}
	for _, x := range trust.Operators {
		f.Operators = append(f.Operators, operatorFile{x.Name, x.Key.SPKI(), x.Form, windowFile(x.Window)})
	}
	f.RequireAll = trust.RequireAll
	for _, x := range trust.Additional {
		f.Additional = append(f.Additional, extraFile{x.Name, x.Key.SPKI(), windowFile(x.Window)})
	}
	for _, w := range log.Windows() {
		f.LogWindows = append(f.LogWindows, logWindow{w.Key, windowFile(w.Window)})
	}
	return ParsePolicy("device policy", strict.EncodeJSON(f))
}

// Narrowed is the policy with pins, of which it has none yet.
func (p *Policy) Narrowed(pins Pins) (*Policy, error) {
	switch {
	case len(pins.Artifacts)+len(pins.Keys)+len(pins.SessionPostQuantum) == 0:
		return p, nil
	case len(p.Artifacts)+len(p.Keys)+len(p.SessionPostQuantum) > 0:
		return nil, strict.Errorf(p.File, "pins artifacts, keys or a role of sessions already, and others would widen it").
			WithHint("Pin all of them at once, in a policy that pins none.")
	}
	return NewPolicy(p.Trust, p.Log, p.MaxAge, pins, p.Unconfirmed)
}

// Pins are what a policy accepts alone: see [Policy].
type Pins struct {
	Artifacts [][32]byte
	Keys      [][]byte // SPKI
	// SessionPostQuantum is a role of ML-DSA keys that sign sessions.
	SessionPostQuantum string

	file, mode, namespace string // of the keys' file; empty where there was none
}

// Add takes the keys of a file of pins, of which file is the name. It refuses keys of
// one role where the fleet has more: a policy that pins them would accept no bundle.
func (p *Pins) Add(file string, f *FleetPins) error {
	switch {
	case f.Role != "":
		return strict.Errorf(file, "has the keys of the role %s alone, and a policy that pins keys accepts no key set with any other", f.Role).
			WithHint("Write it once more without --role.")
	case p.namespace != "" && (p.namespace != f.Namespace || p.mode != f.Mode):
		return strict.Errorf(file, "has keys of the namespace %s, %s, and %s of %s, %s", f.Namespace, f.Mode, p.file, p.namespace, p.mode)
	}
	p.file, p.mode, p.namespace = file, f.Mode, f.Namespace
	for _, k := range f.Keys {
		p.Keys = append(p.Keys, k.SPKI)
	}
	return nil
}

// decode reads a file of ours that names its format first.
func decode(file string, data []byte, limit int, format string, v any) error {
	n, err := strict.ParseJSON(file, data, limit)
	if err != nil {
		return err
	}
	if err := strict.Format(file, n, format); err != nil {
		return err
	}
	return strict.Decode(file, n, v)
}
