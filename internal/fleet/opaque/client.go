package opaque

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// ErrWrong is what a login ends with on the device where the envelope doesn't open: the
// password is wrong, the account doesn't exist, or the peer isn't the server at which
// the account was registered. The protocol lets nobody tell these apart.
var ErrWrong = errors.New("the password or code doesn't open the record: it is wrong, or there is no such account")

// ErrServer is where the envelope opens and the server's proof fails: the peer doesn't
// have the private key of the server at which the account was registered, or the login
// belongs to another channel.
var ErrServer = errors.New("the server doesn't prove that it has the key with which the account was registered, in this session")

// Client is a device's side.
type Client struct {
	Random io.Reader
	// Stretch has to be the same at registration and at each login.
	Stretch Stretch
	// Identities of both, the same at registration and at each login, here and at the
	// server; nil is the public key.
	Identity, Server []byte

	suite *suite // nil: ristretto255
}

func (c *Client) in() *suite {
	if c.suite != nil {
		return c.suite
	}
	return ristretto
}

// blinded is a password on its way through the server's OPRF.
type blinded struct {
	client *Client
	state  *oprf.FinalizeData
	// What was evaluated last, and what came of it: a login that is taken to another node
	// of the same server stretches once.
	evaluated, result []byte
}

func (c *Client) blind(password []byte) (*blinded, []byte, error) {
	switch {
	case c.Random == nil || c.Stretch == nil:
		return nil, nil, errors.New("opaque: a client wants a source of randomness and a stretching")
	case len(password) == 0 || len(password) > longest:
		return nil, nil, fmt.Errorf("a password or code of %d bytes: it has 1 to %d", len(password), longest)
	}
	k, err := c.in().scalar(c.Random)
	if err != nil {
		return nil, nil, err
	}
	state, request, err := oprf.NewClient(c.in().oprf).DeterministicBlind([][]byte{password}, []group.Scalar{k})
	if err != nil {
		return nil, nil, fmt.Errorf("the password can't be blinded; choose another: %w", err)
	}
	element, err := request.Elements[0].MarshalBinaryCompress()
	if err != nil {
		return nil, nil, err
	}
	return &blinded{client: c, state: state}, element, nil
}

// randomized is the randomized password: what the rest follows from.
func (b *blinded) randomized(evaluated []byte) ([]byte, error) {
	if b.result != nil && bytes.Equal(evaluated, b.evaluated) {
		return b.result, nil
	}
	s := b.client.in()
	e, err := s.decode("the evaluated element", evaluated)
	if err != nil {
		return nil, err
	}
	out, err := oprf.NewClient(s.oprf).Finalize(b.state, &oprf.Evaluation{Elements: []oprf.Evaluated{e}})
	if err != nil {
		return nil, err
	}
	result, err := hkdf.Extract(s.hash, append(out[0], b.client.Stretch(out[0])...), nil)
	if err != nil {
		return nil, err
	}
	b.evaluated, b.result = bytes.Clone(evaluated), result
	return result, nil
}

// opened is what an envelope holds, made anew from the randomized password.
type opened struct{ private, public, tag, export []byte }

func (c *Client) open(randomized, nonce, server []byte) (*opened, error) {
	s, o := c.in(), &opened{}
	auth, err := s.expand(randomized, string(nonce)+"AuthKey", s.nh())
	if err != nil {
		return nil, err
	}
	if o.export, err = s.expand(randomized, string(nonce)+"ExportKey", s.nh()); err != nil {
		return nil, err
	}
	seed, err := s.expand(randomized, string(nonce)+"PrivateKey", keySeed)
	if err != nil {
		return nil, err
	}
	if o.private, o.public, err = s.ake.derive(seed); err != nil {
		return nil, err
	}
	ours, theirs := identity(c.Identity, o.public), identity(c.Server, server)
	if len(ours) > longest || len(theirs) > longest {
		return nil, fmt.Errorf("an identity has at most %d bytes", longest)
	}
	o.tag = s.mac(auth, nonce, server, prefixed(theirs), prefixed(ours))
	return o, nil
}

// Registration is one that waits for the server's response.
type Registration struct{ *blinded }

// Register begins a registration. The request goes to the server.
func (c *Client) Register(password []byte) (request []byte, r *Registration, err error) {
	b, request, err := c.blind(password)
	if err != nil {
		return nil, nil, err
	}
	return request, &Registration{b}, nil
}

// Finish makes the record that the server keeps, and the export key that it never sees.
// The record goes over a confidential channel (RFC 9807, 10.10).
func (r *Registration) Finish(response []byte) (record, export []byte, err error) {
	c, s := r.client, r.client.in()
	if want := s.element() + s.ake.size(); len(response) != want {
		return nil, nil, fmt.Errorf("the registration response has %d bytes instead of %d", len(response), want)
	}
	server := response[s.element():]
	if err := s.ake.admit("the server's public key", server); err != nil {
		return nil, nil, err
	}
	randomized, err := r.randomized(response[:s.element()])
	if err != nil {
		return nil, nil, err
	}
	nonce, err := draw(c.Random, envelopeNonce)
	if err != nil {
		return nil, nil, err
	}
	masking, err := s.expand(randomized, "MaskingKey", s.nh())
	if err != nil {
		return nil, nil, err
	}
	o, err := c.open(randomized, nonce, server)
	if err != nil {
		return nil, nil, err
	}
	record = append(append([]byte(nil), o.public...), masking...)
	return append(append(record, nonce...), o.tag...), o.export, nil
}

// Login is one that waits for the server's KE2.
type Login struct {
	*blinded
	secret, ke1 []byte
}

// Login begins a login: KE1 goes to the server.
func (c *Client) Login(password []byte) (ke1 []byte, l *Login, err error) {
	b, element, err := c.blind(password)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := draw(c.Random, envelopeNonce)
	if err != nil {
		return nil, nil, err
	}
	seed, err := draw(c.Random, keySeed)
	if err != nil {
		return nil, nil, err
	}
	secret, share, err := c.in().ake.derive(seed)
	if err != nil {
		return nil, nil, err
	}
	ke1 = append(append(element, nonce...), share...)
	return ke1, &Login{b, secret, ke1}, nil
}

// Session is what a device has after a login: KE3 for the server, and its keys.
type Session struct{ KE3, Key, Export []byte }

// Finish opens the envelope and checks the server's proof over the whole login and its
// context. It gives nothing where either fails.
func (l *Login) Finish(context, ke2 []byte) (*Session, error) {
	c, s := l.client, l.client.in()
	if len(ke2) != s.ke2() {
		return nil, fmt.Errorf("KE2 has %d bytes instead of %d", len(ke2), s.ke2())
	}
	randomized, err := l.randomized(ke2[:s.element()])
	if err != nil {
		return nil, err
	}
	masking, err := s.expand(randomized, "MaskingKey", s.nh())
	if err != nil {
		return nil, err
	}
	rest := ke2[s.element():]
	clear, err := s.unmask(masking, rest[:envelopeNonce], rest[envelopeNonce:envelopeNonce+s.masked()])
	if err != nil {
		return nil, err
	}
	server, envelope := clear[:s.ake.size()], clear[s.ake.size():]
	o, err := c.open(randomized, envelope[:envelopeNonce], server)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(o.tag, envelope[envelopeNonce:]) {
		return nil, ErrWrong
	}
	share := ke2[s.response()+envelopeNonce : len(ke2)-s.nh()]
	ikm, err := s.tripled([3][2][]byte{{l.secret, share}, {l.secret, server}, {o.private, share}})
	if err != nil {
		return nil, err
	}
	a, err := s.agree(ikm, &transcript{context: context, client: identity(c.Identity, o.public), server: identity(c.Server, server), ke1: l.ke1, ke2: ke2[:len(ke2)-s.nh()]})
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(a.serverMAC, ke2[len(ke2)-s.nh():]) {
		return nil, ErrServer
	}
	return &Session{KE3: a.clientMAC, Key: a.session, Export: o.export}, nil
}

// unmask takes the pad off the server's public key and the envelope, or puts it on.
func (s *suite) unmask(masking, nonce, data []byte) ([]byte, error) {
	pad, err := s.expand(masking, string(nonce)+"CredentialResponsePad", s.masked())
	if err != nil {
		return nil, err
	}
	subtle.XORBytes(pad, pad, data)
	return pad, nil
}

// tripled is the three exchanges of 3DH, each of a private and a public key.
func (s *suite) tripled(pairs [3][2][]byte) (ikm []byte, err error) {
	for _, p := range pairs {
		secret, err := s.ake.shared(p[0], p[1])
		if err != nil {
			return nil, err
		}
		ikm = append(ikm, secret...)
	}
	return ikm, nil
}
