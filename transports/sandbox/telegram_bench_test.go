package sandbox_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"parley/transports/sandbox"
)

// BenchmarkSendMessage is the stand-in without a network.
func BenchmarkSendMessage(b *testing.B) {
	tg := newTelegram(b, sandbox.TelegramOptions{OpenChats: true})
	form := url.Values{"chat_id": {"190000001"}, "text": {"hello hello hello"}}.Encode()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest(http.MethodPost, "/bot"+sandbox.DefaultTelegramToken+"/sendMessage", strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			tg.ServeHTTP(w, r)
			if w.Code != 200 {
				b.Fatal(w.Body)
			}
		}
	})
}

// BenchmarkSendMessageHTTP is the stand-in over loopback connections.
func BenchmarkSendMessageHTTP(b *testing.B) {
	tg := newTelegram(b, sandbox.TelegramOptions{OpenChats: true})
	api, err := tg.Start(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		form := url.Values{"chat_id": {"190000001"}, "text": {"hello hello hello"}}.Encode()
		for pb.Next() {
			resp, err := client.Post(api+"/bot"+sandbox.DefaultTelegramToken+"/sendMessage", "application/x-www-form-urlencoded", strings.NewReader(form))
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}
