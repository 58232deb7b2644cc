package device

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// verdictJSON is SPEC section 24.5.
type verdictJSON struct {
	Format   string        `strict:"format"`
	Verdict  string        `strict:"verdict"`
	Reason   string        `strict:"reason,optional"`
	Detail   string        `strict:"detail,optional"`
	Next     string        `strict:"next,optional"`
	Bundle   fileJSON      `strict:"bundle"`
	Policy   policyJSON    `strict:"policy"`
	Time     time.Time     `strict:"time"`
	Accepted *acceptedJSON `strict:"accepted,optional"`
}

type fileJSON struct {
	File   string   `strict:"file"`
	SHA256 [32]byte `strict:"sha256,hex"`
}

type policyJSON struct {
	File     string   `strict:"file"`
	SHA256   [32]byte `strict:"sha256,hex"`
	Unpinned []string `strict:"unpinned"`
}

type acceptedJSON struct {
	Mode          string     `strict:"mode"`
	Namespace     string     `strict:"namespace"`
	Fleet         string     `strict:"fleet"`
	Epoch         uint64     `strict:"epoch"`
	Artifact      [32]byte   `strict:"artifact,hex"`
	What          string     `strict:"what"` // keys, void, retired
	Effective     *time.Time `strict:"effective,optional"`
	Why           string     `strict:"reason,optional"` // of a notice
	ThirdParties  []string   `strict:"third_parties"`
	Operators     []string   `strict:"operators"`
	Log           string     `strict:"log"`
	Index         uint64     `strict:"index"`
	Age           uint64     `strict:"age"` // seconds
	FirstContact  bool       `strict:"first_contact"`
	Changed       bool       `strict:"state_changed"`
	KeysOf        uint64     `strict:"keys_of"` // the epoch whose keys are in force; 0: none
	Keys          []keyJSON  `strict:"keys"`
	StateStanding string     `strict:"standing"`
}

type keyJSON struct {
	HSM       string `strict:"hsm"`
	Role      string `strict:"role"`
	Use       string `strict:"use"`
	Algorithm string `strict:"algorithm"`
	SPKI      []byte `strict:"public_key,base64"`
}

func about(verdict, file string, b []byte, p *device.Policy, now time.Time) *verdictJSON {
	return &verdictJSON{
		Format: "fleetctl device-verdict v1", Verdict: verdict, Bundle: fileJSON{file, sha256.Sum256(b)},
		Policy: policyJSON{p.File, p.Digest, append([]string{}, p.Unconfirmed...)}, Time: now,
	}
}

// refused says no: the error for people, the verdict for programs.
func refused(a *cli.App, r *bundle.Refusal, file string, b []byte, p *device.Policy, now time.Time) error {
	verdict, code := "refused", cli.ExitWrong
	if r.Alarm() {
		verdict, code = "alarm", cli.ExitAlarm
	}
	out := about(verdict, file, b, p, now)
	out.Reason, out.Detail = string(r.Reason), r.Error()
	var hint interface{ Hint() string }
	var said *strict.Error
	switch {
	case errors.As(r, &said):
		out.Next = said.Hint
	case errors.As(r, &hint):
		out.Next = hint.Hint()
	}
	text := a.Format == "text" // people are told by the error
	err := a.Tell(cli.Judged{JSON: func() []byte { return strict.EncodeJSON(out) }, Run: func() *report.Run { return checks(out, code) }, Quiet: text})
	switch {
	case err != nil:
		return err
	case text:
		return cli.Exit(code, r)
	}
	return cli.Exit(code, cli.ErrQuiet)
}

// checks are a verdict as continuous integration counts it: whether the bundle is accepted, by
// the reason for which it isn't, and whether the policy's keys were compared with their owners.
func checks(v *verdictJSON, code int) *report.Run {
	c := report.Check{Rule: "accepted", Title: "A device accepts the bundle", Message: v.Detail, Next: v.Next, At: report.Place{File: v.Bundle.File}}
	run := &report.Run{Command: "fleetctl device check", Subject: v.Bundle.File, Summary: v.Detail, Time: v.Time, Good: v.Accepted != nil, Code: code}
	if v.Accepted != nil {
		c.Outcome = report.Passed
		c.Message = fmt.Sprintf("epoch %d of %s is accepted: %s", v.Accepted.Epoch, v.Accepted.Fleet, v.Accepted.What)
		run.Summary = c.Message
	} else {
		c.Rule, c.Title = v.Reason, "A device has no reason to refuse the bundle: "+v.Reason
	}
	run.Checks = []report.Check{c}
	return run
}

func accepted(file string, b []byte, p *device.Policy, now time.Time, v *device.Verdict) *verdictJSON {
	out := about("accepted", file, b, p, now)
	x, in := v.Bundle.About(), v.Inclusion
	y := &acceptedJSON{
		Mode: x.Mode, Namespace: x.Namespace, Fleet: x.Fleet, Epoch: x.Epoch, Artifact: x.Digest, What: device.StandingKeys,
		ThirdParties: names(v.Signers.ThirdParties), Operators: names(v.Signers.Operators), Log: in.Origin, Index: in.Index,
		Age: uint64(max(0, v.Age/time.Second)), FirstContact: v.FirstContact, Changed: v.Changed, KeysOf: v.State.InForce(now).Epoch, Keys: []keyJSON{}, StateStanding: v.State.Standing(),
	}
	if n := v.Bundle.Notice; n != nil {
		y.What, y.Why, y.Effective = device.StandingVoid, n.Reason, n.Effective
		if n.Retires() {
			y.What = device.StandingRetired
		}
	}
	for _, k := range v.Keys() {
		y.Keys = append(y.Keys, keyJSON{k.HSM, k.Role, string(k.Use), string(k.Algorithm), k.SPKI})
	}
	out.Accepted = y
	return out
}

func names(list []bundle.Signer) []string {
	out := []string{}
	for _, s := range list {
		out = append(out, s.Name)
	}
	return out
}

// screen is the verdict for people.
func screen(a *cli.App, out *verdictJSON, p *device.Policy, v *device.Verdict) []string {
	x := out.Accepted
	rows := [][2]string{
		{"fleet", x.Fleet + " · " + x.Namespace + " · " + strings.ToUpper(x.Mode)},
		{"epoch", fmt.Sprintf("%d: %s", x.Epoch, brings(v))},
		{"artifact", words.Hex(x.Artifact[:])},
		{"signed by", strings.Join(x.ThirdParties, ", ") + "; countersigned by " + strings.Join(x.Operators, ", ")},
		{"logged", fmt.Sprintf("entry %d of %s, seen by a quorum of witnesses %s ago", x.Index, x.Log, strict.FormatDuration(time.Duration(x.Age)*time.Second))},
		{"in force", inForce(v, out.Time)},
		{"policy", fmt.Sprintf("%s (%s)", out.Policy.File, words.Short(out.Policy.SHA256[:]))},
	}
	rows = append(rows, unpinned(p)...)
	var keys [][]string
	for _, k := range x.Keys {
		sum := sha256.Sum256(k.SPKI)
		keys = append(keys, []string{k.HSM, k.Role, k.Use, k.Algorithm, words.Short(sum[:])})
	}
	text := "this device may use the keys of this bundle"
	switch {
	case v.Bundle.KeySet == nil:
		text = "this device will remember it"
	case x.FirstContact:
		text += "; at first contact nothing shows that it is the fleet's latest epoch"
	}
	parts := []string{a.UI.Fields(rows), "\n"}
	if len(keys) > 0 {
		parts = append(parts, a.UI.Table([]string{"hsm", "role", "use", "algorithm", "sha256"}, keys), "\n")
	}
	return append(parts, a.UI.Verdict(true, text))
}

func brings(v *device.Verdict) string {
	n := v.Bundle.Notice
	switch {
	case n == nil:
		return fmt.Sprintf("keys of %s", words.Count(int64(len(v.Bundle.KeySet.HSMs())), "HSM", "HSMs"))
	case n.Retires():
		return fmt.Sprintf("the fleet is retired, its keys end on %s: %s", strict.FormatTime(*n.Effective), n.Reason)
	}
	return fmt.Sprintf("epoch %d is void: %s", n.Epoch-1, n.Reason)
}

func inForce(v *device.Verdict, now time.Time) string {
	s := v.State
	switch {
	case s.Retired && s.InForce(now).Epoch == 0:
		return "no keys: those of the fleet ended on " + strict.FormatTime(s.Effective)
	case s.Keys.Epoch == 0:
		return "no keys that this device has seen"
	case s.Retired:
		return fmt.Sprintf("the keys of epoch %d, until %s", s.Keys.Epoch, strict.FormatTime(s.Effective))
	}
	return fmt.Sprintf("the keys of epoch %d", s.Keys.Epoch)
}
