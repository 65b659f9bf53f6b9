package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// notice is where the first owner's link is told.
type notice struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notice) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notice) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

// TestFirstOwner follows the link of the first start, logs in over TCP, and lets
// a program in; nothing of it is told a second time.
func TestFirstOwner(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	var told notice
	p := start(t, Config{DataDir: dir, APIListen: "127.0.0.1:0", Notice: &told})
	_, link, found := strings.Cut(told.String(), "\n  http://")
	base, invitation, _ := strings.Cut(strings.TrimSpace(link), "/invite#")
	if !found || !strings.HasPrefix(invitation, "parley_inv_") {
		t.Fatalf("the first start said %q", told.String())
	}
	ask := func(base, method, path, body string, status int, out any, header ...string) []*http.Cookie {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+base+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status {
			t.Fatalf("%s %s: %s %s, %v", method, path, res.Status, data, err)
		}
		if out != nil {
			if err := json.Unmarshal(data, out); err != nil {
				t.Fatal(err)
			}
		}
		return res.Cookies()
	}
	ask(base, "GET", "/chats", "", 401, nil)
	joining := `{"invitation":"` + invitation + `","name":"Ann","email":"ann@example.com","password":"correct horse battery"}`
	ask(base, "POST", "/invitations/accept", joining, 200, nil)
	ask(base, "POST", "/invitations/accept", joining, 401, nil)
	cookies := ask(base, "POST", "/session", `{"email":"ann@example.com","password":"correct horse battery"}`, 201, nil)
	cookie := cookies[0].Name + "=" + cookies[0].Value
	var token struct{ Secret string }
	ask(base, "POST", "/tokens", `{"name":"bot","role":"agent","scopes":["chats:read"]}`, 201, &token, "Cookie", cookie)
	ask(base, "GET", "/chats", "", 200, nil, "Authorization", "Bearer "+token.Secret)
	ask(base, "GET", "/status", "", 403, nil, "Authorization", "Bearer "+token.Secret)
	p.Stop(t)
	if secret := strings.TrimPrefix(invitation, "parley_inv_"); strings.Contains(p.logs.String(), secret) {
		t.Error("the log has the first owner's link")
	}

	var again notice
	p = start(t, Config{DataDir: dir, APIListen: "127.0.0.1:0", Notice: &again})
	if again.String() != "" {
		t.Errorf("the second start said %q", again.String())
	}
	p.Stop(t)
}
