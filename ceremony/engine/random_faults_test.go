package engine_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// Read gives random bytes to the engine.
func (d *driver) Read(b []byte) (int, error) {
	if d.one(400) {
		return 0, errors.New("no randomness")
	}
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return len(b), nil
}

func (d *driver) of(list ...string) string { return list[d.IntN(len(list))] }

// text is what people say, or type by mistake.
func (d *driver) text() string {
	if d.one(4) {
		return d.of("", " ", "two\nlines", "\x00", "\u2028", "\xff", "Zürich", `"quoted\"`, strings.Repeat("long ", 900), "<script>")
	}
	return d.of("a slip of the pen", "the third party needs two days", "4471")
}

func (d *driver) seals() []ceremony.Seal {
	if d.one(5) {
		return []ceremony.Seal{{What: d.text(), Number: d.text()}, {What: "safe", Number: "1"}}
	}
	return []ceremony.Seal{{What: "hsm-1", Number: "4471"}}
}

func (d *driver) approve(ctx context.Context, dir string, people *ceremony.People, want ceremony.Approval, have []string) error {
	if d.one(5) {
		return nil // nobody signs
	}
	return d.f.Approve(ctx, dir, people, want, have)
}

// config is that of a run in which things go wrong.
func (d *driver) config() engine.Config {
	c := d.f.Config(d.f.Dir, d)
	c.Now, c.Approve, c.Participants = d.clock, d.approve, participants{d}
	for _, tok := range d.f.Tokens {
		d.spoil(tok)
	}
	if d.one(6) {
		wall := d.now.Truncate(time.Second)
		c.Wall = &wall
	}
	return c
}

// spoil has a token fail once in a while, or say something odd.
func (d *driver) spoil(tok *testfleet.Token) {
	code := d.of("CKR_DEVICE_REMOVED", "CKR_DEVICE_ERROR", "CKR_PIN_INCORRECT", "0x80000001", "not a code")
	fail := func(string) error {
		if d.one(40) {
			return testfleet.Coded(code)
		}
		return nil
	}
	tok.Before, tok.After = fail, nil
	if d.one(4) {
		tok.Before, tok.After = nil, fail
	}
	about := tok.About
	about.Firmware, about.Manufacturer = "1.0", "testfleet"
	if d.one(12) {
		about.Firmware, about.Manufacturer = d.of("1.0", "999.0", "x", ""), d.text()
	}
	tok.About = about
	tok.OnAgree = nil
	if d.one(15) {
		tok.OnAgree = func(secret []byte) []byte { secret[d.IntN(len(secret))] ^= 1; return secret }
	}
	tok.OnSign = nil
	if d.one(15) {
		tok.OnSign = func(sig []byte) []byte { sig[d.IntN(len(sig))] ^= 1; return sig }
	}
}

// spoilDevices has devices fail once in a while, be ones that can't be asked, answer
// what wasn't asked, or not be what the policy wants.
func (d *driver) spoilDevices() {
	x := d.f.Attester
	if d.one(3) {
		x.Block.Vendors = []string{"ACME"}
	}
	x.ByHand["hsm-1"] = d.one(2)
	x.OnEvidence = func(q engine.AttestQuestion, e *attest.Evidence) (*attest.Evidence, error) {
		switch d.IntN(12) {
		case 0:
			return nil, errors.New("the device doesn't answer")
		case 1:
			q.Nonce[0] ^= 1
			return x.Evidence(q), nil
		}
		return e, nil
	}
}

// participants answer as a rehearsal's machine does, mostly.
type participants struct{ d *driver }

var errStop = errors.New("somebody said stop")

func (p participants) err() error {
	if p.d.one(20) {
		return errStop
	}
	return nil
}

func (p participants) by() string {
	if p.d.one(20) {
		return p.d.of("", "olga", "witness", "auditor", "two\nlines")
	}
	return ceremony.Machine
}

func (p participants) Words(context.Context) ([]string, string, error) {
	words := []string{"aardvark", "adroitness", "zulu"}
	if p.d.one(10) {
		words = []string{p.d.text(), "b", "c"}[:1+p.d.IntN(3)]
	}
	return words, p.by(), p.err()
}

func (p participants) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	return now().Add(time.Duration(p.d.IntN(20)-10) * time.Second), p.by(), p.err()
}

func (p participants) Seal(context.Context, string, func(string) error) (string, string, string, error) {
	return p.d.text(), p.by(), p.by(), p.err()
}

func (p participants) Attestation(_ context.Context, q engine.AttestQuestion, wrong error) (*attest.Evidence, error) {
	if err := cmp.Or(p.err(), wrong); err != nil {
		return nil, err
	}
	if p.d.one(10) {
		q.Nonce[0] ^= 1
	}
	return p.d.f.Attester.Evidence(q), nil
}

func (p participants) OtherProgram(context.Context, ceremony.Program, ceremony.Program) error {
	return p.err()
}

func (p participants) GoOn(context.Context, []planned.Outlook) (string, error) {
	return p.d.text(), p.err()
}

// Peer is sometimes an auditor's, and sometimes none.
func (p participants) Peer(_ context.Context, q engine.AgreementQuestion) ([]byte, string, string, error) {
	if p.d.one(3) {
		return nil, "", ceremony.Machine, p.err()
	}
	s, err := keys.DrawScalar(q.Algorithm, p.d)
	if err != nil {
		return nil, "", "", err
	}
	p.d.scalar = s.Encode()
	drawn, err := s.Peer(nil)
	if err != nil {
		return nil, "", "", err
	}
	peer := drawn.Encode()
	if p.d.one(20) {
		peer[p.d.IntN(len(peer))] ^= 1
	}
	by := ceremony.Auditor
	if p.d.one(8) {
		by = p.by()
	}
	return peer, p.d.of("ada", "ada", "ada", "ada", "ada", "olga", ""), by, p.err()
}

func (p participants) Opened(context.Context, engine.AgreementQuestion, [32]byte) ([]byte, error) {
	scalar := slices.Clone(p.d.scalar)
	if p.d.one(12) {
		scalar[p.d.IntN(len(scalar))] ^= 1
	}
	return scalar, p.err()
}

func (p participants) Challenge(context.Context, engine.Question) (int, string, error) {
	tries := 1
	if p.d.one(20) {
		tries = p.d.IntN(3) - 1
	}
	return tries, p.by(), p.err()
}
