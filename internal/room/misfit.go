package room

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// misfit is a file that others brought and that isn't taken.
type misfit struct{ file, why string }

// misfits are the files of the exchange that nothing was said of yet, and that unfit
// says something of: why each isn't taken.
func (r *Room) misfits(unfit func(file string, data []byte) string) (list []misfit) {
	for _, file := range filesIn(r.Exchange) {
		data, err := cli.ReadFile(file)
		why := ""
		switch {
		case err != nil:
			why = cli.InWords(err)
		case !r.seen[sha256.Sum256(data)]: // of those something was said
			why = unfit(file, data)
		}
		if why != "" && !r.told[toldAs(file, data)] {
			list = append(list, misfit{file, inOneLine(file, why)})
		}
	}
	return list
}

// inOneLine is what is wrong with a file, without its name; of several faults the first.
func inOneLine(file, why string) string {
	lines := strings.Split(strings.TrimSpace(why), "\n")
	text := strings.TrimPrefix(strings.TrimPrefix(lines[0], file), ":")
	if n, rest, ok := strings.Cut(text, ": "); ok && strings.Trim(n, "0123456789") == "" {
		text = strings.TrimSpace("line " + n + ": " + rest)
		text = strings.TrimPrefix(text, "line : ")
	}
	if more := len(lines) - 1; more > 0 {
		text += fmt.Sprintf(", and %d more of that kind", more)
	}
	return strings.TrimSpace(text)
}

// toldAs is under what a file was named: another content is another file.
func toldAs(file string, data []byte) [32]byte {
	return sha256.Sum256(append([]byte(filepath.Base(file)+"\x00"), data...))
}

// filesIn are the files of a folder but for hidden ones, or the one file.
func filesIn(path string) (list []string) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return []string{path}
	}
	all, _ := filepath.Glob(filepath.Join(path, "[^.]*")) // a pattern that is none can't be
	for _, file := range all {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			list = append(list, file)
		}
	}
	slices.Sort(list)
	return list
}

// tellMisfits names each misfit, once, with what is expected instead.
func (r *Room) tellMisfits(expected string, unfit func(file string, data []byte) string) {
	for _, m := range r.misfits(unfit) {
		data, _ := cli.ReadFile(m.file) // what can't be read is told as an empty one
		r.told[toldAs(m.file, data)] = true
		r.say(fmt.Sprintf("%s is not taken: %s. Expected: %s.", m.file, strings.TrimSuffix(m.why, "."), expected))
	}
}

// unknownFile is said of a file that could be anything.
const unknownFile = "it is nothing that the room knows by this name"

// unfitSignature says why a file is no signature over what is waited for. It is empty
// for one that is, for what the room itself put there, and for what another step takes.
func (r *Room) unfitSignature(w *waiting, file string, data []byte) string {
	switch {
	case isOurs(file, data), strings.HasSuffix(file, ".json"), strings.HasSuffix(file, ".tlog-proof"):
		return ""
	}
	sig, err := sshsig.Parse(file, data)
	switch {
	case err != nil && strings.HasSuffix(file, ceremony.SigSuffix):
		return cli.InWords(err)
	case err != nil:
		return unknownFile
	case r.isKept(sig), len(r.find(w, file)) > 0 && strings.HasSuffix(file, ceremony.SigSuffix):
		return ""
	case len(r.find(w, file)) > 0:
		return "its name doesn't end with " + ceremony.SigSuffix
	}
	return r.otherSignature(w, sig)
}

// otherSignature says why a signature isn't one that is waited for.
func (r *Room) otherSignature(w *waiting, sig *sshsig.Signature) string {
	name, role, ok := w.people.RoleOf(sig.Key())
	switch {
	case !ok:
		return "the key " + sig.Key().Fingerprint() + " is nobody's in the plan"
	case slices.Contains(w.now.Have, name):
		return name + " has signed already"
	case w.wish.Stage == "" && role != ceremony.Officer:
		return fmt.Sprintf("it is by %s, %s, and officers approve this", name, role)
	}
	for _, x := range w.texts(r.agreeing(w)) {
		t, err := folder.TextToSign(r.Config.Dir, w.account, x.wish, x.role)
		if err == nil && sig.Verify(sig.Namespace(), t.Text) == nil {
			if x.role != role {
				return fmt.Sprintf("it is by %s, %s, over the text for the %s", name, role, x.role)
			}
			return fmt.Sprintf("it is by %s over %s, but for the namespace %q and not for %q", name, x.name, sig.Namespace(), t.Namespace)
		}
	}
	for _, file := range filesIn(r.Exchange) {
		if data, err := cli.ReadFile(file); err == nil && isOurs(file, data) && sig.Verify(sig.Namespace(), data) == nil {
			return fmt.Sprintf("it is by %s over %s, which is not what is signed now", name, filepath.Base(file))
		}
	}
	return "it is by " + name + ", and over another text than what is signed now"
}

// expectedSignature says which file a signature comes in.
func (r *Room) expectedSignature(w *waiting) string {
	texts := w.texts(r.agreeing(w))
	t, err := folder.TextToSign(r.Config.Dir, w.account, texts[0].wish, texts[0].role)
	if err != nil {
		return "the signature of " + w.name()
	}
	name := texts[0].name + ceremony.SigSuffix
	if len(texts) > 1 {
		name += ", or that of the text for your role and verdict"
	}
	return fmt.Sprintf("%s, by ssh-keygen -Y sign -n %s, of somebody who has still to sign", name, t.Namespace)
}

// isOurs says whether the room itself put a file into the exchange.
func isOurs(file string, data []byte) bool {
	return filepath.Base(file) == "request.json" || strings.HasSuffix(file, ".txt") &&
		(bytes.HasPrefix(data, []byte("fleetctl approval v1\n")) || bytes.HasPrefix(data, []byte("fleetctl signoff v1\n")))
}

// isKept says whether a signature has been taken already.
func (r *Room) isKept(sig *sshsig.Signature) bool {
	for _, dir := range []string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.SignoffDir(ceremony.StageRelease), ceremony.SignoffDir(ceremony.StageClose)} {
		list, _ := folder.ReadSignings(r.Config.Dir, dir) // one that can't be read has been told
		if slices.ContainsFunc(list, func(s ceremony.Signing) bool { return bytes.Equal(s.Signature, sig.Armor()) }) {
			return true
		}
	}
	return false
}

// unfitAnswer says why a file is no answer of a third party.
func (r *Room) unfitAnswer(a *ceremony.Account, file string, data []byte) string {
	if r.isPast(file, data) {
		return ""
	}
	if _, err := sshsig.Parse(file, data); err == nil {
		return "it is a signature, and none is waited for now"
	}
	_, err := bundle.ParseAnswer(file, data, a.Plan.PartyKeys())
	switch {
	case err == nil:
		return ""
	case !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")):
		return unknownFile
	}
	return cli.InWords(err)
}

// unfitProof says why a file is no proof of a log.
func (r *Room) unfitProof(a *ceremony.Account, file string, data []byte) string {
	if answer, err := bundle.ParseAnswer(file, data, a.Plan.PartyKeys()); err == nil {
		if slices.ContainsFunc(a.Responses, func(o *ceremony.Response) bool { return o.Key == answer.Key }) {
			return ""
		}
		return "it is a third party's answer, and the bundle is made: take it in with fleetctl bundle import"
	}
	if r.isPast(file, data) || isProof(data) {
		return ""
	}
	return "it is no proof of a log"
}

// isPast says whether a file belongs to what is over: the room's own, or a signature
// that was taken.
func (r *Room) isPast(file string, data []byte) bool {
	if isOurs(file, data) {
		return true
	}
	sig, err := sshsig.Parse(file, data)
	return err == nil && r.isKept(sig)
}

func isProof(data []byte) bool { return bytes.HasPrefix(data, []byte("c2sp.org/tlog-proof@")) }
