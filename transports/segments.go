package transports

import "unicode/utf16"

// Lengths of text messages (https://www.twilio.com/docs/glossary/what-sms-character-limit):
// what a message alone holds, and what each part of a longer one holds beside the
// header that joins them (3GPP TS 23.040, section 9.2.3.24.1).
const (
	gsm7Single, gsm7Part = 160, 153
	ucs2Single, ucs2Part = 70, 67
)

// SMSEncoding is how a text message travels.
type SMSEncoding string

// The encodings.
const (
	GSM7 SMSEncoding = "GSM-7" // 3GPP TS 23.038, section 6.2.1, with its extension table
	UCS2 SMSEncoding = "UCS-2" // UTF-16 in fact
)

// Segments is what a text takes to travel as SMS, and so what it costs.
type Segments struct {
	Encoding SMSEncoding
	// Count is how many segments are sent; 0 of an empty text.
	Count int
	// Units is the length, in septets for GSM-7 and 16-bit units for UCS-2.
	Units int
	// Left is how many units still fit the last segment.
	Left int
}

// CountSegments measures a text as networks do: one sign that GSM-7 does not have
// makes all of it UCS-2. Neither an escaped sign nor a surrogate pair is split
// between segments, for which a segment may stay one unit short.
func CountSegments(text string) Segments {
	widths := make([]int, 0, len(text))
	for _, r := range text {
		n := gsm7Width(r)
		if n == 0 {
			return pack(UCS2, ucs2Widths(text), ucs2Single, ucs2Part)
		}
		widths = append(widths, n)
	}
	return pack(GSM7, widths, gsm7Single, gsm7Part)
}

func ucs2Widths(text string) []int {
	widths := make([]int, 0, len(text))
	for _, r := range text {
		widths = append(widths, max(utf16.RuneLen(r), 1))
	}
	return widths
}

func pack(encoding SMSEncoding, widths []int, single, part int) Segments {
	s := Segments{Encoding: encoding}
	for _, n := range widths {
		s.Units += n
	}
	switch {
	case s.Units == 0:
		s.Left = single
		return s
	case s.Units <= single:
		s.Count, s.Left = 1, single-s.Units
		return s
	}
	used := part // of the last segment
	for _, n := range widths {
		if used+n > part {
			s.Count++
			used = 0
		}
		used += n
	}
	s.Left = part - used
	return s
}

// gsm7Width is how many septets a sign takes: 1 of the basic alphabet, 2 of its
// extension, 0 of neither.
func gsm7Width(r rune) int {
	switch {
	case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return 1
	}
	switch r {
	case '\n', '\r', ' ', '!', '"', '#', '$', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
		':', ';', '<', '=', '>', '?', '@', '_', '¡', '£', '¤', '¥', '§', '¿',
		'Ä', 'Å', 'Æ', 'Ç', 'É', 'Ñ', 'Ö', 'Ø', 'Ü', 'ß', 'à', 'ä', 'å', 'æ', 'è', 'é', 'ì', 'ñ', 'ò', 'ö', 'ø', 'ù', 'ü',
		'Γ', 'Δ', 'Θ', 'Λ', 'Ξ', 'Π', 'Σ', 'Φ', 'Ψ', 'Ω':
		return 1
	case '\f', '^', '{', '}', '\\', '[', '~', ']', '|', '€':
		return 2
	}
	return 0
}
