package passkey

import (
	"bytes"
	"fmt"

	"github.com/fleetctl/fleetctl/internal/fleet/client"
	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	format    = "fleetctl-drill-passkey/1"
	maxRecord = 8 << 10
)

// Record is what is kept of a passkey, beside the backup: nothing in it is secret, and
// without the passkey it opens nothing.
type Record struct {
	Format         string `strict:"format"`
	Account        string `strict:"account"`
	User           []byte `strict:"user,base64"` // WebAuthn's user handle
	Credential     []byte `strict:"credential,base64"`
	PublicKey      []byte `strict:"public-key,base64"`
	BackupEligible bool   `strict:"backup-eligible"`
	Salt           []byte `strict:"salt,base64"`
	Sealed         []byte `strict:"sealed,base64"` // the device's key
}

// ParseRecord reads a record. It has one form, that in which Raw writes it.
func ParseRecord(file string, data []byte) (*Record, error) {
	r := new(Record)
	if _, err := strict.DecodeFormat(file, data, maxRecord, format, r); err != nil {
		return nil, err
	}
	if !bytes.Equal(r.Raw(), data) {
		return nil, strict.Errorf(file, "is not in the form in which a passkey's record is written")
	}
	if err := r.check(); err != nil {
		return nil, strict.Errorf(file, "%v", err)
	}
	return r, nil
}

// Raw is the record's file.
func (r *Record) Raw() []byte { return strict.EncodeJSON(r) }

func (r *Record) check() error {
	if err := guess.CheckAccount(r.Account); err != nil {
		return err
	}
	for _, f := range []struct {
		name        string
		b           []byte
		least, most int
	}{
		{"user", r.User, userSize, userSize}, {"credential", r.Credential, 16, 1023}, {"public-key", r.PublicKey, 32, 4096}, {"salt", r.Salt, saltSize, saltSize}, {"sealed", r.Sealed, client.SealedSize, client.SealedSize},
	} {
		if len(f.b) < f.least || len(f.b) > f.most {
			return fmt.Errorf("%s has %d bytes; it has %d to %d", f.name, len(f.b), f.least, f.most)
		}
	}
	return nil
}

// what is a record's passkey for: an account, and this credential alone.
func (r *Record) what() []string {
	return []string{"passkey", r.Account, string(r.Credential), string(r.Salt)}
}

// open opens a record with what its passkey gave.
func (r *Record) open(prf []byte) ([]byte, error) {
	key, err := client.Unseal(prf, r.Sealed, r.what()...)
	if err != nil {
		return nil, fmt.Errorf("the passkey doesn't open the key of %s: it is another one than it was sealed with", r.Account)
	}
	return key, nil
}
