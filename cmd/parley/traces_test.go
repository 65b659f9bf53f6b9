package main

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"parley/events/tracing"
	"parley/inbox"
	"parley/transports/sandbox"
)

// spanCollector takes spans as collectors do.
type spanCollector struct {
	*httptest.Server
	mu   sync.Mutex
	raw  []string
	list []*spans.Span
}

func newCollector(t *testing.T) *spanCollector {
	t.Helper()
	c := &spanCollector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Error(err)
				return
			}
		}
		data, err := io.ReadAll(body)
		var got collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(data, &got)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = append(c.raw, got.String())
		for _, from := range got.GetResourceSpans() {
			for _, scope := range from.GetScopeSpans() {
				c.list = append(c.list, scope.GetSpans()...)
			}
		}
		answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(c.Close)
	return c
}

// of are the spans of a trace by name; it fails the test when a parent is missing.
func (c *spanCollector) of(t *testing.T, traceID string) map[string]*spans.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	byName, ids := map[string]*spans.Span{}, map[string]bool{}
	for _, s := range c.list {
		if hex.EncodeToString(s.GetTraceId()) == traceID {
			byName[s.GetName()] = s
			ids[string(s.GetSpanId())] = true
		}
	}
	for name, s := range byName {
		if p := s.GetParentSpanId(); len(p) > 0 && !ids[string(p)] {
			t.Errorf("%q has a parent that was never told", name)
		}
		if s.GetStatus().GetCode() == spans.Status_STATUS_CODE_ERROR {
			t.Errorf("%q failed: %s", name, s.GetStatus().GetMessage())
		}
	}
	return byName
}

// TestTraces follows a message in and its answer out by the ids that their journeys
// show, through all that handled them.
func TestTraces(t *testing.T) { // not parallel: the collector is named by the environment
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	dir := dataFolder(t)
	tr, err := openTraces(t.Context(), "1.2.3", slog.New(slog.DiscardHandler))
	if err != nil || tr == nil {
		t.Fatal(tr, err)
	}
	telegram, address := startTelegram(t)
	p := start(t, shared(t, Config{DataDir: dir, Traces: tr}))
	p.connect(t, address)
	const question, answer = "A question that no collector may read", "An answer that no collector may read"
	if _, err := telegram.Person("Annabella").Say(question); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", question)); err != nil {
		t.Fatal(err)
	}
	parley(t, dir, "chat", "show", "1")
	parley(t, dir, "chat", "reply", "1", answer)
	if err := await(t.Context(), dir, fact("sent", "")); err != nil {
		t.Fatal(err)
	}
	journey := func(seq string) (j inbox.Journey) {
		t.Helper()
		if err := json.Unmarshal([]byte(parley(t, dir, "message", "show", "1", seq, "--json")), &j); err != nil {
			t.Fatal(err)
		}
		return j
	}
	in, out := journey("1"), journey("2")
	if text := parley(t, dir, "message", "show", "1", "1"); !strings.Contains(text, "Trace: "+in.TraceID) {
		t.Errorf("people read %s", text)
	}
	p.Stop(t) // which sends what waits

	if in.TraceID != tracing.OfEvent(in.EventID).String() || out.TraceID == in.TraceID {
		t.Errorf("the traces are %s and %s", in.TraceID, out.TraceID)
	}
	for id, want := range map[string][]string{
		in.TraceID:  {"accept telegram", "publish fact message.received", "store"},
		out.TraceID: {"publish fact message.queued", "publish fact message.sent", "send telegram", "write reply"},
	} {
		got := c.of(t, id)
		for _, name := range want {
			if got[name] == nil {
				t.Errorf("trace %s has no %q", id, name)
				continue
			}
			if first := got[map[bool]string{true: "accept telegram", false: "write reply"}[id == in.TraceID]]; name != first.GetName() && string(got[name].GetParentSpanId()) != string(first.GetSpanId()) {
				t.Errorf("%q is not below %q", name, first.GetName())
			}
		}
	}
	// The statements are below the batch, which the event's span links to.
	stored := c.of(t, in.TraceID)["store"]
	if len(stored.GetLinks()) != 1 {
		t.Fatalf("the event's span has %d links", len(stored.GetLinks()))
	}
	batch := c.of(t, hex.EncodeToString(stored.GetLinks()[0].GetTraceId()))
	if batch["store batch"] == nil || len(batch) < 3 || !slices.ContainsFunc(batch["store batch"].GetLinks(), func(l *spans.Span_Link) bool { return hex.EncodeToString(l.GetTraceId()) == in.TraceID }) {
		t.Errorf("the batch has %d spans and the links %v", len(batch), batch["store batch"].GetLinks())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := strings.Join(c.raw, "\n")
	for _, secret := range []string{question, answer, "Annabella", sandbox.DefaultTelegramToken} {
		if strings.Contains(all, secret) {
			t.Errorf("%q went to the collector", secret)
		}
	}
	if !strings.Contains(all, `"1.2.3"`) || !strings.Contains(all, "INSERT INTO crm_chat_messages") {
		t.Error("the collector is told neither the version nor statements")
	}
	logs := p.logs.String()
	if !strings.Contains(logs, "trace_id="+in.TraceID) || !strings.Contains(logs, "trace_id="+out.TraceID) {
		t.Errorf("the log names no traces:\n%s", logs)
	}
}

// TestTracesWithoutACollector goes on without one, and says so once a minute.
func TestTracesWithoutACollector(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", gone.URL)
	gone.Close()
	var logs logBuffer
	tr, err := openTraces(t.Context(), "1.2.3", slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	dir := dataFolder(t)
	telegram, address := startTelegram(t)
	p := start(t, shared(t, Config{DataDir: dir, Traces: tr}))
	p.connect(t, address)
	if _, err := telegram.Person("Anna").Say("Hello?"); err != nil {
		t.Fatal(err)
	}
	if err := await(t.Context(), dir, fact("received", "Hello?")); err != nil {
		t.Fatal(err)
	}
	p.Stop(t)
	quiet := quietly(slog.New(slog.NewTextHandler(&logs, nil)))
	for range 3 {
		quiet(errors.New("the third"))
	}
	if n := strings.Count(logs.String(), "the third"); n != 1 {
		t.Errorf("it is said %d times: %s", n, logs.String())
	}
}

func TestTracesAreAskedFor(t *testing.T) {
	for _, c := range []struct {
		env   string
		asked bool
		words string
	}{
		{"", false, ""},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4318", true, ""},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://x:4318/v1/traces", true, ""},
		{"OTEL_TRACES_EXPORTER=otlp", true, ""},
		{"OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4318", false, ""},
		{"OTEL_SDK_DISABLED=true OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4318", false, ""},
		{"OTEL_TRACES_EXPORTER=jaeger", false, "Set it to otlp or none."},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc", false, "4318"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4318 OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf", true, ""},
	} {
		t.Run(c.env, func(t *testing.T) {
			for _, name := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
				t.Setenv(name, "")
			}
			for _, pair := range strings.Fields(c.env) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			asked, err := tracesAsked()
			if asked != c.asked || (err != nil) != (c.words != "") || !hints(err, c.words) {
				t.Errorf("%v, %v", asked, err)
			}
		})
	}
}

// hints reports whether an error says what to do in these words, or there is none.
func hints(err error, words string) bool {
	var e *inbox.Error
	return err == nil || errors.As(err, &e) && strings.Contains(e.Hint, words)
}
