package sandbox_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"parley/transports/sandbox"
)

func TestUploads(t *testing.T) {
	tg := newTelegram(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	say(t, anna, "hello")
	upload := func(method, field string, size int) (int, string) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile(field, "f.bin")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := form.WriteField("chat_id", strconv.FormatInt(anna.ID(), 10)); err != nil {
			t.Fatal(err)
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/bot"+sandbox.DefaultTelegramToken+"/"+method, &body)
		r.Header.Set("Content-Type", form.FormDataContentType())
		w := httptest.NewRecorder()
		tg.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, test := range []struct {
		method, field string
		size, code    int
		want          string
	}{
		{"sendPhoto", "photo", 1000, 200, `"photo":[{`},
		{"sendDocument", "document", 1000, 200, `"file_name":"f.bin"`},
		{"sendVoice", "voice", 5, 200, `"voice":{`},
		{"sendPhoto", "document", 5, 400, "there is no photo in the request"},
		{"sendDocument", "document", 0, 400, "file must be non-empty"},
		{"sendPhoto", "photo", 10<<20 + 1, 400, "is too big for a photo"},
		{"sendDocument", "document", 50<<20 + 1, 413, "Request Entity Too Large"},
	} {
		if code, body := upload(test.method, test.field, test.size); code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s of %d: %d %s, want %d %s", test.method, test.size, code, body, test.code, test.want)
		}
	}
	// What the bot sent can be fetched again by its file_id.
	_, body := upload("sendDocument", "document", 7)
	var sent struct {
		Result struct {
			Document struct {
				FileID string `json:"file_id"`
			} `json:"document"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &sent); err != nil {
		t.Fatal(err)
	}
	_, body = call(t, tg, "getFile", url.Values{"file_id": {sent.Result.Document.FileID}})
	var found struct {
		Result struct {
			Path string `json:"file_path"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &found); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	tg.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/file/bot"+sandbox.DefaultTelegramToken+"/"+found.Result.Path, nil))
	if w.Code != 200 || w.Body.Len() != 7 {
		t.Errorf("downloaded %d, %d bytes", w.Code, w.Body.Len())
	}
}
