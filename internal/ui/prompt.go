package ui

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// How a prompt can end without an answer. None of them is ever consent.
var (
	ErrNoAnswer    = errors.New("no answer was given; that is taken as a refusal")
	ErrStop        = errors.New("stopped at a prompt")
	ErrException   = errors.New("an exception was called at a prompt")
	ErrInterrupted = errors.New("interrupted at a prompt")
	ErrAdjourn     = errors.New("an adjournment was called at a prompt")
	ErrNews        = errors.New("what was waited for came before an answer")
)

const (
	maxTries  = 5    // wrong answers of what is no terminal; a person is asked until they answer or stop
	maxAnswer = 4096 // bytes; a terminal's own limit for a line
	maxPIN    = 255
)

// Ask puts a question and gives the line that was typed, without the space
// around it; it may be empty. The answer holds visible characters only, so it
// can be recorded and shown again. The words stop, exception and adjourn alone
// give ErrStop, ErrException and ErrAdjourn at every prompt, read, qr and help are
// done and the question put again, Ctrl-C gives ErrInterrupted, and the end of input
// ErrNoAnswer. Where input is no terminal, answers are read
// from it line by line.
func (o *Output) Ask(question string) (string, error) {
	for try := 0; o.again(try); try++ {
		line, err := o.hear(question, maxAnswer, true)
		if err != nil {
			return "", err
		}
		if done, err := o.called(line); err != nil {
			return "", err
		} else if done {
			try--
			continue
		}
		answer := strings.TrimSpace(string(line))
		if words.Clean(answer) == answer {
			return answer, nil
		}
		o.Say(o.Talk.Line("That held a key that is no visible character."))
	}
	return "", ErrNoAnswer
}

// News is something that may come while a question stands: a file that others bring.
type News interface {
	// Source is a descriptor that can be read when something has come; -1 where
	// nothing tells.
	Source() int
	// Came says whether what came is what is waited for.
	Came() bool
}

// AskUnless is Ask, and gives ErrNews where what is waited for comes before a line
// was typed. Of a line that was half typed by then the rest is waited for and thrown
// away: it answers nothing that is asked later, and must not become a PIN.
func (o *Output) AskUnless(question string, news News) (string, error) {
	o.news = news
	defer func() { o.news = nil }()
	return o.Ask(question)
}

// again says whether a question is put once more. At a terminal it always is: a
// program that ends by itself leaves a shell to read what is typed next, and that
// may be a PIN.
func (o *Output) again(try int) bool { return isTerminal(o.in) || try < maxTries }

// Consent gives nil only once the wanted words have been typed, whatever
// their case. There is no short form of them and no default. Other answers
// are asked again.
func (o *Output) Consent(question, want string) error {
	if strings.TrimSpace(want) == "" {
		return ErrNoAnswer // nothing to type is nothing to agree by
	}
	o.Say(o.Talk.Line(question))
	for try := 0; o.again(try); try++ {
		again := ""
		if o.kept.Len() > 0 {
			again = `; "read" shows all of it again`
		}
		answer, err := o.Ask(fmt.Sprintf("Type %q to agree, or %q%s:", want, "stop", again))
		if err != nil {
			return err
		}
		if words.Same(answer, want) {
			return nil
		}
		o.Say(o.Talk.Line(fmt.Sprintf("That was %q.", answer)))
	}
	return ErrNoAnswer
}

// ReadPIN takes a PIN that is typed unseen. The caller overwrites it with
// clear as soon as it has been used. A PIN is never read from anything but a
// terminal here; see [PINFromFile] and [PINFromFD]. The words that work at
// every prompt do so here too, so they can't be PINs.
func (o *Output) ReadPIN(question string) ([]byte, error) {
	if !o.Interactive() {
		return nil, (&strict.Error{Msg: "a PIN is needed and there is no terminal to type it at"}).
			WithHint("give it in a file that only you can read, or through an open file descriptor;\nPINs are never taken from the command line or the environment")
	}
	for try := 0; o.again(try); try++ {
		pin, err := o.hear(question, maxPIN, false)
		if err != nil {
			return nil, err
		}
		if done, err := o.called(pin); err != nil {
			return nil, err
		} else if done {
			continue
		}
		switch {
		case startsLikeStop(pin):
			clear(pin)
			o.Say(o.Talk.Line(looksLikeStop))
		case len(pin) == 0:
			o.Say(o.Talk.Line("Nothing was typed."))
		case hasControl(pin):
			clear(pin)
			o.Say(o.Talk.Line("That held a key that is no character."))
		default:
			return pin, nil
		}
	}
	return nil, ErrNoAnswer
}

// hear asks once and reads one line of at most limit bytes.
func (o *Output) hear(question string, limit int, echo bool) ([]byte, error) {
	tty := isTerminal(o.in)
	if tty && !isTerminal(o.err) {
		return nil, (&strict.Error{Msg: "a question has to be asked and standard error is no terminal to show it"}).
			WithHint("let standard error go to the terminal")
	}
	restore := func() {}
	if tty {
		var err error
		if restore, err = listen(fileOf(o.in), echo); err != nil {
			return nil, fmt.Errorf("preparing the terminal: %w", err)
		}
	}
	o.Say(o.Talk.prompt(question))
	if tty && o.news != nil && cameFirst(fileOf(o.in), o.news) {
		half := halfTyped(fileOf(o.in))
		restore()
		o.Say("\n")
		return nil, o.endedByNews(half)
	}
	line, err := readLine(o.in, limit)
	restore()
	var unfit *AnswerError
	if errors.As(err, &unfit) {
		o.Say("\n")
		return nil, unfit
	}
	switch {
	case !tty: // written out, so that a recorded session reads like a typed one
		o.Say(words.Clean(string(line)), "\n")
	case !echo || err != nil: // the key that ended the line wasn't shown
		o.Say("\n")
	}
	return line, err
}

// endedByNews ends a question that was not answered. Whoever was typing goes on
// typing, and looks up at the next question too late: they type Enter first.
func (o *Output) endedByNews(half bool) error {
	if !half {
		return ErrNews
	}
	news := o.news
	o.news = nil
	defer func() { o.news = news }()
	line, err := o.hear("A file came while you typed; that line is not taken. Press Enter:", maxAnswer, true)
	if err != nil {
		return err
	}
	if _, err := o.called(line); err != nil {
		return err
	}
	return ErrNews
}

// prompt is the question and, on a line of its own, the mark to type after;
// plain, the answer is typed after the question.
func (p Page) prompt(question string) string {
	if p.plain {
		return margin + words.Clean(question) + " "
	}
	return p.Line(question) + margin + p.paint(Where, ">") + " "
}
