package ui

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		typed, want string
		err         error
	}{
		"a line":             {"  Pegasus tonic \nmore\n", "Pegasus tonic", nil},
		"CRLF":               {"yes\r\n", "yes", nil},
		"an empty line":      {"\n", "", nil},
		"the end":            {"", "", ErrNoAnswer},
		"a line cut off":     {"agree", "", ErrNoAnswer},
		"stop":               {" Stop \n", "", ErrStop},
		"exception":          {"EXCEPTION\n", "", ErrException},
		"stop within":        {"full stop\n", "full stop", nil},
		"Ctrl-C":             {"agr\x03ee\n", "", ErrInterrupted},
		"an arrow key first": {"\x1b[Aab\nab\n", "ab", nil},
		"arrow keys only":    {strings.Repeat("\x1b[A\n", maxTries), "", ErrNoAnswer},
		"not UTF-8":          {"\xff\nok\n", "ok", nil},
	} {
		o := testOutput(t, Options{Stdin: strings.NewReader(c.typed)})
		if got, err := o.Ask("What?"); got != c.want || err != c.err {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	o := testOutput(t, Options{Stdin: strings.NewReader(strings.Repeat("x", maxAnswer+1) + "\n")})
	if got, err := o.Ask("What?"); got != "" || err == nil || !strings.Contains(err.Error(), "more than 4096") {
		t.Errorf("too long: %q, %v", got, err)
	}
	if got, err := testOutput(t, Options{Stdin: broken{}}).Ask("What?"); got != "" || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken: %q, %v", got, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAskLeavesTheNextLineToTheNextReader(t *testing.T) {
	in := strings.NewReader("one\ntwo\n")
	o := testOutput(t, Options{Stdin: in})
	if got, err := o.Ask("?"); got != "one" || err != nil {
		t.Fatal(got, err)
	}
	if rest, err := io.ReadAll(in); string(rest) != "two\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestConsent(t *testing.T) {
	for name, c := range map[string]struct {
		typed string
		err   error
	}{
		"the words":         {"destroy hsm-2\n", nil},
		"in another case":   {" Destroy   HSM-2\n", nil},
		"y":                 {"y\nyes\n\n", ErrNoAnswer},
		"in the end":        {"y\nyes\n\ndestroy\ndestroy hsm-2\n", nil},
		"too late":          {"1\n2\n3\n4\n5\ndestroy hsm-2\n", ErrNoAnswer},
		"the end of input":  {"", ErrNoAnswer},
		"cut off":           {"destroy hsm-2", ErrNoAnswer},
		"stop":              {"y\nstop\ndestroy hsm-2\n", ErrStop},
		"Ctrl-C":            {"destroy hsm-2\x03\n", ErrInterrupted},
		"an escape within":  {"destroy\x1b[C hsm-2\n", ErrNoAnswer},
		"words in between":  {"do not destroy hsm-2\n", ErrNoAnswer},
		"nothing but a key": {"\x04\n", ErrNoAnswer},
	} {
		o := testOutput(t, Options{Stdin: strings.NewReader(c.typed)})
		if err := o.Consent("hsm-2 is full.", "destroy hsm-2"); err != c.err {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := testOutput(t, Options{Stdin: strings.NewReader(strings.Repeat("\n", 20))})
	if err := o.Consent("Nothing to type.", " "); err != ErrNoAnswer {
		t.Errorf("consent by an empty line: %v", err)
	}
}

func TestAPromptedSessionReadsLikeATypedOne(t *testing.T) {
	for plain, want := range map[bool]string{
		false: "   Ready?\n   Type \"agree\" to agree, or \"stop\":\n   > yes\n   That was \"yes\".\n   Type \"agree\" to agree, or \"stop\":\n   > agree\n",
		true:  "   Ready?\n   Type \"agree\" to agree, or \"stop\": yes\n   That was \"yes\".\n   Type \"agree\" to agree, or \"stop\": agree\n",
	} {
		var screen bytes.Buffer
		o := testOutput(t, Options{Stdin: strings.NewReader("yes\nagree\n"), Stderr: &screen, Plain: plain})
		if err := o.Consent("Ready?", "agree"); err != nil {
			t.Fatal(err)
		}
		if screen.String() != want {
			t.Errorf("plain %v: %q", plain, screen.String())
		}
	}
}

func TestAPINIsNeverReadFromAPipe(t *testing.T) {
	in := strings.NewReader("1234\n")
	o := testOutput(t, Options{Stdin: in})
	pin, err := o.ReadPIN("PIN?")
	if pin != nil || err == nil || in.Len() != 5 {
		t.Error(pin, err, in.Len())
	}
	if hint := o.Fault(err); !strings.Contains(hint, "file that only you can read") {
		t.Error(hint)
	}
}
