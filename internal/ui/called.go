package ui

import (
	"bytes"
)

// looksLikeStop is said of a hidden line that is no PIN as far as anybody can tell.
const looksLikeStop = "That looks like stop; nothing was sent: type stop, or the PIN."

// call is a word that works at every prompt. An error ends the prompt; the others are
// done, and the question is put again.
type call struct {
	word string
	err  error
	do   func() error
}

func (o *Output) calls() []call {
	return []call{
		{word: "stop", err: ErrStop}, {word: "exception", err: ErrException}, {word: "adjourn", err: ErrAdjourn},
		{word: "read", do: o.Again}, {word: "qr", do: o.showCode}, {word: "help", do: o.help},
	}
}

// called does what somebody calls for instead of answering, whatever its case and the
// punctuation around it; done says that it was no answer, so that the question is put
// again. It makes no copy of the line, for it may be a PIN.
func (o *Output) called(line []byte) (done bool, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 1 && line[0] == '?' {
		return true, o.help()
	}
	line = bytes.Trim(line, " \t.,:;!?\"'`")
	for _, c := range o.calls() {
		if !bytes.EqualFold(line, []byte(c.word)) {
			continue
		}
		if c.err != nil {
			return true, c.err
		}
		asked := o.name
		err := c.do()
		o.About(asked.prompt, asked.screen)
		return true, err
	}
	return false, nil
}

// startsLikeStop finds what somebody meant to stop with, such as "stopp".
func startsLikeStop(line []byte) bool {
	line = bytes.TrimLeft(line, " \t.,:;!?\"'`")
	return len(line) >= 4 && bytes.EqualFold(line[:4], []byte("stop"))
}

func (o *Output) help() error {
	o.Say(o.Talk.Line("At every question: stop · exception · adjourn · read · qr"),
		o.Talk.Line("stop ends it for now, and it goes on with the same command; exception records what went otherwise than planned; adjourn interrupts as planned: both are shown before they are written, and back takes them back;"),
		o.Talk.Line("read shows the text above once more, a screen at a time; qr draws the code for a second screen, where one has to do with the question."))
	return nil
}

// WithCode has do ask its questions: whoever types qr at one of them is shown a code.
func (o *Output) WithCode(show func() error, do func() error) error {
	before := o.code
	o.code = show
	defer func() { o.code = before }()
	return do()
}

func (o *Output) showCode() error {
	if o.code == nil {
		o.Say(o.Talk.Line("No code goes with this question."))
		return nil
	}
	return o.code()
}
