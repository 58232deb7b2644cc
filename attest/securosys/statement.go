package securosys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// statement is what a Primus HSM states of one of its keys.
type statement struct {
	Creation string // generated, or how else the key came into the HSM
	Label    string
	Created  time.Time
	Attested time.Time
	Uses     string
	SPKI     []byte
	// Attributes are those of PKCS#11, by their names in small letters.
	Attributes map[string]attest.Answer
	Unknown    []string // names that this package does not know
}

// known are the attributes that Primus writes.
var known = []string{"decrypt", "sign", "unwrap", "derive", "sensitive", "always_sensitive", "extractable", "never_extractable",
	"modifiable", "copyable", "destroyable", "unique"}

// parseStatement reads the XML. It refuses an element that stands twice, or that
// has text where it should have elements; it lists names that it doesn't know.
func parseStatement(in []byte) (*statement, error) {
	root, err := parseXML(in, "private_key")
	if err != nil {
		return nil, err
	}
	s := &statement{Creation: root.attributes["creation"], Attributes: map[string]attest.Answer{}}
	if s.Creation == "" || len(root.attributes) > 1 {
		return nil, fmt.Errorf("<private_key> has the attributes %q; it has creation alone, which says where the key comes from", slices.Sorted(maps.Keys(root.attributes)))
	}
	fields := map[string]*element{}
	for i := range root.children {
		e := &root.children[i]
		if fields[e.name] != nil {
			return nil, fmt.Errorf("<%s> stands there twice", e.name)
		}
		fields[e.name] = e
		switch text, isText := texts()[e.name]; {
		case !isText && e.name != "attributes":
			s.Unknown = append(s.Unknown, e.name)
		case len(e.attributes) > 0, isText == (len(e.children) > 0):
			return nil, fmt.Errorf("<%s> has attributes, or holds elements where it should hold text, or text where it should hold elements", e.name)
		case text && e.text == "":
			return nil, fmt.Errorf("<%s> is empty", e.name)
		}
	}
	for name, must := range texts() {
		if must && fields[name] == nil {
			return nil, fmt.Errorf("<%s> is missing", name)
		}
	}
	if fields["attributes"] == nil {
		return nil, errors.New("<attributes> is missing")
	}
	for _, e := range fields["attributes"].children {
		if err := s.attribute(e); err != nil {
			return nil, err
		}
	}
	if err := s.fields(fields); err != nil {
		return nil, err
	}
	if err := s.consistent(); err != nil {
		return nil, err
	}
	return s, nil
}

// texts are the elements with text, and whether a statement must have them. An RSA
// key has a size and no curve, a key on a curve has a curve and no size.
func texts() map[string]bool {
	return map[string]bool{"label": true, "create_time": true, "attest_time": true, "algorithm": true, "algorithm_oid": true,
		"public_key": true, "key_use_count": false, "key_size": false, "curve_oid": false}
}

// consistent refuses attributes that can't be true together.
func (s *statement) consistent() error {
	a := s.Attributes
	if a["never_extractable"] == attest.True && a["extractable"] == attest.True {
		return errors.New("the key is extractable and never was: the statement contradicts itself")
	}
	if a["always_sensitive"] == attest.True && a["sensitive"] == attest.False {
		return errors.New("the key is not sensitive and always was: the statement contradicts itself")
	}
	return nil
}

func (s *statement) attribute(e element) error {
	if _, twice := s.Attributes[e.name]; twice || slices.Contains(s.Unknown, "attributes/"+e.name) {
		return fmt.Errorf("attribute <%s> stands there twice", e.name)
	}
	if !slices.Contains(known, e.name) {
		s.Unknown = append(s.Unknown, "attributes/"+e.name)
		return nil
	}
	switch {
	case len(e.children) > 0 || len(e.attributes) > 0:
		return fmt.Errorf("attribute <%s> holds elements, or has attributes", e.name)
	case e.text == "true", e.text == "false":
		s.Attributes[e.name] = attest.Of(e.text == "true")
	default:
		return fmt.Errorf("attribute <%s> is %q, neither true nor false", e.name, strict.Clip(e.text))
	}
	return nil
}

func (s *statement) fields(f map[string]*element) (err error) {
	text := func(name string) string {
		if f[name] == nil {
			return ""
		}
		return f[name].text
	}
	s.Label = text("label")
	if err := strict.CheckText(s.Label, 200); err != nil {
		return fmt.Errorf("<label>: %w", err)
	}
	for name, to := range map[string]*time.Time{"create_time": &s.Created, "attest_time": &s.Attested} {
		if *to, err = strict.ParseTime(text(name)); err != nil {
			return fmt.Errorf("<%s>: %w", name, err)
		}
	}
	if s.Attested.Before(s.Created) {
		return fmt.Errorf("<attest_time> %s is before <create_time> %s", strict.FormatTime(s.Attested), strict.FormatTime(s.Created))
	}
	if s.Uses = text("key_use_count"); s.Uses != "" {
		if _, err := strict.ParseUint(s.Uses); err != nil {
			return fmt.Errorf("<key_use_count>: %w", err)
		}
	}
	if s.SPKI, err = strict.ParseBase64(text("public_key")); err != nil {
		return fmt.Errorf("<public_key>: %w", err)
	}
	key, err := x509.ParsePKIXPublicKey(s.SPKI)
	if err != nil {
		return fmt.Errorf("<public_key>: %w", err)
	}
	if again, err := x509.MarshalPKIXPublicKey(key); err != nil || !bytes.Equal(again, s.SPKI) {
		return errors.New("<public_key> is not the canonical encoding of its key")
	}
	name, size := "", 0
	switch k := key.(type) {
	case *rsa.PublicKey:
		name, size = "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		name, size = "EC", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		name, size = "ED", 256
	default:
		return fmt.Errorf("<public_key> is of a kind, %T, that this program does not use", key)
	}
	if text("algorithm") != name {
		return fmt.Errorf("<algorithm> is %q, and <public_key> is a key for %s", strict.Clip(text("algorithm")), name)
	}
	if bits := text("key_size"); bits != "" && bits != strconv.Itoa(size) {
		return fmt.Errorf("<key_size> is %q, and <public_key> has %d bits", strict.Clip(bits), size)
	}
	return nil
}
