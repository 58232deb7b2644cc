package room

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/words"
)

// question says which step is signed in, what for, and what can be typed.
func (w *waiting) question() string {
	a := w.account
	step := min(a.StepNumber(), len(a.Steps))
	if w.wish.Stage == ceremony.StageRelease {
		step-- // it is signed off before the request goes out
	}
	at := fmt.Sprintf("Step %d of %d. ", step, len(a.Steps))
	switch {
	case w.wish.Stage == "":
		return at + fmt.Sprintf("Sign %s: your name, then %s; or where a signature is:", w.purpose(), w.consents())
	case w.enough():
		return at + fmt.Sprintf("Not heard on the %s: %s. Speak now: your name, then %s; or type %q:", w.wish.Stage, strings.Join(w.unheard(), "; "), w.consents(), script.Close)
	}
	return at + fmt.Sprintf("Your verdict on the %s: your name, then %s; or where a signature is:", w.wish.Stage, w.consents())
}

// purpose is what is signed for.
func (w *waiting) purpose() string {
	if w.now.Exception > 0 {
		return fmt.Sprintf("to accept exception %d", w.now.Exception)
	}
	if w.wish.Act == ceremony.ApproveResume && w.reconvened {
		return "to let the work on the HSMs go on after the adjournment"
	}
	return purposes()[w.wish.Act]
}

func purposes() map[string]string {
	return map[string]string{
		ceremony.ApproveOpen:        "to let the HSMs be unlocked",
		ceremony.ApproveResume:      "to let the ceremony go on after its interruption",
		ceremony.ApproveReconvene:   "to let the ceremony go on after its adjournment",
		ceremony.ApproveRequest:     "to let the request go out",
		ceremony.ApproveCountersign: "to let the operator's HSM sign",
	}
}

// name is what a file of answers calls the question.
func (w *waiting) name() string {
	if w.wish.Stage != "" {
		return w.wish.Stage
	}
	return w.wish.Act
}

// consent is what is typed after a name.
func (w *waiting) consent() string {
	if w.wish.Stage != "" {
		return ceremony.Agree
	}
	return script.Consent(w.wish.Act)
}

// consents are all that can be typed after a name: of a verdict each is as good as the
// others.
func (w *waiting) consents() string {
	if w.wish.Stage == "" {
		return strconv.Quote(w.consent())
	}
	text := fmt.Sprintf("%q, %q or %q", ceremony.Agree, "agree with exceptions", "do not agree")
	if w.also != "" {
		text += fmt.Sprintf(" (an officer who approves the %s too adds %q)", w.also, "and "+script.Consent(w.also))
	}
	return text
}

// adds says what was typed after a verdict: that the act beside the stage is approved
// too, and that the stage is closed after it. rest is the verdict.
func (w *waiting) adds(typed string) (rest string, also, closes bool) {
	for {
		switch said := words.Typed(typed); {
		case w.wish.Stage == "":
			return typed, false, false
		case !closes && endsWith(said, "and "+script.Close):
			closes, typed = true, strings.Join(said[:len(said)-2], " ")
		case !also && w.also != "" && endsWith(said, "and "+script.Consent(w.also)):
			also, typed = true, strings.Join(said[:len(said)-3], " ")
		default:
			return typed, also, closes
		}
	}
}

// endsWith says whether what was said ends with some words.
func endsWith(said []string, with string) bool {
	list := words.Typed(with)
	at := len(said) - len(list)
	return at >= 0 && slices.EqualFunc(said[at:], list, words.Heard)
}

// wanted reads what somebody typed after their name. Whoever agrees with exceptions
// and names none means all that are on the screen.
func (w *waiting) wanted(typed string) (folder.Wish, bool) {
	wish := w.wish
	if wish.Stage == "" {
		return wish, words.Same(typed, w.consent())
	}
	var said []string
	for _, word := range words.Typed(strings.ReplaceAll(typed, "-", " ")) {
		if n, err := strconv.Atoi(word); err == nil {
			wish.Exceptions = append(wish.Exceptions, n)
			continue
		}
		said = append(said, word)
	}
	for _, v := range []string{ceremony.Agree, ceremony.AgreeWithExceptions, ceremony.DoNotAgree} {
		if words.Same(strings.Join(said, " "), v) {
			wish.Verdict = v
		}
	}
	if wish.Verdict != ceremony.AgreeWithExceptions {
		return wish, wish.Verdict != "" && len(wish.Exceptions) == 0
	}
	if len(wish.Exceptions) == 0 {
		if s, err := w.account.WantedSignoff(wish.Stage); err == nil {
			wish.Exceptions = s.Exceptions
		}
	}
	return wish, true
}
