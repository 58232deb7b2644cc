package pkixevidence

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The kinds of elements: the number below arc.0. The number below arc.1 is the kind
// of element that a claim belongs to.
const (
	transaction = 0
	platform    = 1
	key         = 2
)

// value reads a claim's DER into a neutral claim.
type value func(c *attest.Claims, in cryptobyte.String) bool

func text(to func(*attest.Claims, string)) value {
	return func(c *attest.Claims, in cryptobyte.String) bool {
		var b cryptobyte.String
		if !in.ReadASN1(&b, tags.UTF8String) || !in.Empty() || strict.CheckText(string(b), 200) != nil {
			return false
		}
		to(c, string(b))
		return true
	}
}

func octets(to func(*attest.Claims, []byte)) value {
	return func(c *attest.Claims, in cryptobyte.String) bool {
		var b []byte
		if !in.ReadASN1Bytes(&b, tags.OCTET_STRING) || !in.Empty() || len(b) == 0 {
			return false
		}
		to(c, b)
		return true
	}
}

func truth(to func(*attest.Claims) *attest.Answer) value {
	return func(c *attest.Claims, in cryptobyte.String) bool {
		var b bool
		if !in.ReadASN1Boolean(&b) || !in.Empty() {
			return false
		}
		*to(c) = attest.Of(b)
		return true
	}
}

func number(to func(*attest.Claims, uint64)) value {
	return func(c *attest.Claims, in cryptobyte.String) bool {
		var n uint64
		if !in.ReadASN1Integer(&n) || !in.Empty() {
			return false
		}
		to(c, n)
		return true
	}
}

func moment(to func(*attest.Claims, time.Time)) value {
	return func(c *attest.Claims, in cryptobyte.String) bool {
		var t time.Time
		if !in.ReadASN1GeneralizedTime(&t) || !in.Empty() {
			return false
		}
		to(c, t.UTC())
		return true
	}
}

// detail keeps a claim without a neutral name.
func detail(name string) func(*attest.Claims, string) {
	return func(c *attest.Claims, s string) { c.Details = append(c.Details, attest.Detail{Name: name, Value: s}) }
}

func counted(name string) func(*attest.Claims, uint64) {
	return func(c *attest.Claims, n uint64) { detail(name)(c, strconv.FormatUint(n, 10)) }
}

// known are the draft's claims, by the kind of their element and their number.
func known() map[[2]int]value {
	return map[[2]int]value{
		{transaction, 0}: octets(func(c *attest.Claims, b []byte) { c.Nonce = b }),
		{transaction, 1}: moment(func(c *attest.Claims, t time.Time) { c.Made = t }),

		{platform, 0}:  text(func(c *attest.Claims, s string) { c.Platform.Vendor = s }),
		{platform, 1}:  octets(func(c *attest.Claims, b []byte) { detail("oemid")(c, hex.EncodeToString(b)) }),
		{platform, 2}:  octets(func(c *attest.Claims, b []byte) { c.Platform.Model = strict.Said(string(b)) }),
		{platform, 3}:  text(detail("hwversion")),
		{platform, 4}:  text(func(c *attest.Claims, s string) { c.Platform.Serial, c.Platform.Identity = s, s }),
		{platform, 5}:  text(detail("swname")),
		{platform, 6}:  text(func(c *attest.Claims, s string) { c.Platform.Firmware = s }),
		{platform, 7}:  number(counted("debugstat")),
		{platform, 8}:  number(counted("uptime")),
		{platform, 9}:  number(counted("bootcount")),
		{platform, 10}: truth(func(c *attest.Claims) *attest.Answer { return &c.Platform.FIPSBoot }),
		{platform, 11}: text(detail("fipsver")),
		{platform, 12}: func(c *attest.Claims, in cryptobyte.String) bool {
			return number(func(c *attest.Claims, n uint64) { c.Platform.FIPSLevel = n })(c, in) && c.Platform.FIPSLevel >= 1 && c.Platform.FIPSLevel <= 4
		},
		{platform, 13}: text(detail("fipsmodule")),

		{key, 1}: func(c *attest.Claims, in cryptobyte.String) bool {
			return octets(func(c *attest.Claims, b []byte) { c.Key.SPKI = b })(c, in) && isSPKI(c.Key.SPKI)
		},
		{key, 2}: truth(func(c *attest.Claims) *attest.Answer { return &c.Key.Extractable }),
		{key, 3}: truth(func(c *attest.Claims) *attest.Answer { return &c.Key.Sensitive }),
		{key, 4}: truth(func(c *attest.Claims) *attest.Answer { return &c.Key.NeverExtractable }),
		{key, 5}: truth(func(c *attest.Claims) *attest.Answer { return &c.Key.Local }),
		{key, 6}: moment(func(c *attest.Claims, t time.Time) { c.Key.Expires = t }),
	}
}

// The claims that may be repeated in an element.
var (
	claimAttestationKey = [2]int{transaction, 2}
	claimIdentifier     = [2]int{key, 0}
	claimPurpose        = [2]int{key, 7}
)

func isSPKI(der []byte) bool {
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return false
	}
	again, err := x509.MarshalPKIXPublicKey(k)
	return err == nil && bytes.Equal(again, der)
}

// below gives the numbers behind an arc.
func below(arc, oid asn1.ObjectIdentifier) []int {
	if len(oid) <= len(arc) || !oid[:len(arc)].Equal(arc) {
		return nil
	}
	return oid[len(arc):]
}

// read writes an element's claims into c, and gives the attestation keys that the
// element names.
func (v Verifier) read(e element, kind int, c *attest.Claims) (signers [][]byte, err error) {
	seen := map[[2]int]bool{}
	where := [...]string{"transaction", "platform", "key"}[kind]
	for _, claim := range e.Claims {
		n := below(v.arc(), claim.Type)
		if len(n) != 3 || n[0] != 1 || n[1] != kind {
			c.Unknown = append(c.Unknown, attest.Unknown{Where: where, What: "claim " + claim.Type.String()})
			continue
		}
		id := [2]int{kind, n[2]}
		if seen[id] && id != claimAttestationKey && id != claimIdentifier {
			return nil, fmt.Errorf("%s: claim %v stands there twice", where, claim.Type)
		}
		seen[id] = true
		ok := false
		switch id {
		case claimAttestationKey:
			ok = octets(func(_ *attest.Claims, b []byte) { signers = append(signers, b) })(c, claim.Value)
		case claimIdentifier:
			ok = text(func(c *attest.Claims, s string) {
				if c.Key.Identifier == "" {
					c.Key.Identifier = s
				} else {
					detail("identifier")(c, s)
				}
			})(c, claim.Value)
		case claimPurpose:
			ok = v.purposes(c, claim.Value)
		default:
			read := known()[id]
			if read == nil {
				c.Unknown = append(c.Unknown, attest.Unknown{Where: where, What: "claim " + claim.Type.String()})
				continue
			}
			ok = read(c, claim.Value)
		}
		if !ok {
			return nil, fmt.Errorf("%s: claim %v has no value, or one that isn't its kind's", where, claim.Type)
		}
	}
	return signers, nil
}

// purposes reads what the key may do. The list is complete: the key may do nothing else.
func (v Verifier) purposes(c *attest.Claims, in cryptobyte.String) bool {
	var list cryptobyte.String
	if !in.ReadASN1(&list, tags.SEQUENCE) || !in.Empty() {
		return false
	}
	has := map[int]bool{}
	for !list.Empty() {
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1ObjectIdentifier(&oid) || len(has) > maxClaims {
			return false
		}
		n := below(v.arc(), oid)
		if len(n) != 2 || n[0] != 2 || n[1] > 8 {
			// An unknown purpose could let the key do anything.
			c.Unknown = append(c.Unknown, attest.Unknown{Where: "key", What: "purpose " + oid.String(), Matters: true})
			continue
		}
		has[n[1]] = true
	}
	c.Key.Purpose = attest.Purpose{Sign: attest.Of(has[4] || has[5]), Decrypt: attest.Of(has[1]), Wrap: attest.Of(has[2]), Unwrap: attest.Of(has[3]), Derive: attest.Of(has[8])}
	return true
}
