package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// sample is what the server uses at one moment.
type sample struct {
	at time.Duration
	// resident is memory in bytes, heap what the collector lets the heap grow to: it
	// follows what is alive, without the saw's teeth.
	resident, heap float64
	goroutines     float64
	files          float64
	// connections are PostgreSQL's, of everybody; waiting are rows that have still to
	// go somewhere: facts, replies that are not settled.
	connections, waiting float64
	// accepted are events that providers were told "received" for.
	accepted float64
}

// gauges are the columns of samples, with what each may rise by and still count as
// flat: a share of its mean, or so much.
var gauges = []struct {
	name      string
	unit      float64
	share     float64
	allowance float64
	of        func(sample) float64
}{
	{"resident memory, MB", 1 << 20, 0.05, 4 << 20, func(s sample) float64 { return s.resident }},
	{"heap's goal, MB", 1 << 20, 0.05, 4 << 20, func(s sample) float64 { return s.heap }},
	{"goroutines", 1, 0.02, 3, func(s sample) float64 { return s.goroutines }},
	{"file descriptors", 1, 0.02, 3, func(s sample) float64 { return s.files }},
	{"PostgreSQL connections", 1, 0.02, 3, func(s sample) float64 { return s.connections }},
	{"rows that wait (facts, replies)", 1, 0.02, 20, func(s sample) float64 { return s.waiting }},
}

// sampler looks at a server until its context ends.
type sampler struct {
	db      *cluster
	server  *server
	client  *http.Client
	began   time.Time
	samples []sample
}

// every takes a sample each so often.
func (p *sampler) every(ctx context.Context, pause time.Duration) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		s, err := p.take(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return errors.Join(fmt.Errorf("a sample: %w", err), p.server.health())
		}
		p.samples = append(p.samples, s)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *sampler) take(ctx context.Context) (s sample, err error) {
	s.at = time.Since(p.began)
	resident, err := residentOf(p.server.pid())
	if err != nil {
		return s, err
	}
	s.resident = float64(resident)
	m, err := p.metrics(ctx)
	if err != nil {
		return s, err
	}
	s.heap, s.goroutines, s.files = m["go_memstats_next_gc_bytes"], m["go_goroutines"], m["process_open_fds"]
	s.accepted = m["parley_gateway_events_received_total"]
	err = p.db.pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
		       (SELECT count(*) FROM parley_facts) + (SELECT count(*) FROM parley_deliveries WHERE in_lane)`).Scan(&s.connections, &s.waiting)
	return s, err
}

// metrics reads what the server says of itself; values of one name are added up
// whatever their labels, but for the streams' sizes.
func (p *sampler) metrics(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.server.listen+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		end := strings.LastIndexByte(line, ' ')
		if end < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the metrics have %q", line)
		}
		name, _, _ := strings.Cut(line[:end], "{")
		if name == "parley_bus_stream_bytes" {
			name = line[:end]
		}
		all[name] += value
	}
	return all, lines.Err()
}

// sizes are the bytes of each table with its indexes, and of each stream.
func (p *sampler) sizes(ctx context.Context) (map[string]int64, error) {
	all := map[string]int64{}
	rows, err := p.db.pool.Query(ctx, `
		SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`)
	if err != nil {
		return nil, err
	}
	var name string
	var size int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &size}, func() error { all[name] = size; return nil }); err != nil {
		return nil, err
	}
	m, err := p.metrics(ctx)
	if err != nil {
		return nil, err
	}
	for series, value := range m {
		if _, label, ok := strings.Cut(series, "parley_bus_stream_bytes{stream=\""); ok {
			all["stream "+strings.TrimSuffix(label, "\"}")] = int64(value)
		}
	}
	return all, nil
}

// settled are the samples after the first fifth, in which caches and pools fill.
func (p *sampler) settled() []sample { return p.samples[len(p.samples)/5:] }

// trendOf fits a line to one gauge of what was sampled after the start.
func (p *sampler) trendOf(of func(sample) float64) trend {
	var at []time.Duration
	var values []float64
	for _, s := range p.settled() {
		at = append(at, s.at)
		values = append(values, of(s))
	}
	return fit(at, values)
}

// write writes every sample to a file, for whoever wants to draw them.
func (p *sampler) write(folder string) (err error) {
	file, err := os.Create(filepath.Join(folder, "bench-soak.csv")) //nolint:gosec // the operator's choice
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := csv.NewWriter(file)
	head := []string{"seconds", "accepted"}
	for _, g := range gauges {
		head = append(head, g.name)
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for _, s := range p.samples {
		line := []string{fmt.Sprintf("%.0f", s.at.Seconds()), fmt.Sprintf("%.0f", s.accepted)}
		for _, g := range gauges {
			line = append(line, fmt.Sprintf("%.1f", g.of(s)/g.unit))
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
