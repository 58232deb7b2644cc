package ui

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// brings is news that comes when something is written into its pipe.
type brings struct{ r, w *os.File }

func newBrings(t *testing.T) *brings {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return &brings{r, w}
}

func (b *brings) Source() int { return int(b.r.Fd()) }

func (b *brings) Came() bool { return true }

func (b *brings) come(t *testing.T) {
	t.Helper()
	if _, err := b.w.Write([]byte{1}); err != nil {
		t.Error(err)
	}
}

// A file that comes ends the question. What somebody was typing at it answers nothing
// else: neither its beginning nor the end that they type afterwards.
func TestALineThatWasHalfTypedWhenAFileCameIsNeverAPIN(t *testing.T) {
	p, news := openPTY(t), newBrings(t)
	o := p.output(t, "never")
	before := p.mode()
	go func() {
		p.types("Sign:\n   > ", "ozan approve res")
		p.wait("> ozan approve res")
		news.come(t)
		p.types("Press Enter:\n   > ", "ponse\n", "PIN of hsm-1:\n   > ", "canary-1\n")
	}()
	if answer, err := o.AskUnless("Sign:", news); answer != "" || !errors.Is(err, ErrNews) {
		t.Fatalf("%q, %v", answer, err)
	}
	if p.mode() != before {
		t.Error("the terminal isn't as it was")
	}
	if pin, err := o.ReadPIN("PIN of hsm-1:"); string(pin) != "canary-1" || err != nil {
		t.Errorf("%q, %v", pin, err)
	}
}

func TestNobodyPressesEnterWhereNothingWasTyped(t *testing.T) {
	p, news := openPTY(t), newBrings(t)
	o := p.output(t, "never")
	news.come(t)
	if answer, err := o.AskUnless("Sign:", news); answer != "" || !errors.Is(err, ErrNews) {
		t.Fatalf("%q, %v", answer, err)
	}
	if strings.Contains(p.shown(), "Enter") {
		t.Errorf("the screen is %q", p.shown())
	}
}

// TestWhatWasTypedBeforeAQuestionDoesNotAnswerIt: whole lines and half ones.
func TestWhatWasTypedBeforeAQuestionDoesNotAnswerIt(t *testing.T) {
	for _, typed := range []string{"canary-before\n", "canary-bef", "one\ntwo\nthr"} {
		p := openPTY(t)
		o := p.output(t, "never")
		if _, err := p.master.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		last := typed[strings.LastIndex(strings.TrimSpace(typed), "\n")+1:]
		p.wait(strings.TrimSpace(last))
		go p.types("PIN:\n   > ", "canary-1\n", "Name:\n   > ", "olga\n")
		if pin, err := o.ReadPIN("PIN:"); string(pin) != "canary-1" || err != nil {
			t.Errorf("%q before: %q, %v", typed, pin, err)
		}
		if name, err := o.Ask("Name:"); name != "olga" || err != nil {
			t.Errorf("%q before: %q, %v", typed, name, err)
		}
	}
}

// TestWordsOfCommandAreNeverPINs: they are understood with whatever people put around
// them, and a line that begins like stop is sent to no token.
func TestWordsOfCommandAreNeverPINs(t *testing.T) {
	for typed, want := range map[string]error{"Stop!": ErrStop, "stop.": ErrStop, "\"STOP\"": ErrStop, "Exception!": ErrException, "adjourn.": ErrAdjourn} {
		p := openPTY(t)
		go p.types("> ", typed+"\n")
		if pin, err := p.output(t, "never").ReadPIN("PIN:"); pin != nil || err != want {
			t.Errorf("%q: %q, %v", typed, pin, err)
		}
	}
	p := openPTY(t)
	o := p.output(t, "never")
	go p.types("PIN:\n   > ", "stop it now\n", "That looks like stop; nothing was sent", "", "PIN:\n   > ", "help\n",
		"stop · exception · adjourn · read · qr", "", "PIN:\n   > ", "?\n", "stop · exception · adjourn · read · qr", "", "PIN:\n   > ", "canary-1\n")
	if pin, err := o.ReadPIN("PIN:"); string(pin) != "canary-1" || err != nil {
		t.Errorf("%q, %v", pin, err)
	}
}

func TestWordsOfCommandAreNoAnswer(t *testing.T) {
	shown := 0
	for _, typed := range []string{"help\n4471\n", "?\n4471\n", "Read.\n4471\n", "QR\n4471\n", "?\nread\nqr\nhelp\n?\nHelp!\n4471\n"} {
		o := testOutput(t, Options{Stdin: strings.NewReader(typed)})
		err := o.WithCode(func() error { shown++; return nil }, func() error {
			seal, err := o.Ask("The number on the seal:")
			if seal != "4471" {
				t.Errorf("%q: %q", typed, seal)
			}
			return err
		})
		if err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
	if shown != 2 {
		t.Errorf("the code was shown %d times", shown)
	}
}
