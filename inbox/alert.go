package inbox

import (
	"fmt"
	"time"

	"parley/events"
)

// AlertWay is how an agent with no page open is told of new messages.
type AlertWay string

// The ways.
const (
	AlertOff      AlertWay = "off"
	AlertMail     AlertWay = "mail"
	AlertTelegram AlertWay = "telegram"
)

// AlertSettings are what one user wants to be told.
type AlertSettings struct {
	Way AlertWay `json:"way" enum:"off,mail,telegram" doc:"Mail goes to the user's address, Telegram by the tenant's bot."`
	// TelegramID is the user's own id at Telegram: they have written to the bot.
	TelegramID string `json:"telegram_id,omitempty" pattern:"^[0-9]*$" maxLength:"20" doc:"The user's numeric id at Telegram; they have to write to the bot first."`
	// AfterMinutes is how long a message is unread before; QuietMinutes for how long
	// nothing more is said of the same chat.
	AfterMinutes int `json:"after_minutes" minimum:"0" maximum:"1440" doc:"For how long a message is unread before they are told."`
	QuietMinutes int `json:"quiet_minutes" minimum:"1" maximum:"10080" doc:"For how long they are told nothing more of the same chat."`
}

// DefaultAlerts are the settings of who has none.
func DefaultAlerts() AlertSettings {
	return AlertSettings{Way: AlertOff, AfterMinutes: 5, QuietMinutes: 60}
}

// Validate says what is wrong with them.
func (s AlertSettings) Validate() error {
	switch {
	case s.Way != AlertOff && s.Way != AlertMail && s.Way != AlertTelegram:
		return &Error{Code: Invalid, Message: fmt.Sprintf("There is no way %q to be told.", s.Way), Hint: "It is off, mail or telegram."}
	case s.Way == AlertTelegram && s.TelegramID == "":
		return &Error{
			Code: Invalid, Message: "Nobody knows who the user is at Telegram.",
			Hint: "Write to the bot, and give telegram_id: the number by which it knows you.",
		}
	case s.AfterMinutes < 0 || s.AfterMinutes > 24*60 || s.QuietMinutes < 1 || s.QuietMinutes > 7*24*60:
		return &Error{Code: Invalid, Message: "after_minutes is 0 to 1440, quiet_minutes 1 to 10080."}
	}
	return nil
}

// DueAlert is what a user is to be told: something in a chat is unread.
type DueAlert struct {
	Tenant events.TenantID
	User   int64
	Chat   int64
	// Seq is the newest unread message, Unread how many there are, Since when the
	// oldest of them came.
	Seq, Unread int64
	Since       time.Time
	Client      string
	Way         AlertWay
	// To is the mail address or the id at Telegram; Channel the bot's.
	To      string
	Channel events.ChannelID
	Quiet   time.Duration
}

// Present is a user with a page open.
type Present struct {
	Tenant events.TenantID
	User   int64
}
