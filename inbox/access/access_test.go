package access_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"parley/events"
	"parley/inbox"
	"parley/inbox/access"
)

// cheap keeps tests fast; the format is the same.
var cheap = access.Cost{MemoryKiB: 8, Time: 1, Threads: 1}

const tenant = events.TenantID("0000000a-0000-4000-8000-000000000001")

func TestPasswords(t *testing.T) {
	t.Parallel()
	hash := access.HashPassword("correct horse battery", cheap)
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Errorf("the hash is %s", hash)
	}
	if access.HashPassword("correct horse battery", cheap) == hash {
		t.Error("no salt")
	}
	for password, want := range map[string]bool{
		"correct horse battery": true, "correct horse battery ": false, "": false, strings.Repeat("x", 5000): false,
	} {
		if ok, err := access.VerifyPassword(hash, password); err != nil || ok != want {
			t.Errorf("%.30q: %v, %v", password, ok, err)
		}
	}
	for _, bad := range []string{
		"", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA", strings.Replace(hash, "m=8", "m=99999999", 1), strings.Replace(hash, "t=1", "t=0", 1),
		strings.Replace(hash, "p=1", "p=0", 1), hash + "$", strings.Replace(hash, "m=8,", "m=08,", 1), hash[:len(hash)-4],
	} {
		if ok, err := access.VerifyPassword(bad, "correct horse battery"); ok || err == nil {
			t.Errorf("%q: %v, %v", bad, ok, err)
		}
	}
	for password, want := range map[string]inbox.Code{
		"short": inbox.Invalid, "ÄÖÜäöüßéàèê": inbox.Invalid, "ÄÖÜäöüßéàèêô": "", strings.Repeat("x", 1025): inbox.Invalid,
	} {
		if got := inbox.CodeOf(access.CheckPassword(password)); got != want {
			t.Errorf("%.20q: %q", password, got)
		}
	}
}

func FuzzVerifyPassword(f *testing.F) {
	f.Add(access.HashPassword("x", cheap))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, hash string) {
		if strings.Contains(hash, "m=") && !strings.Contains(hash, "m=8,t=1,p=1") {
			return // would take memory; the bounds are in TestPasswords
		}
		if ok, _ := access.VerifyPassword(hash, "not the password"); ok && !strings.HasPrefix(hash, "$argon2id$") {
			t.Error("let in by ", hash)
		}
	})
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	c, err := access.NewCredential(access.TokenKind, tenant)
	if err != nil {
		t.Fatal(err)
	}
	other, err := access.NewCredential(access.TokenKind, tenant)
	if err != nil || other.Text == c.Text || other.Hash() == c.Hash() {
		t.Error("not random: ", err)
	}
	if got, ok := access.ParseCredential(access.TokenKind, c.Text); !ok || got != c || got.Hash() != c.Hash() {
		t.Errorf("parsed %v, %v", got, ok)
	}
	if _, ok := access.ParseCredential(access.SessionKind, c.Text); ok {
		t.Error("a token is taken for a session")
	}
	for _, format := range []string{"%v", "%s", "%+v", "%#v"} {
		if got := fmt.Sprintf(format, c); strings.Contains(got, c.Text) || !strings.HasPrefix(c.Text, strings.TrimSuffix(got, "…")) {
			t.Errorf("%s prints %s", format, got)
		}
	}
	if _, err := access.NewCredential(access.TokenKind, "x"); err == nil {
		t.Error("no tenant, and still made")
	}
}

func FuzzParseCredential(f *testing.F) {
	c, err := access.NewCredential(access.SessionKind, tenant)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Text)
	f.Add("parley_ses_")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := access.ParseCredential(access.SessionKind, text)
		if ok && (got.Text != text || len(got.Tenant) != 36 || len(text) != len(c.Text)) {
			t.Errorf("%q is read as %#v", text, got)
		}
	})
}

func TestTOTP(t *testing.T) {
	t.Parallel()
	// RFC 6238, appendix B, with six digits.
	const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	for at, code := range map[int64]string{59: "287082", 1111111109: "081804", 20000000000: "353130"} {
		step, ok := access.CheckTOTP(secret, code, time.Unix(at, 0), 0)
		if !ok || step != at/30 {
			t.Errorf("at %d: %d, %v", at, step, ok)
		}
		if _, again := access.CheckTOTP(secret, code, time.Unix(at, 0), step); again {
			t.Errorf("at %d it works twice", at)
		}
		if _, late := access.CheckTOTP(secret, code, time.Unix(at+90, 0), 0); late {
			t.Errorf("at %d it works too late", at)
		}
		if _, ok := access.CheckTOTP(secret, "", time.Unix(at, 0), 0); ok {
			t.Error("no code, and still in")
		}
	}
	made, url, err := access.NewTOTP("ann@example.com")
	if err != nil || !strings.HasPrefix(url, "otpauth://totp/Parley:ann@example.com?") {
		t.Error(url, err)
	}
	now := time.Unix(1_700_000_000, 0)
	code, err := totp.GenerateCode(made, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := access.CheckTOTP(made, code, now.Add(30*time.Second), 0); !ok {
		t.Error("a clock that is half a minute off is refused")
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{
		1: 0, 4: 0, 5: 2 * time.Second, 6: 4 * time.Second, 8: 16 * time.Second, 100: 15 * time.Minute, 1 << 30: 15 * time.Minute,
	} {
		if got := access.AccountDelay(failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
	if access.AddressDelay(29) != 0 || access.AddressDelay(30) == 0 {
		t.Error("an address does not wait from its 30th failure on")
	}
	for _, same := range [][2]string{{"2001:db8::1", "2001:db8::ffff:1"}, {"192.0.2.1", "::ffff:192.0.2.1"}} {
		if access.AddressKey(same[0]) != access.AddressKey(same[1]) {
			t.Errorf("%s and %s are two", same[0], same[1])
		}
	}
	if access.AddressKey("192.0.2.1") == access.AddressKey("192.0.2.2") || access.AddressKey("2001:db8::1") == access.AddressKey("2001:db8:0:1::1") {
		t.Error("two addresses are one")
	}
	if access.AccountKey(tenant, "Ann@x.org ") != access.AccountKey(tenant, "ann@x.org") {
		t.Error("one account is two")
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	user := func(r inbox.Role) access.Principal {
		return access.Principal{Actor: inbox.Actor{Kind: inbox.UserActor}, Role: r}
	}
	token := func(r inbox.Role, scopes ...string) access.Principal {
		return access.Principal{Actor: inbox.Actor{Kind: inbox.TokenUser}, Role: r, Scopes: scopes}
	}
	nobody, anonymous := access.Principal{}, access.Principal{Actor: inbox.Actor{Kind: inbox.Anonymous}}
	operator := access.Principal{Actor: inbox.Actor{Kind: inbox.Operator}}
	chats := access.Rule{Role: inbox.Agent, Scope: access.WriteChats}
	for i, tt := range []struct {
		rule access.Rule
		who  access.Principal
		want access.Verdict
	}{
		{access.Rule{}, user(inbox.Owner), access.Forbidden},
		{access.Rule{}, operator, access.Allowed},
		{access.Rule{}, anonymous, access.Unknown},
		{access.Rule{Public: true, Operator: true}, anonymous, access.Unknown},
		{access.Rule{Public: true}, anonymous, access.Allowed},
		{access.Rule{Operator: true}, operator, access.Allowed},
		{access.Rule{Operator: true}, user(inbox.Owner), access.Forbidden},
		{access.Rule{Operator: true}, token(inbox.Owner, "chats:read"), access.Forbidden},
		{chats, nobody, access.Unknown},
		{chats, anonymous, access.Unknown},
		{chats, user(inbox.ReadOnly), access.Forbidden},
		{chats, user("king"), access.Forbidden},
		{chats, user(inbox.Agent), access.Allowed},
		{chats, user(inbox.Owner), access.Allowed},
		{chats, token(inbox.Agent, "chats:write"), access.Allowed},
		{chats, token(inbox.Agent, "chats:read"), access.Forbidden},
		{chats, token(inbox.ReadOnly, "chats:write"), access.Forbidden},
		{access.Rule{Role: inbox.ReadOnly}, token(inbox.Owner, "chats:write"), access.Forbidden},
		{access.Rule{Role: inbox.ReadOnly}, user(inbox.ReadOnly), access.Allowed},
	} {
		if got := access.Judge(tt.rule, tt.who); got != tt.want {
			t.Errorf("%d: %v, want %v", i, got, tt.want)
		}
	}
}
