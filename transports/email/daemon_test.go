package email_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// daemon is a server process in the foreground.
type daemon struct {
	name, log string
	command   func(context.Context) *exec.Cmd
	// asRoot keeps the rights of the test.
	asRoot bool
	cmd    *exec.Cmd
	done   chan struct{}
	said   bytes.Buffer
}

// start runs it until all ports take connections.
func (p *daemon) start(t testing.TB, ports ...int) {
	t.Helper()
	p.cmd = p.command(context.Background())
	p.said.Reset()
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.WaitDelay = time.Second // whatever children hold open
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() == 0 && !p.asRoot {
		uid, gid := nobody(t)
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	p.done = make(chan struct{})
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	deadline := time.Now().Add(startTime)
	for _, port := range ports {
		for {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-p.done:
				t.Fatalf("%s ended at once: %s\n%s", p.name, p.said.String(), p.logged())
			case <-time.After(20 * time.Millisecond): // until it answers
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not answer on port %d:\n%s", p.name, port, p.logged())
			}
		}
	}
}

// stop ends it and everything it started.
func (p *daemon) stop(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(startTime):
		t.Errorf("%s did not end when told to", p.name)
	}
	// What is left of its session.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	p.cmd = nil
	if t.Failed() {
		t.Logf("%s: %s", p.name, p.logged())
	}
}

func (p *daemon) logged() string {
	log, _ := os.ReadFile(p.log)
	if n := len(log); n > 4000 {
		log = log[n-4000:]
	}
	return string(log)
}

// serverDir is a folder whose path a socket's name has room for, and that the
// server's own user can reach.
func serverDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "parley-mail-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	own(t, dir)
	return dir
}

func writeOwned(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, path)
}

// own gives a file to the user that servers run as.
func own(t testing.TB, path string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	uid, gid := nobody(t)
	if err := os.Chown(path, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
}

// nobody is whom servers run as when root runs the tests.
func nobody(t testing.TB) (uid, gid uint32) {
	t.Helper()
	who, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	return number(t, who.Uid), number(t, who.Gid)
}

func number(t testing.TB, s string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// unprivileged names the user and group that servers run as.
func unprivileged(t testing.TB) (name, group string) {
	t.Helper()
	who, err := user.Current()
	if os.Getuid() == 0 {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(who.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return who.Username, g.Name
}

// freePort is one below those that the system hands out for outgoing
// connections, so that none of these takes it before the server does.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		n, err := rand.Int(rand.Reader, big.NewInt(10_000))
		if err != nil {
			t.Fatal(err)
		}
		port := 20_000 + int(n.Int64())
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port between 20000 and 30000")
	return 0
}

// certificate is one for 127.0.0.1 that signs itself, in PEM, with its key.
func certificate(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "parley test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
