package explain

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// ledgerEntry is a line of a third party's ledger. The reader of package thirdparty can't be
// used here: it locks the file and needs the key.
type ledgerEntry struct {
	N         int      `strict:"n"`
	Prev      [32]byte `strict:"prev,hex"`
	Core      [32]byte `strict:"core,hex"`
	Statement []byte   `strict:"statement,base64"`
	Gap       *struct {
		Last   uint64   `strict:"last"`
		Epoch  uint64   `strict:"epoch"`
		Digest [32]byte `strict:"digest,hex"`
		Stated []struct {
			Key       [32]byte `strict:"key,base64"`
			Statement []byte   `strict:"statement,base64"`
		} `strict:"stated"`
	} `strict:"gap,optional"`
}

// Ledger explains a third party's ledger entry by entry.
func Ledger(file string, data []byte, s *Shown) error {
	s.Next = "fleetctl thirdparty ledger " + words.ShellWord(file) + " --public-key KEY"
	t := s.Table("entries", "n", "epoch", "signed at", "digest", "namespace")
	n := 0
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			s.Fact("cut off", fmt.Sprintf("%d bytes after entry %d are of an entry that was never finished", len(line), n))
			break
		}
		n++
		var e ledgerEntry
		if err := strict.DecodeJSON(file, line, 128<<10, &e); err != nil {
			return strict.At(file, n, "entry %d: %v", n, err)
		}
		st, err := bundle.ParseStatement(file, e.Statement)
		if err != nil {
			return strict.At(file, n, "entry %d: %v", n, err)
		}
		t.Row(fmt.Sprint(e.N), fmt.Sprint(st.Epoch), strict.FormatTime(st.Time()), words.Short(st.Digest[:]), st.Namespace)
		if g := e.Gap; g != nil {
			s.Fact(fmt.Sprintf("gap before %d", e.N), fmt.Sprintf("signed up to epoch %d; epoch %d by the word of %d others: %x", g.Last, g.Epoch, len(g.Stated), g.Digest))
		}
		data = rest
	}
	s.Fact("entries", fmt.Sprint(n))
	return nil
}

// LedgerGuard explains how far a ledger had come when a signature left last. The reader of
// package thirdparty needs the key.
func LedgerGuard(file string, data []byte, s *Shown) error {
	s.Next = "fleetctl thirdparty ledger LEDGER --public-key KEY --guard " + words.ShellWord(file)
	lines := strict.NewLines(file, data)
	lines.Literal("fleetctl third-party-guard v1")
	key := lines.Base64("key ")
	entries, head := lines.Uint("entries "), lines.Hash("head ")
	if err := lines.Done(); err != nil {
		return err
	}
	if len(key) != 32 {
		return strict.At(file, 2, "the key has %d bytes, an Ed25519 key has 32", len(key))
	}
	s.Fact("ledger of key", base64.StdEncoding.EncodeToString(key))
	s.Fact("at least", words.Count(int64(entries), "entry", "entries")+": so many the ledger had when a signature left last. One that has fewer is an older copy, and signs nothing")
	s.Fact("head", words.Hex(head[:]))
	return nil
}

// PartyPolicy explains a third party's policy.
func PartyPolicy(file string, data []byte, s *Shown) error {
	p, err := thirdparty.ParsePolicy(file, data)
	if err != nil {
		return err
	}
	s.Mode = p.Mode
	s.Next = "fleetctl thirdparty inspect REQUEST --policy " + words.ShellWord(file) + " --ledger LEDGER --public-key KEY"
	var algorithms []string
	for _, a := range p.Algorithms {
		algorithms = append(algorithms, string(a))
	}
	s.Fact("signs for", strings.Join(p.Namespaces, ", "))
	s.Fact("algorithms", strings.Join(algorithms, ", "))
	s.Fact("roles", strings.Join(p.Roles, ", "))
	s.Fact("HSMs", fmt.Sprintf("at least %d", p.LeastHSMs))
	s.Fact("officers", fmt.Sprintf("%d must have approved", p.Threshold))
	if len(p.Refuses) > 0 {
		s.Fact("refuses", "a ceremony that had "+strings.Join(p.Refuses, ", "))
	}
	if len(p.Others) > 0 {
		s.Fact("a gap rests on", fmt.Sprintf("the word of %d of the other third parties, and consent", p.OthersNeeded))
		t := s.Table("other third parties, as pinned", "name", "key")
		for _, x := range p.Others {
			t.Row(x.Name, base64.StdEncoding.EncodeToString(x.Key[:]))
		}
	}
	t := s.Table("the operator's people, as pinned", "name", "role", "key")
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return strict.Errorf(file, "person %q: key %v", x.Name, err)
		}
		t.Row(x.Name, x.Role, k.Type()+" "+k.Fingerprint())
	}
	return nil
}
