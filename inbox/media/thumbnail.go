package media

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// Limits of small pictures.
const (
	// thumbnailEdge is their longer side in pixels.
	thumbnailEdge = 320
	// thumbnailQuality is that of their JPEG.
	thumbnailQuality = 80
	// decodeBudget is what decoding one picture may take in bytes.
	decodeBudget = 128 << 20
	// maxEdge keeps out sizes with which arithmetic goes wrong.
	maxEdge = 1 << 16
)

// picture is what is known of an image. Small is a JPEG, nil when the image is
// small itself, cannot be decoded, or would take too much to.
type picture struct {
	width, height int
	small         []byte
}

// format is how a kind of image is read, and what decoding takes in bytes per
// pixel at most.
type format struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	cost   func(image.Config) int64
}

func formatOf(mime string) (format, bool) {
	switch mime, _, _ = strings.Cut(mime, ";"); mime {
	case "image/jpeg":
		// A progressive one keeps four bytes of coefficients per sample.
		return format{jpeg.DecodeConfig, jpeg.Decode, func(image.Config) int64 { return 8 }}, true
	case "image/png", "image/vnd.mozilla.apng":
		return format{png.DecodeConfig, png.Decode, func(c image.Config) int64 {
			if c.ColorModel == color.NRGBA64Model || c.ColorModel == color.RGBA64Model {
				return 8
			}
			return 4
		}}, true
	case "image/gif":
		return format{gif.DecodeConfig, gif.Decode, func(image.Config) int64 { return 2 }}, true
	case "image/webp":
		return format{webp.DecodeConfig, webp.Decode, func(image.Config) int64 { return 8 }}, true
	}
	return format{}, false
}

// look measures an image and makes a small picture of it. What is no image that
// we can read has no size.
func look(r io.ReadSeeker, mime string) (p picture) {
	// Decoders of others' bytes; a picture less is no reason to lose a file.
	defer func() {
		if v := recover(); v != nil {
			p.small = nil
		}
	}()
	f, ok := formatOf(mime)
	if !ok {
		return p
	}
	c, err := fromStart(r, f.config)
	if err != nil || c.Width <= 0 || c.Height <= 0 || c.Width > maxEdge || c.Height > maxEdge {
		return p
	}
	turn := 1
	if strings.HasPrefix(mime, "image/jpeg") {
		if _, err := r.Seek(0, io.SeekStart); err == nil {
			turn = orientation(r)
		}
	}
	p.width, p.height = c.Width, c.Height
	if turn >= 5 {
		p.width, p.height = c.Height, c.Width
	}
	if max(c.Width, c.Height) <= thumbnailEdge && turn == 1 {
		return p
	}
	if int64(c.Width)*int64(c.Height)*f.cost(c) > decodeBudget {
		return p
	}
	img, err := fromStart(r, f.decode)
	if err != nil {
		return p
	}
	p.small, err = shrink(img, turn)
	if err != nil {
		p.small = nil
	}
	return p
}

// shrunk makes a small picture of an image, however small that is; nil when it
// cannot.
func shrunk(r io.ReadSeeker, mime string) (small []byte) {
	defer func() {
		if recover() != nil { // as in look
			small = nil
		}
	}()
	f, ok := formatOf(mime)
	if !ok {
		return nil
	}
	c, err := fromStart(r, f.config)
	if err != nil || c.Width > maxEdge || c.Height > maxEdge || int64(c.Width)*int64(c.Height)*f.cost(c) > decodeBudget {
		return nil
	}
	img, err := fromStart(r, f.decode)
	if err != nil {
		return nil
	}
	if small, err = shrink(img, 1); err != nil {
		return nil
	}
	return small
}

func fromStart[T any](r io.ReadSeeker, f func(io.Reader) (T, error)) (T, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		var zero T
		return zero, err
	}
	return f(r)
}

// shrink makes a small JPEG, turned upright, on white.
func shrink(img image.Image, turn int) ([]byte, error) {
	// In two steps: good scaling takes memory for each of the source's lines.
	if b := img.Bounds(); max(b.Dx(), b.Dy()) > 4*thumbnailEdge {
		rough := image.NewRGBA(fit(b, 4*thumbnailEdge))
		draw.ApproxBiLinear.Scale(rough, rough.Bounds(), img, b, draw.Src, nil)
		img = rough
	}
	small := image.NewRGBA(fit(img.Bounds(), thumbnailEdge))
	draw.Draw(small, small.Bounds(), image.White, image.Point{}, draw.Src)
	draw.CatmullRom.Scale(small, small.Bounds(), img, img.Bounds(), draw.Over, nil)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, upright(small, turn), &jpeg.Options{Quality: thumbnailQuality}); err != nil {
		return nil, fmt.Errorf("small picture: %w", err)
	}
	return out.Bytes(), nil
}

// fit is the size of b with its longer side at most edge.
func fit(b image.Rectangle, edge int) image.Rectangle {
	w, h := b.Dx(), b.Dy()
	if long := max(w, h); long > edge {
		w, h = max(1, w*edge/long), max(1, h*edge/long)
	}
	return image.Rect(0, 0, w, h)
}
