package session

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// PostQuantumRole is the role by whose ML-DSA keys the nodes of a fleet sign each session
// inside TLS, which has no ML-DSA itself. The bundle, which a device has verified, demands
// that: empty is one without such keys. given is the role where the device pins it, or
// names it because there are several; then a bundle without it is refused. No node has a
// say in it.
func PostQuantumRole(set *bundle.KeySet, given string) (string, error) {
	all, mixed := set.PostQuantumRoles()
	switch {
	case len(mixed) > 0:
		return "", refuse(ReasonPostQuantum, "in the fleet's bundle some keys of role %s are of ML-DSA and some aren't, so that not every node could sign a session with one", mixed[0])
	case given != "" && !slices.Contains(all, given):
		return "", refuse(ReasonPostQuantum, "each session has to be signed by an ML-DSA key of role %q, and the fleet's bundle has none: its roles are %v", given, set.Roles())
	case given != "":
		return given, nil
	case len(all) > 1:
		return "", refuse(ReasonPostQuantum, "the fleet's bundle has %d roles of ML-DSA keys, %v: name the one that signs sessions", len(all), all)
	case len(all) == 1:
		return all[0], nil
	}
	return "", nil
}

// PostQuantum is an HSM's ML-DSA key, which signs each session inside TLS.
type PostQuantum struct {
	role   string
	public *keys.Public
	sign   func(message []byte) ([]byte, error)
}

// probe is what the key signs before the node says anything. It is no session's text.
const probe = "fleetctl session probe v1\n"

// NewPostQuantum is the key of a role with this SubjectPublicKeyInfo. sign has the token
// sign a message for a session, as hsm.Token does with [keys.ForSession]: whether it does
// is tried at once.
func NewPostQuantum(role string, spki []byte, sign func(message []byte) ([]byte, error)) (*PostQuantum, error) {
	p, err := keys.ParseSPKI(spki)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the key of role %s %w", role, err)
	case !p.Algorithm().IsMLDSA():
		return nil, fmt.Errorf("the key of role %s is of kind %s, and a session is signed by one of ML-DSA too", role, p.Algorithm())
	}
	k := &PostQuantum{role, p, sign}
	sig, err := sign([]byte(probe))
	if err == nil {
		err = p.Verify(keys.ForSession, []byte(probe), sig)
	}
	if err != nil {
		return nil, fmt.Errorf("the HSM doesn't sign with its key of role %s, as each session of this fleet demands: %w", role, err)
	}
	return k, nil
}

// serves demands that the key is there if a bundle demands it, and is this node's. It says
// whether it signs.
func (k *PostQuantum) serves(set *bundle.KeySet, node string) (bool, error) {
	given := ""
	if k != nil {
		given = k.role
	}
	role, err := PostQuantumRole(set, given)
	switch {
	case err != nil:
		return false, err
	case role == "":
		return false, nil
	case k == nil:
		return false, refuse(ReasonPostQuantum, "the fleet's bundle has the role %s of ML-DSA keys, by which each session has to be signed, and node %s has no such key at work", role, node)
	}
	return true, named(set, role, node, k.public.SPKI())
}

// channel is what a signature inside TLS is about. Each of its parts differs where
// somebody would carry the signature to: another protocol, fleet, epoch or bundle,
// another HSM, another classical key, another connection.
type channel struct {
	protocol   string
	set        *bundle.KeySet
	bundle     [32]byte // SHA-256 of the bundle's file
	node       string
	side       string // of TLS, on which that node is: else a node could be told its own words
	role, tls  string // of the key that signs, and of the one that TLS has shown
	shown      []byte // that one's SPKI
	connection []byte // RFC 9266
}

// The sides of TLS.
const (
	client = "client"
	server = "server"
)

// bindingLabel gives the channel binding "tls-exporter" of RFC 9266, section 2.
const bindingLabel = "EXPORTER-Channel-Binding"

// bind adds the connection, which has to be as strong: its key exchange is one that a
// quantum computer doesn't break.
func (c *channel) bind(t *tls.Conn) (err error) {
	s := t.ConnectionState()
	switch s.CurveID {
	case tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024:
	default:
		return refuse(ReasonPostQuantum, "the two sides exchange keys by %s, and this fleet's sessions are signed by ML-DSA too: a key exchange with ML-KEM has to go with it", s.CurveID)
	}
	c.connection, err = s.ExportKeyingMaterial(bindingLabel, nil, 32)
	return err
}

// text is what is signed. Its parts are tokens and hex, so that no two say the same.
func (c *channel) text() []byte {
	p, artifact := sha256.Sum256(c.shown), c.set.Digest()
	return []byte(strings.Join([]string{
		"fleetctl session signature v1", c.protocol, c.set.Mode, c.set.Namespace, c.set.Fleet, strconv.FormatUint(c.set.Epoch, 10),
		hex.EncodeToString(artifact[:]), hex.EncodeToString(c.bundle[:]), c.side, c.node, c.role, c.tls, hex.EncodeToString(p[:]), hex.EncodeToString(c.connection), "",
	}, "\n"))
}

// sign writes the signature's frame.
func (c *channel) sign(t *tls.Conn, k *PostQuantum) error {
	if err := c.bind(t); err != nil {
		return err
	}
	sig, err := k.sign(c.text())
	if err != nil {
		return fmt.Errorf("the HSM doesn't sign the session with its key of role %s: %w", k.role, err)
	}
	_, err = t.Write((&signed{k.role, sig}).encode())
	return err
}

// verify reads the signature's frame, and demands that it is by the key which the bundle
// has of this node in the role.
func (c *channel) verify(t *tls.Conn) error {
	if err := c.bind(t); err != nil {
		return err
	}
	s, err := readSigned(t)
	if err != nil {
		return fmt.Errorf("node %s has not signed the session with its key of role %s: %w", c.node, c.role, err)
	}
	if s.role != c.role {
		return refuse(ReasonPostQuantum, "node %s signs the session with its key of role %s; one of role %s is demanded", c.node, s.role, c.role)
	}
	for _, k := range c.set.Keys {
		if k.HSM != c.node || k.Role != c.role {
			continue
		}
		if err := k.Public.Verify(keys.ForSession, c.text(), s.signature); err != nil {
			return refuse(ReasonPostQuantum, "the session is not signed by the key that node %s has in role %s: %w", c.node, c.role, err)
		}
		return nil
	}
	return refuse(ReasonPostQuantum, "the fleet's bundle has no key of node %s in role %s", c.node, c.role)
}

// signed is the frame of a signature:
//
//	length     uint32, of what follows
//	role       uint8 length, name
//	signature  what is left
type signed struct {
	role      string
	signature []byte
}

var maxSigned = uint32(1 + maxNode + keys.MLDSA87.MaxSignature())

func (s *signed) encode() []byte {
	body := append(append([]byte{byte(len(s.role))}, s.role...), s.signature...)
	return framed(body)
}

func readSigned(r io.Reader) (*signed, error) {
	body, err := readFrame(r, maxSigned)
	if err != nil {
		return nil, err
	}
	return parseSigned(body)
}

func parseSigned(b []byte) (*signed, error) {
	if len(b) == 0 {
		return nil, refuse(ReasonAnswer, "the frame of the node's signature is empty")
	}
	role, sig := int(b[0]), b[1:]
	if role > maxNode || role > len(sig) {
		return nil, refuse(ReasonAnswer, "the frame of the node's signature has a role of %d bytes; at most %d are allowed, and they must be there", role, maxNode)
	}
	s := &signed{string(sig[:role]), bytes.Clone(sig[role:])}
	if err := strict.CheckToken(s.role); err != nil {
		return nil, refuse(ReasonAnswer, "the role in the frame of the node's signature %w", err)
	}
	if n := len(s.signature); !slices.ContainsFunc(keys.Algorithms, func(a keys.Algorithm) bool { return a.IsMLDSA() && a.MaxSignature() == n }) {
		return nil, refuse(ReasonAnswer, "the frame of the node's signature has one of %d bytes, which is no signature of ML-DSA", n)
	}
	return s, nil
}
