package guess

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Kind is a kind of command.
type Kind uint8

// The kinds. Begin is the first command of every log.
const (
	Begin    Kind = 1 + iota // the fleet starts to serve: its epoch, the digest of its secrets
	Register                 // an account's record, put in the place of the one before
	Guess                    // one guess is counted, before anything is evaluated
	Success                  // a counted guess was right: the count starts anew, the envelope is released
	Erase                    // a registration's record is destroyed, the count stays
	Move                     // the next epoch: new registrations are of it
	Retire                   // an epoch's records are destroyed, all of them
	Look                     // what is left of an account, in the order of the log
)

var kindNames = map[Kind]string{Begin: "begin", Register: "register", Guess: "guess", Success: "success", Erase: "erase", Move: "move", Retire: "retire", Look: "look"}

func (k Kind) String() string {
	if n := kindNames[k]; n != "" {
		return n
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// What the parts of a command are at most, in bytes, and guesses in number.
const (
	MostAccount  = 64
	MostRecord   = 1024
	MostOPRFKey  = 64
	MostEnvelope = 1024
	MostLimit    = 100
)

// MostAccounts is for how many accounts there is a count. None is ever forgotten, and
// anybody registers: without a bound the nodes' memory would end first.
const MostAccounts = 1 << 16

// Prefix begins the name of every account that is served: this is a reference
// fleet, and no vault.
const Prefix = "drill."

// ErrNotDrill means that an account isn't one of those that are served.
var ErrNotDrill = errors.New("only accounts named " + Prefix + "… are served: this is a reference fleet, not a vault")

// Command is a command. Which fields it has depends on its kind; the others are
// empty.
type Command struct {
	Kind         Kind
	Account      string
	Registration [16]byte // drawn by the node that takes the registration
	Attempt      [32]byte // SHA-256 of KE1
	Epoch        uint64
	Secrets      [32]byte // Begin, Move: digest of the secrets that the epoch's nodes share
	Limit        uint32   // Register: how many guesses there are
	Used         uint32   // Register: how many of them were used with an earlier epoch's fleet
	Record       []byte   // Register: OPAQUE's record
	OPRFKey      []byte   // Register: drawn for this registration alone
	Envelope     []byte   // Register: the device's key, sealed by the device
}

// CheckAccount says what is wrong with an account's name.
func CheckAccount(name string) error {
	rest, ok := strings.CutPrefix(name, Prefix)
	if !ok {
		return ErrNotDrill
	}
	if rest == "" || len(name) > MostAccount || strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return fmt.Errorf("account %q: after %q come 1 to %d of a-z, 0-9, dot, underscore and hyphen", name, Prefix, MostAccount-len(Prefix))
	}
	return nil
}

// check says what is wrong with a command as a whole.
func (c *Command) check() error {
	if c.Kind == Register || c.Kind == Guess || c.Kind == Success || c.Kind == Erase || c.Kind == Look {
		if err := CheckAccount(c.Account); err != nil {
			return err
		}
	}
	switch zero16, zero32 := [16]byte{}, [32]byte{}; {
	case kindNames[c.Kind] == "":
		return fmt.Errorf("%v is none that there is", c.Kind)
	case c.Kind == Register || c.Kind == Success || c.Kind == Erase:
		if c.Registration == zero16 {
			return errors.New("the registration's number is zero")
		}
	case (c.Kind == Begin || c.Kind == Move) && c.Secrets == zero32:
		return errors.New("the digest of the secrets is zero")
	}
	if (c.Kind == Guess || c.Kind == Success) && c.Attempt == [32]byte{} {
		return errors.New("the attempt's number is zero")
	}
	if (c.Kind == Begin || c.Kind == Move || c.Kind == Retire || c.Kind == Register) && c.Epoch == 0 {
		return errors.New("there is no epoch 0")
	}
	if c.Kind != Register {
		return nil
	}
	switch {
	case c.Limit == 0 || c.Limit > MostLimit:
		return fmt.Errorf("a limit of %d guesses: 1 to %d are possible", c.Limit, MostLimit)
	case c.Used > MostLimit:
		return fmt.Errorf("%d guesses used: %d are the most", c.Used, MostLimit)
	case len(c.Record) == 0 || len(c.Record) > MostRecord:
		return fmt.Errorf("a record of %d bytes: 1 to %d are possible", len(c.Record), MostRecord)
	case len(c.OPRFKey) == 0 || len(c.OPRFKey) > MostOPRFKey:
		return fmt.Errorf("an OPRF key of %d bytes: 1 to %d are possible", len(c.OPRFKey), MostOPRFKey)
	case len(c.Envelope) == 0 || len(c.Envelope) > MostEnvelope:
		return fmt.Errorf("an envelope of %d bytes: 1 to %d are possible", len(c.Envelope), MostEnvelope)
	}
	return nil
}

// commandVersion begins every command.
const commandVersion = 1

// code walks over the fields that a kind has, in the one order that there is: the
// writer writes them, the reader fills them.
func (c *Command) code(w walker) {
	w.account(&c.Account, c.Kind == Register || c.Kind == Guess || c.Kind == Success || c.Kind == Erase || c.Kind == Look)
	w.fixed(c.Registration[:], c.Kind == Register || c.Kind == Success || c.Kind == Erase)
	w.fixed(c.Attempt[:], c.Kind == Guess || c.Kind == Success)
	w.u64(&c.Epoch, c.Kind == Begin || c.Kind == Move || c.Kind == Retire || c.Kind == Register)
	w.fixed(c.Secrets[:], c.Kind == Begin || c.Kind == Move)
	w.u32(&c.Limit, c.Kind == Register)
	w.u32(&c.Used, c.Kind == Register)
	w.bytes(&c.Record, MostRecord, c.Kind == Register)
	w.bytes(&c.OPRFKey, MostOPRFKey, c.Kind == Register)
	w.bytes(&c.Envelope, MostEnvelope, c.Kind == Register)
}

// Encode gives the one spelling of a command, or says what is wrong with it.
func (c *Command) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("command %v: %w", c.Kind, err)
	}
	w := &writer{out: []byte{commandVersion, byte(c.Kind)}}
	c.code(w)
	return w.out, nil
}

// ParseCommand reads a command. What it takes encodes to the same bytes.
func ParseCommand(data []byte) (*Command, error) {
	if len(data) < 2 || data[0] != commandVersion {
		return nil, errors.New("no command of version 1")
	}
	c := &Command{Kind: Kind(data[1])}
	r := &reader{rest: data[2:]}
	c.code(r)
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("command %v: %w", c.Kind, err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("command %v: %w", c.Kind, err)
	}
	return c, nil
}

// same says that two registrations hold the same.
func (c *Command) same(a *account) bool {
	return c.Registration == a.registration && c.Epoch == a.epoch && bytes.Equal(c.Record, a.record) && bytes.Equal(c.OPRFKey, a.oprfKey) && bytes.Equal(c.Envelope, a.envelope)
}
