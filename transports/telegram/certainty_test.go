package telegram_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"parley/events"
	"parley/transports"
	"parley/transports/sandbox"
	"parley/transports/telegram"
)

// sentTo counts what the stand-in accepted for a chat.
func sentTo(tg *sandbox.Telegram, chat int64) int {
	n := 0
	for _, e := range tg.Log(0) {
		if e.What == sandbox.LogSent && e.Chat == chat {
			n++
		}
	}
	return n
}

func outcome(t *testing.T, err error) transports.Outcome {
	t.Helper()
	checkRedacted(t, err)
	var e *transports.SendError
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *SendError", err)
	}
	return e.Outcome
}

// TestCertainty breaks sends over real connections, new and used ones, and
// compares what the adapter claims with what the other side has.
func TestCertainty(t *testing.T) {
	for _, test := range []struct {
		fault    string
		want     transports.Outcome
		accepted int
	}{
		{"hang_after", transports.Unknown, 1},
		{"reset_after", transports.Unknown, 1},
		{"cut_after", transports.Unknown, 1},
		{"half_close_after", transports.Unknown, 1},
		{"server_error_after", transports.Unknown, 1},
		{"hang_before", transports.Unknown, 0},
		{"reset_before", transports.Unknown, 0},
		{"server_error", transports.Unknown, 0},
		{"too_many", transports.Retry, 0},
		{"refuse_400", transports.Rejected, 0},
		{"refuse_403", transports.Rejected, 0},
	} {
		for _, used := range []bool{false, true} {
			for kind, part := range map[string]transports.Part{
				"text": {Text: "hi"}, "upload": {Attachment: file(events.Document, "a.pdf", "PDF")},
				"album": {Attachment: file(events.Photo, "a.jpg", "JPEG"), Album: []transports.File{*file(events.Photo, "b.jpg", "JPEG")}},
			} {
				name := test.fault + ", " + kind
				if used {
					name += ", used connection"
				}
				test := test
				test.accepted *= 1 + len(part.Album)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					tg, bot := standIn(t, sandbox.TelegramOptions{})
					anna := tg.Person("anna")
					must(anna.Say("hello"))
					to := strconv.FormatInt(anna.ID(), 10)
					before := 0
					if used {
						if _, err := bot.Send(t.Context(), transports.Outbound{To: to, Part: transports.Part{Text: "first"}}); err != nil {
							t.Fatal(err)
						}
						before = 1
					}
					tg.SetFaults(sandbox.TelegramFaults{Next: []string{test.fault}})
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if strings.HasPrefix(test.fault, "hang") {
						// The send is given up once the stand-in has decided about it.
						go func() {
							_, _ = tg.Await(ctx, func(e sandbox.TelegramEntry) bool { return e.Fault == test.fault })
							cancel()
						}()
					}
					_, err := bot.Send(ctx, transports.Outbound{To: to, Part: part})
					if got := outcome(t, err); got != test.want {
						t.Errorf("%v, want %v: %v", got, test.want, err)
					}
					if got := sentTo(tg, anna.ID()) - before; got != test.accepted {
						t.Errorf("accepted %d times, want %d", got, test.accepted)
					}
					// Nothing was repeated behind our back, and the channel still works.
					if _, err := bot.Send(t.Context(), transports.Outbound{To: to, Part: transports.Part{Text: "last"}}); err != nil {
						t.Error(err)
					}
					if got := sentTo(tg, anna.ID()) - before; got != test.accepted+1 {
						t.Errorf("accepted %d times in the end, want %d", got, test.accepted+1)
					}
				})
			}
		}
	}
}

// TestCertainlyNotSent is everything that fails before the request can leave.
func TestCertainlyNotSent(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request arrived")
	}))
	defer plain.Close()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	dialed := make(chan struct{})
	for _, test := range []struct {
		name, url string
		dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	}{
		{"connection refused", closed, nil},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), nil},
		{"no such host", "https://api.example", func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}}
		}},
		{"cancelled while dialling", "https://api.example", func(ctx context.Context, _, _ string) (net.Conn, error) {
			close(dialed)
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	} {
		for _, part := range []transports.Part{{Text: "hi"}, {Attachment: file(events.Document, "a.pdf", "PDF")}} {
			t.Run(test.name, func(t *testing.T) {
				dialed = make(chan struct{})
				client := &http.Client{Transport: &http.Transport{DialContext: test.dial}}
				defer client.CloseIdleConnections()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.name == "cancelled while dialling" {
					go func() {
						<-dialed
						cancel()
					}()
				}
				bot := newBot(t, client, map[string]string{"api_url": test.url})
				_, err := bot.Send(ctx, transports.Outbound{To: "1", Part: part})
				if got := outcome(t, err); got != transports.Retry {
					t.Errorf("%v, want retry: %v", got, err)
				}
			})
		}
	}
}

// TestBrokenUploadWasNotSent stops in the middle of a file.
func TestBrokenUploadWasNotSent(t *testing.T) {
	tg, bot := standIn(t, sandbox.TelegramOptions{})
	anna := tg.Person("anna")
	must(anna.Say("hello"))
	torn := &transports.File{Kind: events.Document, Name: "a.pdf", Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), brokenReader{})), nil
	}}
	_, err := bot.Send(t.Context(), transports.Outbound{To: strconv.FormatInt(anna.ID(), 10), Part: transports.Part{Attachment: torn}})
	if got := outcome(t, err); got != transports.Retry || !errors.Is(err, errTorn) {
		t.Errorf("%v, want a retry because of the file", err)
	}
	if n := sentTo(tg, anna.ID()); n != 0 {
		t.Errorf("%d were accepted", n)
	}
}

var errTorn = errors.New("the disk is torn")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errTorn }

// TestStaleConnections sends over connections that the server has closed since:
// some fail, none is sent twice.
func TestStaleConnections(t *testing.T) {
	tg, err := sandbox.NewTelegram(sandbox.TelegramOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tg.Close() }()
	server := httptest.NewServer(tg)
	defer server.Close()
	anna := tg.Person("anna")
	must(anna.Say("hello"))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	bot := newBot(t, client, map[string]string{"api_url": server.URL})
	part := transports.Outbound{To: strconv.FormatInt(anna.ID(), 10), Part: transports.Part{Text: "hi"}}
	low, high := 0, 0
	for range 200 {
		_, err := bot.Send(t.Context(), part)
		switch {
		case err == nil:
			low++
			high++
		case outcome(t, err) == transports.Unknown:
			high++
		}
		server.CloseClientConnections()
	}
	if n := sentTo(tg, anna.ID()); n < low || n > high {
		t.Errorf("the server has %d, the adapter claims %d to %d", n, low, high)
	}
}

var _ transports.Factory = telegram.New
