package simulation

// kind says what ceremonies a life has: bits of its seed, above those that say what
// is left after power cuts.
type kind uint64

const kindShift = 32

const (
	twoHSMs      kind = 1 << iota // another HSM
	adjourned                     // adjourned before the request
	threeParties                  // two more third parties, each with a computer
	twice                         // once it has ended, another ceremony: of the next epoch, or where it was aborted of the same
	abortsLocked                  // nobody types the PIN of the last HSM, and people abort
	abortsBuilt                   // people abort what was released in the room before anybody was asked to sign it
	abortsCut                     // people abort what was cut off, instead of going on with it
	destroys                      // once it has ended, another ceremony, which destroys its keys
)

// kinds are those of which seeds are led.
var kinds = []kind{0, twoHSMs, adjourned, twoHSMs | adjourned, threeParties, twice, threeParties | twice,
	abortsLocked, twoHSMs | abortsLocked, abortsBuilt, adjourned | abortsCut, twoHSMs | abortsCut | twice, abortsBuilt | twice}

// seed is one of this kind.
func (k kind) seed(n uint64) uint64 { return uint64(k)<<kindShift | n }
