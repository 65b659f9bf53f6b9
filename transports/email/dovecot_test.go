package email_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// startTime is how long a server may take to start or to stop.
const startTime = 20 * time.Second

// dovecot is a private Dovecot: one user, any mailbox, its own folder and ports.
type dovecot struct {
	dir               string
	imap, imaps, lmtp int
	// certificate is the server's own, in PEM.
	certificate string
	run         *daemon
}

// dovecotConf is what 2.3 and 2.4 read alike; the two others what they do not.
const dovecotConf = `
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
first_valid_uid = 1
first_valid_gid = 1
default_process_limit = 50
default_client_limit = 200
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
namespace inbox {
  inbox = yes
  separator = /
  mailbox Sent {
    auto = create
    special_use = \Sent
  }
  mailbox Junk {
    auto = create
    special_use = \Junk
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[4]d
  }
  inet_listener imaps {
    port = %[5]d
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    port = %[6]d
  }
}
`

const dovecot23 = `
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
disable_plaintext_auth = no
mail_location = maildir:%[1]s/mail/%%u
%[3]s
passdb {
  driver = static
  args = password=%[2]s
}
userdb {
  driver = static
  args = home=%[1]s/home/%%u
}
`

const dovecot24 = `dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
ssl_server_cert_file = %[1]s/cert.pem
ssl_server_key_file = %[1]s/key.pem
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = %[1]s/mail/%%{user}
%[3]s
passdb static {
  password = %[2]s
}
userdb static {
  fields {
    home = %[1]s/home/%%{user}
  }
}
`

// isDovecot24 tells the version that changed the configuration's language.
func isDovecot24(t testing.TB, program string) bool {
	t.Helper()
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return !strings.HasPrefix(string(out), "2.3.") && !strings.HasPrefix(string(out), "2.2.")
}

// checkTokens makes the server ask that URL about access tokens.
func checkTokens(t testing.TB, url string) string {
	t.Helper()
	conf := fmt.Sprintf("introspection_mode = get\nintrospection_url = %s/introspect?token=\nusername_attribute = email\nactive_attribute = active\nactive_value = true\n", url)
	if isDovecot24(t, dovecotProgram(t)) {
		return "oauth2 {\n" + conf + "}\npassdb oauth2 {\n mechanisms_filter = xoauth2\n}\n"
	}
	file := filepath.Join(serverDir(t), "oauth2.conf")
	writeOwned(t, file, conf)
	return "passdb {\n driver = oauth2\n mechanisms = xoauth2\n args = " + file + "\n}\n"
}

func dovecotProgram(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("dovecot")
	if err != nil {
		program = "/usr/sbin/dovecot" // not on everybody's PATH
	}
	if !exists(program) {
		t.Fatal("Dovecot is not installed: run deploy/install-deps.sh mail")
	}
	return program
}

// startDovecot starts one and ends it with the test. Extra goes into its
// configuration.
func startDovecot(t testing.TB, extra string) *dovecot {
	t.Helper()
	program := dovecotProgram(t)
	d := &dovecot{dir: serverDir(t), imap: freePort(t), imaps: freePort(t), lmtp: freePort(t)}
	who, group := unprivileged(t)
	var key string
	d.certificate, key = certificate(t)
	conf := fmt.Sprintf(dovecotConf, d.dir, who, group, d.imap, d.imaps, d.lmtp)
	if isDovecot24(t, program) {
		conf = fmt.Sprintf(dovecot24, d.dir, password, extra) + conf
	} else {
		conf = fmt.Sprintf(dovecot23, d.dir, password, extra) + conf
	}
	for name, content := range map[string]string{"dovecot.conf": conf, "cert.pem": d.certificate, "key.pem": key} {
		writeOwned(t, filepath.Join(d.dir, name), content)
	}
	d.run = &daemon{name: "dovecot", log: filepath.Join(d.dir, "dovecot.log"), command: func(ctx context.Context) *exec.Cmd {
		return exec.CommandContext(ctx, program, "-F", "-c", filepath.Join(d.dir, "dovecot.conf"))
	}}
	d.run.start(t, d.imap, d.lmtp)
	t.Cleanup(func() { d.run.stop(t) })
	return d
}

// settings are those of a mailbox on this server.
func (d *dovecot) settings(more map[string]string) map[string]string {
	all := map[string]string{"imap": fmt.Sprintf("127.0.0.1:%d", d.imap)}
	for name, value := range more {
		all[name] = value
	}
	return all
}

// deliver hands mails over as a mail server does (LMTP).
func (d *dovecot) deliver(t testing.TB, mails ...string) {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.lmtp))
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClientLMTP(conn)
	defer func() { _ = c.Close() }()
	for _, mail := range mails {
		if err := c.SendMail("sender@example.org", []string{ownAddress}, strings.NewReader(mail)); err != nil {
			t.Fatal(err)
		}
	}
}

// client is a mail program at this mailbox.
func (d *dovecot) client(t testing.TB) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(fmt.Sprintf("127.0.0.1:%d", d.imap), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(ownAddress, password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// put appends a mail to a folder, as of some time.
func put(t testing.TB, c *imapclient.Client, folder string, at time.Time, mail []byte) {
	t.Helper()
	cmd := c.Append(folder, int64(len(mail)), &imap.AppendOptions{Time: at})
	if _, err := cmd.Write(mail); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// forgetUIDs makes the stopped server give out all UIDs anew.
func (d *dovecot) forgetUIDs(t testing.TB) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(d.dir, "mail"), func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), "dovecot") {
			n++
			return os.Remove(path)
		}
		return err
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files of UIDs, %v", n, err)
	}
}

// givenPorts are those that some test's server has, or is about to take.
var givenPorts sync.Map
