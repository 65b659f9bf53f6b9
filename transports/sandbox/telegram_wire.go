package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// The Bot API's objects as the stand-in writes them
// (https://core.telegram.org/bots/api#available-types).
type (
	wireUser struct {
		ID           int64  `json:"id"`
		IsBot        bool   `json:"is_bot"`
		FirstName    string `json:"first_name"`
		LastName     string `json:"last_name,omitempty"`
		Username     string `json:"username,omitempty"`
		LanguageCode string `json:"language_code,omitempty"`
	}

	wireChat struct {
		ID        int64  `json:"id"`
		FirstName string `json:"first_name,omitempty"`
		LastName  string `json:"last_name,omitempty"`
		Username  string `json:"username,omitempty"`
		Type      string `json:"type"`
	}

	wireMessage struct {
		MessageID int64        `json:"message_id"`
		From      *wireUser    `json:"from,omitempty"`
		Chat      wireChat     `json:"chat"`
		Date      int64        `json:"date"`
		EditDate  int64        `json:"edit_date,omitempty"`
		ReplyTo   *wireMessage `json:"reply_to_message,omitempty"`
		GroupID   string       `json:"media_group_id,omitempty"`
		Text      string       `json:"text,omitempty"`
		Caption   string       `json:"caption,omitempty"`

		Animation *wireFile     `json:"animation,omitempty"`
		Audio     *wireFile     `json:"audio,omitempty"`
		Document  *wireFile     `json:"document,omitempty"`
		Photo     []wireFile    `json:"photo,omitempty"`
		Sticker   *wireFile     `json:"sticker,omitempty"`
		Video     *wireFile     `json:"video,omitempty"`
		VideoNote *wireFile     `json:"video_note,omitempty"`
		Voice     *wireFile     `json:"voice,omitempty"`
		Contact   *wireContact  `json:"contact,omitempty"`
		Location  *wireLocation `json:"location,omitempty"`
	}

	wireFile struct {
		FileID       string `json:"file_id"`
		FileUniqueID string `json:"file_unique_id"`
		FileSize     int64  `json:"file_size,omitempty"`
		FileName     string `json:"file_name,omitempty"`
		MIMEType     string `json:"mime_type,omitempty"`
		Width        int    `json:"width,omitempty"`
		Height       int    `json:"height,omitempty"`
		Length       int    `json:"length,omitempty"`
		Duration     int    `json:"duration,omitempty"`
		FilePath     string `json:"file_path,omitempty"`
	}

	wireContact struct {
		PhoneNumber string `json:"phone_number"`
		FirstName   string `json:"first_name"`
		LastName    string `json:"last_name,omitempty"`
		UserID      int64  `json:"user_id,omitempty"`
	}

	wireLocation struct {
		Latitude  float64 `json:"latitude"`
		Longitude float64 `json:"longitude"`
	}

	wireReaction struct {
		Type  string `json:"type"`
		Emoji string `json:"emoji,omitempty"`
	}

	wireUpdate struct {
		UpdateID     int64         `json:"update_id"`
		Message      *wireMessage  `json:"message,omitempty"`
		Edited       *wireMessage  `json:"edited_message,omitempty"`
		Reaction     *wireReacted  `json:"message_reaction,omitempty"`
		Callback     *wireCallback `json:"callback_query,omitempty"`
		MyChatMember *wireMember   `json:"my_chat_member,omitempty"`
	}

	wireReacted struct {
		Chat      wireChat       `json:"chat"`
		MessageID int64          `json:"message_id"`
		User      wireUser       `json:"user"`
		Date      int64          `json:"date"`
		Old       []wireReaction `json:"old_reaction"`
		New       []wireReaction `json:"new_reaction"`
	}

	wireCallback struct {
		ID           string       `json:"id"`
		From         wireUser     `json:"from"`
		Message      *wireMessage `json:"message,omitempty"`
		ChatInstance string       `json:"chat_instance"`
		Data         string       `json:"data"`
	}

	wireMember struct {
		Chat wireChat       `json:"chat"`
		From wireUser       `json:"from"`
		Date int64          `json:"date"`
		Old  wireMembership `json:"old_chat_member"`
		New  wireMembership `json:"new_chat_member"`
	}

	wireMembership struct {
		User   wireUser `json:"user"`
		Status string   `json:"status"`
	}

	wireWebhookInfo struct {
		URL                  string   `json:"url"`
		HasCustomCertificate bool     `json:"has_custom_certificate"`
		PendingUpdateCount   int      `json:"pending_update_count"`
		LastErrorDate        int64    `json:"last_error_date,omitempty"`
		LastErrorMessage     string   `json:"last_error_message,omitempty"`
		MaxConnections       int      `json:"max_connections,omitempty"`
		AllowedUpdates       []string `json:"allowed_updates,omitempty"`
	}

	// refusal is an unsuccessful answer
	// (https://core.telegram.org/bots/api#making-requests).
	refusal struct {
		Code       int
		Words      string
		RetryAfter int
		MigrateTo  int64
	}
)

func badRequest(words string) *refusal {
	return &refusal{Code: http.StatusBadRequest, Words: "Bad Request: " + words}
}

func tooMany(wait time.Duration) *refusal {
	seconds := max(int((wait+time.Second-1)/time.Second), 1)
	return &refusal{
		Code: http.StatusTooManyRequests, RetryAfter: seconds,
		Words: "Too Many Requests: retry after " + strconv.Itoa(seconds),
	}
}

// answerOK is the body of a successful answer. Description is empty but for few
// methods.
func answerOK(result any, description string) ([]byte, error) {
	if description != "" {
		return json.Marshal(struct {
			OK          bool   `json:"ok"`
			Result      any    `json:"result"`
			Description string `json:"description"`
		}{true, result, description})
	}
	return json.Marshal(struct {
		OK     bool `json:"ok"`
		Result any  `json:"result"`
	}{true, result})
}

func (r *refusal) body() ([]byte, error) {
	type parameters struct {
		MigrateTo  int64 `json:"migrate_to_chat_id,omitempty"`
		RetryAfter int   `json:"retry_after,omitempty"`
	}
	answer := struct {
		OK          bool        `json:"ok"`
		ErrorCode   int         `json:"error_code"`
		Description string      `json:"description"`
		Parameters  *parameters `json:"parameters,omitempty"`
	}{false, r.Code, r.Words, nil}
	if r.RetryAfter != 0 || r.MigrateTo != 0 {
		answer.Parameters = &parameters{MigrateTo: r.MigrateTo, RetryAfter: r.RetryAfter}
	}
	return json.Marshal(answer)
}
