package fleetctl_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// place is where a device keeps its state, or the state's guard.
type place struct {
	name string
	text []byte // nil: there is none
}

func (p *place) Name() string { return p.name }

func (p *place) Read() ([]byte, error) {
	if p.text == nil {
		return nil, fs.ErrNotExist
	}
	return p.text, nil
}

func (p *place) Write(text []byte) error { p.text = bytes.Clone(text); return nil }

func (p *place) Lock() (func(), error) { return func() {}, nil }

// judgeDevice checks a bundle as a device does, and what the device keeps afterwards.
func judgeDevice(c *testvectors.Case) (judged, error) {
	x, err := inputs(c, "bundle", "proof", "policy", "state", "guard")
	now, err2 := at(c)
	if err := errors.Join(err, err2); err != nil {
		return judged{}, err
	}
	state, guard := &place{"state", x[3]}, &place{"guard", x[4]}
	p, err := device.ParsePolicy("policy", x[2])
	if err == nil {
		_, err = device.Check(device.Question{Bundle: x[0], Proof: x[1], Policy: p, Now: now, State: state, Guard: guard, Begin: c.With["begin"] == "true"})
	}
	for _, p := range []*place{state, guard} {
		var want []byte
		if name := c.After[p.name]; name != "" {
			if want, err2 = os.ReadFile(c.Path(name)); err2 != nil {
				return judged{}, err2
			}
		}
		if !bytes.Equal(p.text, want) || (p.text == nil) != (want == nil) {
			return judged{}, fmt.Errorf("the %s is\n%s\nafterwards, want\n%s", p.name, p.text, want)
		}
	}
	got := refusal(err)
	var r *bundle.Refusal
	switch {
	case errors.As(err, &r) && r.Alarm():
		got.verdict, got.code = testvectors.Alarm, string(r.Reason)
	case errors.As(err, &r):
		got.code = string(r.Reason)
	case err != nil:
		got.verdict, got.code = testvectors.Error, "policy or state"
	}
	return got, nil
}
