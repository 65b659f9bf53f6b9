package email

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// replyTokens make and verify the plus-addresses that tie answers to chats. The
// zero value makes none.
type replyTokens struct {
	key           []byte
	local, domain string
}

// maxLocal is the most a local part has (RFC 5321, section 4.5.3.1.1).
const maxLocal = 64

// Servers may fold the case of a local part, so that everything in it is lower
// case.
var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newReplyTokens(secret, address string) replyTokens {
	if secret == "" {
		return replyTokens{}
	}
	// A key of its own, should the secret ever serve something else.
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("parley mail reply address"))
	at := strings.LastIndexByte(address, '@')
	return replyTokens{key: mac.Sum(nil), local: address[:at], domain: address[at+1:]}
}

// sign is 80 bits: guessing is one mail per try.
func (r replyTokens) sign(token string) string {
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(strings.ToLower(r.local) + "@" + r.domain + "\n" + token))
	return lower32.EncodeToString(mac.Sum(nil)[:10])
}

// address is where answers shall go, empty when the token does not fit one:
// local+token.signature@domain, the token in base32 unless it is plain enough.
func (r replyTokens) address(token string) string {
	if r.key == nil || token == "" {
		return ""
	}
	written := token
	if strings.ContainsFunc(token, notPlain) {
		written = lower32.EncodeToString([]byte(token))
	}
	local := r.local + "+" + written + "." + r.sign(token)
	if len(local) > maxLocal || strings.HasPrefix(r.local, `"`) {
		return ""
	}
	return local + "@" + r.domain
}

// verify finds the token of an address that address made, whatever its case.
func (r replyTokens) verify(address string) (token string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if r.key == nil || at < 0 || !strings.EqualFold(address[at+1:], r.domain) {
		return "", false
	}
	local := strings.ToLower(address[:at])
	rest, ok := strings.CutPrefix(local, strings.ToLower(r.local)+"+")
	encoded, signature, both := strings.Cut(rest, ".")
	if !ok || !both {
		return "", false
	}
	if encoded != "" && hmac.Equal([]byte(signature), []byte(r.sign(encoded))) {
		return encoded, true
	}
	raw, err := lower32.DecodeString(encoded)
	if err != nil || lower32.EncodeToString(raw) != encoded || !hmac.Equal([]byte(signature), []byte(r.sign(string(raw)))) {
		return "", false
	}
	return string(raw), true
}

func notPlain(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
}
