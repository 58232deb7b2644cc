package keys

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"math/big"
)

// SignP256 signs in the one form that is verified here, with the lower S. The
// signature follows from key and message (RFC 6979): signing again gives the
// same bytes.
func SignP256(k *ecdsa.PrivateKey, msg []byte) ([]byte, error) {
	der, err := k.Sign(nil, Digest(P256, msg), crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	raw := make([]byte, 64)
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	return SignatureFromRaw(P256, raw)
}
