package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"parley/events"
	"parley/inbox"
	"parley/transports/sandbox"
)

// filesAtOnce is how many files arrive, or leave, at the same time.
const filesAtOnce = 8

// filesBench is one run of the measurement of files.
type filesBench struct {
	settings
	dir      string
	report   *report
	db       *cluster
	bot      bot
	server   *server
	networks []fileNetwork
	rows     [][]string
}

func benchFiles(ctx context.Context, args []string, out io.Writer) (err error) {
	s, err := parseSettings("files", args)
	if err != nil {
		return err
	}
	dir, remove, err := workFolder(s)
	if err != nil {
		return err
	}
	defer remove()
	r, err := newReport(s, "bench-files", out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := &filesBench{settings: s, dir: dir, report: r}
	return b.run(ctx)
}

func (b *filesBench) run(ctx context.Context) (err error) {
	if b.db, err = newCluster(ctx, b.dir, b.settings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.close()) }()
	closeAll, err := b.connect(ctx)
	defer func() { err = errors.Join(err, closeAll()) }()
	if err != nil {
		return err
	}
	b.report.say("# Files\n")
	b.report.machine(ctx, b.db)
	blobs, err := sub(b.dir, "blobs")
	if err != nil {
		return err
	}
	b.server, err = startServer(ctx, b.dir, "parley", b.settings, b.db, b.bot, serverOptions{blobs: "file://" + blobs})
	if err != nil {
		return err
	}
	defer func() { b.server.stop() }()
	for _, n := range b.networks {
		for _, way := range []func(context.Context, fileNetwork) error{b.in, b.out} {
			if err := way(ctx, n); err != nil {
				return fmt.Errorf("%s: %w", n.channel.Transport, err)
			}
		}
	}
	b.report.say("Each file is random bytes of its own, on the way in from a person's post to its row and bytes in the blob store, on the way out\n" +
		"from the start of `parley chat reply --file` to the row that says that the provider has it. Memory is the most that the parley process\n" +
		"had in RAM (VmHWM), in a process started for each row.\n")
	b.report.table([]string{
		"network", "way", "file", "one, s", "its peak, MB", fmt.Sprintf("%d at once, s", filesAtOnce), "their peak, MB", "idle, MB",
	}, b.rows)
	return b.report.audit(ctx, b.server)
}

// connect starts the stand-ins and makes a channel for each network.
func (b *filesBench) connect(ctx context.Context) (closeAll func() error, err error) {
	var open []io.Closer
	closeAll = func() (err error) {
		for _, c := range open {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	telegram, err := sandbox.NewTelegram(sandbox.TelegramOptions{})
	if err != nil {
		return closeAll, err
	}
	open = append(open, telegram)
	api, err := telegram.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return closeAll, err
	}
	if b.bot, err = b.db.addBot(ctx, sandbox.DefaultTelegramToken, api); err != nil {
		return closeAll, err
	}
	twilio, err := sandbox.NewTwilio(sandbox.TwilioOptions{FetchMedia: true})
	if err != nil {
		return closeAll, err
	}
	open = append(open, twilio)
	twilioAPI, err := twilio.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return closeAll, err
	}
	post, err := sandbox.NewMail(sandbox.MailOptions{})
	if err != nil {
		return closeAll, err
	}
	open = append(open, post)
	at, err := post.Start(ctx, sandbox.MailAt{})
	if err != nil {
		return closeAll, err
	}
	b.networks = []fileNetwork{
		overTelegram(telegram, api, b.bot), overTwilio(twilio, twilioAPI, 1, events.SMS),
		overTwilio(twilio, twilioAPI, 2, events.WhatsApp), overMail(post, at, 3),
	}
	for _, n := range b.networks[1:] {
		secrets := map[string]string{"auth_token": sandbox.DefaultTwilioToken}
		if n.channel.Transport == events.Email {
			secrets = map[string]string{"password": sandbox.DefaultMailPassword}
		}
		if _, err := b.db.addChannel(ctx, b.bot.key, n.channel, secrets); err != nil {
			return closeAll, err
		}
	}
	return closeAll, nil
}

// people write over a network, each alone in a chat.
func people(n fileNetwork) (who []string) {
	for i := range filesAtOnce {
		who = append(who, fmt.Sprintf("%s%d", n.channel.Transport, i+1))
	}
	return who
}

// exchange is what passing some files took.
type exchange struct {
	took time.Duration
	peak int64
}

// measure begins with a process of its own, in which do was done once with small
// files; then with one of the size, then with all at once.
func (b *filesBench) measure(ctx context.Context, n fileNetwork, way string, kind fileKind, do func(who []string, files []sandbox.File) error) error {
	b.server.stop()
	if err := b.server.start(); err != nil {
		return err
	}
	for _, n := range b.networks {
		if n.channel.Mode == events.Webhook {
			if err := b.server.ready(ctx, bot{channel: n.channel}); err != nil {
				return err
			}
		}
	}
	everybody := people(n)
	small := fileKind{picture: kind.picture, bytes: 10 << 10}
	if _, err := b.timed(everybody, small, do); err != nil {
		return fmt.Errorf("%s, small files: %w", way, err)
	}
	idle, err := residentOf(b.server.pid())
	if err != nil {
		return err
	}
	one, err := b.timed(everybody[:1], kind, do)
	if err != nil {
		return fmt.Errorf("%s, one file: %w", way, err)
	}
	all, err := b.timed(everybody, kind, do)
	if err != nil {
		return fmt.Errorf("%s, %d files: %w", way, filesAtOnce, err)
	}
	mb := func(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }
	b.rows = append(b.rows, []string{
		string(n.channel.Transport), way, kind.String(), fmt.Sprintf("%.2f", one.took.Seconds()), mb(one.peak),
		fmt.Sprintf("%.2f", all.took.Seconds()), mb(all.peak), mb(idle),
	})
	return nil
}

// timed does it with one file for each of these people.
func (b *filesBench) timed(who []string, kind fileKind, do func([]string, []sandbox.File) error) (m exchange, err error) {
	files := make([]sandbox.File, len(who))
	for i := range files {
		if files[i], err = kind.make(); err != nil {
			return m, err
		}
	}
	if err := forgetPeak(b.server.pid()); err != nil {
		return m, err
	}
	began := time.Now()
	if err := do(who, files); err != nil {
		return m, err
	}
	m.took = time.Since(began)
	m.peak, err = peakOf(b.server.pid())
	return m, err
}

// in measures files that clients send.
func (b *filesBench) in(ctx context.Context, n fileNetwork) error {
	return b.measure(ctx, n, "in", n.in, func(who []string, files []sandbox.File) error {
		posts := make([]func() error, len(who))
		for i := range who {
			posts[i] = func() error { return n.post(who[i], files[i]) }
		}
		if err := together(posts); err != nil {
			return err
		}
		return b.await(ctx, "the files to be stored", func() (bool, error) {
			chats, err := b.chats(ctx, sumsOf(files))
			return len(chats) == len(files), err
		})
	})
}

// out measures files that agents send, to the chats that the files of people came
// in.
func (b *filesBench) out(ctx context.Context, n fileNetwork) error {
	chats := map[string]int64{}
	for _, who := range people(n) {
		hello, err := fileKind{bytes: 1000}.make()
		if err != nil {
			return err
		}
		if err := n.post(who, hello); err != nil {
			return err
		}
		err = b.await(ctx, who+"'s chat", func() (bool, error) {
			found, err := b.chats(ctx, sumsOf([]sandbox.File{hello}))
			if len(found) == 1 {
				chats[who] = found[0]
			}
			return len(found) == 1, err
		})
		if err != nil {
			return err
		}
	}
	return b.measure(ctx, n, "out", n.out, func(who []string, files []sandbox.File) error {
		replies := make([]func() error, len(who))
		messages := make([]int64, len(who))
		for i := range who {
			replies[i] = func() (err error) {
				messages[i], err = b.reply(ctx, chats[who[i]], files[i])
				return err
			}
		}
		if err := together(replies); err != nil {
			return err
		}
		err := b.await(ctx, "the replies to be "+n.arrives, func() (bool, error) { return b.delivered(ctx, messages, n.arrives) })
		if err != nil {
			return err
		}
		for i, want := range sumsOf(files) {
			got, err := n.got(ctx, who[i])
			if err != nil {
				return err
			}
			b.report.holds(slices.Contains(got, want), "%s: the file for %s arrived with other bytes", n.channel.Transport, who[i])
		}
		return nil
	})
}

// reply answers a chat with a file, by the command line.
func (b *filesBench) reply(ctx context.Context, chat int64, f sandbox.File) (message int64, err error) {
	dir, err := os.MkdirTemp(b.dir, "reply-")
	if err != nil {
		return 0, err
	}
	path := filepath.Join(dir, f.Name)
	if err := os.WriteFile(path, f.Content, 0o600); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, b.parley, "--data-dir", filepath.Join(b.dir, b.server.name), //nolint:gosec // the program measured
		"chat", "reply", fmt.Sprint(chat), "--file", path, "--force", "--json")
	text, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		return 0, fmt.Errorf("replying: %w", err)
	}
	var m inbox.Message
	err = json.Unmarshal(text, &m)
	return m.ID, err
}

// chats are those in which files with these sums are stored. A file that could
// not be had is an error.
func (b *filesBench) chats(ctx context.Context, sums []sum) ([]int64, error) {
	var words string
	err := b.db.pool.QueryRow(ctx, `SELECT words FROM parley_media WHERE state = 'failed' LIMIT 1`).Scan(&words)
	if err == nil {
		return nil, fmt.Errorf("a file was not fetched: %s", words)
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	all := make([][]byte, len(sums))
	for i := range sums {
		all[i] = sums[i][:]
	}
	rows, err := b.db.pool.Query(ctx, `
		SELECT m.chat_id FROM parley_media f JOIN core_uploads u ON u.id = f.upload_id JOIN crm_chat_messages m ON m.id = f.message_id
		WHERE f.state = 'stored' AND u.sha256 = ANY ($1)`, all)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// delivered reports whether all these messages are in a state. One that failed
// is an error.
func (b *filesBench) delivered(ctx context.Context, messages []int64, state string) (bool, error) {
	var there int
	var failed string
	err := b.db.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE state = $2),
			coalesce(min(state || ': ' || coalesce(words, '')) FILTER (WHERE state IN ('failed', 'uncertain')), '')
		FROM parley_deliveries WHERE message_id = ANY ($1)`, messages, state).Scan(&there, &failed)
	if err == nil && failed != "" {
		err = fmt.Errorf("a reply is %s", failed)
	}
	return there == len(messages), err
}

// await asks every few milliseconds until the answer is yes; an error of ask ends
// it.
func (b *filesBench) await(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := ask()
		if err != nil || yes {
			return err
		}
		select {
		case <-tick.C:
		case <-b.server.done:
			return b.server.ended()
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; the server's last words:\n%s", what, ctx.Err(), lastLines(b.server.log, 15))
		}
	}
}

// together does all at once.
func together(all []func() error) error {
	errs := make(chan error, len(all))
	for _, do := range all {
		go func() { errs <- do() }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return err
}
