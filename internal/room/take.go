package room

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// offer shows what is signed, and puts its texts where people who sign elsewhere
// find them. What signing means comes last, directly above the question.
func (r *Room) offer(w *waiting) error {
	if r.StandIn.Unattended {
		return nil
	}
	wish := r.agreeing(w)
	t, err := folder.TextToSign(r.Config.Dir, w.account, wish, ceremony.Officer)
	if err != nil {
		return cli.Usage(err)
	}
	r.App.UI.Say("\n")
	if err := session.ShowHistory(r.App, r.Config.Dir); err != nil {
		return cli.Wrong(err)
	}
	r.App.ShowText(t.Text)
	if w.wish.Stage != "" {
		r.say("That is an officer's text: each signs it as what they are, with the verdict that they type: agree, agree with exceptions, or do not agree.")
	}
	texts := w.texts(wish)
	act := folder.Wish{Act: w.also}
	var with *folder.ToSign
	if w.also != "" {
		if with, err = folder.TextToSign(r.Config.Dir, w.account, act, ceremony.Officer); err != nil {
			return cli.Usage(err)
		}
		r.say("A second text follows, which officers alone sign: the approval of the " + w.also + ". An officer signs both by naming both in one answer, or is asked for the second one later:")
		r.App.ShowText(with.Text)
		texts = append(texts, elsewhere{fmt.Sprintf("%s-after-%d.txt", w.also, w.account.N), ceremony.Officer, act})
	}
	file := ""
	for _, x := range texts {
		t, err := folder.TextToSign(r.Config.Dir, w.account, x.wish, x.role)
		if err != nil {
			return cli.Usage(err)
		}
		path := filepath.Join(r.Exchange, x.name)
		if err := cli.WriteSame(path, t.Text); err != nil {
			return err
		}
		if file == "" {
			file = path
		}
	}
	r.say("Who signs elsewhere finds the text in " + r.Exchange + "; its signature comes back there:")
	r.App.UI.Say(r.App.UI.Talk.Line("ssh-keygen -Y sign -n "+t.Namespace+" -f KEY "+words.ShellWord(file)), "\n")
	if err := session.ShowSigning(r.App, w.account, wish, t, nil); err != nil {
		return err
	}
	if w.last != nil {
		w.last()
	}
	if with == nil {
		return nil
	}
	r.say("An officer who names the " + w.also + " too:")
	return session.ShowSigning(r.App, w.account, act, with, t)
}

// elsewhere is a text for somebody who signs elsewhere.
type elsewhere struct {
	name, role string
	wish       folder.Wish
}

// texts are those that can be signed now, each under the name of what it is.
func (w *waiting) texts(wish folder.Wish) (list []elsewhere) {
	if wish.Stage == "" {
		name := fmt.Sprintf("%s-after-%d.txt", wish.Act, w.account.N)
		if w.now.Exception > 0 {
			name = fmt.Sprintf("exception-%d.txt", w.now.Exception)
		}
		return []elsewhere{{name, ceremony.Officer, wish}}
	}
	verdicts := []folder.Wish{wish}
	if s, err := w.account.WantedSignoff(wish.Stage); err == nil && len(s.Exceptions) > 0 {
		verdicts = append(verdicts, folder.Wish{Stage: wish.Stage, Verdict: ceremony.AgreeWithExceptions, Exceptions: s.Exceptions})
	}
	verdicts = append(verdicts, folder.Wish{Stage: wish.Stage, Verdict: ceremony.DoNotAgree})
	for _, role := range []string{ceremony.Officer, ceremony.Witness, ceremony.Auditor} {
		for _, v := range verdicts {
			name := fmt.Sprintf("%s-%s-%s.txt", wish.Stage, role, v.Verdict)
			if v.Verdict == ceremony.AgreeWithExceptions { // which, the name says: more may come
				name = fmt.Sprintf("%s-%s-%s-%s.txt", wish.Stage, role, v.Verdict, strings.Trim(strings.ReplaceAll(fmt.Sprint(v.Exceptions), " ", "-"), "[]"))
			}
			list = append(list, elsewhere{name, role, v})
		}
	}
	return list
}

// signaturesIn are the signature files of a folder, or the one file.
func signaturesIn(path string) []string {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return []string{path}
	}
	list, _ := filepath.Glob(filepath.Join(path, "*"+ceremony.SigSuffix)) // a pattern that is none can't be
	slices.Sort(list)
	return list
}

// found is a signature over what is waited for.
type found struct {
	file string
	sig  *sshsig.Signature
	text *folder.ToSign
}

// find looks for signatures over what is waited for, of people who haven't signed
// it: a file that has lain there since must not take the place of a later word.
func (r *Room) find(w *waiting, path string) (list []found) {
	texts := w.texts(r.agreeing(w))
	for _, file := range signaturesIn(path) {
		data, err := cli.ReadFile(file)
		if err != nil {
			continue
		}
		sig, err := sshsig.Parse(file, data)
		if err != nil {
			continue // half a file, or none of ours
		}
		name, role, ok := w.people.RoleOf(sig.Key())
		if !ok || slices.Contains(w.now.Have, name) {
			continue
		}
		for _, x := range texts {
			if x.role != role {
				continue
			}
			t, err := folder.TextToSign(r.Config.Dir, w.account, x.wish, role)
			if err == nil && sig.Verify(t.Namespace, t.Text) == nil {
				list = append(list, found{file, sig, t})
				break
			}
		}
	}
	return list
}

// whyNot says why nothing was taken from where somebody said that a signature is.
func (r *Room) whyNot(w *waiting, path string) string {
	text := "There is no signature for this in " + path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return text + ": no file " + "*" + ceremony.SigSuffix + " there is one over this text by somebody who has still to sign it."
	}
	data, err := cli.ReadFile(path)
	if err != nil {
		return text + ": " + cli.InWords(err) + "."
	}
	sig, err := sshsig.Parse(path, data)
	if err != nil {
		return text + ": " + strings.TrimPrefix(cli.InWords(err), path+": ") + "."
	}
	return text + ": " + r.otherSignature(w, sig) + "."
}

// bringsSignature says whether one is there.
func (r *Room) bringsSignature(w *waiting, path string) bool { return len(r.find(w, path)) > 0 }

// takeSignatures takes in those that are there.
func (r *Room) takeSignatures(w *waiting, path string) (took bool, err error) {
	for _, f := range r.find(w, path) {
		kept, err := folder.StoreSignature(r.Config.Dir, f.text.Folder, f.text.Name, w.people, f.text.Namespace, f.text.Text, f.sig)
		if err != nil {
			return took, cli.Wrong(err)
		}
		r.signed(w, kept.Name, f.text.Text, "from "+filepath.Base(f.file))
		took = true
	}
	return took, nil
}

// signed says that somebody has signed.
func (r *Room) signed(w *waiting, name string, text []byte, where string) {
	w.heard = true
	what := name + " approves " + w.name()
	if w.now.Exception > 0 {
		what = fmt.Sprintf("%s accepts exception %d", name, w.now.Exception)
	}
	if s, err := ceremony.ParseSignoff(name, text); err == nil {
		what = fmt.Sprintf("%s on %s: %s", name, s.Stage, bytes.TrimPrefix(verdictLine(text), []byte("verdict ")))
	}
	r.App.UI.Say(r.App.UI.Talk.Step(ui.Done, what, where))
}

func verdictLine(text []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return lines[len(lines)-1]
}

// sign has a person's key sign what was shown and consented to: a stage or an act,
// and the act beside it where they named both.
func (r *Room) sign(w *waiting, p ceremony.Person, wish folder.Wish, both bool) error {
	v, err := r.keyOf(p)
	if err != nil {
		return err
	}
	defer v.Done()
	if err := r.signWith(w, v, p, wish); err != nil || !both {
		return err
	}
	act := &waiting{wish: folder.Wish{Act: w.also}, account: w.account, people: w.people, now: &folder.Missing{}}
	return r.signWith(act, v, p, act.wish)
}

func (r *Room) signWith(w *waiting, v *signer.Signatory, p ceremony.Person, wish folder.Wish) error {
	t, err := folder.TextToSign(r.Config.Dir, w.account, wish, p.Role)
	if err != nil {
		return cli.Usage(err)
	}
	sig, err := v.Sign(t.Namespace, t.Text)
	if err != nil {
		return err
	}
	kept, err := folder.StoreSignature(r.Config.Dir, t.Folder, t.Name, w.people, t.Namespace, t.Text, sig)
	if err != nil {
		return cli.Wrong(err)
	}
	r.signed(w, kept.Name, t.Text, fmt.Sprintf("record %d", w.account.N))
	return nil
}

// keyOf is a person's key: at one of the places that were named, or in ssh-agent. A
// person is asked where it is.
func (r *Room) keyOf(p ceremony.Person) (*signer.Signatory, error) {
	for {
		v, err := signer.Find(r.App, p, r.Keys)
		if err != nil || v != nil {
			return v, err
		}
		if r.StandIn.Unattended {
			return nil, errNoKey
		}
		r.App.UI.About("key "+p.Name, "")
		place, err := r.App.UI.Ask(session.Capital(p.Name) + ", your key is not at hand. Its file, a folder that has it, or Enter once ssh-agent has it:")
		if err != nil {
			return nil, err
		}
		if place == "" {
			return nil, errNoKey
		}
		r.Keys = append(r.Keys, place)
	}
}

// brought gives the next file of the exchange that is what is waited for, and
// remembers those that are something else.
func (r *Room) brought(path string, is func(file string, data []byte) bool) (file string, data []byte, err error) {
	for _, file := range filesIn(path) {
		data, err := cli.ReadFile(file)
		if err != nil {
			continue
		}
		sum := sha256.Sum256(data)
		if r.seen[sum] || !is(file, data) {
			continue
		}
		return file, data, nil
	}
	return "", nil, errNothing
}

var errNothing = errors.New("nothing has come")
