package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func explainKeySet(file string, data []byte, s *shown) error {
	set, err := bundle.ParseKeySet(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl verify BUNDLE --policy POLICY"
	keySetFacts(set, s)
	s.fact("signed is", "the SHA-256 above; in words, "+words.Head(sha256Of(data))+" …")
	return nil
}

func explainNotice(file string, data []byte, s *shown) error {
	n, err := bundle.ParseNotice(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl verify BUNDLE --policy POLICY --expect notice"
	noticeShown(n, s)
	s.fact("signed is", "the SHA-256 above; in words, "+words.Head(sha256Of(data))+" …")
	return nil
}

func noticeShown(n *bundle.Notice, s *shown) {
	s.Mode, s.title = n.Mode, fmt.Sprintf("%s · epoch %d", n.Fleet, n.Epoch)
	s.fact("namespace", n.Namespace)
	s.fact("created", strict.FormatTime(n.Created))
	s.fact("previous", fmt.Sprintf("%x", n.Previous))
	for _, f := range noticeFacts(n)[1:] { // its format is above
		s.fact(f[0], f[1])
	}
}

func sha256Of(data []byte) []byte {
	h := sha256.Sum256(data)
	return h[:]
}

func keySetFacts(set *bundle.KeySet, s *shown) {
	s.Mode, s.title = set.Mode, fmt.Sprintf("%s · epoch %d", set.Fleet, set.Epoch)
	s.fact("namespace", set.Namespace)
	s.fact("created", strict.FormatTime(set.Created))
	s.fact("previous", orNone(set.Previous))
	s.fact("majority", fmt.Sprintf("%d of %d HSMs", set.Majority, len(set.HSMs())))
	s.fact("ceremony", set.Ceremony.ID)
	s.fact("plan", fmt.Sprintf("%x", set.Ceremony.Plan))
	s.fact("transcript", fmt.Sprintf("%x, the fleet check's record", set.Ceremony.Transcript))
	t := s.table("keys", "HSM", "role", "algorithm", "SHA-256", "words")
	for _, k := range set.Keys {
		h := sha256Of(k.SPKI)
		t.row(k.HSM, k.Role, string(k.Algorithm), words.Short(h), words.Head(h)+" …")
	}
}

func explainBundle(file string, data []byte, s *shown) error {
	b, err := bundle.ParseAny(file, data)
	if err != nil {
		return err
	}
	s.fact("artifact", hexWords(b.About().Digest))
	if b.Notice != nil {
		s.Next += " --expect notice"
		noticeShown(b.Notice, s)
	} else {
		keySetFacts(b.KeySet, s)
	}
	s.fact("as a leaf", fmt.Sprintf("%s bytes of at most %s", words.Number(int64(len(data))), words.Number(bundle.MaxBundle)))
	t := s.table("statements by third parties", "key", "epoch", "says it signed at", "signature")
	for _, x := range b.Statements {
		t.row(fmt.Sprintf("%x", x.Key[:8])+"…", fmt.Sprint(x.Statement.Epoch), strict.FormatTime(x.Statement.Time()), fmt.Sprintf("%x…", x.Statement.Signature[:8]))
	}
	t = s.table("countersignatures", "key", "algorithm", "form")
	for _, c := range b.Countersignatures {
		t.row(short(c.Key.SPKI()), string(c.Key.Algorithm()), c.Form)
	}
	return nil
}

func explainStatement(file string, data []byte, s *shown) error {
	st, err := bundle.ParseServed(file, data)
	if err != nil {
		return err
	}
	statementFacts(st, s)
	if st.KeyID != nil {
		s.fact("key_id", fmt.Sprintf("%d, a hint that nobody signed: the key's last byte", *st.KeyID))
	}
	return nil
}

func statementFacts(st *bundle.Statement, s *shown) {
	s.Mode, s.title = bundle.Production, fmt.Sprintf("epoch %d", st.Epoch)
	if strings.HasPrefix(st.Namespace, bundle.RehearsalPrefix) {
		s.Mode = bundle.Rehearsal
	}
	suite := "protobuf"
	if st.Ciphersuite == bundle.Bincode {
		suite = "bincode"
	}
	s.fact("namespace", st.Namespace)
	s.fact("epoch", fmt.Sprint(st.Epoch))
	s.fact("digest", hexWords(st.Digest))
	s.fact("signed at", st.Time().UTC().Format("2006-01-02T15:04:05.000Z")+", by the signer's own clock")
	s.fact("layout", fmt.Sprintf("ciphersuite %d, %s, Ed25519", st.Ciphersuite, suite))
	s.fact("signature", fmt.Sprintf("%x", st.Signature))
	s.fact("over", fmt.Sprintf("%x", st.Message()))
}

func explainResponse(file string, data []byte, s *shown) error {
	r, err := bundle.ParseResponse(file, data)
	if err != nil {
		return err
	}
	s.fact("key", fmt.Sprintf("%x, by the response's own word", r.Key))
	statementFacts(r.Statement, s)
	return nil
}

func explainCore(file string, data []byte, s *shown) error {
	c, err := bundle.ParseCore(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl thirdparty inspect REQUEST --policy THIRDPARTY --ledger LEDGER --key KEY"
	coreFacts(c, s)
	return nil
}

func coreFacts(c *bundle.Core, s *shown) {
	s.fact("asks for", fmt.Sprintf("a signature over artifact %x", c.KeySet.Digest()))
	keySetFacts(c.KeySet, s)
	s.fact("release", fmt.Sprintf("record %d, %x", c.Release.N, c.Release.Hash))
	if c.Predecessor != nil {
		s.fact("after", fmt.Sprintf("epoch %d, artifact %x", c.Predecessor.Epoch, c.Predecessor.Digest()))
		t := s.table("what third parties are said to have signed before", "key", "epoch", "signed at")
		for _, x := range c.Previous {
			t.row(fmt.Sprintf("%x", x.Key[:8])+"…", fmt.Sprint(x.Statement.Epoch), strict.FormatTime(x.Statement.Time()))
		}
	}
}

func explainRequest(file string, data []byte, s *shown) error {
	r, err := bundle.ParseRequest(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl thirdparty inspect " + words.ShellWord(file) + " --policy THIRDPARTY --ledger LEDGER --key KEY"
	subject := r.Core.Subject()
	s.fact("core", fmt.Sprintf("%x", subject))
	coreFacts(r.Core, s)
	t := s.table("evidence in it", "bytes", "SHA-256", "path")
	for _, f := range r.Files {
		t.row(words.Number(int64(len(f.Data))), short(f.Data), f.Path)
	}
	return nil
}

// ledgerEntry is a line of a third party's ledger; package thirdparty keeps
// its own reader, which locks the file and wants the key.
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

func explainLedger(file string, data []byte, s *shown) error {
	s.Next = "fleetctl thirdparty ledger " + words.ShellWord(file) + " --public-key KEY"
	t := s.table("entries", "n", "epoch", "signed at", "digest", "namespace")
	n := 0
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			s.fact("cut off", fmt.Sprintf("%d bytes after entry %d are of an entry that was never finished", len(line), n))
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
		t.row(fmt.Sprint(e.N), fmt.Sprint(st.Epoch), strict.FormatTime(st.Time()), words.Short(st.Digest[:]), st.Namespace)
		if g := e.Gap; g != nil {
			s.fact(fmt.Sprintf("gap before %d", e.N), fmt.Sprintf("signed up to epoch %d; epoch %d by the word of %d others: %x", g.Last, g.Epoch, len(g.Stated), g.Digest))
		}
		data = rest
	}
	s.fact("entries", fmt.Sprint(n))
	return nil
}
