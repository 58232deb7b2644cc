package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// carried is a file as a request's core may be: it can't be compressed away.
func carried(n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256([]byte("carried"))).Read(data)
	return data
}

// printed renders pages of a PDF as a scanner would give them back.
func printed(t *testing.T, pdf, dir string, more ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("pdftoppm"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pdftoppm is not installed (apt-get install poppler-utils), and CI must have it")
		}
		t.Skip("pdftoppm is not installed (apt-get install poppler-utils): no PDF was read back")
	}
	if out, err := exec.Command("pdftoppm", append(more, "-r", "150", "-gray", "-png", pdf, filepath.Join(dir, "page"))...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("pdftoppm: %v\n%s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "page-*.png"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%v, %v", pages, err)
	}
	return pages
}

// drawn draws a file's frames and gives their images: the ones for a screen, or
// the pages of the PDF.
func drawn(t *testing.T, data []byte, paper bool) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "frames")
	n, err := DrawFrames(dir, "request-core", "rehearsal", "request.json", data, false)
	if err != nil {
		t.Fatal(err)
	}
	images, err := filepath.Glob(filepath.Join(dir, "*.png"))
	if paper {
		images = printed(t, filepath.Join(dir, "request-core.pdf"), t.TempDir())
	}
	if err != nil || len(images) != n || n != (len(data)+1023)/1024 {
		t.Fatalf("%d bytes are %d frames, %d images: %v", len(data), n, len(images), err)
	}
	return images
}

// blot puts ink over the middle of an image, so much of its width.
func blot(t *testing.T, file string, part float64) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	src, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(src.Bounds())
	draw.Draw(img, img.Rect, src, image.Point{}, draw.Src)
	middle, half := img.Rect.Size().Div(2), int(float64(img.Rect.Dx())*part/2)
	draw.Draw(img, image.Rectangle{middle, middle}.Inset(-half), image.NewUniform(color.Black), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "blot.png")
	if err := os.WriteFile(out, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFramesComeBackFromScreenAndPaper(t *testing.T) {
	for name, paper := range map[string]bool{"screen": false, "paper": true} {
		t.Run(name, func(t *testing.T) {
			data := carried(5000)
			f := drawn(t, data, paper)
			other := drawn(t, carried(4000), paper)
			for _, c := range []struct {
				name   string
				images []string
				want   string // of the error; empty: the file comes back
			}{
				{"shuffled", []string{f[3], f[0], f[4], f[2], f[1]}, ""},
				{"repeated", []string{f[0], f[0], f[1], f[2], f[1], f[3], f[4], f[4]}, ""},
				{"lost", []string{f[4], f[0]}, "of 5 QR frames these are missing: 2, 3, 4"},
				{"none", nil, "there is no QR frame"},
				{"damaged a little", []string{f[0], f[1], blot(t, f[2], 0.14), f[3], f[4]}, ""},
				{"damaged beyond mending", []string{f[0], f[1], blot(t, f[2], 0.6), f[3], f[4]}, "of 5 QR frames these are missing: 3"},
				{"damaged, and photographed again", []string{f[0], f[1], blot(t, f[2], 0.6), f[3], f[4], f[2]}, ""},
				{"of another file", []string{f[0], f[1], f[2], f[3], other[0]}, "is a frame of another file than the ones before"},
			} {
				got, err := ReadFrames(c.images)
				switch {
				case c.want == "" && (err != nil || !bytes.Equal(got, data)):
					t.Errorf("%s: %v", c.name, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("%s: %v, want %q", c.name, err, c.want)
				}
			}
		})
	}
}

// Page 14 is one that the library's reader misses unless the sheet is turned.
func TestTheLargestFramesAreReadFromPaper(t *testing.T) {
	data := carried(qr.MaxFile)
	dir := filepath.Join(t.TempDir(), "frames")
	if n, err := DrawFrames(dir, "request-core", "production", "request.json", data, false); n != qr.MaxFrames || err != nil {
		t.Fatal(n, err)
	}
	pdf := filepath.Join(dir, "request-core.pdf")
	frames, err := qr.Split(data)
	if err != nil {
		t.Fatal(err)
	}
	for page, file := range map[int]string{1: "page-01.png", 14: "page-14.png", qr.MaxFrames: "page-40.png"} {
		to := t.TempDir()
		printed(t, pdf, to, "-f", fmt.Sprint(page), "-l", fmt.Sprint(page))
		if text, err := readFrame(filepath.Join(to, file)); err != nil || text != frames[page-1] {
			t.Errorf("page %d: %v", page, err)
		}
	}
}

func TestWhatIsTooLargeForFramesGoesAsAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "frames")
	_, err := DrawFrames(dir, "request-core", "production", "out/request.json", carried(qr.MaxFile+1), false)
	if err == nil || !strings.Contains(err.Error(), "40961 bytes are 41 QR frames, 40 are allowed") {
		t.Fatal(err)
	}
	if code := ExitCode(err); code != ExitUsage {
		t.Errorf("exit code %d", code)
	}
	if hint := hintOf(err); hint != "it has to be carried as a file: out/request.json is written" {
		t.Errorf("%q", hint)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder of frames is there")
	}
}

func TestDrawnFramesAreTheSameBytesEachTime(t *testing.T) {
	frames, err := qr.Split(carried(2000))
	if err != nil {
		t.Fatal(err)
	}
	pdf := func() []byte { return framesDoc("response", "rehearsal", sha256.Sum256(carried(2000)), frames).PDF() }
	first := pdf()
	for range 5 {
		if !bytes.Equal(first, pdf()) {
			t.Fatal("the same frames gave another PDF")
		}
	}
	if bytes.Contains(first, []byte("CreationDate")) || bytes.Contains(first, []byte("/ID")) {
		t.Error("the PDF says when it was made")
	}
}

// A scanner gives a PDF, and a camera's names are in capitals.
func TestAPDFIsSentBackToBeRendered(t *testing.T) {
	f := drawn(t, carried(900), false)
	dir := t.TempDir()
	data, err := os.ReadFile(f[0])
	if err != nil {
		t.Fatal(err)
	}
	photo := filepath.Join(dir, "DSC_0001[1].PNG")
	if err := os.WriteFile(photo, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{photo, dir} {
		if got, err := ReadFileOrFrames(path); err != nil || !bytes.Equal(got, carried(900)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	pdf := filepath.Join(filepath.Dir(f[0]), "request-core.pdf")
	_, err = ReadFileOrFrames(pdf)
	if err == nil || !strings.Contains(hintOf(err), "is a PDF; its pages have to be images: pdftoppm -r 150 -png "+pdf+" page") {
		t.Errorf("%v\n%s", err, hintOf(err))
	}
}

// hintOf is what an error says to do next.
func hintOf(err error) string {
	if e := (*strict.Error)(nil); errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// The hash by which sheets are told apart, and compared with what was approved, stands
// whole in each caption and at the foot.
func TestTheHashOnSheetsOfFramesIsNotCut(t *testing.T) {
	sum := sha256.Sum256([]byte("a file"))
	text := string(framesDoc("request-core", "rehearsal", sum, []string{"FLEETCTL-QR1:1:2:A:B", "FLEETCTL-QR1:2:2:A:C"}).Text())
	if n := strings.Count(text, fmt.Sprintf("%x", sum)); n < 3 {
		t.Errorf("the hash stands on two sheets %d times:\n%s", n, text)
	}
}
