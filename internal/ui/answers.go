package ui

import (
	"io"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

const answersFormat = "fleetctl answers v1"

// fromScreen is the answer that whoever reads the right thing off the other
// screen would type, whatever it is by then: words that are drawn on the spot,
// the time.
const fromScreen = "from-screen"

// maxAnswers bounds a file of answers, in bytes.
const maxAnswers = 1 << 20

// Answers are those of a file, for prompts that nobody sits at: in tests and in
// rehearsals. Each line says which prompt it answers, so that a question nobody
// foresaw, or one that never came, is an error and no answer to something else.
type Answers struct {
	file  string
	lines []answerLine
	next  int

	prompt, screen string // what is being asked, and its right answer, if there is one
	rest           []byte // of the line being read
}

type answerLine struct {
	n              int
	prompt, answer string
}

// AnswerError says that a file of answers doesn't fit what was asked.
type AnswerError struct{ fault *strict.Error }

func (e *AnswerError) Error() string { return e.fault.Error() }

func (e *AnswerError) Unwrap() error { return e.fault }

// ParseAnswers reads a file of answers.
func ParseAnswers(file string, data []byte) (*Answers, error) {
	if len(data) > maxAnswers {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), maxAnswers)
	}
	a := &Answers{file: file}
	l := strict.NewLines(file, data)
	l.Literal(answersFormat)
	for l.More() {
		line := l.Next()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		prompt, answer, ok := strings.Cut(line, ":")
		answer, spaced := strings.CutPrefix(answer, " ")
		switch {
		case !ok || prompt == "":
			l.Failf("%q is no line such as \"open clock: from-screen\"", line)
		case answer != "" && !spaced:
			l.Failf("has no space after the colon")
		case strings.TrimSpace(answer) != answer || words.Clean(line) != line || len(answer) > maxAnswer:
			l.Failf("has space at its end, characters that can't be seen, or more than %d bytes", maxAnswer)
		default:
			for part := range strings.SplitSeq(prompt, " ") {
				l.Check(strict.CheckToken(part))
			}
		}
		a.lines = append(a.lines, answerLine{l.Line(), prompt, answer})
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	return a, nil
}

// Read gives the answer to the prompt that is being asked.
func (a *Answers) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		line, err := a.take()
		if err != nil {
			return 0, err
		}
		a.rest = append([]byte(line), '\n')
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

func (a *Answers) take() (string, error) {
	if a.next == len(a.lines) {
		return "", &AnswerError{strict.Errorf(a.file, "has no answer left for %q", a.prompt).WithHint("what comes after its last line was not foreseen")}
	}
	l := a.lines[a.next]
	switch {
	case a.prompt == "":
		return "", &AnswerError{strict.At(a.file, l.n, "this question has no name, so that no file can answer it")}
	case l.prompt != a.prompt:
		return "", &AnswerError{strict.At(a.file, l.n, "answers %q, and what is asked is %q", l.prompt, a.prompt)}
	case l.answer == fromScreen && a.screen == "":
		return "", &AnswerError{strict.At(a.file, l.n, "no screen shows the answer to %q", a.prompt)}
	}
	a.next++
	if l.answer == fromScreen {
		return a.screen, nil
	}
	return l.answer, nil
}

// Done says whether every answer was asked for.
func (a *Answers) Done() error {
	if a.next < len(a.lines) {
		l := a.lines[a.next]
		return &AnswerError{strict.At(a.file, l.n, "%q was never asked", l.prompt)}
	}
	return nil
}

var _ io.Reader = (*Answers)(nil)

// Answer lets a file answer in place of whoever sits at the terminal.
func (o *Output) Answer(a *Answers) { o.in = a }

// Answered says whether a file answers.
func (o *Output) Answered() bool { _, ok := o.in.(*Answers); return ok }

// Asks says whether questions are answered at all: by a person at a terminal,
// or by a file.
func (o *Output) Asks() bool { return o.Interactive() || o.Answered() }

// asked is a question as a file of answers calls it, with its right answer.
type asked struct{ prompt, screen string }

// About names the next prompt for a file of answers, with what the right
// answer is, where another screen shows it.
func (o *Output) About(prompt, screen string) {
	o.name = asked{prompt, screen}
	if a, ok := o.in.(*Answers); ok {
		a.prompt, a.screen = prompt, screen
	}
}
