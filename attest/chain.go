package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// MaxChain is how many certificates a chain may have.
const MaxChain = 8

// Known faults of vendors' certificates, which a format may tolerate by name. Each
// one that is found is reported in Claims.Quirks.
const (
	QuirkSHA1               = "sha1-signature"               // a signature over SHA-1
	QuirkShortRSA           = "rsa-below-2048"               // a certificate's RSA key of 1,024 to 2,047 bits
	QuirkNoBasicConstraints = "ca-without-basic-constraints" // an issuer's certificate without basic constraints
	QuirkNoCertSign         = "ca-without-cert-sign"         // an issuer whose key usage lacks keyCertSign
	// Of an nShield: a warrant that a module got after it was sold, on the
	// signature of a DSA key of 1,024 bits.
	QuirkFieldUpgrade = "field-upgrade-warrant"
)

// Weak are the quirks that weaken what evidence shows. Judge refuses them unless
// the demand names them in Tolerates.
var Weak = []string{QuirkSHA1, QuirkShortRSA, QuirkFieldUpgrade}

// Chain is the chain of certificates from a piece of evidence up to an anchor.
type Chain struct {
	Format string // whose anchors count
	// Certs begin with the certificate whose key signed the evidence; each
	// further one issued the one before it. The anchor's own may be left out if
	// the anchors have it.
	Certs []*x509.Certificate
	// Quirks are the faults, of those above, that this format tolerates.
	Quirks []string
	// Critical are the critical extensions that the caller checks itself.
	Critical []asn1.ObjectIdentifier
	// Signature, if not nil, is called for a signature that doesn't verify by the
	// usual rules. If it verifies by a quirk, one of Quirks, its name is returned.
	Signature func(child, parent *x509.Certificate) (quirk string, err error)
}

// Path is a chain whose signatures, names, constraints and times were verified.
type Path struct {
	Certs  []*x509.Certificate // as given; the anchor's is appended if it was left out
	Anchor *Anchor             // nil: the chain leads to no pinned key
	Why    string              // why there is no anchor
	Until  time.Time           // when the first of the certificates below the anchor, or the anchor, ends
	Quirks []string            // those found, each once
}

// Level is Anchored if the chain leads to an anchor, otherwise VendorSigned.
func (p *Path) Level() Level {
	if p.Anchor != nil {
		return Anchored
	}
	return VendorSigned
}

// Into writes what the chain shows into claims.
func (p *Path) Into(c *Claims) {
	c.Level, c.Anchor, c.NoAnchor = p.Level(), p.Anchor, p.Why
	if c.Until.IsZero() || p.Until.Before(c.Until) {
		c.Until = p.Until
	}
	for _, q := range p.Quirks {
		if !slices.Contains(c.Quirks, q) {
			c.Quirks = append(c.Quirks, q)
		}
	}
}

// Verify verifies the chain as of a time. Only the anchors' keys count as roots, by
// their digests: neither the system's roots nor a certificate that says itself that
// it is a root. A valid chain that leads to no anchor is no error: Path.Anchor is
// then nil.
func (c Chain) Verify(anchors *Anchors, at time.Time) (*Path, error) {
	if n := len(c.Certs); n == 0 || n > MaxChain {
		return nil, fmt.Errorf("chain: %d certificates; it has 1 to %d", n, MaxChain)
	}
	w := &walk{Chain: c, anchors: anchors, at: at, p: &Path{Certs: slices.Clone(c.Certs)}}
	for i, cert := range c.Certs {
		if err := w.cert(i, cert); err != nil {
			return nil, fmt.Errorf("chain: certificate %d (%s): %w", i, subject(cert), err)
		}
		if i > 0 {
			if err := w.link(i-1, cert); err != nil {
				return nil, fmt.Errorf("chain: %w", err)
			}
		}
	}
	w.findAnchor()
	if err := w.times(); err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	return w.p, nil
}

func subject(c *x509.Certificate) string { return strict.Clip(c.Subject.String()) }

type walk struct {
	Chain
	anchors *Anchors
	at      time.Time
	p       *Path
	below   int // how many certificates are below the anchor's
}

// quirk says whether the format tolerates a fault, and reports it.
func (w *walk) quirk(name string) bool {
	if !slices.Contains(w.Quirks, name) {
		return false
	}
	if !slices.Contains(w.p.Quirks, name) {
		w.p.Quirks = append(w.p.Quirks, name)
	}
	return true
}

// cert checks one certificate by itself.
func (w *walk) cert(i int, c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		if bits > 8192 || bits < 1024 || bits < 2048 && !w.quirk(QuirkShortRSA) {
			return fmt.Errorf("an RSA key of %d bits; 2048 to 8192 are accepted", bits)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return errors.New("a key on P-224 is not accepted")
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("a key of the kind %s is not accepted", c.PublicKeyAlgorithm)
	}
	for _, id := range c.UnhandledCriticalExtensions {
		if !slices.ContainsFunc(w.Critical, id.Equal) {
			return fmt.Errorf("the critical extension %v is not understood", id)
		}
	}
	if c.PermittedDNSDomainsCritical {
		return errors.New("it has name constraints, which are not supported")
	}
	for _, other := range w.Certs[:i] {
		if bytes.Equal(other.Raw, c.Raw) {
			return errors.New("it stands twice in the chain")
		}
	}
	return nil
}

// link checks that parent issued the certificate at i.
func (w *walk) link(i int, parent *x509.Certificate) error {
	child := w.p.Certs[i]
	between := fmt.Sprintf("certificate %d (%s) under %s", i, subject(child), subject(parent))
	switch {
	case !bytes.Equal(child.RawIssuer, parent.RawSubject):
		return fmt.Errorf("%s: it names another issuer, %s: the chain is out of order, or belongs to something else", between, strict.Clip(child.Issuer.String()))
	case !parent.BasicConstraintsValid && !w.quirk(QuirkNoBasicConstraints), parent.BasicConstraintsValid && !parent.IsCA:
		return fmt.Errorf("%s: the issuer is no certification authority", between)
	case parent.BasicConstraintsValid && (parent.MaxPathLen > 0 || parent.MaxPathLenZero) && i > parent.MaxPathLen:
		return fmt.Errorf("%s: the issuer allows %d authorities below it, and there are %d", between, parent.MaxPathLen, i)
	case parent.KeyUsage != 0 && parent.KeyUsage&x509.KeyUsageCertSign == 0 && !w.quirk(QuirkNoCertSign):
		return fmt.Errorf("%s: the issuer's key usage does not let it sign certificates", between)
	}
	if err := w.signature(child, parent); err != nil {
		return fmt.Errorf("%s: %w", between, err)
	}
	return nil
}

func (w *walk) signature(child, parent *x509.Certificate) error {
	weak := child.SignatureAlgorithm == x509.SHA1WithRSA || child.SignatureAlgorithm == x509.ECDSAWithSHA1
	err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	if weak {
		if !w.quirk(QuirkSHA1) {
			return errors.New("it is signed over SHA-1")
		}
		err = checkSHA1(child, parent)
	}
	if err != nil && w.Signature != nil {
		name, err := w.Signature(child, parent)
		switch {
		case err != nil:
			return fmt.Errorf("the signature does not verify: %w", err)
		case name != "" && w.quirk(name):
			return nil
		}
	}
	if err != nil {
		return errors.New("the signature does not verify")
	}
	return nil
}

// findAnchor finds the lowest pinned key of the chain, or the anchor that issued
// its last certificate.
func (w *walk) findAnchor() {
	w.below = len(w.Certs)
	for i, c := range w.Certs {
		if a := w.anchors.Find(w.Format, c.RawSubjectPublicKeyInfo); a != nil {
			w.p.Anchor, w.below = a, i
			return
		}
	}
	last := len(w.Certs) - 1
	top := w.Certs[last]
	w.p.Why = fmt.Sprintf("no key that is pinned for %s issued %s", w.Format, subject(top))
	for _, a := range w.named(top) {
		// Quirks that are found while an anchor is tried are kept only if it issued
		// the certificate.
		quirks := slices.Clone(w.p.Quirks)
		if err := w.link(last, a.cert); err == nil {
			w.p.Anchor, w.p.Why = a, ""
			w.p.Certs = append(w.p.Certs, a.cert)
			return
		}
		w.p.Quirks = quirks
		w.p.Why = fmt.Sprintf("%s has the name of the pinned %q, but another key", strict.Clip(top.Issuer.String()), strict.Clip(a.Name))
	}
}

// named are the anchors of the name of a certificate's issuer; those whose key it
// names come first, since each of the others costs a signature to rule out.
func (w *walk) named(top *x509.Certificate) (list []*Anchor) {
	var others []*Anchor
	for _, a := range w.anchors.For(w.Format) {
		switch {
		case a.cert == nil || !bytes.Equal(a.cert.RawSubject, top.RawIssuer):
		case bytes.Equal(a.cert.SubjectKeyId, top.AuthorityKeyId):
			list = append(list, a)
		default:
			others = append(others, a)
		}
	}
	return append(list, others...)
}

// times checks that the certificates below the anchor are valid at the time. The
// dates of the anchor's own certificate don't count: the anchors file has its dates.
func (w *walk) times() error {
	for i, c := range w.Certs[:w.below] {
		if w.at.Before(c.NotBefore) || w.at.After(c.NotAfter) {
			return fmt.Errorf("certificate %d (%s) is valid from %s to %s, not at %s", i, subject(c), strict.FormatTime(c.NotBefore), strict.FormatTime(c.NotAfter), strict.FormatTime(w.at))
		}
		if w.p.Until.IsZero() || c.NotAfter.Before(w.p.Until) {
			w.p.Until = c.NotAfter
		}
	}
	if a := w.p.Anchor; a != nil {
		if !a.Valid(w.at) {
			return fmt.Errorf("the anchor %q is pinned until %s, not at %s", strict.Clip(a.Name), strict.FormatTime(*a.NotAfter), strict.FormatTime(w.at))
		}
		if a.NotAfter != nil && (w.p.Until.IsZero() || a.NotAfter.Before(w.p.Until)) {
			w.p.Until = *a.NotAfter
		}
	}
	return nil
}

// ParseCertificates reads 1 to MaxChain certificates in PEM or DER, one directly
// after the other, with nothing between or after them.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	der := data
	if bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		der = nil
		for rest := data; len(bytes.TrimSpace(rest)) > 0; {
			block, more := pem.Decode(rest)
			if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 || !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("-----BEGIN CERTIFICATE-----")) {
				return nil, errors.New("not PEM certificates alone")
			}
			der, rest = append(der, block.Bytes...), more
		}
	}
	// They are counted before any is parsed.
	for rest, n := der, 0; len(rest) > 0; n++ {
		var one asn1.RawValue
		more, err := asn1.Unmarshal(rest, &one)
		if err != nil || n == MaxChain {
			return nil, fmt.Errorf("not 1 to %d certificates, one behind the other, and nothing else", MaxChain)
		}
		rest = more
	}
	list, err := x509.ParseCertificates(der)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not certificates: %w", err)
	case len(list) == 0:
		return nil, errors.New("no certificate is there")
	}
	return list, nil
}
