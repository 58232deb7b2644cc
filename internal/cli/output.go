package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/paper"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ShowText shows a text that a person is about to sign.
func (a *App) ShowText(text []byte) { a.showText("This text is signed:", text) }

// ShowOperatorText shows the text that a key in the operator's HSM is about to sign.
func (a *App) ShowOperatorText(name string, text []byte) {
	a.showText("What "+name+"'s HSM will sign:", text)
}

func (a *App) showText(heading string, text []byte) {
	a.UI.Say(a.UI.Talk.Line(heading))
	if bytes.IndexByte(text, '\n') < 0 { // form signature: 64 raw bytes
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("%x", text)), "\n")
		return
	}
	a.UI.Say(a.UI.Talk.Verbatim(string(text)), "\n")
}

// WriteNew writes a result file that must not exist yet.
func WriteNew(path string, data []byte) error {
	return Exists(durable.Create(path, data, 0o644), path)
}

// WriteSame is WriteNew, but the file may exist with the same content.
func WriteSame(path string, data []byte) error {
	return Exists(durable.CreateSame(path, data, 0o644), path)
}

// WritePrivate is WriteNew of a file that only its owner can read.
func WritePrivate(path string, data []byte) error {
	return Exists(durable.Create(path, data, 0o600), path)
}

// Free checks, before something is done that can't be undone, that results can be
// written: each to a different file that doesn't exist, in a folder that does.
func Free(paths ...string) error {
	for i, path := range paths {
		if path == "" {
			continue
		}
		if slices.Contains(paths[:i], path) {
			return Usagef("", "%s can't be two results at once", path)
		}
		if _, err := os.Lstat(path); err == nil {
			return Exists(fs.ErrExist, path)
		}
		dir := filepath.Dir(path)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return Usage(strict.Errorf(path, "can't be written: there is no folder %s", dir))
		}
	}
	return nil
}

// Exists makes the error about a file that exists one that says that nothing was
// overwritten.
func Exists(err error, path string) error {
	if errors.Is(err, fs.ErrExist) {
		return Usage(strict.Errorf(path, "exists; nothing is overwritten").WithHint("name another file, or move this one away"))
	}
	return err
}

// WriteDoc writes a document to new files, as PDF and as text; an empty name leaves one
// out.
func WriteDoc(d *paper.Doc, pdf, text string) error {
	if pdf != "" {
		if err := WriteNew(pdf, d.PDF()); err != nil {
			return err
		}
	}
	if text != "" {
		return WriteNew(text, d.Text())
	}
	return nil
}
