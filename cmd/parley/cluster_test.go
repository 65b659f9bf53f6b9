package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"parley/inbox"
	"parley/store/storetest"
	"parley/transports/sandbox"
)

// asNATS makes the test binary a server of a NATS cluster: its number, and the ports
// of all for clients and for each other.
const asNATS = "PARLEY_TEST_AS_NATS"

// natsNode is that server, until it is killed.
func natsNode(spec string) int {
	var number int
	var ports [6]int
	var dir string
	_, err := fmt.Sscan(spec, &number, &ports[0], &ports[1], &ports[2], &ports[3], &ports[4], &ports[5], &dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	o := &natsserver.Options{
		ServerName: fmt.Sprint("node", number), Host: "127.0.0.1", Port: ports[number], NoSigs: true, LogFile: "/dev/stderr",
		JetStream: true, SyncAlways: true, StoreDir: dir, JetStreamMaxStore: 64 << 30, JetStreamMaxMemory: 64 << 20,
		Cluster: natsserver.ClusterOpts{Name: "parley", Host: "127.0.0.1", Port: ports[3+number]},
	}
	for _, port := range ports[3:] {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	}
	srv, err := natsserver.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	srv.ConfigureLogger()
	srv.Start()
	srv.WaitForShutdown()
	return 0
}

// freePorts are free ones of the loopback.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// mortal is a process that can be killed and started again.
type mortal struct {
	t    *testing.T
	args []string
	env  []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

func (m *mortal) start() {
	m.t.Helper()
	m.cmd = exec.CommandContext(context.WithoutCancel(m.t.Context()), os.Args[0], m.args...)
	m.cmd.Env = append(os.Environ(), m.env...)
	m.cmd.Stderr = &m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mortal) kill() {
	_ = m.cmd.Process.Kill() // nothing happens once it was waited for
	_ = m.cmd.Wait()
}

// TestCluster loses a server of a NATS cluster and a parley while clients write: what
// they wrote is stored once and in order, and their bot was never polled by two.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dir := dataFolder(t)
	ports := freePorts(t, 8)
	var nodes, parleys []*mortal
	var urls, listens []string
	for i := range 3 {
		spec := strings.Trim(fmt.Sprint(ports[:6]), "[]")
		nodes = append(nodes, &mortal{t: t, env: []string{fmt.Sprintf("%s=%d %s %s", asNATS, i, spec, filepath.Join(dir, fmt.Sprint("nats", i)))}})
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	database := storetest.NewDatabase(t)
	for i := range 2 {
		listens = append(listens, fmt.Sprintf("127.0.0.1:%d", ports[6+i]))
		parleys = append(parleys, &mortal{
			t: t, args: []string{
				"serve", "--data-dir", filepath.Join(dir, fmt.Sprint("parley", i)), "--listen", listens[i], "--api-listen", "",
				"--blob-url", "file://" + filepath.Join(dir, "blobs"), "--nats-replicas", "3", "--partitions", "2",
			},
			env: []string{asParley + "=1", "PARLEY_DATABASE_URL=" + database, "PARLEY_NATS_URL=" + strings.Join(urls, ",")},
		})
	}
	key := "PARLEY_SECRET_KEY=" + inbox.NewKey()
	for _, m := range append(slices.Clone(nodes), parleys...) {
		m.env = append(m.env, key)
		m.start()
		t.Cleanup(func() {
			m.kill()
			if t.Failed() {
				t.Log(m.args, m.env[:1], m.log.String())
			}
		})
	}
	await := func(what string, done func() error) {
		t.Helper()
		for {
			err := done()
			if err == nil {
				return
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("waiting for %s: %v", what, err)
			}
		}
	}
	ready := func(i int) {
		t.Helper()
		await(fmt.Sprint("parley ", i), func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listens[i]+"/readyz", nil)
			if err != nil {
				return err
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return errors.New(res.Status)
			}
			return nil
		})
	}
	ready(0)
	ready(1)

	telegram, err := sandbox.NewTelegram(sandbox.TelegramOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = telegram.Close() })
	at, err := telegram.Start(context.WithoutCancel(ctx), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(sandbox.DefaultTelegramToken), 0o600); err != nil {
		t.Fatal(err)
	}
	add := command(t, filepath.Join(dir, "parley0"), "channel", "add", "telegram", "--name", "Bot", "--mode", "polling", "--token-file", token, "--api-url", at)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	var people []sandbox.Person
	for i := range 5 {
		people = append(people, telegram.AddPerson(fmt.Sprint("client ", i), sandbox.PersonOptions{}))
	}
	wrote := make([]int, len(people))
	write := func(each int) {
		t.Helper()
		for range each {
			for i := range wrote {
				wrote[i]++
				if _, err := people[i].Say(fmt.Sprint(wrote[i])); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(ctx, "SET ROLE parley_worker"); err != nil {
		t.Fatal(err)
	}
	stored := func(what string) {
		t.Helper()
		await("what was written "+what, func() error {
			var n, want int
			for _, n := range wrote {
				want += n
			}
			if err := conn.QueryRow(ctx, `SELECT count(*) FROM crm_chat_messages WHERE direction = 'in'`).Scan(&n); err != nil {
				return err
			}
			if n < want {
				return fmt.Errorf("%d of %d are stored", n, want)
			}
			return nil
		})
	}
	write(20)
	stored("before")
	for i, n := range nodes { // the one that leads among them
		write(10)
		n.kill()
		write(10)
		stored(fmt.Sprint("without NATS server ", i))
		n.start()
		await("its return", func() error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(urls[i], "nats://"))
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		ready(0)
	}
	// Its leases run out, and the other takes over.
	parleys[0].kill()
	write(20)
	stored("without a parley")
	parleys[0].start()
	ready(0)
	write(20)
	stored("at last")

	rows, err := conn.Query(ctx, `SELECT chat_id, message FROM crm_chat_messages WHERE direction = 'in' ORDER BY chat_id, seq`)
	if err != nil {
		t.Fatal(err)
	}
	last := map[int64]int{}
	var chat int64
	var text string
	_, err = pgx.ForEachRow(rows, []any{&chat, &text}, func() error {
		if text != strconv.Itoa(last[chat]+1) {
			t.Errorf("chat %d has %s after %d", chat, text, last[chat])
		}
		last[chat]++
		return nil
	})
	if err != nil || len(last) != len(people) {
		t.Errorf("%d chats, %v", len(last), err)
	}
	for _, e := range telegram.Log(0) {
		if e.What == sandbox.LogConflict {
			t.Errorf("the bot was polled by two at %s", e.Time)
		}
	}
	if out, err := command(t, filepath.Join(dir, "parley1"), "audit").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Clean")) {
		t.Errorf("%v: %s", err, out)
	}
}
