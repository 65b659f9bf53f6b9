package email

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"parley/transports"
)

// settings are an account's, checked.
type settings struct {
	address  string // normalised
	domain   string
	name     string
	username string
	password string
	oauth    *oauthSettings
	imap     server
	smtp     server
	// since is the first import's day, zero to begin with new mail.
	since    time.Time
	folders  []string
	sent     string // a name, sentAuto or empty for none
	saveSent bool
	interval time.Duration
	authserv []string
	plus     bool
}

// sentAuto is the folder of the special use \Sent.
const sentAuto = "auto"

// server is one of the two that a mailbox has.
type server struct {
	host     string
	addr     string // host:port
	security security
	tls      *tls.Config
}

type security string

const (
	implicitTLS security = "tls"
	startTLS    security = "starttls"
	noTLS       security = "none"
)

const (
	defaultPoll = 5 * time.Minute
	// maxPoll keeps IDLE below the 29 minutes after which it has to be renewed
	// (RFC 2177, section 3).
	maxPoll = 28 * time.Minute
)

func readSettings(account transports.Account) (settings, error) {
	set, secrets := account.Channel.Settings, account.Secrets
	s := settings{name: strings.TrimSpace(set["name"]), password: secrets["password"], interval: defaultPoll, plus: true}
	own, err := transports.NormaliseEmail(set["address"])
	if err != nil {
		return s, errors.New(`email: setting "address" must be the mailbox's address, such as office@example.com`)
	}
	s.address = own.Value
	s.domain = s.address[strings.LastIndexByte(s.address, '@')+1:]
	if s.username = set["username"]; s.username == "" {
		s.username = s.address
	}
	if err := s.readLogin(set, secrets); err != nil {
		return s, err
	}
	pool, err := readPool(set["ca"])
	if err != nil {
		return s, err
	}
	if s.imap, err = readServer("imap", set, pool, "993", "143"); err != nil {
		return s, err
	}
	if s.smtp, err = readServer("smtp", set, pool, "465", "587"); err != nil {
		return s, err
	}
	if v := set["since"]; v != "" {
		if s.since, err = time.Parse(time.DateOnly, v); err != nil {
			return s, errors.New(`email: setting "since" must be a date such as 2026-01-31`)
		}
	}
	s.folders = list(set["folders"])
	switch v := strings.TrimSpace(set["sent"]); strings.ToLower(v) {
	case "", sentAuto:
		s.sent = sentAuto
	case "off":
	default:
		s.sent = v
	}
	if s.saveSent, err = readSwitch(set, "save_sent", false); err != nil {
		return s, err
	}
	if s.plus, err = readSwitch(set, "plus_address", true); err != nil {
		return s, err
	}
	if v := set["poll"]; v != "" {
		n, err := strconv.Atoi(v)
		if s.interval = time.Duration(n) * time.Second; err != nil || n < 1 || s.interval > maxPoll {
			return s, fmt.Errorf(`email: setting "poll" must be 1 to %d seconds`, int(maxPoll.Seconds()))
		}
	}
	s.authserv = list(strings.ToLower(set["authserv_id"]))
	return s, nil
}

func (s *settings) readLogin(set, secrets map[string]string) error {
	token := secrets["refresh_token"]
	switch {
	case s.password == "" && token == "":
		return errors.New(`email: set the secret "password", or "refresh_token" for XOAUTH2`)
	case token == "":
		return nil
	}
	o := oauthSettings{
		tokenURL: set["token_url"], clientID: set["client_id"], clientSecret: secrets["client_secret"],
		refreshToken: token, scopes: strings.Fields(set["scope"]),
	}
	if !strings.HasPrefix(o.tokenURL, "https://") && !loopbackURL(o.tokenURL) {
		return errors.New(`email: setting "token_url" must be the provider's https address for tokens, such as https://oauth2.googleapis.com/token`)
	}
	if o.clientID == "" {
		return errors.New(`email: setting "client_id" must be the id that the mail provider gave your application`)
	}
	s.oauth = &o
	return nil
}

func readPool(pem string) (*x509.CertPool, error) {
	if pem == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New(`email: setting "ca" must be certificates in PEM form`)
	}
	return pool, nil
}

func readServer(name string, set map[string]string, pool *x509.CertPool, tlsPort, startPort string) (server, error) {
	s := server{addr: strings.TrimSpace(set[name]), security: security(strings.ToLower(set[name+"_security"]))}
	port := tlsPort
	switch s.security {
	case "":
		s.security = implicitTLS
	case implicitTLS:
	case startTLS, noTLS:
		port = startPort
	default:
		return s, fmt.Errorf("email: setting %q must be tls, starttls or none", name+"_security")
	}
	host, given, err := net.SplitHostPort(s.addr)
	if s.host = host; err != nil {
		s.host, given = strings.Trim(s.addr, "[]"), port
		s.addr = net.JoinHostPort(s.host, port)
	}
	if _, err := strconv.ParseUint(given, 10, 16); err != nil || s.host == "" || strings.ContainsAny(s.host, "/@ ") {
		return s, fmt.Errorf("email: setting %q must be a server's name, such as %s.example.com or %s.example.com:%s", name, name, name, tlsPort)
	}
	if s.security == noTLS && !loopback(s.host) {
		// Anybody on the way could read the password.
		return s, fmt.Errorf("email: setting %q may be none only for a server on this machine", name+"_security")
	}
	s.tls = &tls.Config{ServerName: s.host, RootCAs: pool, MinVersion: tls.VersionTLS12}
	return s, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func loopbackURL(u string) bool {
	rest, ok := strings.CutPrefix(u, "http://")
	host, _, _ := strings.Cut(rest, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return ok && loopback(host)
}

func readSwitch(set map[string]string, name string, otherwise bool) (bool, error) {
	switch strings.ToLower(set[name]) {
	case "":
		return otherwise, nil
	case "off", "false", "0", "no":
		return false, nil
	case "on", "true", "1", "yes":
		return true, nil
	}
	return false, fmt.Errorf("email: setting %q must be on or off", name)
}

func list(s string) []string {
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}
