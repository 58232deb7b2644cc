package ceremony

import (
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
)

// attestationJSON is an attestation that a ceremony waits for, with what the
// device has to be asked, or one on the record that holds up the release.
type attestationJSON struct {
	Key      string   `strict:"key"` // HSM and role, or countersigner
	File     string   `strict:"file"`
	Format   string   `strict:"device"`
	Identity string   `strict:"identity"`
	SPKI     []byte   `strict:"spki,base64"`
	ID       []byte   `strict:"cka_id,hex,optional"`
	Nonce    [32]byte `strict:"nonce,hex"`
	Record   int      `strict:"record,optional"`
	Problems []string `strict:"problems,optional"`
}

// attestations says which keys wait to be attested, each with its nonce, so that a
// vendor's tool can be run for all of them at once; and which are on the record with
// problems that no exception is about.
func attestations(c *ceremony.Account) (list []attestationJSON, rows [][2]string) {
	if c.Ended() {
		return nil, nil
	}
	_, waiting := c.NextAttestation()
	open := map[int]bool{}
	for _, o := range c.Unexcused() {
		open[o.N] = true
	}
	for _, s := range c.AttestationSteps() {
		q := engine.QuestionOf(&s)
		one := attestationJSON{Key: s.Name(), File: q.File(), Format: s.Wants.Format, Identity: s.Wants.Identity, SPKI: s.SPKI, ID: q.ID, Nonce: s.Nonce}
		switch {
		case s.Record == nil && waiting:
			rows = append(rows, [2]string{"to attest", fmt.Sprintf("%s, %s, as %s", one.Key, one.Format, one.File)}, [2]string{"device", one.Identity}, [2]string{"nonce", fmt.Sprintf("%x", one.Nonce)})
		case s.Record != nil && open[s.Record.N]:
			one.Record, one.Problems = s.Record.N, s.Record.Problems
			for _, p := range one.Problems {
				rows = append(rows, [2]string{"problem", fmt.Sprintf("record %d, %s: %s", one.Record, one.Key, p)})
			}
		default:
			continue
		}
		list = append(list, one)
	}
	return list, rows
}
