package ui

import (
	"os"

	"golang.org/x/sys/windows"
)

// speaksANSI asks the console to understand escape sequences; those before
// Windows 10 can't.
func speaksANSI(f *os.File) bool {
	h := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(h, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

// listen prepares the console for one line of input, shown or unseen, and
// gives the function that restores it. Ctrl-C ends the process as usual: the
// console itself restores its mode then.
func listen(tty *os.File, echo bool) (func(), error) {
	h := windows.Handle(tty.Fd())
	var before uint32
	if err := windows.GetConsoleMode(h, &before); err != nil {
		return nil, err
	}
	mode := before | windows.ENABLE_LINE_INPUT | windows.ENABLE_PROCESSED_INPUT | windows.ENABLE_ECHO_INPUT
	if !echo {
		mode &^= windows.ENABLE_ECHO_INPUT
	}
	if err := windows.SetConsoleMode(h, mode); err != nil {
		return nil, err
	}
	if err := windows.FlushConsoleInputBuffer(h); err != nil { // it was no answer to what is asked now
		return nil, err
	}
	return func() { _ = windows.SetConsoleMode(h, before) }, nil
}

// halfTyped isn't asked where nothing comes first.
func halfTyped(*os.File) bool { return false }

// cameFirst doesn't wait: a console can't be waited for beside something else.
func cameFirst(*os.File, News) bool { return false }
