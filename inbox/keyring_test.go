package inbox_test

import (
	"strings"
	"testing"

	"parley/inbox"
)

func TestKeyringOpensOnlyItsOwn(t *testing.T) {
	t.Parallel()
	k, err := inbox.ParseKey(inbox.NewKey() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal("channel-1", map[string]string{"token": "123:secret"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), "secret") {
		t.Error("the secret is readable")
	}
	got, err := k.Open("channel-1", sealed)
	if err != nil || got["token"] != "123:secret" {
		t.Errorf("opened %v, %v", got, err)
	}
	other, err := inbox.ParseKey(inbox.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), sealed...)
	flipped[len(flipped)-1] ^= 1
	for name, open := range map[string]func() (map[string]string, error){
		"another channel": func() (map[string]string, error) { return k.Open("channel-2", sealed) },
		"another key":     func() (map[string]string, error) { return other.Open("channel-1", sealed) },
		"a changed byte":  func() (map[string]string, error) { return k.Open("channel-1", flipped) },
		"too short":       func() (map[string]string, error) { return k.Open("channel-1", sealed[:5]) },
		"nothing":         func() (map[string]string, error) { return k.Open("channel-1", nil) },
	} {
		if got, err := open(); err == nil {
			t.Errorf("%s opened it: %v", name, got)
		} else if strings.Contains(err.Error(), "secret\"") {
			t.Errorf("%s: the error tells: %v", name, err)
		}
	}
	again, err := k.Seal("channel-1", map[string]string{"token": "123:secret"})
	if err != nil || string(again) == string(sealed) {
		t.Error("two seals are equal: the nonce repeats")
	}
}

func TestBadKeysSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "short", strings.Repeat("x", 44), "AAAA"} {
		_, err := inbox.ParseKey(text)
		if inbox.CodeOf(err) != inbox.Invalid || !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("key %q: %v", text, err)
		}
	}
}
