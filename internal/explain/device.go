package explain

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

const checkNext = "fleetctl device check BUNDLE --policy POLICY --state STATE"

// DevicePolicy explains what an app pins.
func DevicePolicy(file string, data []byte, s *Shown) error {
	p, err := device.ParsePolicy(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl device check BUNDLE --policy " + words.ShellWord(file) + " --state STATE"
	s.Fact("mode", strings.ToUpper(p.Trust.Mode))
	s.Fact("namespace", p.Trust.Namespace)
	s.Fact("witnessed", fmt.Sprintf("at most %s ago", strict.FormatDuration(p.MaxAge)))
	s.Fact("third parties", fmt.Sprintf("%d of %s have to sign", p.Trust.Needed, strings.Join(p.Trust.Parties(), ", ")))
	for _, o := range p.Trust.Operators {
		s.Fact("countersigner", fmt.Sprintf("%s, %s, form %s", o.Name, o.Key.Algorithm(), o.Form))
	}
	for _, l := range p.Log.Logs() {
		s.Fact("log", l.Key.Name())
	}
	for _, w := range p.Log.Witnesses() {
		s.Fact("witness", w.Name+" "+w.Key.Name())
	}
	for _, a := range p.Artifacts {
		s.Fact("this artifact alone", words.Hex(a[:]))
	}
	if n := len(p.Keys); n > 0 {
		s.Fact("these keys alone", words.Count(int64(n), "key", "keys"))
	}
	if role := p.SessionPostQuantum; role != "" {
		s.Fact("sessions", "signed by ML-DSA keys of role "+role+" too")
	}
	for _, name := range p.Unconfirmed {
		s.Fact("UNPINNED", name)
	}
	return nil
}

// DeviceState explains what a device remembers of its fleet.
func DeviceState(file string, data []byte, s *Shown) error {
	d, err := device.ParseState(file, data)
	if err != nil {
		return err
	}
	s.Next = checkNext
	s.Fact("mode", strings.ToUpper(d.Mode))
	s.Fact("fleet", d.Fleet+" · "+d.Namespace)
	s.Fact("newest epoch", fmt.Sprintf("%d: %s, %s", d.Epoch, d.Standing(), words.Hex(d.Digest[:])))
	if d.Retired {
		s.Fact("keys end on", strict.FormatTime(d.Effective))
	}
	for _, x := range []struct {
		name string
		held bundle.Held
	}{{"keys in force", d.Keys}, {"keys before", d.Earlier}} {
		if x.held.Epoch > 0 {
			s.Fact(x.name, fmt.Sprintf("epoch %d, %s", x.held.Epoch, words.Hex(x.held.Digest[:])))
		}
	}
	if d.Closed > 0 {
		s.Fact("over for good", fmt.Sprintf("up to epoch %d", d.Closed))
	}
	s.Fact("witnessed", strict.FormatTime(d.Witnessed))
	return nil
}

// DeviceGuard explains which state a device has.
func DeviceGuard(file string, data []byte, s *Shown) error {
	s.Next = checkNext
	lines := strict.NewLines(file, data)
	lines.Literal("fleetctl device-guard v1")
	state, next := lines.After("state "), lines.After("next ")
	if err := lines.Done(); err != nil {
		return err
	}
	s.Fact("state", state)
	s.Fact("about to be", next)
	return nil
}

// FleetPins explains keys for an app that compiles them in.
func FleetPins(file string, data []byte, s *Shown) error {
	p, err := device.ParsePins(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl device policy --policy POLICY --keys " + words.ShellWord(file) + " --out DEVICE"
	s.Fact("mode", strings.ToUpper(p.Mode))
	s.Fact("fleet", p.Fleet+" · "+p.Namespace)
	s.Fact("epoch", fmt.Sprint(p.Epoch))
	s.Fact("artifact", words.Hex(p.Artifact[:]))
	if p.Role != "" {
		s.Fact("this role alone", p.Role)
	}
	for _, name := range p.Unconfirmed {
		s.Fact("UNPINNED", name)
	}
	t := s.Table("keys", "hsm", "role", "algorithm", "sha256")
	for _, k := range p.Keys {
		t.Row(k.HSM, k.Role, string(k.Algorithm), words.Short(k.SHA256[:]))
	}
	return nil
}
