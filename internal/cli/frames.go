package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/paper"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ShowCode draws a text as a QR code on the screen.
func (a *App) ShowCode(text string) error {
	modules, err := qr.Modules(text)
	if err != nil {
		return err
	}
	a.UI.Say(a.UI.Talk.Code(modules, text))
	return nil
}

// DrawFrames writes a file's QR frames into a new folder: an image of each for a screen,
// and one PDF of all for paper. file is the path of the file itself, which is written
// already. With again, the folder may exist and hold some of them.
func DrawFrames(dir, name, mode, file string, data []byte, again bool) (int, error) {
	frames, err := qr.Split(data)
	var large *qr.TooLarge
	if errors.As(err, &large) {
		return 0, Usage(strict.Errorf(name, "%v", err).WithHint("it has to be carried as a file: %s is written", file))
	}
	if err != nil {
		return 0, err
	}
	if err := durable.Mkdir(dir, 0o755); err != nil && !(again && errors.Is(err, fs.ErrExist)) {
		return 0, Exists(err, dir)
	}
	for i, text := range frames {
		png, err := qr.PNG(text)
		if err != nil {
			return 0, err
		}
		if err := WriteSame(filepath.Join(dir, fmt.Sprintf("%s-%02d-of-%02d.png", name, i+1, len(frames))), png); err != nil {
			return 0, err
		}
	}
	return len(frames), WriteSame(filepath.Join(dir, name+".pdf"), framesDoc(name, mode, sha256.Sum256(data), frames).PDF())
}

// framesDoc has a frame on each page, with its number and what to do with it.
func framesDoc(name, mode string, sum [32]byte, frames []string) *paper.Doc {
	d := &paper.Doc{Title: "QR frames · " + name, Mark: strings.ToUpper(mode), Foot: fmt.Sprintf("%s · %x", name, sum)}
	for i, text := range frames {
		d.Add(paper.Page{}, paper.Heading(fmt.Sprintf("Frame %d of %d", i+1, len(frames))),
			paper.Para("Photograph every frame, in any order, and hand the images to fleetctl. The SHA-256 below has to be the same on every sheet."),
			paper.Code{Label: fmt.Sprintf("%x", sum), Text: text})
	}
	return d
}

// ReadFrames puts a file together from images: files, or folders of them. It reports an
// image that can't be read only if a frame is missing in the end, since there may be
// several photographs of a frame.
func ReadFrames(paths []string) ([]byte, error) {
	var c qr.Collector
	var unread []error
	for _, root := range paths {
		files := []string{root}
		if info, err := os.Stat(root); err != nil {
			return nil, Usage(Missing(err))
		} else if info.IsDir() {
			if files, err = framesIn(root); err != nil {
				return nil, err
			}
		}
		for _, file := range files {
			text, err := readFrame(file)
			if err != nil {
				unread = append(unread, err)
				continue
			}
			if err := c.Add(file, text); err != nil {
				return nil, Wrong(err)
			}
		}
	}
	data, err := c.File()
	if err != nil {
		hint := "photograph them, in any order, and give all images"
		for _, u := range unread {
			hint += "\n" + u.Error()
			if of := (*strict.Error)(nil); errors.As(u, &of) && of.Hint != "" {
				hint += ": " + of.Hint
			}
		}
		return nil, Wrong(strict.Errorf("", "%v", err).WithHint("%s", hint))
	}
	return data, nil
}

// framesIn are the files of a folder that may be images: all but PDFs and hidden files.
func framesIn(dir string) (files []string, err error) {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !strings.EqualFold(filepath.Ext(name), ".pdf") {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, err
}

func readFrame(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.IsDir() || info.Size() > qr.MaxImage {
		return "", strict.Errorf(file, "is a folder, or larger than %d bytes", qr.MaxImage)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if err := notPrivate(file, data); err != nil {
		return "", err
	}
	if bytes.HasPrefix(data, []byte("%PDF-")) {
		return "", strict.Errorf(file, "is a PDF; its pages have to be images").WithHint("pdftoppm -r 150 -png %s page", file)
	}
	return qr.Read(file, data)
}

// ReadFileOrFrames reads a file, or if the path is that of a folder or an image, the file
// in its QR frames.
func ReadFileOrFrames(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, Usage(Missing(err))
	}
	if info.IsDir() || slices.Contains([]string{".png", ".jpg", ".jpeg", ".pdf"}, strings.ToLower(filepath.Ext(path))) {
		return ReadFrames([]string{path})
	}
	return ReadFile(path)
}
