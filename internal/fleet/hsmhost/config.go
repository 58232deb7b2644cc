package hsmhost

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Config says which token a process serves, and where the anchor is.
type Config struct {
	Module   string   `strict:"module"`
	InitArgs string   `strict:"init_args,optional"`
	Label    string   `strict:"label"` // the token's
	Serial   string   `strict:"serial,optional"`
	Keypad   bool     `strict:"keypad,optional"` // the token asks for the PIN itself
	TPM      *TPM     `strict:"tpm,optional"`
	Fleet    [16]byte `strict:"fleet,hex,optional"` // whose anchor it keeps; zero: nobody's
	// AnchorIndex has the anchor in the TPM's own memory, at this index; zero has it in
	// a data object of the token.
	AnchorIndex uint64 `strict:"anchor_index,optional"`
	// Patience is how many milliseconds a call to the module may take; zero is no limit.
	Patience uint64 `strict:"patience_ms,optional"`
	// Trace is a file to which a line for each call to the module is appended.
	Trace string `strict:"trace,optional"`
	// Lock is a file, beside the node's folder, by which the process waits until the one
	// before it is gone: a node that was killed leaves one that finishes its last write.
	Lock string `strict:"lock,optional"`
	// Own is the folder of the socket, which goes with the process; Start sets it.
	Own string `strict:"own_folder,optional"`
}

// TPM is where a token of tpm2-pkcs11 has its TPM, by which its keys agree.
type TPM struct {
	TCTI  string `strict:"tcti"`
	Store string `strict:"store"` // the file tpm2_pkcs11.sqlite3
}

const (
	maxConfig = 64 << 10
	maxPIN    = 4 << 10

	maxPatience = 24 * 60 * 60 * 1000 // milliseconds
)

// give writes the configuration and, apart from it, the PIN, so that this never enters
// a string.
func (c *Config) give(w io.Writer, pin []byte) error {
	if len(pin) > maxPIN {
		return fmt.Errorf("a PIN of %d bytes", len(pin))
	}
	line := strict.EncodeLine(c)
	if len(line) > maxConfig {
		return fmt.Errorf("a configuration of %d bytes; at most %d are taken", len(line), maxConfig)
	}
	if err := send(w, line); err != nil {
		return err
	}
	return send(w, pin)
}

// take reads what give wrote.
func take(r io.Reader) (*Config, []byte, error) {
	line, err := receive(r, maxConfig)
	if err != nil {
		return nil, nil, fmt.Errorf("the configuration: %w", err)
	}
	c, err := parseConfig(line)
	if err != nil {
		return nil, nil, err
	}
	pin, err := receive(r, maxPIN)
	if err != nil {
		return nil, nil, fmt.Errorf("the PIN: %w", err)
	}
	return c, pin, nil
}

func parseConfig(line []byte) (*Config, error) {
	c := &Config{}
	if err := strict.DecodeJSON("configuration", line, maxConfig, c); err != nil {
		return nil, err
	}
	if c.AnchorIndex > math.MaxUint32 || c.Patience > maxPatience {
		return nil, fmt.Errorf("the configuration has the index %#x, which is none, or a patience of %d ms, of which at most %d are taken", c.AnchorIndex, c.Patience, maxPatience)
	}
	return c, nil
}

func (c *Config) deadline() time.Duration { return time.Duration(c.Patience) * time.Millisecond }
