// Package guess counts guesses: a deterministic state machine that every node of
// the reference fleet applies the same log to.
//
// A guess is counted by a command that is committed before anything is evaluated
// for it. What is known of a guess is its attempt's number, SHA-256 of the KE1 that
// the device sent, so that another blinded element is another guess, and a retry
// of the same one is none. That a guess was right is a second command, which starts
// the count anew. Once no guess is left, only a guess that was counted can still
// turn out to be right; the next one destroys the record for good.
//
// Nothing here reads a clock, a file or a random number: the same commands give
// the same answers everywhere.
package guess

import (
	"errors"
	"maps"
)

// Machine is the state of all accounts. It is not for use by several goroutines
// at once.
type Machine struct {
	index    uint64 // of the last command
	epoch    uint64 // 0: not begun
	retired  uint64 // epochs up to this one are over
	secrets  [32]byte
	accounts map[string]*account
	locked   int // of the accounts
}

// account is never forgotten: its count outlives its records.
type account struct {
	used, limit uint32
	locked      bool

	// The registration, of epoch 0 where there is none: erased, or retired.
	epoch        uint64
	registration [16]byte
	record       []byte
	oprfKey      []byte
	envelope     []byte

	// The attempts that were counted since the count last started anew, and those
	// of the time before, in which a login may still be on its way.
	attempts, before map[[32]byte]attempt
}

// attempt is a guess that was counted.
type attempt struct {
	left  uint32 // guesses left when it was counted
	right bool   // it turned out to be right
}

// New is a machine that has seen no command.
func New() *Machine { return &Machine{accounts: map[string]*account{}} }

// Epoch is the epoch that registrations are of; 0 before Begin.
func (m *Machine) Epoch() uint64 { return m.epoch }

// Secrets is the digest of the secrets that the epoch's nodes share.
func (m *Machine) Secrets() [32]byte { return m.secrets }

// Index is the log's index of the last command that was applied.
func (m *Machine) Index() uint64 { return m.index }

// Count says how many accounts there are, those without a record too, and how many of
// them are locked.
func (m *Machine) Count() (accounts, locked int) { return len(m.accounts), m.locked }

// Apply applies the log's next command. It never fails: every node answers the
// same, also to what is no command. An index that isn't above the last one
// changes nothing.
func (m *Machine) Apply(index uint64, command []byte) Answer {
	if index <= m.index {
		return Answer{Status: Malformed}
	}
	m.index = index
	c, err := ParseCommand(command)
	switch {
	case errors.Is(err, ErrNotDrill):
		return Answer{Status: NotDrill}
	case err != nil:
		return Answer{Status: Malformed}
	case c.Kind == Begin:
		return m.begin(c)
	case m.epoch == 0:
		return Answer{Status: NotBegun}
	case c.Kind == Move:
		return m.move(c)
	case c.Kind == Retire:
		return m.retire(c)
	case c.Kind == Register:
		answer := m.register(c)
		answer.Refused = answer.Status != Registered
		return answer
	}
	a := m.accounts[c.Account]
	switch {
	case a == nil:
		return Answer{Status: Unknown}
	case a.locked:
		return a.answer(Locked)
	case a.epoch == 0:
		return a.answer(Erased)
	case c.Kind == Guess:
		answer := a.guess(c)
		if a.locked { // it wasn't, above
			m.locked++
		}
		return answer
	case c.Kind == Success:
		return a.success(c)
	case c.Kind == Erase:
		return a.eraseOne(c)
	}
	return a.answer(Present) // Look
}

func (m *Machine) begin(c *Command) Answer {
	switch {
	case m.epoch == 0:
		m.epoch, m.secrets = c.Epoch, c.Secrets
	case m.epoch != c.Epoch || m.secrets != c.Secrets:
		return Answer{Status: Conflict}
	}
	return Answer{Status: Done}
}

func (m *Machine) move(c *Command) Answer {
	switch {
	case c.Epoch == m.epoch && c.Secrets == m.secrets:
	case c.Epoch <= m.epoch:
		return Answer{Status: Conflict}
	default:
		m.epoch, m.secrets = c.Epoch, c.Secrets
	}
	return Answer{Status: Done}
}

// retire destroys the records of epochs that are over. The counts stay.
func (m *Machine) retire(c *Command) Answer {
	if c.Epoch > m.epoch {
		return Answer{Status: Conflict}
	}
	m.retired = max(m.retired, c.Epoch)
	answer := Answer{Status: Done}
	for _, a := range m.accounts {
		if a.epoch != 0 && a.epoch <= m.retired {
			a.erase()
			answer.Destroyed = true
		}
	}
	return answer
}

func (m *Machine) register(c *Command) Answer {
	a := m.accounts[c.Account]
	switch {
	case a != nil && a.locked:
		return a.answer(Locked)
	case c.Epoch <= m.retired:
		return Answer{Status: Retired}
	case c.Epoch != m.epoch:
		return Answer{Status: WrongEpoch}
	case a != nil && a.registration == c.Registration:
		if !c.same(a) {
			return Answer{Status: Conflict}
		}
		return a.answer(Registered) // once more: its answer was lost
	case a != nil && a.epoch != 0 && a.epoch < c.Epoch:
		return a.answer(EraseFirst)
	case a == nil && len(m.accounts) >= MostAccounts:
		return Answer{Status: Full}
	}
	if a == nil {
		a = &account{limit: c.Limit}
		m.accounts[c.Account] = a
	}
	// Registering again gives no guesses back: the count stays, the limit can only
	// become less, and what was used with another fleet counts.
	destroyed := a.epoch != 0
	a.erase()
	a.limit = min(a.limit, c.Limit)
	a.used = min(a.limit, max(a.used, c.Used))
	a.epoch, a.registration = c.Epoch, c.Registration
	a.record, a.oprfKey, a.envelope = c.Record, c.OPRFKey, c.Envelope
	a.attempts, a.before = map[[32]byte]attempt{}, map[[32]byte]attempt{}
	answer := a.answer(Registered)
	answer.Destroyed = destroyed
	return answer
}

// erase destroys an account's record. What identifies the registration stays.
func (a *account) erase() {
	a.epoch = 0
	a.record, a.oprfKey, a.envelope = nil, nil, nil
	a.attempts, a.before = nil, nil
}

func (a *account) guess(c *Command) Answer {
	// Looked up before the count: the answer to a guess that was counted may have
	// been lost with a leader, and to ask for it again is no guess.
	known, ok := a.attempts[c.Attempt]
	if !ok {
		known, ok = a.before[c.Attempt]
	}
	status := Again
	switch {
	case ok:
	case a.used >= a.limit:
		a.erase()
		a.locked = true
		answer := a.answer(Locked)
		answer.Destroyed = true
		return answer
	default:
		a.used++
		known = attempt{left: a.limit - a.used}
		a.attempts[c.Attempt] = known
		status = Counted
	}
	answer := a.answer(status)
	answer.Remaining, answer.Record, answer.OPRFKey = known.left, a.record, a.oprfKey
	return answer
}

func (a *account) success(c *Command) Answer {
	if c.Registration != a.registration {
		return a.answer(NoAttempt)
	}
	known, ok := a.attempts[c.Attempt]
	if !ok {
		known, ok = a.before[c.Attempt]
	}
	if !ok {
		return a.answer(NoAttempt)
	}
	if !known.right {
		// Said again, it must not start the count anew a second time: guesses that were
		// counted since would be given back.
		a.before = a.attempts
		a.before[c.Attempt] = attempt{left: known.left, right: true}
		a.attempts = map[[32]byte]attempt{}
		a.used = 0
	}
	answer := a.answer(Right)
	answer.Envelope = a.envelope
	return answer
}

func (a *account) eraseOne(c *Command) Answer {
	if c.Registration != a.registration {
		return a.answer(NoRegistration)
	}
	a.erase()
	answer := a.answer(Erased)
	answer.Destroyed = true
	return answer
}

func (a *account) answer(s Status) Answer {
	answer := Answer{Status: s, Remaining: a.limit - a.used, Used: a.used, Limit: a.limit}
	if a.epoch != 0 {
		answer.Epoch, answer.Registration = a.epoch, a.registration
	}
	return answer
}

// clone copies a machine, for a snapshot that is written while the log goes on.
func (m *Machine) clone() *Machine {
	c := *m
	c.accounts = make(map[string]*account, len(m.accounts))
	for name, a := range m.accounts {
		b := *a
		b.attempts, b.before = maps.Clone(a.attempts), maps.Clone(a.before)
		c.accounts[name] = &b
	}
	return &c
}
