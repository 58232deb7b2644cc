package guess

import "fmt"

// Status is what became of a command.
type Status uint8

// The statuses. Zero is none of them.
const (
	Malformed      Status = 1 + iota // it is no command
	NotDrill                         // the account isn't one of those that are served
	NotBegun                         // no command came before Begin
	Conflict                         // the log says otherwise already
	Done                             // Begin, Move, Retire
	Unknown                          // there is no such account
	Present                          // Look: the account has a record
	Registered                       // Register, also said again
	EraseFirst                       // Register: an earlier epoch's record is to be erased first
	WrongEpoch                       // Register: another epoch than the fleet's
	Retired                          // Register: an epoch that is over
	Counted                          // Guess: it used one up
	Again                            // Guess: it was counted before
	Right                            // Success: the count starts anew
	NoAttempt                        // Success: of no guess that was counted for this registration
	NoRegistration                   // Erase: of a registration that there isn't
	Erased                           // the record was destroyed; a new one can be registered
	Locked                           // the record was destroyed for good
	Full                             // Register: there are as many accounts as there can be
)

var statusNames = []string{"no status", "malformed", "no drill account", "not begun", "conflict", "done", "unknown", "present", "registered", "erase first", "wrong epoch", "retired", "counted", "again", "right", "no attempt", "no registration", "erased", "locked", "full"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Answer is what a command is answered. Record, OPRFKey and Envelope are for the
// node alone; they are the machine's own bytes, not to be written to.
type Answer struct {
	Status       Status
	Remaining    uint32   // guesses left; of a guess said again, as many as were left then
	Used, Limit  uint32   // of the account, as they are now
	Epoch        uint64   // of the registration; 0 where there is none
	Registration [16]byte // Guess: the one that the attempt is bound to
	Record       []byte   // Guess: OPAQUE's record, once it is counted
	OPRFKey      []byte   // Guess: for the evaluation, once it is counted
	Envelope     []byte   // Success: the device's key, sealed by the device
	Destroyed    bool     // a record was destroyed by this command: the log up to it is to be compacted
	Refused      bool     // Register: the record was not taken; it is in the log's entry alone, which is to be compacted
}
