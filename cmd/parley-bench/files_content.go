package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"image"
	"image/png"
	"math"

	"parley/transports/sandbox"
)

// fileKind is what is sent over a network, of the size that it allows.
type fileKind struct {
	picture bool
	bytes   int
}

func (k fileKind) String() string {
	what := "document"
	if k.picture {
		what = "picture"
	}
	return fmt.Sprintf("%s, %.1f MB", what, float64(k.bytes)/(1<<20))
}

// make makes a file unlike any other, that does not compress.
func (k fileKind) make() (sandbox.File, error) {
	if k.picture {
		return pictureOf(k.bytes)
	}
	b := make([]byte, k.bytes)
	_, _ = rand.Read(b) // never fails
	copy(b, "%PDF-1.7\n")
	return sandbox.File{Name: "offer.pdf", MIME: "application/pdf", Content: b}, nil
}

// pictureOf is a PNG of nearly so many bytes.
func pictureOf(n int) (sandbox.File, error) {
	side := int(math.Sqrt(float64(n)/3)) - 4 // 3 bytes a pixel, and some of PNG's own
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	_, _ = rand.Read(img.Pix)
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&out, img); err != nil {
		return sandbox.File{}, err
	}
	return sandbox.File{Name: "roof.png", MIME: "image/png", Content: out.Bytes(), Width: side, Height: side}, nil
}

// sum tells a file by its bytes.
type sum = [sha256.Size]byte

func sumsOf(files []sandbox.File) (all []sum) {
	for _, f := range files {
		all = append(all, sha256.Sum256(f.Content))
	}
	return all
}
