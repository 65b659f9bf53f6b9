package api

import (
	"maps"
	"strings"
	"testing"
)

func TestUploadMetadata(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]map[string]string{
		"":                      {},
		"filename bGFtcC5wbmc=": {"filename": "lamp.png"},
		"filename bGFtcC5wbmc=,filetype aW1hZ2UvcG5n,is_confidential": {"filename": "lamp.png", "filetype": "image/png", "is_confidential": ""},
		" name  bGFtcA== , x ": {"name": "lamp", "x": ""},
	} {
		if got, err := parseMetadata(header); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q is %v, %v", header, got, err)
		}
	}
	for header, says := range map[string]string{
		"filename lamp.png":                   "not base64",
		"filename bGFtcA==,filename bGFtcA==": "twice",
		",":                                   "empty",
		"näme bGFtcA==":                       "ASCII",
		"x " + strings.Repeat("A", 4096):      "longer",
	} {
		if got, err := parseMetadata(header); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is %v, %v", header, got, err)
		}
	}
	for _, odd := range []string{"text/\x00plain", "image", strings.Repeat("a", 300) + "/b"} {
		if _, kind := fileOf(map[string]string{"filetype": odd}); kind != "" {
			t.Errorf("%q is the type %q", odd, kind)
		}
	}
}

func FuzzUploadMetadata(f *testing.F) {
	f.Add("filename bGFtcC5wbmc=,filetype aW1hZ2UvcG5n,is_confidential")
	f.Add(" , x")
	f.Fuzz(func(t *testing.T, header string) {
		pairs, err := parseMetadata(header)
		if err != nil {
			if pairs != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v, %v", header, pairs, err)
			}
			return
		}
		if len(pairs) > strings.Count(header, ",")+1 {
			t.Errorf("%q has %d pairs", header, len(pairs))
		}
		for key := range pairs {
			if key == "" || !strings.Contains(header, key) {
				t.Errorf("%q has the key %q", header, key)
			}
		}
		if _, kind := fileOf(pairs); len(kind) > 2*255 || strings.ContainsAny(kind, "\x00\r\n") {
			t.Errorf("%q has the type %q", header, kind)
		}
	})
}
