package email

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"golang.org/x/oauth2"

	"parley/transports"
)

// oauthSettings say how access tokens are asked for (RFC 6749, section 6).
type oauthSettings struct {
	tokenURL, clientID, clientSecret, refreshToken string
	scopes                                         []string
}

// tokenMargin is how long before its expiry a token is replaced, so that none
// runs out between being taken and being shown to the server.
const tokenMargin = 5 * time.Minute

// tokens keeps an access token while it is good.
type tokens struct {
	config oauth2.Config
	client *http.Client

	mu      sync.Mutex
	current *oauth2.Token
}

func newTokens(s oauthSettings, client *http.Client) *tokens {
	c := *client
	// A redirect would take the refresh token along.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &tokens{
		client: &c,
		config: oauth2.Config{
			ClientID: s.clientID, ClientSecret: s.clientSecret, Scopes: s.scopes,
			Endpoint: oauth2.Endpoint{TokenURL: s.tokenURL, AuthStyle: oauth2.AuthStyleInParams},
		},
		current: &oauth2.Token{RefreshToken: s.refreshToken},
	}
}

// token is an access token that is good for at least tokenMargin.
func (t *tokens) token(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.AccessToken != "" && (t.current.Expiry.IsZero() || time.Until(t.current.Expiry) > tokenMargin) {
		return t.current.AccessToken, nil
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.client)
	fresh, err := t.config.TokenSource(ctx, &oauth2.Token{RefreshToken: t.current.RefreshToken}).Token()
	if err == nil {
		t.current = fresh
		return fresh.AccessToken, nil
	}
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return "", err
	}
	// The answer's body stays out: it may repeat what it was asked with.
	status := 0
	if refused.Response != nil {
		status = refused.Response.StatusCode
	}
	said := fmt.Errorf("the provider gave no access token: %d %s", status, refused.ErrorCode)
	switch refused.ErrorCode {
	case "invalid_grant", "invalid_client", "unauthorized_client":
		return "", fmt.Errorf("%w: connect the mailbox again: %w", transports.ErrCredentials, said)
	}
	if status == http.StatusUnauthorized {
		return "", fmt.Errorf("%w: connect the mailbox again: %w", transports.ErrCredentials, said)
	}
	return "", said
}

// forget drops an access token that a server refused, so that the next attempt
// asks for another.
func (t *tokens) forget(access string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.AccessToken == access {
		t.current.AccessToken = ""
	}
}

// xoauth2 logs in by an access token
// (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).
type xoauth2 struct{ user, token string }

var _ sasl.Client = (*xoauth2)(nil)

// Start implements [sasl.Client].
func (x *xoauth2) Start() (mechanism string, first []byte, err error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next implements [sasl.Client]. The only challenge there is says why the token
// was refused. It wants an empty answer, which go-imap cannot give; the
// connection ends instead.
func (x *xoauth2) Next(challenge []byte) ([]byte, error) {
	var why struct {
		Status string `json:"status"`
	}
	_ = json.Unmarshal(challenge, &why) // some servers send other things
	return nil, &tokenError{truncate(clean(why.Status), 20)}
}

// tokenError is an access token that a server refused.
type tokenError struct{ status string }

func (e *tokenError) Error() string {
	return strings.TrimSpace("the server refused the access token " + e.status)
}

// login is a mailbox's credentials for one connection: an access token or none.
func (m *Mailbox) login(ctx context.Context) (access string, err error) {
	if m.tokens == nil {
		return "", nil
	}
	return m.tokens.token(ctx)
}

// mechanism is how to log in.
func (m *Mailbox) mechanism(access string) sasl.Client {
	if m.tokens != nil {
		return &xoauth2{user: m.username, token: access}
	}
	return sasl.NewPlainClient("", m.username, m.password)
}

// refused is an error of credentials, and lets go of the token.
func (m *Mailbox) refused(access string, said error) error {
	what := "check the user name and password, or make an app password where the provider wants one"
	if m.tokens != nil {
		m.tokens.forget(access)
		what = "connect the mailbox again"
	}
	return fmt.Errorf("%w: %s: %s", transports.ErrCredentials, what, m.redactor(access).Words(said.Error()))
}
