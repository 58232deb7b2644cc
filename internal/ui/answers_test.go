package ui

import (
	"errors"
	"strings"
	"testing"
)

const someAnswers = `fleetctl answers v1
# the witness slips once
open words: alpha  beta
open words: alpha beta gamma

open clock: from-screen
intake hsm-1 witness:
`

func TestAnswersGoToTheirPrompts(t *testing.T) {
	a, err := ParseAnswers("answers", []byte(someAnswers))
	if err != nil {
		t.Fatal(err)
	}
	o := testOutput(t, Options{})
	o.Answer(a)
	if !o.Answered() || !o.Asks() || o.Interactive() {
		t.Error("a file answers, and is no terminal")
	}
	for _, c := range []struct{ prompt, screen, want string }{
		{"open words", "", "alpha  beta"}, {"open words", "", "alpha beta gamma"},
		{"open clock", "14:05", "14:05"}, {"intake hsm-1 witness", "", ""},
	} {
		o.About(c.prompt, c.screen)
		if got, err := o.Ask("?"); got != c.want || err != nil {
			t.Errorf("%s: %q, %v", c.prompt, got, err)
		}
	}
	if err := a.Done(); err != nil {
		t.Error(err)
	}
	o.About("challenge fleet", "a b c")
	if _, err := o.Ask("?"); err == nil || !strings.Contains(err.Error(), `answers: has no answer left for "challenge fleet"`) {
		t.Error(err)
	}
}

func TestAnswersThatDoNotFitNameTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ file, prompt, want string }{
		"another question": {"fleetctl answers v1\nopen clock: 14:05\n", "open words", `answers:2: answers "open clock", and what is asked is "open words"`},
		"no screen":        {"fleetctl answers v1\n\nopen words: from-screen\n", "open words", `answers:3: no screen shows the answer to "open words"`},
		"no name":          {"fleetctl answers v1\nopen words: a\n", "", "answers:2: this question has no name"},
	} {
		a, err := ParseAnswers("answers", []byte(c.file))
		if err != nil {
			t.Fatal(name, err)
		}
		o := testOutput(t, Options{})
		o.Answer(a)
		o.About(c.prompt, "")
		got, err := o.Ask("?")
		var unfit *AnswerError
		if got != "" || !errors.As(err, &unfit) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err := a.Done(); err == nil || !strings.HasSuffix(err.Error(), "was never asked") {
			t.Errorf("%s: what is left over is not told: %v", name, err)
		}
	}
}

func TestAnswersAreReadStrictly(t *testing.T) {
	for want, text := range map[string]string{
		`answers:1: has "answers"`:            "answers\n",
		"answers:2: \"open\" is no line such": "fleetctl answers v1\nopen\n",
		"answers:2: has no space":             "fleetctl answers v1\nopen:x\n",
		"answers:2: has space at its end":     "fleetctl answers v1\nopen: x \n",
		"answers:3: ":                         "fleetctl answers v1\nopen: x\nopen  words: x\n",
		"the last line has no LF":             "fleetctl answers v1\nopen: x",
		"more than 4096 bytes":                "fleetctl answers v1\nopen: " + strings.Repeat("x", 4097) + "\n",
		"1048576 are allowed":                 "fleetctl answers v1\n" + strings.Repeat("#\n", maxAnswers/2),
	} {
		if a, err := ParseAnswers("answers", []byte(text)); a != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(someAnswers))
	f.Add([]byte("fleetctl answers v1\nopen words: stop\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAnswers("answers", data)
		if (a == nil) == (err == nil) {
			t.Fatal(a, err)
		}
		if err != nil {
			return
		}
		// Written again it says the same.
		var again strings.Builder
		again.WriteString(answersFormat + "\n")
		for _, l := range a.lines {
			again.WriteString(strings.TrimSuffix(l.prompt+": "+l.answer, " ") + "\n")
		}
		b, err := ParseAnswers("again", []byte(again.String()))
		if err != nil || len(b.lines) != len(a.lines) {
			t.Fatal(err)
		}
		for i := range b.lines {
			if b.lines[i].prompt != a.lines[i].prompt || b.lines[i].answer != a.lines[i].answer {
				t.Fatalf("line %d: %+v, %+v", i, a.lines[i], b.lines[i])
			}
		}
	})
}
