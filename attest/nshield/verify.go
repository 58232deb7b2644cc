// Package nshield reads the attestation bundle of a key in an Entrust nShield
// HSM: the module's warrant from Entrust's root, the module's state, the
// certificate of the key's generation with its access control list, and what
// binds the module to its Security World.
//
// It understands every entry of the list: a list with an unknown entry is refused.
package nshield

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Format is the name of the evidence.
const Format = "nshield"

// PartBundle is the only part of the evidence.
const PartBundle = "bundle"

const maxBundle = 32 << 10

// Verifier is the format's attest.Verifier.
type Verifier struct{}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts gives the bundle.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{{Name: PartBundle, Max: maxBundle, What: "the attestation bundle that nfkmattest writes, JSON"}}
}

// bundle is the JSON's content.
type bundle struct {
	root, suite string
	data        map[string][]byte
	unknown     []string
}

// The members of a bundle, and which of them it must have.
func members() map[string]bool {
	return map[string]bool{
		"pubkeydata": true, "kcmsg": true, "kcsig": true, "modstatemsg": true, "modstatesig": true, "warrant": true,
		"knsopub": false, "hkm": false, "hkmc": false, "hkfips": false, "hkre": false, "hkra": false,
		"CertKMaKMCbKNSO": false, "CertKMaKMCaKFIPSbKNSO": false, "CertKREaKRAbKNSO": false,
	}
}

func parseBundle(in []byte) (*bundle, error) {
	n, err := strict.ParseJSON("", in, maxBundle)
	if err != nil {
		return nil, err
	}
	if n.Kind != strict.Object {
		return nil, errors.New("the bundle is not a JSON object")
	}
	b := &bundle{data: map[string][]byte{}}
	for _, f := range n.Fields {
		_, known := members()[f.Name]
		switch {
		case !known && f.Name != "root" && f.Name != "ciphersuite":
			b.unknown = append(b.unknown, strict.Said(f.Name))
		case f.Value.Kind != strict.String:
			return nil, fmt.Errorf("line %d: %s is %s, not a string", f.Line, f.Name, f.Value.Kind)
		case f.Name == "root":
			b.root = f.Value.Text
		case f.Name == "ciphersuite":
			if b.suite = f.Value.Text; strict.CheckToken(strings.ToLower(b.suite)) != nil {
				return nil, fmt.Errorf("line %d: ciphersuite %q is not a name", f.Line, strict.Clip(b.suite))
			}
		default:
			data, err := base64.URLEncoding.Strict().DecodeString(f.Value.Text)
			if err != nil || len(data) == 0 || strings.ContainsAny(f.Value.Text, "\r\n") {
				return nil, fmt.Errorf("line %d: %s is not base64url", f.Line, f.Name)
			}
			b.data[f.Name] = data
		}
	}
	for name, must := range members() {
		if must && b.data[name] == nil {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	return b, nil
}

// Verify verifies the warrant, the module's state, the world's binding and the key's
// certificate, in this order, and judges the ACL.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	b, err := parseBundle(in.Evidence.Part(PartBundle))
	if err != nil {
		return nil, err
	}
	c := &attest.Claims{Platform: attest.Platform{Vendor: "Entrust", Model: "nShield"}}
	w, err := b.warrant(in, c)
	if err != nil {
		return nil, err
	}
	message := b.data["modstatemsg"]
	if err := w.klf2.verify("module state certificate", b.data["modstatesig"], message); err != nil {
		return nil, err
	}
	s, err := parseState(message, w)
	if err != nil {
		return nil, err
	}
	bound, err := b.bind(s)
	if err != nil {
		return nil, err
	}
	if err := s.kml.verify("key generation certificate", b.data["kcsig"], b.data["kcmsg"]); err != nil {
		return nil, err
	}
	r := &reader{in: b.data["pubkeydata"]}
	key := r.publicKey()
	if err := r.end("pubkeydata"); err != nil {
		return nil, err
	}
	list, err := parseKeyGen(b.data["kcmsg"], key)
	if err != nil {
		return nil, err
	}
	j, err := list.judge(s, bound)
	if err != nil {
		return nil, err
	}
	if c.Key.SPKI, err = key.spki(); err != nil {
		return nil, err
	}
	c.Platform.Serial, c.Platform.Identity = w.esn, w.esn
	c.Unknown, c.Details = w.unknown, w.details
	for _, name := range b.unknown {
		c.Unknown = append(c.Unknown, attest.Unknown{Where: "bundle", What: name})
	}
	j.into(c, bound != nil)
	return c, nil
}

// warrant finds the root that signed the warrant, a pinned one or Entrust's, and
// verifies the warrant from it down.
func (b *bundle) warrant(in attest.Input, c *attest.Claims) (*warrant, error) {
	root, links, err := parseWarrant(b.data["warrant"])
	if err != nil {
		return nil, err
	}
	if root != b.root {
		return nil, fmt.Errorf("the bundle names the root %q, but its warrant names %q", strict.Clip(b.root), strict.Clip(root))
	}
	key := kwarn1()
	c.Level, c.NoAnchor = attest.VendorSigned, "the key of Entrust's root KWARN-1 is not pinned for "+Format
	for _, a := range in.Anchors.For(Format) {
		k, ok := a.PublicKey().(*ecdsa.PublicKey)
		if !ok || k.Curve != elliptic.P521() || !links[0].verify(k) {
			continue
		}
		if !a.Valid(in.At) {
			return nil, fmt.Errorf("the anchor %q is pinned until %s, not at %s", strict.Clip(a.Name), strict.FormatTime(*a.NotAfter), strict.FormatTime(in.At))
		}
		key, c.Level, c.Anchor, c.NoAnchor = k, attest.Anchored, a, ""
		if a.NotAfter != nil {
			c.Until = *a.NotAfter
		}
		break
	}
	w, err := follow(links, key, c.Anchor != nil)
	if err != nil {
		return nil, err
	}
	if w.kind == "FieldUpgradeModuleInformation" {
		c.Quirks = append(c.Quirks, attest.QuirkFieldUpgrade)
	}
	return w, nil
}

// into writes what the ACL allows. If it can't be widened, it holds for the key's
// whole life.
func (j *judgement) into(c *attest.Claims, bound bool) {
	k := &c.Key
	leaves := j.plain || j.expand || j.recoverable
	k.Local, k.Sensitive = attest.True, attest.Of(!j.plain && !j.expand)
	k.Extractable, k.NeverExtractable = attest.Of(leaves), attest.Of(!leaves)
	if !leaves && len(j.protection) > 0 && !bound {
		// The key is written down under a module key, and it isn't shown whose.
		k.Extractable, k.NeverExtractable = attest.NotShown, attest.NotShown
	}
	detail := func(name, value string) {
		c.Details = append(c.Details, attest.Detail{Name: name, Value: value})
	}
	detail("operations", fmt.Sprintf("%04x", j.perms))
	detail("recoverable by the Administrator Card Set", fmt.Sprint(j.recoverable))
	slices.Sort(j.protection)
	if len(j.protection) == 0 {
		detail("written down", "never: it ends with the module's power")
	} else {
		detail("written down", "under the world's module key, with the protection of: "+strings.Join(j.protection, ", ")+"; every module of the world can use it")
	}
	if !bound {
		detail("world binding", "not given")
	}
	if j.certified {
		detail("certificates", "part of the list needs another key's certificate")
	}
}
