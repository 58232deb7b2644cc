package session

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// The protocols inside TLS. Each side demands its own: what speaks the one can't be
// led to the other.
const (
	DrillProtocol = "fleetctl-drill/1"
	RaftProtocol  = "fleetctl-raft/1"
)

// patience is how long the other side has for the handshake and the first frame.
const patience = 20 * time.Second

// exporterLabel is what OPAQUE's context and signatures inside the channel are bound
// to: see [Conn.Exporter].
const exporterLabel = "EXPORTER-fleetctl-drill-1"

// config is what both sides have in common. Certificates are not looked at by Go: the
// key alone counts, and whose it is only the bundle says.
func config(protocol string, check func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13,
		NextProtos: []string{protocol},
		// A ticket would let a session be resumed without the HSM.
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true,
		VerifyConnection: func(s tls.ConnectionState) error {
			switch {
			case s.Version != tls.VersionTLS13:
				return refuse(ReasonTLS, "the other side chose TLS version %#x; only TLS 1.3 is spoken here", s.Version)
			case s.NegotiatedProtocol != protocol:
				return refuse(ReasonALPN, "the other side doesn't say that it speaks %s", protocol)
			case s.DidResume:
				return refuse(ReasonTLS, "the other side resumes an earlier session; each is opened by the HSM's key")
			}
			return check(s)
		},
	}
}

// shown is the key of the certificate that the other side has shown, as an SPKI. That
// it has the private half TLS itself has verified.
func shown(s tls.ConnectionState) ([]byte, error) {
	if n := len(s.PeerCertificates); n != 1 {
		return nil, refuse(ReasonCertificate, "the other side shows %d certificates; a node shows one, which its key signed", n)
	}
	return shownBy(s.PeerCertificates[0])
}

func shownBy(c *x509.Certificate) ([]byte, error) {
	p, err := keys.ParseSPKI(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil, refuse(ReasonCertificate, "the key of the certificate that the other side shows %w", err)
	}
	if _, ok := schemes[p.Algorithm()]; !ok {
		return nil, refuse(ReasonCertificate, "the other side shows a certificate with a key of kind %s, which signs no TLS handshake", p.Algorithm())
	}
	return p.SPKI(), nil
}

// Conn is an open session: bytes, and what both sides know of it.
type Conn struct {
	net.Conn
	tls      *tls.Conn
	node     string
	key      []byte
	artifact [sha256.Size]byte
	exporter []byte
}

// newConn is a session with a node, once both sides have the same artifact.
func newConn(c *tls.Conn, node string, key []byte, artifact [sha256.Size]byte) (*Conn, error) {
	s := c.ConnectionState()
	exporter, err := s.ExportKeyingMaterial(exporterLabel, append(artifact[:], node...), sha256.Size)
	if err != nil {
		return nil, err
	}
	return &Conn{c, c, node, key, artifact, exporter}, nil
}

// Node is the name of the node that has the HSM's key in this session.
func (c *Conn) Node() string { return c.node }

// Key is that node's session key, a DER SubjectPublicKeyInfo.
func (c *Conn) Key() []byte { return c.key }

// Artifact is the SHA-256 of the artifact by which the node is known.
func (c *Conn) Artifact() [sha256.Size]byte { return c.artifact }

// Exporter is 32 bytes that the two ends of this session have and nobody else (RFC
// 8446, section 7.5), of the node and the artifact too. What is bound to them can't be
// carried into another session.
func (c *Conn) Exporter() []byte { return append([]byte{}, c.exporter...) }

// Group is the key exchange that both sides have used.
func (c *Conn) Group() string { return c.tls.ConnectionState().CurveID.String() }
