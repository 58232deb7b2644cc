package auditlog

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// RekorLeaf is a leaf of a Rekor log with a submitter's key in it. A log stores
// digests, so only somebody who has the bundle can tell which bundle it is of.
type RekorLeaf struct {
	Version   int
	Kind      string   // the kind and version that the leaf states
	Digest    [32]byte // see [RekorDigest]; zero where the leaf is no bundle's
	Signature []byte   // the submitter's; nil where the leaf is no bundle's
	Leaf      [32]byte // SHA-256 of the leaf
	Submitter *PublicKey
}

// RekorDigest is the digest of a bundle that a log of the given version stores:
// SHA-256 of the payload in version 1, of what DSSE signs in version 2.
func RekorDigest(version int, bundle []byte) [32]byte {
	if version == RekorV1 {
		return sha256.Sum256(bundle)
	}
	return sha256.Sum256(RekorMessage(bundle))
}

// ReadRekorLeaf looks for submitters' keys in a leaf of a Rekor log, and gives nil
// where it finds none: most leaves are other people's. It looks into leaves of
// every kind, because whoever stole a key may sign anything with it.
func ReadRekorLeaf(version int, leaf []byte, submitters []*PublicKey) *RekorLeaf {
	var body struct {
		Kind       string
		APIVersion string
		Spec       any
	}
	if json.Unmarshal(leaf, &body) != nil {
		return nil
	}
	submitter := keyAmong(body.Spec, submitters)
	if submitter == nil {
		return nil
	}
	r := &RekorLeaf{Version: version, Kind: strict.Said(body.Kind + " " + body.APIVersion), Leaf: sha256.Sum256(leaf), Submitter: submitter}
	r.Digest, r.Signature = signedDigest(version, leaf)
	return r
}

// signedDigest reads a leaf as one that is made for a bundle.
func signedDigest(version int, leaf []byte) (digest [32]byte, signature []byte) {
	var b struct {
		Kind string
		Spec struct {
			PayloadHash struct{ Value string }
			Signatures  []struct{ Signature []byte }
			V2          struct {
				Data      struct{ Digest []byte }
				Signature struct{ Content []byte }
			} `json:"hashedRekordV002"`
		}
	}
	if json.Unmarshal(leaf, &b) != nil {
		return digest, nil
	}
	var sum []byte
	switch {
	case version == RekorV1 && b.Kind == "dsse" && len(b.Spec.Signatures) == 1:
		signature = b.Spec.Signatures[0].Signature
		if sum, _ = strict.ParseHex(b.Spec.PayloadHash.Value, len(digest)); sum == nil {
			return digest, nil
		}
	case version == RekorV2 && b.Kind == "hashedrekord":
		sum, signature = b.Spec.V2.Data.Digest, b.Spec.V2.Signature.Content
	}
	// No ECDSA P-256 signature is longer.
	if len(sum) != len(digest) || len(signature) == 0 || len(signature) > 72 {
		return digest, nil
	}
	return [32]byte(sum), signature
}

// Of says whether the leaf is exactly the one that the log makes for this bundle
// under the submitter's key and signature: that one is derived and compared.
func (r *RekorLeaf) Of(bundle []byte) bool {
	if r.Signature == nil || RekorDigest(r.Version, bundle) != r.Digest {
		return false
	}
	e, err := parseEnvelope(NewRekorEnvelope(bundle, r.Signature))
	return err == nil && e.verify(r.Submitter) == nil && sha256.Sum256(e.body(r.Version, r.Submitter)) == r.Leaf
}

// keyAmong finds the first of the keys that a JSON value has in one of its
// strings: in PEM or DER, in base64 or base64 of that, alone or in a
// certificate.
func keyAmong(v any, list []*keys.Public) *keys.Public {
	switch v := v.(type) {
	case string:
		return keyIn([]byte(v), list, 2)
	case []any:
		for _, x := range v {
			if k := keyAmong(x, list); k != nil {
				return k
			}
		}
	case map[string]any:
		for _, x := range v {
			if k := keyAmong(x, list); k != nil {
				return k
			}
		}
	}
	return nil
}

func keyIn(text []byte, list []*keys.Public, depth int) *keys.Public {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if k := keyDER(block.Bytes, list); k != nil {
			return k
		}
	}
	if k := keyDER(text, list); k != nil || depth == 0 {
		return k
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(raw, text)
	if err != nil || n < 64 { // every key is longer
		return nil
	}
	return keyIn(raw[:n], list, depth-1)
}

func keyDER(der []byte, list []*keys.Public) *keys.Public {
	if len(der) == 0 || der[0] != 0x30 {
		return nil
	}
	if cert, err := x509.ParseCertificate(der); err == nil {
		der = cert.RawSubjectPublicKeyInfo
	}
	for _, k := range list {
		if bytes.Equal(k.SPKI(), der) {
			return k
		}
	}
	return nil
}
