package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"parley/transports/sandbox"
)

// honestClients write at once, each a message every so often.
const (
	honestClients = 8
	honestPause   = 40 * time.Millisecond
	mailPause     = 200 * time.Millisecond
)

// honestRun is what honest users did and how long it took.
type honestRun struct {
	clients, agent waits
	// mails are from a client's mail in the mailbox to its row.
	mails waits
	// replies that were accepted.
	replies int
	took    time.Duration
}

// waits are how long requests took, sorted.
type waits []time.Duration

func (w waits) row(who, when string) []string {
	return []string{who, when, thousands(len(w)), ms(quantile(w, 0.5)), ms(quantile(w, 0.99)), ms(quantile(w, 1))}
}

func (h honestRun) String() string {
	return fmt.Sprintf("%d messages p99 %s, %d requests of an agent p99 %s, %d mails p99 %s", len(h.clients), quantile(h.clients, 0.99),
		len(h.agent), quantile(h.agent, 0.99), len(h.mails), quantile(h.mails, 0.99))
}

// honest lets clients write and an agent answer for a while; every request must
// succeed.
func (w *attackWorld) honest(ctx context.Context, run int, long time.Duration) (out honestRun, err error) {
	deadline := time.Now().Add(long)
	var wg sync.WaitGroup
	took, errs := make([]waits, honestClients), make([]error, honestClients+2)
	out.took = long
	for i := range honestClients {
		wg.Go(func() {
			for n := 1; ctx.Err() == nil && time.Now().Before(deadline); n++ {
				m := update{run: run, sender: firstPerson + int64(i), counter: n, sent: time.Now()}
				code, text, err := send(ctx, w.office, http.MethodPost, w.server.webhook(w.bot), m.body(nil), telegramSecret, w.bot.secret)
				if err != nil || code != http.StatusOK {
					errs[i] = errors.Join(err, fmt.Errorf("a client's message: %d %s", code, text))
					return
				}
				took[i] = append(took[i], time.Since(m.sent))
				time.Sleep(honestPause)
			}
		})
	}
	wg.Go(func() { out.agent, out.replies, errs[honestClients] = w.agent(ctx, deadline) })
	wg.Go(func() { out.mails, errs[honestClients+1] = w.mailer(ctx, run, deadline) })
	wg.Wait()
	out.clients = slices.Concat(took...)
	slices.Sort(out.clients)
	slices.Sort(out.agent)
	slices.Sort(out.mails)
	return out, errors.Join(errs...)
}

// mailer is a client who writes mails, each once the last one is stored.
func (w *attackWorld) mailer(ctx context.Context, run int, deadline time.Time) (took waits, err error) {
	for n := 1; ctx.Err() == nil && time.Now().Before(deadline); n++ {
		began, text := time.Now(), fmt.Sprintf("honest mail %d of %d", n, run)
		if _, err := w.mail.Write(sandbox.Letter{From: "Ada <" + victim + ">", Subject: "My order", Text: text}); err != nil {
			return took, err
		}
		w.letters.delivered.Add(1)
		if err := until(ctx, time.Minute, "a client's mail to be stored", func() (stored bool, err error) {
			err = w.db.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM crm_chat_messages WHERE created_at > $1 AND message LIKE $2)", began.Add(-time.Second), text+"%").Scan(&stored)
			return stored, err
		}); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
		time.Sleep(mailPause)
	}
	return took, nil
}

// agent looks at the inbox, opens a chat, and answers, again and again.
func (w *attackWorld) agent(ctx context.Context, deadline time.Time) (took waits, replies int, err error) {
	ask := func(method, path string, in, out any) error {
		began := time.Now()
		var body []byte
		if in != nil {
			if body, err = json.Marshal(in); err != nil {
				return err
			}
		}
		code, text, err := send(ctx, w.office, method, w.api+path, body, "Cookie", w.a.cookie)
		if err != nil || code/100 != 2 {
			return errors.Join(err, fmt.Errorf("the agent's %s %s: %d %s", method, path, code, text))
		}
		took = append(took, time.Since(began))
		if out == nil {
			return nil
		}
		return json.Unmarshal([]byte(text), out)
	}
	for ctx.Err() == nil && time.Now().Before(deadline) {
		var chats struct{ Items []struct{ ID int64 } }
		if err := ask(http.MethodGet, "/chats?limit=50", nil, &chats); err != nil {
			return took, replies, err
		}
		if len(chats.Items) > 0 {
			chat := fmt.Sprintf("/chats/%d", chats.Items[0].ID)
			var shown struct{ Items []struct{ Seq int64 } }
			if err := ask(http.MethodGet, chat+"/messages", nil, &shown); err != nil {
				return took, replies, err
			}
			newest := shown.Items[len(shown.Items)-1].Seq
			if err := ask(http.MethodPost, chat+"/messages", map[string]any{"text": "We open at nine.", "seen": newest, "force": true}, nil); err != nil {
				return took, replies, err
			}
			replies++
		}
		time.Sleep(honestPause)
	}
	return took, replies, nil
}

// send makes one request with header names and values by turns.
func (w *attackWorld) send(ctx context.Context, method, target string, body []byte, header ...string) (code int, text string, err error) {
	return send(ctx, w.client, method, target, body, header...)
}

func send(ctx context.Context, client *http.Client, method, target string, body []byte, header ...string) (code int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body)) //nolint:gosec // our own server's
	if err != nil {
		return 0, "", err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := client.Do(req) //nolint:gosec // our own server's
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err = readSome(res.Body)
	return res.StatusCode, text, err
}

// readSome reads a megabyte at most.
func readSome(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, 1<<20))
	return string(data), err
}

// found is what is in the database in the end.
type found struct {
	In, Out, Forged, Doubled, Strangers, Untried int
	Mails                                        int64
}

func (w *attackWorld) found(ctx context.Context) (f found, err error) {
	err = w.db.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE direction = 'in' AND message NOT LIKE '%ATTACK%' AND message NOT LIKE 'SSRF%'
		                          AND (channel_id <> $1 OR message LIKE 'honest mail%')),
		       count(*) FILTER (WHERE direction = 'out' AND message = 'We open at nine.'),
		       count(*) FILTER (WHERE message LIKE '%ATTACK%'),
		       (SELECT count(*) FROM (SELECT FROM crm_chat_messages WHERE direction = 'in' AND channel_id <> $1 GROUP BY message, chat_id HAVING count(*) > 1) d),
		       (SELECT count(*) FROM core_users WHERE email LIKE 'mallory%' OR name LIKE 'mallory%'),
		       (SELECT count(*) FROM parley_media WHERE state = 'pending' AND attempts = 0),
		       count(*) FILTER (WHERE direction = 'in' AND channel_id = $1)
		  FROM crm_chat_messages`, string(w.mailbox.ID)).Scan(&f.In, &f.Out, &f.Forged, &f.Doubled, &f.Strangers, &f.Untried, &f.Mails)
	return f, err
}

// expected is what honest users were told is stored.
func (w *attackWorld) expected(runs ...honestRun) (messages, replies int) {
	for _, r := range runs {
		messages, replies = messages+len(r.clients)+len(r.mails), replies+r.replies
	}
	return messages + w.replayed.stored(), replies
}

// settled waits until everything accepted is stored, and every file was asked for.
func (w *attackWorld) settled(ctx context.Context, runs ...honestRun) error {
	messages, replies := w.expected(runs...)
	return until(ctx, 2*time.Minute, "everything accepted to be stored, and every file to be asked for once", func() (bool, error) {
		f, err := w.found(ctx)
		return err == nil && f.In >= messages && f.Out >= replies && f.Untried == 0 && f.Mails >= w.letters.delivered.Load(), err
	})
}

// verify compares the database with what honest users did: all of theirs, and
// nothing of anybody else's.
func (w *attackWorld) verify(ctx context.Context, runs ...honestRun) error {
	messages, replies := w.expected(runs...)
	f, err := w.found(ctx)
	if err != nil {
		return err
	}
	w.report.holds(f.In == messages, "%d messages are stored, %d were accepted", f.In, messages)
	w.report.holds(f.Out == replies, "%d replies are stored, %d were accepted", f.Out, replies)
	w.report.holds(f.Forged == 0, "%d forged messages are stored", f.Forged)
	w.report.holds(f.Doubled == 0, "%d replayed messages are stored twice", f.Doubled)
	w.report.holds(f.Strangers == 0, "%d strangers became users", f.Strangers)
	w.report.say("\nStored: %s of %s messages accepted from clients, %s of %s replies of the agent; %d forged, %d replayed and stored again; %d strangers became users.",
		thousands(f.In), thousands(messages), thousands(f.Out), thousands(replies), f.Forged, f.Doubled, f.Strangers)
	return nil
}
