package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// twilioRefusal is an error answer
// (https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions).
type twilioRefusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	MoreInf string `json:"more_info"`
	Status  int    `json:"status"`
	// retryAfter is in seconds.
	retryAfter int
}

func (r *twilioRefusal) write(w http.ResponseWriter) {
	r.MoreInf = "https://www.twilio.com/docs/errors/" + strconv.Itoa(r.Code)
	if r.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	writeTwilio(w, r.Status, r)
}

// twilioBad is a request that is refused for what it says.
func twilioBad(code int, message string) *twilioRefusal {
	return &twilioRefusal{Status: http.StatusBadRequest, Code: code, Message: message}
}

func notHere(r *http.Request) *twilioRefusal {
	return &twilioRefusal{Status: http.StatusNotFound, Code: 20404, Message: "The requested resource " + r.URL.Path + " was not found"}
}

func tooManyTwilio(seconds int) *twilioRefusal {
	return &twilioRefusal{Status: http.StatusTooManyRequests, Code: 20429, Message: "Too Many Requests", retryAfter: seconds}
}

func internalTwilio() *twilioRefusal {
	return &twilioRefusal{Status: http.StatusInternalServerError, Code: 20500, Message: "An internal server error has occurred"}
}

func writeTwilio(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// twilioMessage is a message of either direction. Fields are guarded by the
// stand-in's mu.
type twilioMessage struct {
	sid, direction, from, to, body, status string
	service, callback, template            string
	media                                  []string // SIDs
	urls                                   []string // of files that were sent
	code                                   int
	created, sent, updated                 time.Time
	person                                 *twilioPerson
	// answers is the SID of the message that this one replies to.
	answers string
}

// wireTwilioMessage is a message as the API shows it
// (https://www.twilio.com/docs/messaging/api/message-resource#message-properties).
type wireTwilioMessage struct {
	AccountSID   string            `json:"account_sid"`
	APIVersion   string            `json:"api_version"`
	Body         string            `json:"body"`
	DateCreated  string            `json:"date_created"`
	DateSent     *string           `json:"date_sent"`
	DateUpdated  string            `json:"date_updated"`
	Direction    string            `json:"direction"`
	ErrorCode    *int              `json:"error_code"`
	ErrorMessage *string           `json:"error_message"`
	From         *string           `json:"from"`
	Service      *string           `json:"messaging_service_sid"`
	NumMedia     string            `json:"num_media"`
	NumSegments  string            `json:"num_segments"`
	Price        *string           `json:"price"`
	PriceUnit    *string           `json:"price_unit"`
	SID          string            `json:"sid"`
	Status       string            `json:"status"`
	Subresources map[string]string `json:"subresource_uris"`
	To           string            `json:"to"`
	URI          string            `json:"uri"`
}

// wire is called with mu held.
func (t *Twilio) wire(m *twilioMessage) wireTwilioMessage {
	uri := "/2010-04-01/Accounts/" + t.opts.Account + "/Messages/" + m.sid
	files := len(m.media)
	if m.direction != "inbound" {
		files = len(m.urls)
	}
	out := wireTwilioMessage{
		AccountSID: t.opts.Account, APIVersion: "2010-04-01", Body: m.body, Direction: m.direction, SID: m.sid, Status: m.status, To: m.to,
		DateCreated: m.created.UTC().Format(time.RFC1123Z), DateUpdated: m.updated.UTC().Format(time.RFC1123Z),
		NumMedia: strconv.Itoa(files), NumSegments: "1", URI: uri + ".json", Subresources: map[string]string{"media": uri + "/Media.json"},
	}
	if m.from != "" {
		out.From = &m.from
	}
	if m.service != "" {
		out.Service = &m.service
	}
	if !m.sent.IsZero() {
		sent := m.sent.UTC().Format(time.RFC1123Z)
		out.DateSent = &sent
	}
	if m.code != 0 {
		words := "error " + strconv.Itoa(m.code)
		out.ErrorCode, out.ErrorMessage = &m.code, &words
	}
	return out
}
