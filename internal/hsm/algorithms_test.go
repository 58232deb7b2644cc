//go:build cgo && unix

package hsm

import (
	"fmt"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestEveryAlgorithmHasTheMechanismsItNeeds(t *testing.T) {
	want := map[keys.Algorithm]string{
		keys.Ed25519: "[[CKM_EC_EDWARDS_KEY_PAIR_GEN] [CKM_EDDSA]]",
		keys.P256:    "[[CKM_EC_KEY_PAIR_GEN] [CKM_ECDSA]]",
		keys.P384:    "[[CKM_EC_KEY_PAIR_GEN] [CKM_ECDSA]]",
		keys.RSA3072: "[[CKM_RSA_PKCS_KEY_PAIR_GEN] [CKM_RSA_PKCS_PSS]]",
		keys.X25519:  "[[CKM_EC_MONTGOMERY_KEY_PAIR_GEN CKM_EC_EDWARDS_KEY_PAIR_GEN] [CKM_ECDH1_DERIVE]]",

		keys.MLDSA44: "[[CKM_ML_DSA_KEY_PAIR_GEN] [CKM_ML_DSA]]",
		keys.MLDSA65: "[[CKM_ML_DSA_KEY_PAIR_GEN] [CKM_ML_DSA]]",
		keys.MLDSA87: "[[CKM_ML_DSA_KEY_PAIR_GEN] [CKM_ML_DSA]]",

		keys.ECDHP256: "[[CKM_EC_KEY_PAIR_GEN] [CKM_ECDH1_DERIVE]]",
		keys.MLKEM768: "[[CKM_ML_KEM_KEY_PAIR_GEN] [CKM_ML_KEM]]",
	}
	for _, alg := range keys.Algorithms {
		var names [][]string
		for _, any := range algorithms[alg].needs() {
			var list []string
			for _, m := range any {
				list = append(list, mechanismName(m))
			}
			names = append(names, list)
		}
		if got := fmt.Sprint(names); got != want[alg] {
			t.Errorf("%s needs %s, want %s", alg, got, want[alg])
		}
	}
}
