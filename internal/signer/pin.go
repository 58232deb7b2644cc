package signer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/token"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// pin gets a PIN from its source; nil if the device asks for it. The caller clears it.
func pin(a *cli.App, source, whose string) (pin []byte, method string, err error) {
	return secret(a, source, "PIN of "+whose)
}

// secret is pin for any secret; what names it.
func secret(a *cli.App, source, what string) (pin []byte, method string, err error) {
	s, err := PINSource(source, what)
	if err != nil {
		return nil, "", err
	}
	switch s.Kind {
	case engine.PINProtected:
	case engine.PINFile:
		pin, err = ui.PINFromFile(s.Path)
	case engine.PINFD:
		pin, err = ui.PINFromFD(s.FD)
	default:
		question := strings.ToUpper(what[:1]) + what[1:] + ":"
		if a.At != "" {
			question = a.At + ". " + question
		}
		pin, err = a.UI.ReadPIN(question)
	}
	return pin, string(s.Kind), err
}

// Secret gets what a person has to know, such as a recovery code, from its source. The
// caller clears it.
func Secret(a *cli.App, source, what string) ([]byte, error) {
	text, _, err := secret(a, source, what)
	return text, err
}

// PINSource parses a PIN source. A relative path of a file is taken from the folder in
// which the command runs. Its error doesn't repeat the text, which may be a PIN.
func PINSource(source, what string) (engine.PINSource, error) {
	if path, ok := strings.CutPrefix(source, "file:"); ok && path != "" && !filepath.IsAbs(path) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return engine.PINSource{}, err
		}
		if _, err := os.Stat(abs); err != nil {
			here := strings.TrimSuffix(abs, path)
			return engine.PINSource{}, cli.Usagef("a relative path is one from the folder in which the command runs; a PIN itself is never taken from the command line",
				"the source of the %s: there is no such file in %s", what, here)
		}
		source = "file:" + abs
	}
	s, err := engine.ParsePINSource(source)
	if err != nil {
		return s, cli.Usagef("it is terminal, protected, fd:N (3 or above) or file:PATH, from the folder in which the command runs where it isn't absolute; a PIN itself is never taken from the command line", "the source of the %s: %v", what, err)
	}
	return s, nil
}

// NewSecret gets a new PIN or passphrase for a token or a key file. At a terminal it is
// typed twice, so that a typing error doesn't lock its owner out.
func NewSecret(a *cli.App, source, what string) ([]byte, error) {
	for {
		pin, method, err := secret(a, source, what)
		if err != nil || method != string(engine.PINTerminal) {
			return pin, err
		}
		again, err := a.UI.ReadPIN("The same again:")
		if err != nil {
			clear(pin)
			return nil, err
		}
		same := bytes.Equal(pin, again)
		clear(again)
		if same {
			return pin, nil
		}
		clear(pin)
		a.UI.Say(a.UI.Talk.Line("These were two different ones. Once more:"))
	}
}

// PINFor gets a PIN for one try at a token. If the source is terminal and the device has a
// keypad, the PIN is typed there, not at this computer. After a wrong PIN, it asks again
// only at a terminal, and only if somebody types that they want another try. The same goes
// for the last try before the token locks.
func PINFor(a *cli.App, source, whose string, about token.Info, failed error) (p engine.PIN, err error) {
	if about.ProtectedPIN && source == string(engine.PINTerminal) {
		source = string(engine.PINProtected)
	}
	typed := source == string(engine.PINTerminal) || source == string(engine.PINProtected)
	again := errors.Is(failed, hsm.ErrPINIncorrect) || errors.Is(failed, hsm.ErrPINLength)
	switch {
	case failed != nil && (!typed || !again || !a.UI.Interactive()):
		return p, failed
	case about.PINLocked:
		return p, fmt.Errorf("%s: %w: its security officer has to set a new one", whose, hsm.ErrPINLocked)
	case about.PINFinalTry && !a.UI.Interactive():
		return p, fmt.Errorf("%s: %w, and nobody is here to agree to it: find out what the PIN is, then go on at a terminal", whose, hsm.ErrPINFinalTry)
	}
	if failed != nil {
		err = anotherTry(a, whose, about, failed)
	} else if typed && len(a.Declined) > 0 {
		err = nextToken(a, whose, about)
	} else if about.PINFinalTry {
		err = a.UI.Consent("One try is left: another wrong PIN locks the token of "+whose+".", "use the last try")
	}
	if err != nil {
		return p, err
	}
	p.Final = about.PINFinalTry
	if source == string(engine.PINProtected) {
		a.UI.Say(a.UI.Talk.Line("Type the PIN of " + whose + " at the device itself, now."))
	}
	p.Secret, p.Method, err = pin(a, source, whose)
	return p, err
}

// anotherTry asks whether somebody wants another try: otherwise what they type next, such
// as a command, would go to the token as a PIN. It returns nil if they do, else the token's
// error. The answer is typed unseen and never shown, since it may be the PIN.
func anotherTry(a *cli.App, whose string, about token.Info, failed error) error {
	want, left := "try again", "It says nothing of how many tries are left"
	if errors.Is(failed, token.ErrNotTried) {
		a.UI.Say(a.UI.Talk.Line(failed.Error() + ". Once more:"))
		return nil // no try was used up
	}
	switch {
	case about.PINFinalTry:
		want, left = "use the last try", "One try is left: another wrong PIN locks the token of "+whose
	case about.PINLow:
		left = "It counts wrong PINs, and locks after some"
	}
	a.UI.Say(a.UI.Talk.Line("The token of " + whose + " did not take that PIN. " + left + "."))
	err := agreedUnseen(a, want, "enter it once more", failed)
	if err == failed {
		if a.Declined == nil {
			a.Declined = map[string]error{}
		}
		a.Declined[whose] = failed
	}
	return err
}

// nextToken asks before the PIN of the next token, after somebody gave up at another
// token: an abort then goes on with the next one, which they may not expect.
func nextToken(a *cli.App, whose string, about token.Info) error {
	if failed := a.Declined[whose]; failed != nil {
		return failed // another key of the token that was given up
	}
	want := "go on"
	a.UI.Say(a.UI.Talk.Line("A token was given up. The next PIN is that of " + whose + "."))
	if about.PINFinalTry {
		want = "use the last try"
		a.UI.Say(a.UI.Talk.Line("One try is left: a wrong PIN locks it."))
	}
	return agreedUnseen(a, want, "enter it", ui.ErrStop)
}

// agreedUnseen returns nil when somebody types the wanted words, and declined when they
// type stop or the input ends. It asks until then: if the program ended by itself, the
// shell would read what is typed next, which may be a PIN.
func agreedUnseen(a *cli.App, want, to string, declined error) error {
	for {
		typed, err := a.UI.ReadPIN(fmt.Sprintf("Type %q (unseen) to %s, or %q:", want, to, "stop"))
		if errors.Is(err, ui.ErrStop) || errors.Is(err, ui.ErrNoAnswer) {
			return declined
		}
		if err != nil {
			return err
		}
		words := bytes.Join(bytes.Fields(typed), []byte(" "))
		agreed := bytes.EqualFold(words, []byte(want))
		clear(words)
		clear(typed)
		if agreed {
			return nil
		}
		a.UI.Say(a.UI.Talk.Line("That was something else. Nothing was sent to the token."))
	}
}

// Unlock logs in to a token, outside of a ceremony.
func Unlock(a *cli.App, t *hsm.Token, source, whose string) error {
	var failed error
	for {
		about, err := t.Info()
		if err != nil {
			return err
		}
		p, err := PINFor(a, source, whose, about, failed)
		if err != nil {
			return err
		}
		try := t.Login
		if p.Final {
			try = t.LoginFinal
		}
		failed = try(p.Secret)
		clear(p.Secret)
		if failed == nil {
			return nil
		}
	}
}

// uriSource turns a URI's pin-source into a PIN source. RFC 7512 also allows a bare path.
func uriSource(s string) string {
	switch {
	case s == "":
		return string(engine.PINTerminal)
	case strings.HasPrefix(s, "/"):
		return "file:" + s
	}
	return s
}
