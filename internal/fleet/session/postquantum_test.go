package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestADeviceDemandsThePostQuantumSignatureOfABundleThatHasSuchKeys(t *testing.T) {
	w := hybrid(t)
	c := w.device(t)
	for _, given := range []string{"", rolePQ} { // the bundle says it by itself
		c.PostQuantumRole = given
		for _, hsm := range w.set.HSMs() {
			m := meet(t, c, w.server(t, hsm).opener())
			if m.err != nil || m.nodeErr != nil || m.session.Node() != hsm {
				t.Fatalf("%s: device %v, node %v", hsm, m.err, m.nodeErr)
			}
			if !bytes.Equal(m.session.Exporter(), m.node.(*Conn).Exporter()) {
				t.Error("the two sides have different sessions")
			}
			go func() { _, _ = m.node.Write([]byte("pong")) }()
			got := make([]byte, 4)
			if _, err := io.ReadFull(m.session, got); err != nil || string(got) != "pong" {
				t.Errorf("after the signature the device reads %q: %v", got, err)
			}
			c.Begin = false
		}
	}
}

// attack is somebody who has broken the classical key of an HSM, and has its node's
// answer. forge makes what is sent in the place of the node's signature.
func (w *world) attack(t *testing.T, hsm string, signs bool, forge func(*channel) []byte) opener {
	t.Helper()
	cert := must(w.key(t, hsm, role).certificate(hsm))
	frame := must((&greeting{hsm, w.Answer, signs}).encode())
	open := shows(cert, frame, nil)
	return func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		c, err := open(ctx, conn)
		if err != nil || forge == nil {
			return c, err
		}
		ch := w.channel(t, hsm)
		if err := ch.bind(c.(*tls.Conn)); err != nil {
			return nil, err
		}
		_, err = c.Write(forge(ch))
		return c, err
	}
}

// channel is what the node of an HSM signs, but for the connection.
func (w *world) channel(t *testing.T, hsm string) *channel {
	return &channel{protocol: DrillProtocol, set: w.set, bundle: sha256.Sum256(w.Bundle), side: server, node: hsm, role: rolePQ, tls: role, shown: w.key(t, hsm, role).SPKI()}
}

func TestWhoeverHasTheClassicalKeyAloneOpensNoSession(t *testing.T) {
	w := hybrid(t)
	by := func(hsm string, as keys.Context, change func(*channel)) func(*channel) []byte {
		s := w.signer(t, hsm, rolePQ)
		return func(c *channel) []byte {
			if change != nil {
				change(c)
			}
			return (&signed{rolePQ, must(s.For(as)(c.text()))}).encode()
		}
	}
	this := func(change func(*channel)) func(*channel) []byte { return by("hsm-1", keys.ForSession, change) }
	good := this(nil)
	if m := meet(t, w.device(t), w.attack(t, "hsm-1", true, good)); m.err != nil {
		t.Fatalf("with both keys of the HSM: %v", m.err)
	}
	stranger := testfleet.SoftSigner(keys.MLDSA44, "a stranger")
	for _, c := range []struct {
		what  string
		signs bool
		forge func(*channel) []byte
		why   bundle.Reason
		says  string
	}{
		{"the signature is stripped", false, nil, ReasonPostQuantum, "doesn't sign the session"},
		{"it is said not to be there, and is", false, good, ReasonPostQuantum, "doesn't sign the session"},
		{"it is of another connection", true, this(func(c *channel) { c.connection = make([]byte, 32) }), ReasonPostQuantum, "not signed by the key"},
		{"it is another HSM's, over this one's session", true, by("hsm-2", keys.ForSession, nil), ReasonPostQuantum, "not signed by the key that node hsm-1"},
		{"it is another HSM's, over its own name", true, by("hsm-2", keys.ForSession, func(c *channel) { c.node = "hsm-2" }), ReasonPostQuantum, "not signed by the key"},
		{"it is over another classical key", true, this(func(c *channel) { c.shown = w.key(t, "hsm-2", role).SPKI() }), ReasonPostQuantum, "not signed by the key"},
		{"it is over another role of the classical key", true, this(func(c *channel) { c.tls = "backup" }), ReasonPostQuantum, "not signed by the key"},
		{"it is over another bundle", true, this(func(c *channel) { c.bundle[0] ^= 1 }), ReasonPostQuantum, "not signed by the key"},
		{"it is of the nodes' protocol", true, this(func(c *channel) { c.protocol = RaftProtocol }), ReasonPostQuantum, "not signed by the key"},
		{"it is the other side's", true, this(func(c *channel) { c.side = client }), ReasonPostQuantum, "not signed by the key"},
		{"it was made as a possession's", true, by("hsm-1", keys.ForPossession, nil), ReasonPostQuantum, "it was made for fleetctl/possession/v1"},
		{"it was made as a countersignature", true, by("hsm-1", keys.ForCountersignature, nil), ReasonPostQuantum, "it was made for fleetctl/countersignature/v1"},
		{"it is a stranger's", true, func(c *channel) []byte {
			return (&signed{rolePQ, must(stranger.For(keys.ForSession)(c.text()))}).encode()
		}, ReasonPostQuantum, "not signed by the key"},
		{"it is of another parameter set", true, func(*channel) []byte {
			return (&signed{rolePQ, make([]byte, keys.MLDSA65.MaxSignature())}).encode()
		}, ReasonPostQuantum, "3309 bytes"},
		{"it is said to be of another role", true, func(c *channel) []byte {
			return (&signed{"backup", good(c)[4+1+len(rolePQ):]}).encode()
		}, ReasonPostQuantum, "key of role backup; one of role vault is demanded"},
		{"it is the classical key's", true, func(c *channel) []byte {
			return (&signed{role, must(w.key(t, "hsm-1", role).sign(c.text()))}).encode()
		}, ReasonAnswer, "no signature of ML-DSA"},
		{"the first frame comes twice", true, func(*channel) []byte {
			return must((&greeting{"hsm-1", w.Answer, true}).encode())
		}, ReasonAnswer, "at most"},
		{"bytes are behind it", true, func(c *channel) []byte { return framed(append(good(c)[4:], 0)) }, ReasonAnswer, "no signature of ML-DSA"},
		{"it is cut off", true, func(c *channel) []byte { return framed(good(c)[4:1000]) }, ReasonAnswer, "no signature of ML-DSA"},
		{"its frame is too large", true, func(*channel) []byte { return binary.BigEndian.AppendUint32(nil, maxSigned+1) }, ReasonAnswer, "at most"},
		{"its frame is empty", true, func(*channel) []byte { return framed(nil) }, ReasonAnswer, "is empty"},
		{"its role is longer than the frame", true, func(*channel) []byte { return framed([]byte{9, 'x'}) }, ReasonAnswer, "must be there"},
		{"its role is no name", true, func(c *channel) []byte { return framed(append([]byte{1, ' '}, good(c)...)) }, ReasonAnswer, "allowed are"},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := meet(t, w.device(t), w.attack(t, "hsm-1", c.signs, c.forge))
			m.wantRefusal(t, c.why)
			if !strings.Contains(m.err.Error(), c.says) {
				t.Errorf("it is refused with %q, which doesn't say %q", m.err, c.says)
			}
		})
	}
}

// TestANodeThatEndsBeforeItHasSignedIsLost: as one that was killed, so that another one is
// asked. There is no session.
func TestANodeThatEndsBeforeItHasSignedIsLost(t *testing.T) {
	w := hybrid(t)
	open := w.attack(t, "hsm-1", true, nil)
	m := meet(t, w.device(t), func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		c, err := open(ctx, conn)
		if err != nil {
			return nil, err
		}
		return c, c.(*tls.Conn).CloseWrite()
	})
	if r := (*bundle.Refusal)(nil); m.session != nil || errors.As(m.err, &r) || m.err == nil || !strings.Contains(m.err.Error(), "has not signed the session with its key of role "+rolePQ) || len(m.heard) > 0 {
		t.Errorf("got %v", m.err)
	}
}

// TestARelayedSignatureOpensNoSession: whoever has broken the classical key stands
// between a device and the honest node, and hands on all that the node says and signs.
func TestARelayedSignatureOpensNoSession(t *testing.T) {
	w := hybrid(t)
	for what, showing := range map[string]struct {
		hsm string
		why bundle.Reason
	}{"with the node's classical key": {"hsm-1", ReasonPostQuantum}, "with another node's classical key": {"hsm-2", ReasonNode}} {
		t.Run(what, func(t *testing.T) {
			honest := w.server(t, "hsm-1")
			m := meet(t, w.device(t), func(ctx context.Context, conn net.Conn) (net.Conn, error) {
				l := must(net.Listen("tcp", "127.0.0.1:0"))
				defer l.Close()
				go func() {
					if c, err := l.Accept(); err == nil {
						_, _ = honest.Open(t.Context(), c)
					}
				}()
				behind, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{DrillProtocol}})
				if err != nil {
					return nil, err
				}
				defer behind.Close()
				first, err := readFrame(behind, maxAnswer)
				if err != nil {
					return nil, err
				}
				second, err := readFrame(behind, maxSigned)
				if err != nil {
					return nil, err
				}
				return shows(must(w.key(t, showing.hsm, role).certificate("hsm-1")), append(framed(first), framed(second)...), nil)(ctx, conn)
			})
			m.wantRefusal(t, showing.why)
		})
	}
}

func TestASignatureIsNotTakenOverAKeyExchangeThatAQuantumComputerBreaks(t *testing.T) {
	w := hybrid(t)
	classical := func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }
	frame := must((&greeting{"hsm-1", w.Answer, true}).encode())
	open := shows(must(w.key(t, "hsm-1", role).certificate("hsm-1")), frame, classical)
	meet(t, w.device(t), open).wantRefusal(t, ReasonPostQuantum)

	// Nor does a node sign it.
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan error, 1)
	go func() { _, err := w.server(t, "hsm-1").Open(t.Context(), b); done <- err }()
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{DrillProtocol}}
	classical(cfg)
	c := tls.Client(a, cfg)
	if _, err := readGreeting(c); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Log(err)
	}
	wantNamed(t, <-done, ReasonPostQuantum)
}

func TestASignatureThatNobodyDemandsIsRefused(t *testing.T) {
	w := fleetOf(t)
	meet(t, w.device(t), w.attack(t, "hsm-1", true, nil)).wantRefusal(t, ReasonPostQuantum)
}

// TestWhichPostQuantumRoleSignsIsNeverTheNodesToSay: of several the device has to name one,
// and a role that only some HSMs have a key of that kind for is refused.
func TestWhichPostQuantumRoleSignsIsNeverTheNodesToSay(t *testing.T) {
	w := newWorld(t, testfleet.Options{Name: "several roles", HSMs: 2, Roles: append([]draft.Role{{Name: "backup", Algorithm: keys.MLDSA44}}, hybridRoles...)})
	c := w.device(t)
	meet(t, c, w.server(t, "hsm-1").opener()).wantRefusal(t, ReasonPostQuantum) // none is named
	c.PostQuantumRole = rolePQ
	if m := meet(t, c, w.server(t, "hsm-1").opener()); m.err != nil {
		t.Fatal(m.err)
	}
	c.Begin = false
	other := must(NewServer("hsm-1", role, w.key(t, "hsm-1", role), w.second(t, "hsm-1", "backup"), w.Answer))
	meet(t, c, other.opener()).wantRefusal(t, ReasonPostQuantum)
	// Its key of the other role, said to be of this one.
	backup := w.signer(t, "hsm-1", "backup")
	meet(t, c, w.attack(t, "hsm-1", true, func(c *channel) []byte {
		return (&signed{rolePQ, must(backup.For(keys.ForSession)(c.text()))}).encode()
	})).wantRefusal(t, ReasonPostQuantum)
	c.PostQuantumRole = role
	meet(t, c, w.server(t, "hsm-1").opener()).wantRefusal(t, ReasonPostQuantum)

	mixed := *w.set
	mixed.Keys = append([]bundle.FleetKey{}, mixed.Keys...)
	for i := range mixed.Keys {
		if k := &mixed.Keys[i]; k.Role == "backup" && k.HSM == "hsm-2" {
			k.Algorithm = keys.Ed25519
		}
	}
	for _, given := range []string{"", rolePQ} {
		if got, err := PostQuantumRole(&mixed, given); err == nil {
			t.Errorf("with role %q given, a fleet with a mixed role signs by %q", given, got)
		}
	}
}

func TestAnOlderBundleThatDemandsNoSignatureIsNoWayBack(t *testing.T) {
	one := newWorld(t, testfleet.Options{Name: "becomes hybrid", HSMs: 2, Roles: hybridRoles[:1]})
	two := newWorld(t, testfleet.Options{Name: "becomes hybrid 2", HSMs: 2, Roles: hybridRoles, After: one.Fleet})
	c := one.device(t)
	for _, w := range []*world{one, two} {
		c.Now = two.Last
		if m := meet(t, c, w.server(t, "hsm-1").opener()); m.err != nil {
			t.Fatalf("epoch %d: %v", w.set.Epoch, m.err)
		}
		c.Begin = false
	}
	meet(t, c, one.server(t, "hsm-1").opener()).wantRefusal(t, bundle.ReasonEpoch)

	// A device that has seen nothing yet knows it by what it pins, which may be in its
	// policy, or on its command line.
	fresh := one.device(t)
	fresh.Now = two.Last
	fresh.Policy = must(one.policy.Narrowed(device.Pins{SessionPostQuantum: rolePQ}))
	meet(t, fresh, one.server(t, "hsm-1").opener()).wantRefusal(t, device.ReasonPinned)
	fresh.PostQuantumRole = "backup"
	if m := meet(t, fresh, two.server(t, "hsm-1").opener()); !errors.Is(m.err, bundle.ErrTrust) {
		t.Errorf("two roles are named: %v", m.err)
	}
	fresh = one.device(t)
	fresh.PostQuantumRole = rolePQ
	meet(t, fresh, one.server(t, "hsm-1").opener()).wantRefusal(t, ReasonPostQuantum)
}

func TestARoleOfPostQuantumKeysOtherThanThePinnedOneIsRefused(t *testing.T) {
	p := usual(t).policy
	pins := must(p.Narrowed(device.Pins{SessionPostQuantum: rolePQ}))
	for _, c := range []struct {
		policy      *device.Policy
		given, want string
	}{{p, "", ""}, {p, "backup", "backup"}, {pins, "", rolePQ}, {pins, rolePQ, rolePQ}} {
		if got, err := Pinned(c.policy, c.given); got != c.want || err != nil {
			t.Errorf("%q pinned, %q given: %q, %v", c.policy.SessionPostQuantum, c.given, got, err)
		}
	}
	if got, err := Pinned(pins, "backup"); got != "" || !errors.Is(err, bundle.ErrTrust) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestANodeIsNotMadeWithoutTheKeyThatItsBundleDemands(t *testing.T) {
	w := hybrid(t)
	k := w.key(t, "hsm-1", role)
	wantNamed(t, second(NewServer("hsm-1", role, k, nil, w.Answer)), ReasonPostQuantum)
	wantNamed(t, second(NewServer("hsm-1", role, k, w.second(t, "hsm-2", rolePQ), w.Answer)), ReasonNode)
	wantNamed(t, second(NewStream(nil, Peer{Node: "hsm-1", Role: role, Key: k, Bundle: w.Bundle})), ReasonPostQuantum)
	classical := fleetOf(t)
	wantNamed(t, second(NewServer("hsm-1", role, classical.key(t, "hsm-1", role), w.second(t, "hsm-1", rolePQ), classical.Answer)), ReasonPostQuantum)

	s := w.signer(t, "hsm-1", rolePQ)
	spki := s.Public.SPKI()
	broken := errors.New("CKR_KEY_FUNCTION_NOT_PERMITTED")
	for what, err := range map[string]error{
		"it signs for another use":      second(NewPostQuantum(rolePQ, spki, s.For(keys.ForTest))),
		"it signs with another key":     second(NewPostQuantum(rolePQ, spki, testfleet.SoftSigner(keys.MLDSA44, "x").For(keys.ForSession))),
		"it doesn't sign":               second(NewPostQuantum(rolePQ, spki, func([]byte) ([]byte, error) { return nil, broken })),
		"its key is a classical one":    second(NewPostQuantum(role, k.SPKI(), k.sign)),
		"its key can't be read":         second(NewPostQuantum(rolePQ, []byte{1}, s.Sign)),
		"its ML-DSA key is to open TLS": second(NewKey(spki, s.Sign)),
	} {
		if err == nil || !strings.Contains(err.Error(), "key") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
