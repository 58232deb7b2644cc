package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/paper"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// ShowText shows a text that is about to be signed, from the bytes that are.
func (a *App) ShowText(text []byte) {
	a.UI.Say(a.UI.Talk.Line("This text is signed:"))
	if bytes.IndexByte(text, '\n') < 0 { // form signature: 64 raw bytes
		a.UI.Say(a.UI.Talk.Line(fmt.Sprintf("%x", text)), "\n")
		return
	}
	for line := range strings.Lines(string(text)) {
		a.UI.Say("      ", words.Clean(strings.TrimSuffix(line, "\n")), "\n")
	}
	a.UI.Say("\n")
}

// WriteNew writes a result file that must not exist yet.
func WriteNew(path string, data []byte) error {
	return Exists(durable.Create(path, data, 0o644), path)
}

// WriteSame is writeNew for a file that may be there with the same content.
func WriteSame(path string, data []byte) error {
	return Exists(durable.CreateSame(path, data, 0o644), path)
}

// WritePrivate is writeNew for what nobody else should read.
func WritePrivate(path string, data []byte) error {
	return Exists(durable.Create(path, data, 0o600), path)
}

// Free asks, before anything is done that can't be undone, that results can be
// written: each to a file of its own that isn't there, in a folder that is.
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

// Exists says of a file that is there already that nothing is overwritten.
func Exists(err error, path string) error {
	if errors.Is(err, fs.ErrExist) {
		return Usage(strict.Errorf(path, "exists; nothing is overwritten").WithHint("name another file, or move this one away"))
	}
	return err
}

// WriteDoc writes a document to new files; an empty name leaves that form out.
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
