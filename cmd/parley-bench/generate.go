package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// generator is a load of webhooks: each connection sends a message, waits for the
// answer, and sends the next; what is not answered with 2xx is sent again, as a
// provider does.
type generator struct {
	// URL is the webhook, or several that the connections take turns with, with
	// spaces between.
	URL         string        `json:"url"`
	Secret      string        `json:"secret"`
	Connections int           `json:"connections"`
	Time        time.Duration `json:"time"`
	Run         int           `json:"run"`
	// Senders who take turns, from the id First on, Stride apart; 0 means that
	// every message has a new sender.
	Senders int   `json:"senders"`
	First   int64 `json:"first"`
	Stride  int64 `json:"stride"`
	// Rate is how many messages a second are sent by all connections together, as
	// long as their answers allow it; 0 is as many as possible.
	Rate float64 `json:"rate"`
	// Each ends the load once every sender has sent that many; 0 is no end.
	Each int `json:"each"`
	// List is the file that accepted messages are written to.
	List string `json:"list"`
}

// accepted is one message that got its 2xx.
type accepted struct {
	sender  int64
	counter int
	sent    time.Time
	took    time.Duration
}

// generated is what the generator says of its run.
type generated struct {
	Accepted int           `json:"accepted"`
	Retries  int           `json:"retries"`
	CPU      time.Duration `json:"cpu"`
	// Began and Ended bound the time in which messages were sent.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
}

// generateCommand runs a load described in JSON, and prints what became of it.
func generateCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("parley-bench generate", flag.ContinueOnError)
	load := f.String("load", "", "the load, in JSON")
	result := f.String("result", "", "the file that the result is written to")
	if err := f.Parse(args); err != nil {
		return err
	}
	var g generator
	if err := json.Unmarshal([]byte(*load), &g); err != nil {
		return fmt.Errorf("the load: %w", err)
	}
	out, err := g.generate(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return os.WriteFile(*result, text, 0o600)
}

// generateIn runs the load in a process of its own, which works in dir.
func generateIn(ctx context.Context, dir string, load generator) (out generated, err error) {
	text, err := json.Marshal(load) //nolint:gosec // the secret is a constant of ours
	if err != nil {
		return out, err
	}
	result := load.List + ".json"
	p, err := startSelf(dir, "generator", "generate", "-load", string(text), "-result", result)
	if err != nil {
		return out, err
	}
	defer p.kill()
	if err := p.wait(ctx); err != nil {
		return out, err
	}
	answer, err := os.ReadFile(result) //nolint:gosec // a file of ours
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(answer, &out)
}

// generate sends until the time is over, and no longer than ctx.
func (g *generator) generate(ctx context.Context) (generated, error) {
	var (
		wg    sync.WaitGroup
		lines = make([]*line, g.Connections)
		errs  = make([]error, g.Connections)
		out   = generated{Began: time.Now()}
	)
	for i := range lines {
		lines[i] = &line{g: g, number: i}
		wg.Go(func() { errs[i] = lines[i].run(ctx, out.Began, out.Began.Add(g.Time)) })
	}
	wg.Wait()
	out.Ended = time.Now()
	if err := errors.Join(errs...); err != nil {
		return out, err
	}
	for _, l := range lines {
		out.Accepted += len(l.accepted)
		out.Retries += l.retries
	}
	cpu, err := cpuOf(os.Getpid())
	if err != nil {
		return out, err
	}
	out.CPU = cpu // before the list is written, which no load generator has to
	return out, g.write(lines)
}

// write writes the list that the database is compared with.
func (g *generator) write(lines []*line) error {
	file, err := os.Create(g.List)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	var b []byte
	for _, l := range lines {
		for _, a := range l.accepted {
			b = strconv.AppendInt(b[:0], a.sender, 10)
			b = append(b, '\t')
			b = strconv.AppendInt(b, int64(a.counter), 10)
			b = append(b, '\t')
			b = strconv.AppendInt(b, a.sent.UnixNano(), 10)
			b = append(b, '\t')
			b = strconv.AppendInt(b, a.took.Nanoseconds(), 10)
			b = append(b, '\n')
			if _, err := w.Write(b); err != nil {
				return errors.Join(err, file.Close())
			}
		}
	}
	return errors.Join(w.Flush(), file.Close())
}
