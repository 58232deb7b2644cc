package cli

import (
	"bytes"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// DevicePolicy are the flags that name what a device pins: its own policy, or a
// verifier's with what this doesn't say.
type DevicePolicy struct {
	file, namespace string
	age             time.Duration
	firstUse        bool
}

// Flags adds them to a command's.
func (o *DevicePolicy) Flags(f *pflag.FlagSet) {
	f.StringVar(&o.file, "policy", "", "what the device pins: a `file` that device policy wrote, or a verifier's policy")
	Duration(f, &o.age, "max-age", 0, "with a verifier's policy, how long ago witnesses may have seen the log, such as 168h")
	f.StringVar(&o.namespace, "namespace", "", "with a verifier's policy of several namespaces, the one of the device")
	f.BoolVar(&o.firstUse, "trust-on-first-use", false, "with a verifier's policy, take keys that nobody compared with their owners")
}

// RolePQ adds the flag that names the role whose ML-DSA keys sign sessions. Without a usage
// it is that of whoever opens them, or of their nodes.
func RolePQ(f *pflag.FlagSet, role *string, usage string) {
	if usage == "" {
		usage = "the `role` of the ML-DSA keys that sign each session too (default: the policy's, or the bundle's only one of such keys)"
	}
	f.Var((*given)(role), "role-pq", usage)
}

// given is the text of a flag that demands something. It isn't empty where the flag is
// given, as by a shell's variable that nobody set: nothing would be demanded then.
type given string

func (g *given) Set(s string) error {
	if s == "" {
		return errors.New("it is empty: name something, or leave the flag out")
	}
	*g = given(s)
	return nil
}

func (g *given) String() string { return string(*g) }

// Type is what pflag's own texts have.
func (*given) Type() string { return "string" }

// Read reads the policy.
func (o *DevicePolicy) Read(cmd *cobra.Command, pins device.Pins) (*device.Policy, error) {
	if err := Required(cmd, "policy"); err != nil {
		return nil, err
	}
	data, err := ReadNamed(o.file, device.MaxPolicy)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) && bundle.FormatOf(data) == device.PolicyFormat {
		if o.age != 0 || o.namespace != "" || o.firstUse {
			return nil, Usagef("leave --max-age, --namespace and --trust-on-first-use out", "%s is a device's policy, and says itself how old a proof may be and for which namespace it is", o.file)
		}
		p, err := device.ParsePolicy(o.file, data)
		if err == nil {
			p, err = p.Narrowed(pins)
		}
		return p, Usage(err)
	}
	if o.age == 0 {
		return nil, Usagef("see "+cmd.CommandPath()+" --help", "%s is a verifier's policy, which doesn't say how old a proof may be: --max-age is missing", o.file)
	}
	v, err := evidence.ParsePolicy(o.file, data)
	if err != nil {
		return nil, Usage(err)
	}
	p, err := planned.DevicePolicy(v, o.namespace, o.age, pins, o.firstUse)
	return p, Usage(err)
}

// TimeAsked is the time that a --time flag asks about: the clock's where it is empty.
func (a *App) TimeAsked(at string) (time.Time, error) {
	if at == "" {
		return a.Now(), nil
	}
	t, err := strict.ParseTime(at)
	if err != nil {
		return t, Usagef("", "--time %v", err)
	}
	return t, nil
}

// ReadAnswer reads a bundle and its proof, which is beside it unless it is named.
func ReadAnswer(file, proof string) (b, p []byte, err error) {
	if proof == "" {
		proof = file + ".tlog-proof"
	}
	if b, err = ReadNamed(file, MaxBeside); err != nil {
		return nil, nil, err
	}
	p, err = ReadNamed(proof, MaxBeside)
	return b, p, err
}
