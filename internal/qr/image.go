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

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	moduleSize = 5 // pixels
	quietZone  = 4 // modules, as ISO/IEC 18004 wants

	// MaxImage and maxPixels bound what a reader takes in: images are a
	// stranger's.
	MaxImage  = 32 << 20
	maxPixels = 64 << 20
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

// Read finds the QR code in an image, PNG or JPEG, and gives its text. name is
// for errors.
func Read(name string, data []byte) (text string, err error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return "", strict.Errorf(name, "is no PNG or JPEG image")
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxPixels/c.Height {
		return "", strict.Errorf(name, "is an image of %d × %d pixels, %d are allowed", c.Width, c.Height, maxPixels)
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return "", strict.Errorf(name, "is a damaged image: %v", err)
	}
	// The library guesses a large code's size from three of its corners, now and
	// then wrongly: of 40 pages that were printed and scanned it missed two or
	// three, another one each time the sheet was turned.
	text, err = find(img)
	for turn := 1; err != nil && turn < 4; turn++ {
		text, err = find(&turned{img, turn})
	}
	if err != nil {
		return "", strict.Errorf(name, "no QR code can be read in it").WithHint("take the picture again: the whole code, with its white margin, sharp")
	}
	return text, nil
}

// find tries the ways that the library has, the one for drawn codes first.
func find(img image.Image) (text string, err error) {
	// The library indexes by what it found in the image; where that leads out
	// of it, there is no code.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the reader stumbled: %v", p)
		}
	}()
	source := gozxing.NewLuminanceSourceFromImage(img)
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
