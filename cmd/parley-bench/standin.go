package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"parley/transports/sandbox"
)

// telegramCommand serves a Telegram of our own until it is told to end.
func telegramCommand(ctx context.Context, args []string, _ io.Writer) error {
	f := flag.NewFlagSet("parley-bench telegram", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "address")
	log := f.String("log", "", "the file that the log is written to")
	seed := f.Uint64("seed", 1, "of the faults' dice")
	faults := f.String("faults", "{}", "what goes wrong, in JSON")
	bots := f.Int("bots", 1, "how many there are")
	if err := f.Parse(args); err != nil {
		return err
	}
	o := sandbox.TelegramOptions{OpenChats: true, LogPath: *log, Seed: *seed}
	for i := range *bots {
		o.Bots = append(o.Bots, sandbox.TelegramBot{Token: botToken(i), Username: fmt.Sprintf("bot%d", i), Name: fmt.Sprintf("Bot %d", i)})
	}
	if err := json.Unmarshal([]byte(*faults), &o.Faults); err != nil {
		return fmt.Errorf("the faults: %w", err)
	}
	t, err := sandbox.NewTelegram(o)
	if err != nil {
		return err
	}
	if _, err := t.Start(ctx, *listen); err != nil {
		return errors.Join(err, t.Close())
	}
	<-ctx.Done()
	return t.Close()
}

// botToken is the token of the nth bot.
func botToken(n int) string {
	_, secret, _ := strings.Cut(sandbox.DefaultTelegramToken, ":")
	return fmt.Sprintf("%d:%s", 7_000_000_001+n, secret)
}

// standIn is the Telegram that replies are sent to, in a process of its own.
type standIn struct {
	*process
	url string
	// entries is the file of its log.
	entries string
}

// startStandIn starts a stand-in without limits.
func startStandIn(ctx context.Context, dir string, seed uint64, faults sandbox.TelegramFaults, more ...string) (*standIn, error) {
	listen, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(faults)
	if err != nil {
		return nil, err
	}
	t := &standIn{url: "http://" + listen, entries: filepath.Join(dir, "telegram.jsonl")}
	args := []string{"telegram", "-listen", listen, "-log", t.entries, "-seed", fmt.Sprint(seed), "-faults", string(text)}
	t.process, err = startSelf(dir, "telegram", append(args, more...)...)
	if err != nil {
		return nil, err
	}
	err = until(ctx, 10*time.Second, "the stand-in", func() (bool, error) {
		if !t.running() {
			return false, t.ended()
		}
		code, _, err := ask(ctx, http.MethodGet, t.url+"/sandbox/faults")
		return code == http.StatusOK, err
	})
	if err != nil {
		t.kill()
		return nil, err
	}
	return t, nil
}

// each calls f with the entries of the log, in order.
func (t *standIn) each(f func(sandbox.TelegramEntry) error) error {
	file, err := os.Open(t.entries)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReader(file)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // a line under way has no end yet
		}
		if err != nil {
			return err
		}
		var e sandbox.TelegramEntry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("the stand-in's log: %w", err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
}
