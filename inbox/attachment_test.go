package inbox_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"parley/events"
	"parley/inbox"
)

func TestCleanFileName(t *testing.T) {
	for name, want := range map[string]string{
		"":                                "",
		"invoice.pdf":                     "invoice.pdf",
		"Rechnung März 😀.pdf":             "Rechnung März 😀.pdf",
		"../../etc/passwd":                "passwd",
		`C:\Users\me\photo.jpg`:           "photo.jpg",
		"a\x00b\r\nc.txt":                 "abc.txt",
		"exe\u202Egnp.exe":                "exegnp.exe",
		`what?"is*<it>.txt`:               "what__is__it_.txt",
		"..":                              "",
		"folder/":                         "folder",
		".htaccess":                       "htaccess",
		"bad\xff.txt":                     "bad\uFFFD.txt",
		strings.Repeat("ä", 300) + ".pdf": strings.Repeat("ä", 98) + ".pdf",
	} {
		if got := inbox.CleanFileName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func FuzzCleanFileName(f *testing.F) {
	f.Add("../x\\y\x00.pdf")
	f.Add(strings.Repeat("ä", 300) + ".tar.gz")
	f.Fuzz(func(t *testing.T, name string) {
		got := inbox.CleanFileName(name)
		if len(got) > 200 || !utf8.ValidString(got) || strings.ContainsAny(got, "/\\\x00\r\n\"") || got == ".." || got == "." {
			t.Errorf("%q becomes %q", name, got)
		}
	})
}

func TestKindOfFile(t *testing.T) {
	for mime, want := range map[string]events.ContentType{
		"image/jpeg": events.Photo, "image/gif": events.Animation, "image/svg+xml": events.Document, "image/tiff": events.Document,
		"video/mp4": events.Video, "video/x-matroska": events.Document, "audio/mpeg": events.Audio, "audio/ogg; codecs=opus": events.Audio,
		"application/pdf": events.Document, "text/plain; charset=utf-8": events.Document, "": events.Document,
	} {
		if got := inbox.KindOfFile(mime); got != want {
			t.Errorf("%s is a %s, want %s", mime, got, want)
		}
	}
}
