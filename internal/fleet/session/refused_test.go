package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// shows is a node that shows any certificate and says any first frame.
func shows(cert tls.Certificate, frame []byte, change func(*tls.Config)) opener {
	return func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		cfg := config(DrillProtocol, func(tls.ConnectionState) error { return nil })
		cfg.Certificates = []tls.Certificate{cert}
		if change != nil {
			change(cfg)
		}
		t := tls.Server(conn, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		_, err := t.Write(frame)
		return t, err
	}
}

// says is a node that has its HSM's key and an answer of its own.
func (w *world) says(t *testing.T, node, hsm, role string, a Answer) opener {
	t.Helper()
	return shows(must(w.key(t, hsm, role).certificate(node)), must((&greeting{node, a, false}).encode()), nil)
}

func TestADeviceRefusesATamperedBundle(t *testing.T) {
	w := fleetOf(t)
	for name, at := range map[string]int{"its first byte": 0, "its middle": len(w.Bundle) / 2, "its last byte but one": len(w.Bundle) - 2} {
		b := bytes.Clone(w.Bundle)
		b[at] ^= 1
		m := meet(t, w.device(t), w.says(t, "hsm-1", "hsm-1", role, Answer{b, w.Proof}))
		var r *bundle.Refusal
		if !errors.As(m.err, &r) {
			t.Errorf("%s: %v", name, m.err)
			continue
		}
		m.wantRefusal(t, r.Reason)
		if r.Reason != bundle.ReasonMalformed && r.Reason != bundle.ReasonLog && r.Reason != bundle.ReasonSignatures {
			t.Errorf("%s: refused for the reason %s", name, r.Reason)
		}
	}
}

func TestADeviceRefusesWhoeverIsNotTheNodeThatItSays(t *testing.T) {
	w := fleetOf(t)
	stranger := testfleet.SoftSigner(keys.Ed25519, "a stranger")
	unlisted := must(must(NewKey(stranger.Public.SPKI(), stranger.Sign)).certificate("hsm-1"))
	frame := must((&greeting{"hsm-1", w.Answer, false}).encode())
	for name, o := range map[string]opener{
		"an unlisted node with the true bundle":   shows(unlisted, frame, nil),
		"a node that says that it is another":     w.says(t, "hsm-1", "hsm-2", role, w.Answer),
		"a node with its key of another role":     w.says(t, "hsm-1", "hsm-1", "backup", w.Answer),
		"a node of another fleet, of its own key": w.says(t, "hsm-9", "hsm-1", role, w.Answer),
	} {
		t.Run(name, func(t *testing.T) { meet(t, w.device(t), o).wantRefusal(t, ReasonNode) })
	}
}

func TestADeviceRefusesARoleThatTheBundleDoesNotHave(t *testing.T) {
	w := fleetOf(t)
	c := w.device(t)
	c.Role = "sessions"
	meet(t, c, w.server(t, "hsm-1").opener()).wantRefusal(t, ReasonNode)
	c.Role = ""
	if m := meet(t, c, w.server(t, "hsm-1").opener()); !errors.Is(m.err, bundle.ErrTrust) {
		t.Errorf("a device that names no role: %v", m.err)
	}
}

func TestADeviceRefusesAReplayedCertificate(t *testing.T) {
	w := fleetOf(t)
	true1 := must(w.key(t, "hsm-1", role).certificate("hsm-1"))
	stranger := testfleet.SoftSigner(keys.Ed25519, "a stranger")
	// The certificate is the node's own, taken from a session; the key isn't.
	replayed := tls.Certificate{Certificate: true1.Certificate, PrivateKey: must(NewKey(stranger.Public.SPKI(), stranger.Sign)), SupportedSignatureAlgorithms: []tls.SignatureScheme{tls.Ed25519}}
	meet(t, w.device(t), shows(replayed, must((&greeting{"hsm-1", w.Answer, false}).encode()), nil)).wantRefusal(t, ReasonCertificate)
}

func TestADeviceRefusesAnotherProtocolAndAnOlderTLS(t *testing.T) {
	w := fleetOf(t)
	cert := must(w.key(t, "hsm-1", role).certificate("hsm-1"))
	frame := must((&greeting{"hsm-1", w.Answer, false}).encode())
	for _, c := range []struct {
		name   string
		change func(*tls.Config)
		why    bundle.Reason
	}{
		{"a node of the replicas' protocol", func(c *tls.Config) { c.NextProtos, c.VerifyConnection = []string{RaftProtocol}, nil }, ReasonALPN},
		{"a node that says no protocol", func(c *tls.Config) { c.NextProtos, c.VerifyConnection = nil, nil }, ReasonALPN},
		{"TLS 1.2", func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.VerifyConnection = 0, tls.VersionTLS12, nil }, ReasonTLS},
	} {
		t.Run(c.name, func(t *testing.T) { meet(t, w.device(t), shows(cert, frame, c.change)).wantRefusal(t, c.why) })
	}
}

func TestANodeRefusesAnotherProtocolAndAnOlderTLS(t *testing.T) {
	w := fleetOf(t)
	for _, c := range []struct {
		name   string
		change func(*tls.Config)
		why    bundle.Reason
	}{
		{"the replicas' protocol", func(c *tls.Config) { c.NextProtos = []string{RaftProtocol} }, ReasonALPN},
		{"no protocol", func(c *tls.Config) { c.NextProtos = nil }, ReasonALPN},
		{"TLS 1.2", func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12 }, ReasonTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			done := make(chan error, 1)
			go func() {
				conn, err := l.Accept()
				if err == nil {
					_, err = w.server(t, "hsm-1").Open(t.Context(), conn)
				}
				done <- err
			}()
			cfg := &tls.Config{NextProtos: []string{DrillProtocol}, InsecureSkipVerify: true}
			c.change(cfg)
			if conn, err := tls.Dial("tcp", l.Addr().String(), cfg); err == nil {
				defer conn.Close() // it doesn't know yet that the node refuses
			}
			var r *bundle.Refusal
			if err := <-done; !errors.As(err, &r) || r.Reason != c.why {
				t.Errorf("got %v; the reason should be %s", err, c.why)
			}
		})
	}
}

func TestADeviceRefusesAnUnwitnessedAndAnOldProof(t *testing.T) {
	w := newWorld(t, testfleet.Options{Name: "unwitnessed", HSMs: 2})
	log := w.Parties.Log.(*testfleet.Witnesses)
	size := log.Size()
	log.At = func(int) time.Time { return time.Time{} }
	unwitnessed := must(log.Prove(size-1, size))
	meet(t, w.device(t), w.says(t, "hsm-1", "hsm-1", role, Answer{w.Bundle, unwitnessed})).wantRefusal(t, bundle.ReasonWitnesses)
	log.At = func(int) time.Time { return w.Last().Add(-48 * time.Hour) }
	old := must(log.Prove(size-1, size))
	meet(t, w.device(t), w.says(t, "hsm-1", "hsm-1", role, Answer{w.Bundle, old})).wantRefusal(t, bundle.ReasonAge)
}

func TestADeviceNeverGoesBackToAnOlderEpochAndNeverToARetiredFleet(t *testing.T) {
	one := newWorld(t, testfleet.Options{Name: "epochs", HSMs: 2})
	two := newWorld(t, testfleet.Options{Name: "epochs 2", HSMs: 2, After: one.Fleet})
	c := one.device(t)
	c.Now = func() time.Time { return two.Last() }
	for _, w := range []*world{one, two} { // over the air: the new bundle comes from an answer
		m := meet(t, c, w.server(t, "hsm-1").opener())
		if m.err != nil {
			t.Fatalf("epoch %d: %v", w.set.Epoch, m.err)
		}
		c.Begin = false
	}
	meet(t, c, one.server(t, "hsm-1").opener()).wantRefusal(t, bundle.ReasonEpoch)
	if m := meet(t, c, two.server(t, "hsm-2").opener()); m.err != nil {
		t.Fatalf("the newer epoch after a refused one: %v", m.err)
	}

	b := must(bundle.ParseBundle("bundle", two.Bundle))
	n := two.NoticeOf(bundle.RetirementFormat, 3, b.KeySet.Digest())
	raw := two.Noticed(n, two.Parties.ThirdParty, two.Parties.Operator, bundle.FormBound)
	two.Parties.Log.(*testfleet.Witnesses).At = func(int) time.Time { return two.Now() }
	notice := Answer{raw, must(two.Parties.Log.Append(raw))}
	c.Now = func() time.Time { return two.Now() }
	s := two.server(t, "hsm-1")
	if err := s.Update(notice); err != nil {
		t.Fatal(err)
	}
	meet(t, c, s.opener()).wantRefusal(t, bundle.ReasonRetired)
	meet(t, c, two.server(t, "hsm-2").opener()).wantRefusal(t, bundle.ReasonRetired)
}

func TestADeviceWithPinsRefusesWhatIsNotPinned(t *testing.T) {
	w := fleetOf(t)
	c := w.device(t)
	c.Policy = must(w.policy.Narrowed(device.Pins{Keys: [][]byte{w.set.Keys[0].SPKI}}))
	meet(t, c, w.server(t, "hsm-1").opener()).wantRefusal(t, device.ReasonPinned)
	c = w.device(t)
	var all [][]byte
	for _, k := range w.set.Keys {
		all = append(all, k.SPKI)
	}
	c.Policy = must(w.policy.Narrowed(device.Pins{Keys: all}))
	if m := meet(t, c, w.server(t, "hsm-1").opener()); m.err != nil {
		t.Errorf("with all keys pinned: %v", m.err)
	}
}

func TestADeviceWithoutStateRefusesUntilItSaysThatItBegins(t *testing.T) {
	w := fleetOf(t)
	c := w.device(t)
	c.Begin = false
	meet(t, c, w.server(t, "hsm-1").opener()).wantRefusal(t, device.ReasonState)
}

func TestANodeIsNotMadeOfAnAnswerThatIsNotItsOwn(t *testing.T) {
	w := fleetOf(t)
	for name, err := range map[string]error{
		"another node's key": second(NewServer("hsm-1", role, w.key(t, "hsm-2", role), nil, w.Answer)),
		"another role's key": second(NewServer("hsm-1", role, w.key(t, "hsm-1", "backup"), nil, w.Answer)),
		"no such role":       second(NewServer("hsm-1", "sessions", w.key(t, "hsm-1", role), nil, w.Answer)),
	} {
		var r *bundle.Refusal
		if !errors.As(err, &r) || r.Reason != ReasonNode {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A token that says it signs, and signs with something else, gives no certificate.
	stranger := testfleet.SoftSigner(keys.Ed25519, "a stranger")
	if _, err := NewServer("hsm-1", role, must(NewKey(w.key(t, "hsm-1", role).SPKI(), stranger.Sign)), nil, w.Answer); err == nil {
		t.Error("a node starts whose token doesn't have its key")
	}
	agrees := must(keys.ParseAs(keys.ECDHP256, w.key(t, "hsm-1", "backup").SPKI()))
	if _, err := holder(&bundle.KeySet{Keys: []bundle.FleetKey{{HSM: "hsm-1", Role: role, Use: bundle.UseAgree, SPKI: agrees.SPKI()}}}, role, agrees.SPKI()); err == nil {
		t.Error("a key that agrees opens sessions")
	}
}

func second[T any](_ T, err error) error { return err }
