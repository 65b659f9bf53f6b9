package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"parley/events/tracing"
	"parley/inbox"
)

// traces are where spans go. A nil one makes none.
type traces struct {
	provider *sdktrace.TracerProvider
	tracer   *tracing.Tracer
	// statements traces the database's statements below spans.
	statements pgx.QueryTracer
}

// openTraces reads the usual environment variables
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/,
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/). It returns nil where
// they ask for no traces. The collector need not be there: messages do not wait for it.
func openTraces(ctx context.Context, version string, log *slog.Logger) (*traces, error) {
	asked, err := tracesAsked()
	if err != nil || !asked {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, &inbox.Error{Code: inbox.Invalid, Message: "Traces cannot be sent: " + err.Error() + ".", Hint: "Check the variables OTEL_EXPORTER_OTLP_….", Err: err}
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "parley"), attribute.String("service.version", version),
		attribute.String("service.instance.id", ownerName())), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("describing this process for traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(quietly(log)))
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about), sdktrace.WithIDGenerator(tracing.IDs{}))
	return &traces{provider: p, tracer: tracing.New(p), statements: statementTracer{otelpgx.NewTracer(
		otelpgx.WithTracerProvider(p), otelpgx.WithDisableConnectionDetailsInAttributes(),
	)}}, nil
}

// tracesAsked reports whether the environment asks for traces.
func tracesAsked() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	if !slices.Contains([]string{"", "otlp", "none"}, exporter) {
		return false, &inbox.Error{Code: inbox.Invalid, Message: fmt.Sprintf("OTEL_TRACES_EXPORTER is %q, which Parley does not have.", exporter), Hint: "Set it to otlp or none."}
	}
	if exporter == "none" || exporter == "" && os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return false, nil
	}
	protocol := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && protocol != "http/protobuf" {
		return false, &inbox.Error{
			Code: inbox.Invalid, Message: fmt.Sprintf("OTEL_EXPORTER_OTLP_PROTOCOL is %q, and Parley sends traces as http/protobuf only.", protocol),
			Hint: "Set it to http/protobuf, and the endpoint to the collector's port for HTTP, usually 4318.",
		}
	}
	return true, nil
}

// quietly logs what goes wrong with traces once a minute: it is one collector's
// trouble, and happens with every batch.
func quietly(log *slog.Logger) func(error) {
	var next atomic.Int64
	return func(err error) {
		now := time.Now()
		if due := next.Load(); now.UnixNano() < due || !next.CompareAndSwap(due, now.Add(time.Minute).UnixNano()) {
			return
		}
		log.Warn("traces are lost, messages are not: the collector did not take them; check that it runs and OTEL_EXPORTER_OTLP_ENDPOINT names its port for HTTP", "error", err)
	}
}

// of returns what makes spans; nil without traces.
func (t *traces) of() *tracing.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// ofStatements returns what traces statements; nil without traces.
func (t *traces) ofStatements() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return t.statements
}

// tracesPatience is how long a stop waits for the collector.
const tracesPatience = 3 * time.Second

// close sends what waits.
func (t *traces) close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tracesPatience)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what it says, the handler has logged
}
