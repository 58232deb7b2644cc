package explain

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// NoticeFacts are what a notice says.
func NoticeFacts(n *bundle.Notice) [][2]string {
	rows := [][2]string{{"format", n.Format}}
	if n.Retires() {
		rows = append(rows, [2]string{"retires", "the fleet " + n.Fleet + ": its keys end on " + strict.FormatTime(*n.Effective)})
	} else {
		rows = append(rows, [2]string{"voids", fmt.Sprintf("epoch %d, artifact %x", n.Epoch-1, n.Previous)})
	}
	return append(rows, [2]string{"reason", n.Reason})
}

// KeySet explains fleet-keys.json.
func KeySet(file string, data []byte, s *Shown) error {
	set, err := bundle.ParseKeySet(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl verify BUNDLE --policy POLICY"
	keySetFacts(set, s)
	s.Fact("signed is", "the SHA-256 above; in words, "+words.Head(sha256Of(data))+" …")
	return nil
}

// Notice explains a retirement or a void.
func Notice(file string, data []byte, s *Shown) error {
	n, err := bundle.ParseNotice(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl verify BUNDLE --policy POLICY --expect notice"
	noticeShown(n, s)
	s.Fact("signed is", "the SHA-256 above; in words, "+words.Head(sha256Of(data))+" …")
	return nil
}

func noticeShown(n *bundle.Notice, s *Shown) {
	s.Mode, s.Title = n.Mode, fmt.Sprintf("%s · epoch %d", n.Fleet, n.Epoch)
	s.Fact("namespace", n.Namespace)
	s.Fact("created", strict.FormatTime(n.Created))
	s.Fact("previous", fmt.Sprintf("%x", n.Previous))
	for _, f := range NoticeFacts(n)[1:] { // without its format, which is shown already
		s.Fact(f[0], f[1])
	}
}

func sha256Of(data []byte) []byte {
	h := sha256.Sum256(data)
	return h[:]
}

func keySetFacts(set *bundle.KeySet, s *Shown) {
	s.Mode, s.Title = set.Mode, fmt.Sprintf("%s · epoch %d", set.Fleet, set.Epoch)
	s.Fact("namespace", set.Namespace)
	s.Fact("created", strict.FormatTime(set.Created))
	s.Fact("previous", orNone(set.Previous))
	s.Fact("majority", fmt.Sprintf("%d of %d HSMs", set.Majority, len(set.HSMs())))
	s.Fact("ceremony", set.Ceremony.ID)
	s.Fact("plan", fmt.Sprintf("%x", set.Ceremony.Plan))
	s.Fact("transcript", fmt.Sprintf("%x, the fleet check's record", set.Ceremony.Transcript))
	t := s.Table("keys", "HSM", "role", "algorithm", "SHA-256", "words")
	for _, k := range set.Keys {
		h := sha256Of(k.SPKI)
		t.Row(k.HSM, k.Role, string(k.Algorithm), words.Short(h), words.Head(h)+" …")
	}
}

// Bundle explains a validation bundle.
func Bundle(file string, data []byte, s *Shown) error {
	b, err := bundle.ParseAny(file, data)
	if err != nil {
		return err
	}
	s.Fact("artifact", hexWords(b.About().Digest))
	if b.Notice != nil {
		s.Next += " --expect notice"
		noticeShown(b.Notice, s)
	} else {
		keySetFacts(b.KeySet, s)
	}
	s.Fact("as a leaf", fmt.Sprintf("%s bytes of at most %s", words.Number(int64(len(data))), words.Number(bundle.MaxBundle)))
	t := s.Table("statements by third parties", "key", "epoch", "says it signed at", "signature")
	for _, x := range b.Statements {
		t.Row(fmt.Sprintf("%x", x.Key[:8])+"…", fmt.Sprint(x.Statement.Epoch), strict.FormatTime(x.Statement.Time()), fmt.Sprintf("%x…", x.Statement.Signature[:8]))
	}
	t = s.Table("countersignatures", "key", "algorithm", "form")
	for _, c := range b.Countersignatures {
		t.Row(short(c.Key.SPKI()), string(c.Key.Algorithm()), c.Form)
	}
	return nil
}

// Statement explains a third party's statement, as it is served.
func Statement(file string, data []byte, s *Shown) error {
	st, err := bundle.ParseServed(file, data)
	if err != nil {
		return err
	}
	statementFacts(st, s)
	if st.KeyID != nil {
		s.Fact("key_id", fmt.Sprintf("%d, a hint that nobody signed: the key's last byte", *st.KeyID))
	}
	return nil
}

func statementFacts(st *bundle.Statement, s *Shown) {
	s.Mode, s.Title = bundle.Production, fmt.Sprintf("epoch %d", st.Epoch)
	if strings.HasPrefix(st.Namespace, bundle.RehearsalPrefix) {
		s.Mode = bundle.Rehearsal
	}
	suite := "protobuf"
	if st.Ciphersuite == bundle.Bincode {
		suite = "bincode"
	}
	s.Fact("namespace", st.Namespace)
	s.Fact("epoch", fmt.Sprint(st.Epoch))
	s.Fact("digest", hexWords(st.Digest))
	s.Fact("signed at", st.Time().UTC().Format("2006-01-02T15:04:05.000Z")+", by the signer's own clock")
	s.Fact("layout", fmt.Sprintf("ciphersuite %d, %s, Ed25519", st.Ciphersuite, suite))
	s.Fact("signature", fmt.Sprintf("%x", st.Signature))
	s.Fact("over", fmt.Sprintf("%x", st.Message()))
}

// Response explains a third party's response.
func Response(file string, data []byte, s *Shown) error {
	r, err := bundle.ParseResponse(file, data)
	if err != nil {
		return err
	}
	s.Fact("key", fmt.Sprintf("%x, by the response's own word", r.Key))
	statementFacts(r.Statement, s)
	return nil
}

// Core explains what third parties are asked to sign.
func Core(file string, data []byte, s *Shown) error {
	c, err := bundle.ParseCore(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl thirdparty inspect REQUEST --policy THIRDPARTY --ledger LEDGER --public-key KEY"
	coreFacts(c, s)
	return nil
}

func coreFacts(c *bundle.Core, s *Shown) {
	s.Fact("asks for", fmt.Sprintf("a signature over artifact %x", c.KeySet.Digest()))
	keySetFacts(c.KeySet, s)
	s.Fact("release", fmt.Sprintf("record %d, %x", c.Release.N, c.Release.Hash))
	if c.Predecessor != nil {
		s.Fact("after", fmt.Sprintf("epoch %d, artifact %x", c.Predecessor.Epoch, c.Predecessor.Digest()))
		t := s.Table("what third parties are said to have signed before", "key", "epoch", "signed at")
		for _, x := range c.Previous {
			t.Row(fmt.Sprintf("%x", x.Key[:8])+"…", fmt.Sprint(x.Statement.Epoch), strict.FormatTime(x.Statement.Time()))
		}
	}
}

// Request explains a request to third parties.
func Request(file string, data []byte, s *Shown) error {
	r, err := bundle.ParseRequest(file, data)
	if err != nil {
		return err
	}
	s.Next = "fleetctl thirdparty inspect " + words.ShellWord(file) + " --policy THIRDPARTY --ledger LEDGER --public-key KEY"
	subject := r.Core.Subject()
	s.Fact("core", fmt.Sprintf("%x", subject))
	coreFacts(r.Core, s)
	if err := requestStory(file, r, s); err != nil {
		return err
	}
	t := s.Table("evidence in it", "bytes", "SHA-256", "path")
	for _, f := range r.Files {
		t.Row(words.Number(int64(len(f.Data))), short(f.Data), f.Path)
	}
	return nil
}

// requestStory tells how the ceremony went, by the transcript in a request.
func requestStory(file string, r *bundle.Request, s *Shown) error {
	files := map[string][]byte{}
	for _, f := range r.Files {
		files[f.Path] = f.Data
	}
	if files[ceremony.PlanFile] == nil || files[ceremony.TranscriptFile] == nil {
		return nil // an inspection refuses a request without them
	}
	plan, err := ceremony.ParsePlan(file+" "+ceremony.PlanFile, files[ceremony.PlanFile])
	if err != nil {
		return err
	}
	a, t, err := ceremony.Replay(plan, file+" "+ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	if err != nil {
		return err
	}
	return ShowStory(a, t, func(dir string) ([]ceremony.Signing, error) { return ceremony.Signings(files, dir) }, s)
}
