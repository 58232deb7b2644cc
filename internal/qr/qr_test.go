package qr

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
)

func file(n int) []byte {
	rnd := rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "qr test %d", n)))
	data := make([]byte, n)
	rnd.Read(data)
	return data
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// pictures are the frames of a file, drawn.
func pictures(t testing.TB, data []byte) [][]byte {
	t.Helper()
	var list [][]byte
	for _, f := range must(Split(data)) {
		list = append(list, must(PNG(f)))
	}
	return list
}

// gather reads pictures back, in the order given.
func gather(list [][]byte) (*Collector, []error) {
	c := &Collector{}
	var errs []error
	for _, p := range list {
		text, err := Read("frame.png", p)
		if err == nil {
			err = c.Add("frame.png", text)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return c, errs
}

func TestFramesComeBackInAnyOrder(t *testing.T) {
	for _, n := range []int{1, 1023, 1024, 1025, 5000} {
		data := file(n)
		list := pictures(t, data)
		if want := (n + 1023) / 1024; len(list) != want {
			t.Fatalf("%d bytes are %d frames", n, len(list))
		}
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = append(list, list[0], list[len(list)/2]) // some twice
		c, errs := gather(list)
		if got, err := c.File(); err != nil || len(errs) > 0 || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %v %v", n, err, errs)
		}
	}
}

func TestTheLargestFileFits(t *testing.T) {
	frames := must(Split(file(MaxFile)))
	if len(frames) != MaxFrames {
		t.Error(len(frames))
	}
	last := must(PNG(frames[39]))
	if text := must(Read("f", last)); text != frames[39] {
		t.Error("the largest frame doesn't come back")
	}
	var large *TooLarge
	if _, err := Split(file(MaxFile + 1)); !errors.As(err, &large) || err.Error() != "40961 bytes are 41 QR frames, 40 are allowed" {
		t.Error(err)
	}
	if _, err := Split(nil); err == nil {
		t.Error("nothing is taken")
	}
}

func TestLostFramesAreNamed(t *testing.T) {
	list := pictures(t, file(5000))
	c, _ := gather([][]byte{list[3], list[0], list[0]})
	_, err := c.File()
	if err == nil || err.Error() != "of 5 QR frames these are missing: 2, 3, 5" {
		t.Error(err)
	}
	if _, err := (&Collector{}).File(); err == nil {
		t.Error("no frame at all is a file")
	}
}

// change redraws a picture.
func change(t *testing.T, picture []byte, f func(img *image.Gray, n int)) []byte {
	t.Helper()
	src := must(png.Decode(bytes.NewReader(picture)))
	img := image.NewGray(src.Bounds())
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			img.Set(x, y, src.At(x, y))
		}
	}
	f(img, img.Rect.Dx())
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDamageIsMendedOrTold(t *testing.T) {
	data := file(3000)
	list := pictures(t, data)
	blot := func(part float64) func(*image.Gray, int) {
		return func(img *image.Gray, n int) {
			size := int(float64(n) * part)
			for y := n/2 - size/2; y < n/2+size/2; y++ {
				for x := n/2 - size/2; x < n/2+size/2; x++ {
					img.SetGray(x, y, color.Gray{Y: 0})
				}
			}
		}
	}
	// A blot of 3 % of the area is within what the code can mend.
	list[1] = change(t, list[1], blot(0.17))
	c, errs := gather(list)
	if got, err := c.File(); err != nil || len(errs) > 0 || !bytes.Equal(got, data) {
		t.Fatalf("a blot: %v %v", err, errs)
	}
	// One of half the picture isn't: the frame is missing, and nothing wrong is
	// read.
	list[1] = change(t, list[1], blot(0.7))
	c, errs = gather(list)
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "no QR code can be read in it") {
		t.Errorf("%v", errs)
	}
	if _, err := c.File(); err == nil || !strings.Contains(err.Error(), "missing: 2") {
		t.Error(err)
	}
}

func TestAPhotographIsRead(t *testing.T) {
	frame := must(Split(file(800)))[0]
	src := must(png.Decode(bytes.NewReader(must(PNG(frame)))))
	n := src.Bounds().Dx()
	// On a grey table, upside down, noisy, as JPEG.
	img := image.NewGray(image.Rect(0, 0, n+160, n+120))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			v := 150
			if sx, sy := n-1-(x-80), n-1-(y-60); sx >= 0 && sy >= 0 && sx < n && sy < n {
				r, _, _, _ := src.At(sx, sy).RGBA()
				v = 30 + int(r>>8)*200/255
			}
			img.SetGray(x, y, color.Gray{Y: uint8(v + rand.IntN(20))})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	if text, err := Read("photo.jpg", b.Bytes()); err != nil || text != frame {
		t.Error(err)
	}
}

func TestFramesOfAnotherFileAreRefused(t *testing.T) {
	one, two := must(Split(file(3000))), must(Split(file(2999)))
	c := &Collector{}
	for i, text := range []string{one[0], two[1]} {
		if err := c.Add("f", text); (err == nil) != (i == 0) {
			t.Errorf("%d: %v", i, err)
		}
	}
	// A part that was swapped, with the same name.
	part := strings.LastIndexByte(one[1], ':')
	forged := one[1][:part+1] + two[1][strings.LastIndexByte(two[1], ':')+1:]
	if err := c.Add("f", forged); err != nil {
		t.Fatal(err)
	}
	c.Add("f", one[2])
	if _, err := c.File(); err == nil || !strings.Contains(err.Error(), "are not the file that they name") {
		t.Errorf("a forged part: %v", err)
	}
	if err := c.Add("f", strings.Replace(one[0], ":1:3:", ":1:4:", 1)); err == nil {
		t.Error("another count")
	}
	flip := []byte(one[2])
	flip[len(flip)-20] ^= 3
	if err := c.Add("f", string(flip)); err == nil {
		t.Error("one frame with two contents")
	}
	for _, bad := range []string{"", "hello", prefix, prefix + ":1:1:A:B", prefix + ":0:3:" + one[0][len(prefix)+5:], prefix + ":41:41:" + one[0][len(prefix)+5:],
		prefix + ":01:3:" + one[0][len(prefix)+5:], one[0] + ":x", one[0][:len(one[0])-8], strings.ToLower(one[0])} {
		if err := (&Collector{}).Add("f", bad); err == nil {
			t.Errorf("%.40q is taken", bad)
		}
	}
}

func TestImagesAreAStrangers(t *testing.T) {
	for name, data := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "cut off": must(PNG("x"))[:100]} {
		if _, err := Read(name, data); err == nil {
			t.Errorf("%s is read", name)
		}
	}
	var b bytes.Buffer
	png.Encode(&b, image.NewGray(image.Rect(0, 0, 50, 50)))
	if _, err := Read("blank", b.Bytes()); err == nil {
		t.Error("a blank image is read")
	}
	// What is large once it is read is refused by its header.
	for kind, says := range map[byte]string{0: "is an image of 16000 × 16000 pixels; of its kind 89478485 are allowed", 6: "; of its kind 33554432 are allowed"} {
		head := binary.BigEndian.AppendUint32([]byte("IHDR"), 16000)
		head = append(binary.BigEndian.AppendUint32(head, 16000), 16, kind, 0, 0, 0)
		data := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...)
		if _, err := Read("bomb", binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(head))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("many pixels of kind %d: %v", kind, err)
		}
	}
	// A header that claims a huge image is refused before anything is made.
	huge := bytes.Clone(b.Bytes())
	copy(huge[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0})
	if _, err := Read("huge", huge); err == nil {
		t.Error("a huge image is read")
	}
}

// What a terminal shows in half blocks is read from a picture of it, dark on light or
// light on dark, with a margin of three modules.
func TestACodeOnAScreenIsRead(t *testing.T) {
	text := "FLEETCTL-S1:" + strings.Repeat("AB3D7XYZ", 17)
	rows := must(Modules(text))
	if len(rows) != 37 || len(rows[0]) != 37 {
		t.Fatalf("%d characters take %d rows", len(text), len(rows))
	}
	for _, dark := range []uint8{0, 255} {
		img := image.NewGray(image.Rect(0, 0, 43*8+200, 43*8+100)) // on a terminal of the other colour
		for i := range img.Pix {
			img.Pix[i] = dark
		}
		for y := range 43 * 8 {
			for x := range 43 * 8 {
				my, mx := y/8-3, x/8-3
				if my < 0 || mx < 0 || my >= 37 || mx >= 37 || !rows[my][mx] {
					img.SetGray(x+50, y+50, color.Gray{Y: 255 - dark})
				}
			}
		}
		var b bytes.Buffer
		png.Encode(&b, img)
		if got, err := Read("screen.png", b.Bytes()); err != nil || got != text {
			t.Errorf("dark is %d: %q, %v", dark, got, err)
		}
	}
}

// A camera has more pixels than a code needs: they are made fewer before it is searched.
func TestALargePhotographIsRead(t *testing.T) {
	frame := must(Split(file(800)))[0]
	src := must(png.Decode(bytes.NewReader(must(PNG(frame)))))
	n := src.Bounds().Dx()
	img := image.NewGray(image.Rect(0, 0, 4*n+800, 4*n+600))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			v := color.Color(color.Gray{Y: 150})
			if p := (image.Point{(x - 400) / 4, (y - 300) / 4}); x >= 400 && y >= 300 && p.In(src.Bounds()) {
				v = src.At(p.X, p.Y)
			}
			img.Set(x, y, v)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := Read("photo.jpg", b.Bytes()); err != nil || got != frame {
		t.Errorf("%d pixels: %v", img.Rect.Dx()*img.Rect.Dy(), err)
	}
	if g := grey(img); len(g.Pix) > maxSearched {
		t.Errorf("%d pixels are searched", len(g.Pix))
	}
}

func FuzzFrame(f *testing.F) {
	for _, s := range must(Split(file(1500))) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := parseFrame(text)
		if err != nil {
			return
		}
		c := &Collector{}
		if err := c.Add("f", text); err != nil {
			t.Fatal(err)
		}
		if missing, of := c.Missing(); of != x.of || len(missing) != x.of-1 {
			t.Fatal("it counts wrongly")
		}
		if data, err := c.File(); err == nil && must(Split(data))[0] != text {
			t.Fatal("what is read isn't what would be written")
		}
	})
}

func FuzzImage(f *testing.F) {
	f.Add(must(PNG("hello")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		Read("f", data)
	})
}

func TestATurnedImageHasTheSamePixels(t *testing.T) {
	src := image.NewGray(image.Rect(3, 4, 10, 9)) // 7 × 5, not from 0
	for i := range src.Pix {
		src.Pix[i] = uint8(i)
	}
	for quarters, size := range []image.Point{{7, 5}, {5, 7}, {7, 5}, {5, 7}} {
		img := &turned{src, quarters}
		if img.Bounds() != (image.Rectangle{Max: size}) {
			t.Errorf("%d: %v", quarters, img.Bounds())
		}
		seen := map[color.Color]bool{}
		for y := range size.Y {
			for x := range size.X {
				seen[img.At(x, y)] = true
			}
		}
		if len(seen) != 35 {
			t.Errorf("%d: %d of 35 pixels", quarters, len(seen))
		}
	}
	// The first of the upper row comes to the upper right by a quarter.
	if (&turned{src, 1}).At(4, 0) != src.At(3, 4) || (&turned{src, 2}).At(6, 4) != src.At(3, 4) || (&turned{src, 3}).At(0, 6) != src.At(3, 4) {
		t.Error("it isn't turned clockwise")
	}
}
