package marvell

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/devicecert/certtest"
)

func TestMarvellLiquidSecurity(t *testing.T) {
	at.Run(t, at.Suite{Verifier: Verifier{}, Device: "Marvell LiquidSecurity (Google Cloud HSM)", Samples: samples(t),
		Hostile: slices.Concat(hostileBlobs(t), hostileCertificates(t), []at.Hostile{otherKey(t)}),
		Without: map[string]string{at.Stale: "the format has no room for a nonce"}})
}

// asked is what a ceremony asks of a key.
func asked(raw, certs []byte, anchors *attest.Anchors, spki []byte, identity string) at.Case {
	d := at.Kept(attest.Anchored, spki, identity)
	d.SignOnly, d.Understood = true, true
	return at.Case{Input: attest.Input{Evidence: evidence(raw, certs), Anchors: anchors, At: at.At}, Demand: d}
}

func hostileBlobs(t *testing.T) (list []at.Hostile) {
	key := certtest.EC(t, "key")
	good := pair(t, key)
	anchors, certs, id := both(t, makerRoot(t), ownerRoot(t, "owner root")), goodBundle().pem(t), partitionID(t)
	twin := asked(good.bytes(t), certs, anchors, key.SPKI, id)
	edit := func(f func([]byte) []byte) forged { b := good; b.edit = f; return b }
	put := func(at int, n uint32) forged {
		return edit(func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], n); return b })
	}
	wrapped := func(f func([]byte) []byte) forged { b := good; b.wrap = f; return b }
	otherPoint := pair(t, certtest.EC(t, "other"))
	bomb := pack(make([]byte, 64<<20))
	twice := good
	twice.private = append(slices.Clone(good.private), attr{attrLocal, []byte{1}})
	onlyPublic := good
	onlyPublic.private = good.public
	mixed := good
	mixed.public = otherPoint.public
	for _, c := range []struct {
		kind, name string
		blob       forged
		want       string
	}{
		{at.Exportable, "extractable", good.with(attrExtractable, 1), "extractable: true, and false is demanded"},
		{at.Exportable, "was extractable", good.with(attrNeverExtractable, 0), "never-extractable: false, and true is demanded"},
		{at.Imported, "imported", good.with(attrLocal, 0), "local: false, and true is demanded"},
		{at.Other, "not sensitive", good.with(attrSensitive, 0), "sensitive: false, and true is demanded"},
		{at.Other, "not always sensitive", good.with(attrAlwaysSensitive, 0), "sensitive: false, and true is demanded"},
		{at.Exportable, "splittable", good.with(attrSplittable, 1), "extractable: true, and false is demanded; never-extractable: false, and true is demanded"},
		{at.Exportable, "split", good.with(attrSplit, 1), "extractable: true, and false is demanded; never-extractable: false, and true is demanded"},
		{at.Other, "also unwraps", good.with(attrUnwrap, 1), "purpose unwrap: true, and false is demanded"},
		{at.MissingField, "no extractable", good.with(attrExtractable), "extractable: not shown, and false is demanded"},
		{at.MissingField, "no never-extractable", good.with(attrNeverExtractable), "never-extractable: not shown, and true is demanded"},
		{at.MissingField, "no local", good.with(attrLocal), "local: not shown, and true is demanded"},
		{at.MissingField, "no sensitive", good.with(attrSensitive), "sensitive: not shown, and true is demanded"},
		{at.MissingField, "no always-sensitive", good.with(attrAlwaysSensitive), "sensitive: not shown, and true is demanded"},
		{at.MissingField, "no class", good.with(attrClass), "object 2: the class (attribute 0x0000) is missing"},
		{at.MissingField, "no key type", good.with(attrKeyType), "the key type (attribute 0x0100) is missing"},
		{at.MissingField, "no public key", good.with(attrPublic), "the public key (attributes 0x0120, 0x0121) is missing"},
		{at.MissingField, "no digest", good.with(attrDigest), "object 2 lacks the digest of the public key"},
		{at.SubstitutedKey, "another key's digest", good.with(attrDigest, otherPoint.private[14].value...), "isn't the SHA-256 of the public key attested"},
		{at.Other, "an unknown curve", good.with(attrBits, 0, 0, 0, 1), "the curve 0x1 isn't known"},
		{at.Other, "no point of the curve", good.with(attrPublic, bytes.Repeat([]byte{4}, 65)...), "no point on its curve"},
		{at.Other, "an unknown key type", good.with(attrKeyType, 0x1f), "keys of the type 0x1f aren't known"},
		{at.Other, "neither yes nor no", good.with(attrLocal, 2), "attribute 0x0163 is neither yes nor no"},
		{at.Other, "a yes of two bytes", good.with(attrLocal, 1, 1), "attribute 0x0163 is neither yes nor no"},
		{at.Other, "a yes of no bytes", good.with(attrLocal, []byte{}...), "attribute 0x0163 is neither yes nor no"},
		{at.Other, "an unknown attribute", good.with(0x4242, 1), "object 2: attribute 0x4242 was not understood"},
		{at.RepeatedField, "an attribute twice", twice, "attribute 0x0163 stands twice"},
		{at.Other, "two public halves", onlyPublic, "objects of the classes [2 2]"},
		{at.SubstitutedKey, "halves of two keys", mixed, "the two halves attested are of different keys"},
		{at.Other, "a secret key", good.with(attrClass, classSecret), "objects of the classes [2 4]"},
		{at.Other, "an error as answer", put(0, 5), "the HSM's answer is an error: code 0x5"},
		{at.Other, "header not signed", put(4, 7), "flags 0x7"},
		{at.LengthBomb, "attested length too large", put(12, 1<<31), "the header says that 2147483648 bytes are attested"},
		{at.Other, "attested length too small", put(12, 9), "the header says that 9 bytes are attested"},
		{at.Other, "another handle in the header", put(28, 77), "object 2 has handle 9, the header says another"},
		{at.Other, "another version", edit(func(b []byte) []byte { b[33] = 2; return b }), "the information header is of version 2"},
		{at.Other, "other flags", edit(func(b []byte) []byte { b[35] = 1; return b }), "the information header has flags 0x1"},
		{at.LengthBomb, "second object beyond the end", edit(func(b []byte) []byte { b[38] = 0xff; return b }), "the objects are said to begin at"},
		{at.Other, "one object left out", edit(func(b []byte) []byte { b[38], b[39] = 0, 0; return b }), "the header names 2 keys, and 1 follow"},
		{at.LengthBomb, "too many attributes", put(44, 1<<31), "it says 2147483648 attributes"},
		{at.LengthBomb, "an object too long", put(48, 1<<31), "attributes in 2147483648 bytes"},
		{at.TrailingBytes, "one attribute less", put(44, 14), "bytes stand behind its 14 attributes"},
		{at.Other, "one attribute more", put(44, 16), "an attribute is cut off"},
		{at.LengthBomb, "an attribute too long", put(56, 1<<31), "attribute 0x0000 says 2147483648 bytes"},
		{at.TrailingBytes, "bytes behind the objects", edit(func(b []byte) []byte { return append(b, 0) }), "so it isn't firmware 3.x's layout"},
		{at.Other, "a bare digest in layout 3", func() forged { b := good; b.bare = true; return b }(), "the partition's signature does not verify"},
		{at.BadSignature, "a bad signature", wrapped(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), "the partition's signature does not verify"},
		{at.TrailingBytes, "bytes behind the gzip wrapping", wrapped(func(b []byte) []byte { return append(pack(b), 0) }), "1 bytes stand behind the gzip wrapping"},
		{at.TrailingBytes, "two gzip members", wrapped(func(b []byte) []byte { return append(pack(b), pack(nil)...) }), "bytes stand behind the gzip wrapping"},
		{at.Other, "a cut gzip wrapping", wrapped(func(b []byte) []byte { p := pack(b); return p[:len(p)-9] }), "the gzip wrapping can't be read"},
		{at.GzipBomb, "a gzip bomb", wrapped(func([]byte) []byte { return bomb[:min(len(bomb), maxPacked)] }), "unpacks to more than 65536 bytes"},
		{at.Other, "too short", wrapped(func([]byte) []byte { return []byte{1} }), "too few for a header and a signature"},
	} {
		list = append(list, at.Hostile{Kind: c.kind, Name: c.name, Want: c.want, Twin: twin, Case: asked(c.blob.bytes(t), certs, anchors, key.SPKI, id)})
	}
	return list
}

func hostileCertificates(t *testing.T) (list []at.Hostile) {
	key := certtest.EC(t, "key")
	raw, anchors, id := pair(t, key).bytes(t), both(t, makerRoot(t), ownerRoot(t, "owner root")), partitionID(t)
	twin := asked(raw, goodBundle().pem(t), anchors, key.SPKI, id)
	alter := func(f func(*bundle)) bundle { b := goodBundle(); f(&b); return b }
	onlyOwner := pinned(t, map[string][][]byte{"google": {ownerRoot(t, "owner root"), makerRoot(t)}})
	for _, c := range []struct {
		kind, name string
		bundle     bundle
		anchors    *attest.Anchors
		spki       []byte
		id         string
		want       string
	}{
		{at.SubstitutedKey, "another key", goodBundle(), anchors, certtest.EC(t, "other").SPKI, id, "spki: the evidence is of another key"},
		{at.WrongIdentity, "another partition", goodBundle(), anchors, key.SPKI, strings.Repeat("0", 64), "identity: the evidence is of device"},
		{at.LookAlikeRoot, "a manufacturer of the same name", alter(func(b *bundle) { b.makerRoot = "look-alike" }), anchors, key.SPKI, id, "level: vendor-signed, and anchored is demanded: the manufacturer: CN=localca has the name of the pinned"},
		{at.LookAlikeRoot, "an owner of the same name", alter(func(b *bundle) { b.ownerRoot = "look-alike" }), anchors, key.SPKI, id, "level: vendor-signed, and anchored is demanded: the owner: CN=Owner Root has the name of the pinned"},
		{at.Other, "an owner's key as the manufacturer's", goodBundle(), onlyOwner, key.SPKI, id, "the manufacturer: no key that is pinned"},
		{at.WrongIdentity, "another partition of the owner", alter(func(b *bundle) { b.ownerPartition = "other" }), anchors, key.SPKI, id, "different keys of the partition"},
		{at.WrongIdentity, "another card of the owner", alter(func(b *bundle) { b.ownerCard = "other" }), anchors, key.SPKI, id, "different keys of the card"},
		{at.BadSignature, "a bad signature on the partition", alter(func(b *bundle) {
			b.mangle = func(s []byte) []byte { s[9] ^= 1; return s }
		}), anchors, key.SPKI, id, "the signature does not verify"},
		{at.ReorderedChain, "a reordered chain", alter(func(b *bundle) { b.order = []int{2, 1, 0, 3, 4, 5} }), anchors, key.SPKI, id, "it names another issuer"},
		{at.ReorderedChain, "the chains exchanged", alter(func(b *bundle) { b.order = []int{3, 4, 5, 0, 1, 2} }), anchors, key.SPKI, id, "it names another issuer"},
		{at.MissingField, "no owner", alter(func(b *bundle) { b.order = []int{0, 1, 2} }), anchors, key.SPKI, id, "3 certificates: the manufacturer's root, card and partition"},
		{at.RepeatedField, "a certificate twice", alter(func(b *bundle) { b.order = []int{0, 1, 2, 3, 4, 4} }), anchors, key.SPKI, id, "different keys of the partition"},
	} {
		list = append(list, at.Hostile{Kind: c.kind, Name: c.name, Want: c.want, Twin: twin, Case: asked(raw, c.bundle.pem(t), c.anchors, c.spki, c.id)})
	}
	return list
}

// judge gives the reasons to refuse, one behind the other.
func judge(c at.Case) (problem string) {
	claims, err := attest.Check(Verifier{}, c.Input)
	if err != nil {
		return err.Error()
	}
	for _, p := range attest.Judge(claims, c.Demand) {
		problem += p.String() + "; "
	}
	return problem
}

// No attestation of firmware 2.x was published: what is read here follows Marvell's
// and Microsoft's description.
func TestTheLayoutOfFirmware2IsReadAndWhatIsNotUnderstoodIsListed(t *testing.T) {
	key := certtest.EC(t, "key")
	old := pair(t, key)
	old.layout, old.bare = firmware2, true
	anchors, certs := both(t, makerRoot(t), ownerRoot(t, "owner root")), goodBundle().pem(t)
	c, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(old.bytes(t), certs), Anchors: anchors, At: at.At})
	if err != nil {
		t.Fatal(err)
	}
	if got := attest.Judge(c, at.Kept(attest.Anchored, key.SPKI, partitionID(t))); len(got) > 0 || !slices.Contains(c.Quirks, QuirkBareDigest) {
		t.Errorf("%v, quirks %q", got, c.Quirks)
	}
	if got := judge(asked(old.bytes(t), certs, anchors, key.SPKI, partitionID(t))); !strings.Contains(got, "the header of firmware 2.x: 20 bytes was not understood") {
		t.Error(got)
	}
	for name, c := range map[string]struct {
		blob forged
		want string
	}{
		"imported":              {old.with(attrLocal, 0), "local: false"},
		"extractable":           {old.with(attrExtractable, 1), "extractable: true"},
		"bytes behind":          {func() forged { b := old; b.edit = func(b []byte) []byte { return append(b, 0) }; return b }(), "1 bytes stand behind the key's attributes"},
		"another key's digest":  {old.with(attrDigest, make([]byte, 32)...), "isn't the SHA-256 of the public key attested"},
		"the public half alone": {old.with(attrClass, classPublic), "it attests only the public half"},
	} {
		if got := judge(asked(c.blob.bytes(t), certs, anchors, key.SPKI, partitionID(t))); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestAnRSAKeyIsRead(t *testing.T) {
	key := certtest.RSA(t, "key")
	pub := key.Public().(*rsa.PublicKey)
	digest := sha256.Sum256(key.SPKI)
	b := pair(t, certtest.EC(t, "key")).bothWith(attrKeyType, typeRSA).bothWith(attrPublic, pub.N.Bytes()...).bothWith(attrBits, 0, 0, 8, 0).
		bothWith(attrExponent, 1, 0, 1).bothWith(attrDigest, digest[:]...)
	anchors, certs := both(t, makerRoot(t), ownerRoot(t, "owner root")), goodBundle().pem(t)
	if got := judge(asked(b.bytes(t), certs, anchors, key.SPKI, partitionID(t))); got != "" {
		t.Error(got)
	}
	if got := judge(asked(b.bothWith(attrExponent, 1).bytes(t), certs, anchors, key.SPKI, partitionID(t))); !strings.Contains(got, "modulus, size and exponent") {
		t.Error(got)
	}
	if got := judge(asked(b.bothWith(attrBits, 0, 0, 8, 1).bytes(t), certs, anchors, key.SPKI, partitionID(t))); !strings.Contains(got, "modulus, size and exponent") {
		t.Error(got)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(file(f, "ec.dat"), file(f, "ec.certs"))
	f.Add(file(f, "aes.dat"), file(f, "aes.certs"))
	anchors := shipped(f)
	f.Fuzz(func(t *testing.T, raw, certs []byte) {
		claims, err := attest.Check(Verifier{}, attest.Input{Evidence: evidence(raw, certs), Anchors: anchors, At: at.At})
		if err == nil && claims.Platform.Identity == "" {
			t.Error("an attestation without partition is taken")
		}
	})
}

func FuzzBlob(f *testing.F) {
	f.Add(unpacked(f, "ec.dat"))
	f.Add(unpacked(f, "aes.dat"))
	f.Add(pair(f, certtest.EC(f, "key")).bytes(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseBlob(raw)
		if err != nil {
			return
		}
		if len(b.Signed)+len(b.Signature) > maxBlob || len(b.Objects) == 0 || len(b.Objects) > maxObjects {
			t.Error("the bounds don't hold")
		}
		if _, spki, err := b.keyPair(); err == nil {
			if _, err := x509.ParsePKIXPublicKey(spki); err != nil {
				t.Errorf("a key that is none: %v", err)
			}
		}
	})
}
