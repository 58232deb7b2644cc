package qr

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // photographs
	"image/png"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	moduleSize = 5 // pixels
	quietZone  = 4 // modules, as ISO/IEC 18004 wants

	// What a reader takes in is bounded, since images are a stranger's: the file, what
	// it takes up once it is decoded (a photograph of 80 million pixels), and how many
	// pixels are searched for a code.
	MaxImage    = 32 << 20
	maxDecoded  = 256 << 20
	maxSearched = 4 << 20
)

// PNG draws a frame, with a redundancy that lets 15 % be unreadable.
func PNG(text string) ([]byte, error) {
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 0, 0, map[gozxing.EncodeHintType]any{
		gozxing.EncodeHintType_ERROR_CORRECTION: decoder.ErrorCorrectionLevel_M,
		gozxing.EncodeHintType_MARGIN:           quietZone,
	})
	if err != nil {
		return nil, err
	}
	side := m.GetWidth() * moduleSize
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if m.Get(x/moduleSize, y/moduleSize) {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	err = png.Encode(&b, img)
	return b.Bytes(), err
}

// Modules are the dark and light squares of the smallest code of a text, without a
// margin: for a screen, which has no room for redundancy and doesn't get stained.
func Modules(text string) ([][]bool, error) {
	m, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_L, nil)
	if err != nil {
		return nil, err
	}
	rows := make([][]bool, m.GetMatrix().GetHeight())
	for y := range rows {
		rows[y] = make([]bool, m.GetMatrix().GetWidth())
		for x := range rows[y] {
			rows[y][x] = m.GetMatrix().Get(x, y) == 1
		}
	}
	return rows, nil
}

// Read finds the QR code in an image, PNG or JPEG, and gives its text. name is
// for errors. A code may be light on dark, as a terminal shows it.
func Read(name string, data []byte) (text string, err error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return "", strict.Errorf(name, "is no PNG or JPEG image")
	}
	most := maxDecoded / bytesPerPixel(c.ColorModel)
	if c.Width < 1 || c.Height < 1 || c.Width > most/c.Height {
		return "", strict.Errorf(name, "is an image of %d × %d pixels; of its kind %d are allowed", c.Width, c.Height, most)
	}
	decoded, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return "", strict.Errorf(name, "is a damaged image: %v", err)
	}
	img := grey(decoded)
	// The library guesses a large code's size from three of its corners, now and
	// then wrongly: of 40 pages that were printed and scanned it missed two or
	// three, another one each time the sheet was turned.
	for turn := range 4 {
		for _, inverted := range []bool{false, true} {
			if text, err = find(&turned{img, turn}, inverted); err == nil {
				return text, nil
			}
		}
	}
	return "", strict.Errorf(name, "no QR code can be read in it").WithHint("take the picture again: the whole code, with its white margin, sharp")
}

func bytesPerPixel(m color.Model) int {
	switch m {
	case color.GrayModel, color.Gray16Model, color.YCbCrModel:
		return 3 // of a JPEG: three planes
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	}
	return 4
}

// grey is the image in shades of grey, made smaller where it is large: a code that a
// camera sees has far more pixels than it needs, and each look at them takes time.
func grey(img image.Image) *image.Gray {
	b := img.Bounds()
	by := 1
	for b.Dx()/by*(b.Dy()/by) > maxSearched {
		by++
	}
	out := image.NewGray(image.Rect(0, 0, max(1, b.Dx()/by), max(1, b.Dy()/by)))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			sum, n := 0, 0
			for dy := range min(by, b.Dy()) {
				for dx := range min(by, b.Dx()) {
					sum += light(img, b.Min.X+x*by+dx, b.Min.Y+y*by+dy)
					n++
				}
			}
			out.Pix[y*out.Stride+x] = uint8(min(sum/n, 255))
		}
	}
	return out
}

// light is how light a pixel is, 0 to 255, on white paper where it is transparent.
func light(img image.Image, x, y int) int {
	if photo, ok := img.(*image.YCbCr); ok {
		return int(photo.Y[photo.YOffset(x, y)])
	}
	r, g, b, a := img.At(x, y).RGBA()
	return int((19595*r+38470*g+7471*b+1<<15)>>24) + int((0xffff-a)>>8)
}

// find tries the ways that the library has, the one for drawn codes first.
func find(img image.Image, inverted bool) (text string, err error) {
	// The library indexes by what it found in the image; where that leads out
	// of it, there is no code.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the reader stumbled: %v", p)
		}
	}()
	source := gozxing.NewLuminanceSourceFromImage(img)
	if inverted {
		source = source.Invert()
	}
	for _, binarizer := range []gozxing.Binarizer{gozxing.NewGlobalHistgramBinarizer(source), gozxing.NewHybridBinarizer(source)} {
		for _, hint := range []gozxing.DecodeHintType{gozxing.DecodeHintType_PURE_BARCODE, gozxing.DecodeHintType_TRY_HARDER} {
			bmp, err := gozxing.NewBinaryBitmap(binarizer)
			if err != nil {
				return "", err
			}
			r, err := qrcode.NewQRCodeReader().Decode(bmp, map[gozxing.DecodeHintType]any{hint: true})
			if err == nil {
				return r.GetText(), nil
			}
		}
	}
	return "", errors.New("none was found")
}

// turned is an image by so many quarters.
type turned struct {
	image.Image
	quarters int
}

func (t *turned) Bounds() image.Rectangle {
	w, h := t.Image.Bounds().Dx(), t.Image.Bounds().Dy()
	if t.quarters%2 == 1 {
		w, h = h, w
	}
	return image.Rect(0, 0, w, h)
}

func (t *turned) At(x, y int) color.Color {
	b := t.Image.Bounds()
	w, h := b.Dx(), b.Dy()
	switch t.quarters {
	case 1:
		x, y = y, h-1-x
	case 2:
		x, y = w-1-x, h-1-y
	case 3:
		x, y = w-1-y, x
	}
	return t.Image.At(b.Min.X+x, b.Min.Y+y)
}
