package opaque

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
)

// errClient is where KE3 doesn't prove the password.
var errClient = errors.New("the device doesn't prove that it knows the password or code")

// Server is a node's side. All nodes of a fleet have the same key, seed and identity.
// Sessions may use it at the same time, as far as its source of randomness may be.
type Server struct {
	random                          io.Reader
	private, public, seed, identity []byte
	suite                           *suite
}

// NewServerKey draws a private key for NewServer.
func NewServerKey(random io.Reader) ([]byte, error) {
	k, err := ristretto.scalar(random)
	if err != nil {
		return nil, err
	}
	return k.MarshalBinary()
}

// NewServer is a server with its private key for the key exchange, and the seed from
// which the records of unknown accounts follow. The identity is the one that clients
// give as theirs of the server; nil is its public key.
func NewServer(random io.Reader, private, seed, identity []byte) (*Server, error) {
	return newServer(ristretto, random, private, seed, identity)
}

func newServer(s *suite, random io.Reader, private, seed, identity []byte) (*Server, error) {
	switch {
	case random == nil:
		return nil, errors.New("opaque: a server wants a source of randomness")
	case len(seed) != s.nh():
		return nil, fmt.Errorf("the seed has %d bytes instead of %d", len(seed), s.nh())
	case len(identity) > longest:
		return nil, fmt.Errorf("an identity has at most %d bytes", longest)
	}
	public, err := s.ake.public(private)
	if err != nil {
		return nil, err
	}
	return &Server{random, private, public, seed, identity, s}, nil
}

// NewOPRFKey draws the key of an account that is being registered: random, so that
// erasing it leaves nothing from which it follows (RFC 9807, 10.9).
func (s *Server) NewOPRFKey() ([]byte, error) {
	k, err := s.suite.scalar(s.random)
	if err != nil {
		return nil, err
	}
	return k.MarshalBinary()
}

// Respond answers a registration's request.
func (s *Server) Respond(oprfKey, request []byte) (response []byte, err error) {
	evaluated, err := s.suite.evaluate(oprfKey, request)
	if err != nil {
		return nil, err
	}
	return append(evaluated, s.public...), nil
}

// CheckRecord refuses a record that no login could succeed with.
func CheckRecord(record []byte) error { return ristretto.checkRecord(record) }

func (s *suite) checkRecord(record []byte) error {
	if len(record) != s.record() {
		return fmt.Errorf("the record has %d bytes instead of %d", len(record), s.record())
	}
	return s.ake.admit("the record's public key", record[:s.ake.size()])
}

// Unknown gives record and OPRF key with which a login of an account that doesn't exist
// is answered. They follow from the seed, so that the account looks the same at each
// node and each time; nobody knows a password for it.
func (s *Server) Unknown(account []byte) (record, oprfKey []byte, err error) {
	if oprfKey, err = s.suite.derivedKey(s.seed, account); err != nil {
		return nil, nil, err
	}
	seed, err := s.suite.expand(s.seed, string(account)+"UnknownClient", keySeed)
	if err != nil {
		return nil, nil, err
	}
	_, public, err := s.suite.ake.derive(seed)
	if err != nil {
		return nil, nil, err
	}
	masking, err := s.suite.expand(s.seed, string(account)+"UnknownMaskingKey", s.suite.nh())
	if err != nil {
		return nil, nil, err
	}
	return append(append(public, masking...), make([]byte, s.suite.envelope())...), oprfKey, nil
}

// Credential is what a server keeps of an account. The identity is the one that the
// client gives as its own; nil is its public key.
type Credential struct{ Identity, Record, OPRFKey []byte }

// CheckKE1 refuses what Answer would refuse of KE1: a server that counts a login before
// it answers counts none that can't be answered.
func CheckKE1(ke1 []byte) error { return ristretto.checkKE1(ke1) }

func (s *suite) checkKE1(ke1 []byte) error {
	if len(ke1) != s.ke1() {
		return fmt.Errorf("KE1 has %d bytes instead of %d", len(ke1), s.ke1())
	}
	if _, err := s.decode("the blinded element", ke1[:s.element()]); err != nil {
		return err
	}
	return s.ake.admit("the device's key share", ke1[s.element()+envelopeNonce:])
}

// Answer makes KE2. Who gets it can try one password, so the try is counted before.
func (s *Server) Answer(context []byte, c Credential, ke1 []byte) (ke2 []byte, p *Pending, err error) {
	u := s.suite
	if err := u.checkRecord(c.Record); err != nil {
		return nil, nil, err
	}
	if err := u.checkKE1(ke1); err != nil {
		return nil, nil, err
	}
	public, masking, envelope := c.Record[:u.ake.size()], c.Record[u.ake.size():u.ake.size()+u.nh()], c.Record[u.ake.size()+u.nh():]
	evaluated, err := u.evaluate(c.OPRFKey, ke1[:u.element()])
	if err != nil {
		return nil, nil, err
	}
	maskingNonce, err := draw(s.random, envelopeNonce)
	if err != nil {
		return nil, nil, err
	}
	masked, err := u.unmask(masking, maskingNonce, append(append([]byte(nil), s.public...), envelope...))
	if err != nil {
		return nil, nil, err
	}
	nonce, err := draw(s.random, envelopeNonce)
	if err != nil {
		return nil, nil, err
	}
	seed, err := draw(s.random, keySeed)
	if err != nil {
		return nil, nil, err
	}
	secret, share, err := u.ake.derive(seed)
	if err != nil {
		return nil, nil, err
	}
	ke2 = append(append(evaluated, maskingNonce...), masked...)
	ke2 = append(append(ke2, nonce...), share...)
	theirs := ke1[u.element()+envelopeNonce:]
	ikm, err := u.tripled([3][2][]byte{{secret, theirs}, {s.private, theirs}, {secret, public}})
	if err != nil {
		return nil, nil, err
	}
	a, err := u.agree(ikm, &transcript{context: context, client: identity(c.Identity, public), server: identity(s.identity, s.public), ke1: ke1, ke2: ke2})
	if err != nil {
		return nil, nil, err
	}
	return append(ke2, a.serverMAC...), &Pending{a.clientMAC, a.session}, nil
}

// Pending is a login whose KE3 is awaited.
type Pending struct{ expected, session []byte }

// Finish checks KE3, once: a second try at the same login fails whatever it says.
func (p *Pending) Finish(ke3 []byte) (session []byte, err error) {
	expected := p.expected
	p.expected = nil
	if expected == nil || !hmac.Equal(expected, ke3) {
		return nil, errClient
	}
	return p.session, nil
}
