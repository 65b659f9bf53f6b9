package email_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// postfix is a private Postfix that hands the mail of example.com and
// example.org to a Dovecot, and that of other domains to a server that refuses it.
type postfix struct {
	smtp        int
	certificate string
	run         *daemon
}

const mainCf = `
compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = %[2]s
command_directory = %[3]s
mail_owner = postfix
setgid_group = postdrop
maillog_file = %[1]s/postfix.log
maillog_file_prefixes = %[1]s
myhostname = mx.example.com
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = example.com, example.org
virtual_transport = lmtp:inet:127.0.0.1:%[4]d
default_transport = smtp:[127.0.0.1]:%[6]d
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:%[5]d
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = %[1]s/cert.pem
smtpd_tls_key_file = %[1]s/key.pem
message_size_limit = 40000000
`

const masterCf = `
127.0.0.1:%d inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
smtp      unix  - - n - - smtp
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`

// startPostfix starts one beside a Dovecot that checks passwords on authPort.
func startPostfix(t testing.TB, d *dovecot, authPort int) *postfix {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("PARLEY_TEST_POSTFIX") == "off" {
			t.Skip("PARLEY_TEST_POSTFIX is off")
		}
		t.Fatal("Postfix's master process runs as root only: run the tests as root, in a container for example, or set PARLEY_TEST_POSTFIX=off to leave out those with it")
	}
	program, err := exec.LookPath("postfix")
	if err != nil {
		if program = "/usr/sbin/postfix"; !exists(program) {
			t.Fatal("Postfix is not installed: run deploy/install-deps.sh mail")
		}
	}
	daemons, err := exec.Command(filepath.Join(filepath.Dir(program), "postconf"), "-dh", "daemon_directory").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "parley-smtp-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	p := &postfix{smtp: freePort(t)}
	var key string
	p.certificate, key = certificate(t)
	for name, content := range map[string]string{
		"main.cf":   fmt.Sprintf(mainCf, dir, strings.TrimSpace(string(daemons)), filepath.Dir(program), d.lmtp, authPort, refusing(t)),
		"master.cf": fmt.Sprintf(masterCf, p.smtp),
		"cert.pem":  p.certificate, "key.pem": key,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // its daemons run as its own user
		t.Fatal(err)
	}
	for _, sub := range []string{"queue", "data"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "data"), int(number(t, owner.Uid)), int(number(t, owner.Gid))); err != nil {
		t.Fatal(err)
	}
	// Makes the queue's folders; warns of whose they are.
	if out, err := exec.Command(program, "-c", dir, "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	master := filepath.Join(strings.TrimSpace(string(daemons)), "master")
	p.run = &daemon{name: "postfix", log: filepath.Join(dir, "postfix.log"), asRoot: true, command: func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, master, "-c", dir, "-s")
	}}
	p.run.start(t, p.smtp)
	t.Cleanup(func() { p.run.stop(t) })
	return p
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// refusing is the port of a server that knows no recipient.
func refusing(t testing.TB) int {
	t.Helper()
	f := &fakeSMTP{answers: map[string]string{"RCPT": "550 5.1.1 nobody knows this person"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}
