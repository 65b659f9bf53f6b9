package inbox_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"parley/events"
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

// ring reads keys or ends the test.
func ring(t *testing.T, text string) *inbox.Keyring {
	t.Helper()
	k, err := inbox.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRotatedRings(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"token": "123:rotated"}
	seal := func(k *inbox.Keyring) []byte {
		t.Helper()
		sealed, err := k.Seal("channel-1", secrets)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	opens := func(k *inbox.Keyring, sealed []byte, want bool) {
		t.Helper()
		got, err := k.Open("channel-1", sealed)
		if (err == nil) != want || want && got["token"] != secrets["token"] {
			t.Errorf("opened %v, %v; want %t", got, err, want)
		}
		if _, err := k.Open("channel-2", sealed); err == nil {
			t.Error("another channel opens it")
		}
	}
	old := ring(t, inbox.NewKey())
	unnamed := seal(old)
	if _, id := inbox.SealMark(unnamed); id != "" || old.Mark() != nil {
		t.Error("a key that older programs may share names itself")
	}
	both, err := old.With(inbox.DatedKey(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	fresh := both.Keys()[1].ID
	byOld := seal(both)
	if _, id := inbox.SealMark(byOld); id != old.Current().ID {
		t.Errorf("sealed by %q", id)
	}
	rotated := both.Using(fresh)
	byNew := seal(rotated)
	if _, id := inbox.SealMark(byNew); id != fresh || rotated.Stale(byNew) || !rotated.Stale(byOld) || !rotated.Stale(unnamed) {
		t.Errorf("sealed by %q; stale: %t %t %t", id, rotated.Stale(byNew), rotated.Stale(byOld), rotated.Stale(unnamed))
	}
	retired := rotated.Without(old.Current().ID)
	for _, k := range []*inbox.Keyring{both, rotated} {
		for _, sealed := range [][]byte{unnamed, byOld, byNew} {
			opens(k, sealed, true)
		}
	}
	opens(old, unnamed, true)
	opens(old, byOld, true)
	opens(old, byNew, false)
	opens(retired, byNew, true)
	opens(retired, byOld, false)
	opens(retired, unnamed, false)
	if got := retired.Without(fresh).IDs(); len(got) != 1 {
		t.Error("the key that seals was taken away")
	}
	if again := ring(t, rotated.Text()); !slices.Equal(again.IDs(), rotated.IDs()) || !again.Keys()[0].Made.Equal(rotated.Keys()[0].Made) {
		t.Error("its text is another ring")
	}
	if oldest, ok := rotated.Oldest(); !ok || oldest.ID != old.Current().ID {
		t.Error("the key without a date is not the oldest")
	}
	if _, ok := ring(t, inbox.NewKey()+","+inbox.NewKey()).Oldest(); ok {
		t.Error("one of two keys without a date is the oldest")
	}

	// The name of the key is authenticated.
	for i := range 12 {
		changed := slices.Clone(byNew)
		changed[i] ^= 1
		opens(rotated, changed, false)
	}
	relabelled := append(slices.Clone(byOld[:12]), byNew[12:]...)
	opens(rotated, relabelled, false)
}

// TestMissingKeySaysWhich asks for the channel, the cause and what to do.
func TestMissingKeySaysWhich(t *testing.T) {
	t.Parallel()
	there, missing := ring(t, inbox.DatedKey(time.Now())), ring(t, inbox.DatedKey(time.Now()))
	ch := events.Channel{ID: "0b0e2f5e-0000-4000-8000-000000000001", Name: "Hotline"}
	var err error
	if ch.Sealed, err = missing.Seal(string(ch.ID), map[string]string{"token": "123:missing"}); err != nil {
		t.Fatal(err)
	}
	_, err = there.OpenChannel(ch)
	if inbox.CodeOf(err) != inbox.Unavailable {
		t.Fatal(err)
	}
	for _, want := range []string{`"Hotline"`, string(ch.ID), missing.Current().ID, "further line", "parley key list"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		"", "\n", ",", "#", inbox.NewKey(), inbox.NewKey() + "\n" + inbox.DatedKey(time.Unix(1767225600, 0)) + "\n# the old one\r\n",
		inbox.NewKey() + "," + inbox.NewKey(), inbox.NewKey() + " never", inbox.NewKey() + " 0000-01-01T00:00:00Z", strings.Repeat("A", 44),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := inbox.ParseKey(text)
		if err != nil {
			// Long words of the text are keys that somebody mistyped.
			for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == ',' }) {
				if len(word) >= 40 && strings.Contains(err.Error(), word) {
					t.Fatalf("the error tells the key: %v", err)
				}
			}
			if inbox.CodeOf(err) != inbox.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := inbox.ParseKey(k.Text())
		if err != nil || !slices.Equal(again.IDs(), k.IDs()) || again.Text() != k.Text() {
			t.Fatalf("read again: %v", err)
		}
		sealed, err := k.Seal("x", map[string]string{"a": "b"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.Open("x", sealed); err != nil || got["a"] != "b" {
			t.Fatal(got, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	k, err := inbox.ParseKey(inbox.NewKey() + "\n" + inbox.NewKey())
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := k.Seal("x", map[string]string{"a": "b"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:12])
	f.Add(sealed[12:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := k.Open("y", data); err == nil {
			t.Fatalf("opened %v", got)
		}
	})
}
