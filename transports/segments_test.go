package transports_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"parley/transports"
)

func TestCountSegments(t *testing.T) {
	// All of GSM-7 (3GPP TS 23.038, section 6.2.1), but the escape itself.
	const basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	const extension = "\f^{}\\[~]|€"
	for _, test := range []struct {
		name, text string
		want       transports.Segments
	}{
		{"empty", "", transports.Segments{Encoding: transports.GSM7, Left: 160}},
		{"one", "x", transports.Segments{Encoding: transports.GSM7, Count: 1, Units: 1, Left: 159}},
		{"the alphabet", basic, transports.Segments{Encoding: transports.GSM7, Count: 1, Units: 127, Left: 33}},
		{"its extension", extension, transports.Segments{Encoding: transports.GSM7, Count: 1, Units: 20, Left: 140}},
		{"full", strings.Repeat("x", 160), transports.Segments{Encoding: transports.GSM7, Count: 1, Units: 160}},
		{"one more", strings.Repeat("x", 161), transports.Segments{Encoding: transports.GSM7, Count: 2, Units: 161, Left: 145}},
		{"two full", strings.Repeat("x", 306), transports.Segments{Encoding: transports.GSM7, Count: 2, Units: 306}},
		{"three", strings.Repeat("x", 307), transports.Segments{Encoding: transports.GSM7, Count: 3, Units: 307, Left: 152}},
		{"euros", strings.Repeat("€", 80), transports.Segments{Encoding: transports.GSM7, Count: 1, Units: 160}},
		{"a euro on the border", strings.Repeat("x", 152) + "€" + strings.Repeat("x", 7), transports.Segments{Encoding: transports.GSM7, Count: 2, Units: 161, Left: 144}},
		{"the longest of Twilio", strings.Repeat("x", 1600), transports.Segments{Encoding: transports.GSM7, Count: 11, Units: 1600, Left: 83}},
		{"a small ç", "ç", transports.Segments{Encoding: transports.UCS2, Count: 1, Units: 1, Left: 69}},
		{"a backtick", "`", transports.Segments{Encoding: transports.UCS2, Count: 1, Units: 1, Left: 69}},
		{"a tab", "\t", transports.Segments{Encoding: transports.UCS2, Count: 1, Units: 1, Left: 69}},
		{"Cyrillic, full", strings.Repeat("я", 70), transports.Segments{Encoding: transports.UCS2, Count: 1, Units: 70}},
		{"Cyrillic, one more", strings.Repeat("я", 71), transports.Segments{Encoding: transports.UCS2, Count: 2, Units: 71, Left: 63}},
		{"a bracket counts once there", "я" + strings.Repeat("[", 69), transports.Segments{Encoding: transports.UCS2, Count: 1, Units: 70}},
		{"an emoji", "😀", transports.Segments{Encoding: transports.UCS2, Count: 1, Units: 2, Left: 68}},
		{"an emoji on the border", strings.Repeat("x", 66) + "😀" + strings.Repeat("x", 3), transports.Segments{Encoding: transports.UCS2, Count: 2, Units: 71, Left: 62}},
	} {
		if got := transports.CountSegments(test.text); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func FuzzCountSegments(f *testing.F) {
	for _, text := range []string{"", "hello", "€", "😀", "я", "\xff", strings.Repeat("x", 161), strings.Repeat("😀", 99)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := transports.CountSegments(text)
		single, part := 160, 153
		if got.Encoding == transports.UCS2 {
			single, part = 70, 67
			if units := len(utf16.Encode([]rune(text))); units != got.Units {
				t.Fatalf("%d units, UTF-16 has %d", got.Units, units)
			}
		}
		switch {
		case (got.Count == 0) != (text == ""), got.Left < 0:
			t.Fatalf("%+v of %q", got, text)
		case got.Count == 1 && got.Units+got.Left != single:
			t.Fatalf("%+v does not fill one", got)
		case got.Count > 1 && (got.Units <= single || got.Units > got.Count*part || got.Left >= part ||
			// A unit is lost to each border at most.
			got.Units+got.Left+got.Count-1 < got.Count*part):
			t.Fatalf("%+v does not add up", got)
		}
		// Whatever is written behind costs no less.
		for _, more := range []string{"x", "😀"} {
			if longer := transports.CountSegments(text + more); longer.Count < got.Count && longer.Encoding == got.Encoding {
				t.Fatalf("%+v, and longer %+v", got, longer)
			}
		}
	})
}
