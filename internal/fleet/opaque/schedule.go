package opaque

import (
	"crypto/hkdf"
	"encoding/binary"
	"fmt"
)

// transcript is what both sides of a login have seen (RFC 9807, 6.4.2.1).
type transcript struct {
	context, client, server []byte // what the login is bound to, and the two identities
	ke1, ke2                []byte // ke2 without its MAC
}

func (t *transcript) preamble() ([]byte, error) {
	for _, b := range [][]byte{t.context, t.client, t.server} {
		if len(b) > longest {
			return nil, fmt.Errorf("context and identities have at most %d bytes, not %d", longest, len(b))
		}
	}
	b := append([]byte("OPAQUEv1-"), prefixed(t.context)...)
	b = append(append(b, prefixed(t.client)...), t.ke1...)
	return append(append(b, prefixed(t.server)...), t.ke2...), nil
}

// agreed are the results of a login's key exchange (6.4.2.2).
type agreed struct{ serverMAC, clientMAC, session []byte }

// agree derives them from the three shared secrets, in the order dh1, dh2, dh3.
func (s *suite) agree(ikm []byte, t *transcript) (*agreed, error) {
	preamble, err := t.preamble()
	if err != nil {
		return nil, err
	}
	prk, err := hkdf.Extract(s.hash, ikm, nil)
	if err != nil {
		return nil, err
	}
	seen := s.digest(preamble)
	handshake, err := s.secret(prk, "HandshakeSecret", seen)
	if err != nil {
		return nil, err
	}
	session, err := s.secret(prk, "SessionKey", seen)
	if err != nil {
		return nil, err
	}
	km2, err := s.secret(handshake, "ServerMAC", nil)
	if err != nil {
		return nil, err
	}
	km3, err := s.secret(handshake, "ClientMAC", nil)
	if err != nil {
		return nil, err
	}
	mac := s.mac(km2, seen)
	return &agreed{serverMAC: mac, clientMAC: s.mac(km3, s.digest(preamble, mac)), session: session}, nil
}

// secret is Derive-Secret of TLS 1.3 with OPAQUE's label.
func (s *suite) secret(key []byte, label string, seen []byte) ([]byte, error) {
	label = "OPAQUE-" + label
	info := binary.BigEndian.AppendUint16(nil, uint16(s.nh()))
	info = append(append(info, byte(len(label))), label...)
	info = append(append(info, byte(len(seen))), seen...)
	return s.expand(key, string(info), s.nh())
}
