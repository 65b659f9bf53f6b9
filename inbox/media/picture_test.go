package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

// flag is an image whose top left quarter is red, the rest blue.
func flag(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{B: 255, A: 255}
			if x < w/2 && y < h/2 {
				c = color.RGBA{R: 255, A: 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func encoded(t testing.TB, img image.Image, kind string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch kind {
	case "image/jpeg":
		err = jpeg.Encode(&b, img, nil)
	case "image/png":
		err = png.Encode(&b, img)
	case "image/gif":
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// turned puts an orientation into a JPEG.
func turned(jpg []byte, turn uint16, order binary.AppendByteOrder) []byte {
	mark := "MM"
	if order.String() == binary.LittleEndian.String() {
		mark = "II"
	}
	tiff := append([]byte(mark), order.AppendUint16(nil, 42)...)
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	tiff = append(tiff, make([]byte, 12)...) // another tag
	tiff = order.AppendUint16(tiff, 0x0112)
	tiff = order.AppendUint16(tiff, 3)
	tiff = order.AppendUint32(tiff, 1)
	tiff = order.AppendUint16(tiff, turn)
	tiff = append(tiff, 0, 0, 0, 0, 0, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{}, jpg[:2]...)
	out = append(out, 0xFF, 0xE0, 0, 4, 'x', 'x') // a segment before it
	out = append(out, 0xFF, 0xE1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(segment)+2))
	out = append(out, segment...)
	return append(out, jpg[2:]...)
}

func TestLook(t *testing.T) {
	t.Parallel()
	wide := flag(800, 200)
	for _, test := range []struct {
		name, mime    string
		data          []byte
		width, height int
		small         bool
	}{
		{"jpeg", "image/jpeg", encoded(t, wide, "image/jpeg"), 800, 200, true},
		{"png", "image/png", encoded(t, wide, "image/png"), 800, 200, true},
		{"gif", "image/gif", encoded(t, wide, "image/gif"), 800, 200, true},
		{"small already", "image/png", encoded(t, flag(320, 10), "image/png"), 320, 10, false},
		{"a line", "image/png", encoded(t, flag(5000, 1), "image/png"), 5000, 1, true},
		{"cut off", "image/png", encoded(t, wide, "image/png")[:200], 800, 200, false},
		{"no image", "image/png", []byte("\x89PNG\r\n\x1a\nand then nothing"), 0, 0, false},
		{"not read", "image/tiff", []byte("II*\x00"), 0, 0, false},
		{"bomb", "image/png", bomb(t), 60000, 60000, false},
		{"nothing", "", nil, 0, 0, false},
	} {
		p := look(bytes.NewReader(test.data), test.mime)
		if p.width != test.width || p.height != test.height || (p.small != nil) != test.small {
			t.Errorf("%s is %dx%d with %d bytes, want %dx%d, %t", test.name, p.width, p.height, len(p.small), test.width, test.height, test.small)
		}
		if p.small == nil {
			continue
		}
		small, err := jpeg.Decode(bytes.NewReader(p.small))
		if err != nil || small.Bounds().Dx() != thumbnailEdge {
			t.Errorf("%s: the small picture is %v, %v", test.name, small.Bounds(), err)
		}
	}
}

// bomb is a few bytes that claim to be 3.6 billion pixels.
func bomb(t testing.TB) []byte {
	data := encoded(t, flag(400, 400), "image/png")
	binary.BigEndian.PutUint32(data[16:], 60000)
	binary.BigEndian.PutUint32(data[20:], 60000)
	// The header's checksum (https://www.w3.org/TR/png-3/#5CRC-algorithm).
	sum := uint32(0xFFFFFFFF)
	for _, b := range data[12:29] {
		sum ^= uint32(b)
		for range 8 {
			sum = sum>>1 ^ 0xEDB88320*(sum&1)
		}
	}
	binary.BigEndian.PutUint32(data[29:], ^sum)
	return data
}

// However a camera was held, the small picture stands upright.
func TestOrientation(t *testing.T) {
	t.Parallel()
	upright := flag(400, 300)
	for turn := uint16(1); turn <= 8; turn++ {
		// What a camera stores is the picture turned the other way.
		back := map[uint16]int{6: 8, 8: 6}[turn]
		if back == 0 {
			back = int(turn)
		}
		stored := encoded(t, uprightFor(upright, back), "image/jpeg")
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			data := turned(stored, turn, order)
			if got := orientation(bytes.NewReader(data)); got != int(turn) {
				t.Errorf("read %d, want %d", got, turn)
			}
			p := look(bytes.NewReader(data), "image/jpeg")
			if p.width != 400 || p.height != 300 || p.small == nil {
				t.Fatalf("turned by %d it is %dx%d", turn, p.width, p.height)
			}
			small, err := jpeg.Decode(bytes.NewReader(p.small))
			if err != nil {
				t.Fatal(err)
			}
			r, _, b, _ := small.At(40, 40).RGBA()
			r2, _, b2, _ := small.At(280, 200).RGBA()
			if small.Bounds().Dx() != 320 || small.Bounds().Dy() != 240 || r < 0xC000 || b > 0x4000 || r2 > 0x4000 || b2 < 0xC000 {
				t.Errorf("turned by %d the small picture is %v with %x/%x and %x/%x", turn, small.Bounds(), r, b, r2, b2)
			}
		}
	}
	for _, turn := range []uint16{0, 9, 65535} {
		if got := orientation(bytes.NewReader(turned(encoded(t, upright, "image/jpeg"), turn, binary.BigEndian))); got != 1 {
			t.Errorf("%d is read as %d", turn, got)
		}
	}
}

func uprightFor(img *image.RGBA, turn int) *image.RGBA { return upright(img, turn) }

func FuzzLook(f *testing.F) {
	f.Add(turned(encoded(f, flag(8, 8), "image/jpeg"), 6, binary.BigEndian))
	f.Add(encoded(f, flag(8, 8), "image/png"))
	f.Add(encoded(f, flag(8, 8), "image/gif"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WEBPVP8L"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range []string{"image/jpeg", "image/png", "image/gif", "image/webp"} {
			p := look(bytes.NewReader(data), kind)
			if p.width < 0 || p.height < 0 || p.width > maxEdge || p.height > maxEdge {
				t.Errorf("%s of %dx%d", kind, p.width, p.height)
			}
		}
		if o := orientation(bytes.NewReader(data)); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sniffed, declared, want string }{
		{"image/png", "image/jpeg", "image/png"},
		{"text/html; charset=utf-8", "image/png", "text/html; charset=utf-8"},
		{"text/plain; charset=utf-8", "text/html", "text/plain; charset=utf-8"},
		{"text/plain; charset=utf-8", "text/csv", "text/csv"},
		{"text/plain; charset=utf-8", "text/calendar; charset=iso-8859-1; method=REQUEST", "text/calendar; charset=iso-8859-1"},
		{"application/octet-stream", "image/png", "application/octet-stream"},
		{"application/octet-stream", "application/x-tgsticker", "application/x-tgsticker"},
		{"application/octet-stream", "text/html", "application/octet-stream"},
		{"application/zip", "application/vnd.apple.pages", "application/vnd.apple.pages"},
		{"application/zip", "image/svg+xml", "application/zip"},
		{"application/ogg", "audio/ogg", "audio/ogg"},
		{"application/pdf", "", "application/pdf"},
		{"application/pdf", "; broken", "application/pdf"},
	} {
		if got := typeOf(test.sniffed, test.declared); got != test.want {
			t.Errorf("%s declared as %s is %s, want %s", test.sniffed, test.declared, got, test.want)
		}
	}
}
