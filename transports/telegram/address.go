package telegram

import (
	"strconv"
	"strings"

	"parley/events"
)

// address is where a person is written to: their chat with the bot, or with a
// business account that the bot is connected to
// (https://core.telegram.org/bots/features#bots-for-business). Both chats have
// the person's id and each numbers its own messages, so that an address names
// the connection too. As text it is "190000001", or "business:<connection>:190000001";
// message keys have it as their chat.
type address struct {
	connection string
	chat       int64
}

const businessPrefix = "business:"

// maxConnection is the longest business connection id that is taken, in bytes;
// Telegram's have about twenty, and no address may grow beyond what is stored.
const maxConnection = 256

func (a address) String() string {
	chat := strconv.FormatInt(a.chat, 10)
	if a.connection == "" {
		return chat
	}
	return businessPrefix + a.connection + ":" + chat
}

// parseAddress reads what String wrote.
func parseAddress(s string) (address, bool) {
	var a address
	if rest, ok := strings.CutPrefix(s, businessPrefix); ok {
		colon := strings.LastIndexByte(rest, ':')
		if colon < 0 || !validConnection(rest[:colon]) {
			return a, false
		}
		a.connection, s = rest[:colon], rest[colon+1:]
	}
	chat, err := strconv.ParseInt(s, 10, 64)
	if err != nil || chat == 0 {
		return address{}, false
	}
	a.chat = chat
	return a, true
}

// validConnection reports whether a business connection's id can be part of an
// address: printable ASCII without spaces.
func validConnection(id string) bool {
	if id == "" || len(id) > maxConnection {
		return false
	}
	return strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// key names a message of that chat; it is empty when half of it is missing.
func (a address) key(id int64) events.MessageKey {
	if a.chat == 0 || id == 0 {
		return events.MessageKey{}
	}
	return events.MessageKey{Chat: a.String(), Message: strconv.FormatInt(id, 10)}
}
