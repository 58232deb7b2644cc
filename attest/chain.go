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

// MaxChain is the most certificates that a chain has.
const MaxChain = 8

// The faults of vendors' certificates that a format may take by name. Each one
// met is reported in Claims.Quirks.
const (
	QuirkSHA1               = "sha1-signature"               // something signed over SHA-1
	QuirkShortRSA           = "rsa-below-2048"               // a certificate's RSA key of 1,024 to 2,047 bits
	QuirkNoBasicConstraints = "ca-without-basic-constraints" // an issuer that doesn't say that it is one
	QuirkNoCertSign         = "ca-without-cert-sign"         // an issuer whose key usage lacks keyCertSign
	// Of an nShield: a warrant given to a module after it was sold, on the word of a
	// DSA key of 1,024 bits.
	QuirkFieldUpgrade = "field-upgrade-warrant"
)

// Weak are the quirks that weaken what is shown: a demand has to tolerate them
// by name (Demand.Tolerates).
var Weak = []string{QuirkSHA1, QuirkShortRSA, QuirkFieldUpgrade}

// Chain is the certificates above a piece of evidence.
type Chain struct {
	Format string // whose anchors count
	// Certs begin with the one whose key signed the evidence; each further one
	// issued the one before it. The anchor's own may be left out, where the anchors
	// have it.
	Certs []*x509.Certificate
	// Quirks are those above that this format takes.
	Quirks []string
	// Critical are critical extensions that the caller judges itself.
	Critical []asn1.ObjectIdentifier
	// Signature is asked where a signature is none by the usual rules; it returns
	// the name of the quirk, one of Quirks, by which it is one. nil: there is none.
	Signature func(child, parent *x509.Certificate) (quirk string, err error)
}

// Path is a chain whose signatures, names, constraints and times fit.
type Path struct {
	Certs  []*x509.Certificate // as given, the anchor's appended where it was left out
	Anchor *Anchor             // nil: the chain stands under no pinned key
	Why    string              // why there is no anchor
	Until  time.Time           // the earliest end of those below the anchor, and of the anchor
	Quirks []string            // met, each once
}

// Level is what a chain is worth.
func (p *Path) Level() Level {
	if p.Anchor != nil {
		return Anchored
	}
	return VendorSigned
}

// Into writes into claims what the chain says.
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

// Verify checks the chain at a time. Only keys of anchors count, by their digest:
// no system's roots, and no certificate's own word that it is a root. A chain
// that fits and ends under no anchor is no error: Path.Anchor is nil.
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
	below   int // how many certificates stand below the anchor's
}

// quirk says whether the format takes a fault, and reports it.
func (w *walk) quirk(name string) bool {
	if !slices.Contains(w.Quirks, name) {
		return false
	}
	if !slices.Contains(w.p.Quirks, name) {
		w.p.Quirks = append(w.p.Quirks, name)
	}
	return true
}

// cert checks what a certificate says by itself.
func (w *walk) cert(i int, c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		if bits > 8192 || bits < 1024 || bits < 2048 && !w.quirk(QuirkShortRSA) {
			return fmt.Errorf("an RSA key of %d bits; 2048 to 8192 are taken", bits)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return errors.New("a key on P-224 is not taken")
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("a key of the kind %s is not taken", c.PublicKeyAlgorithm)
	}
	for _, id := range c.UnhandledCriticalExtensions {
		if !slices.ContainsFunc(w.Critical, id.Equal) {
			return fmt.Errorf("the critical extension %v is not understood", id)
		}
	}
	if c.PermittedDNSDomainsCritical {
		return errors.New("it constrains names, which are not judged here")
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
		return fmt.Errorf("%s: it names another issuer, %s: the chain is out of order or another's", between, strict.Clip(child.Issuer.String()))
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
	w.p.Why = fmt.Sprintf("no key pinned for %s stands above %s", w.Format, subject(top))
	for _, a := range w.anchors.For(w.Format) {
		if a.cert == nil || !bytes.Equal(a.cert.RawSubject, top.RawIssuer) {
			continue
		}
		// What is met while an anchor is tried is kept only if it is the one.
		quirks := slices.Clone(w.p.Quirks)
		if err := w.link(last, a.cert); err == nil {
			w.p.Anchor, w.p.Why = a, ""
			w.p.Certs = append(w.p.Certs, a.cert)
			return
		}
		w.p.Quirks = quirks
		w.p.Why = fmt.Sprintf("%s bears the name of the pinned %q, and its key is another", strict.Clip(top.Issuer.String()), strict.Clip(a.Name))
	}
}

// times judges when the certificates below the anchor are valid. The anchor is a
// key: its own certificate's dates don't count, those of the anchors file do.
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

// ParseCertificates reads 1 to MaxChain certificates, PEM or DER one behind the
// other, with nothing between or after them.
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
	// How many there are is known before any is parsed.
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
