package ceremony

import (
	"strings"

	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// What one ceremony may leave. A verifier meets these limits before it spends
// its time: a stranger's package has nothing in it that costs more than they
// allow. A fleet of as many HSMs as a bundle holds, with 50 people and 200
// exceptions, comes to a half of each at most.
const (
	maxTranscript = 16 << 20 // bytes
	maxRecords    = 8192
	maxIntents    = 768 // of keys that stand and of those that were given up
	maxExceptions = 1024
	maxRefusals   = 256
	maxKeys       = 512 // HSMs times roles; fewer fit into a bundle
	maxSignings   = 4096
)

// slowSigning is what a signature by a key on P-384 counts among the signings:
// it takes eight times as long to verify as one by Ed25519.
const slowSigning = 4

// CheckSignings refuses files with more signatures of people than a ceremony
// may have. It looks at none of them.
func CheckSignings(files map[string][]byte) error {
	total := 0
	for path, data := range files {
		if !strings.HasSuffix(path, sigSuffix) {
			continue
		}
		total++
		if sshsig.Slow(data) {
			total += slowSigning - 1
		}
	}
	if total > maxSignings {
		return strict.Errorf("", "the signatures of people count %d, and %d are allowed; one by a key on P-384 counts %d", total, maxSignings, slowSigning)
	}
	return nil
}
