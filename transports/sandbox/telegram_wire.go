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
		Connection string       `json:"business_connection_id,omitempty"`
		SentBy     *wireUser    `json:"sender_business_bot,omitempty"`
		MessageID  int64        `json:"message_id"`
		From       *wireUser    `json:"from,omitempty"`
		Chat       wireChat     `json:"chat"`
		Date       int64        `json:"date"`
		EditDate   int64        `json:"edit_date,omitempty"`
		ThreadID   int64        `json:"message_thread_id,omitempty"`
		IsTopic    bool         `json:"is_topic_message,omitempty"`
		Forward    *wireOrigin  `json:"forward_origin,omitempty"`
		ReplyTo    *wireMessage `json:"reply_to_message,omitempty"`
		Quote      *wireQuote   `json:"quote,omitempty"`
		GroupID    string       `json:"media_group_id,omitempty"`

		Text            string          `json:"text,omitempty"`
		Entities        []wireEntity    `json:"entities,omitempty"`
		Caption         string          `json:"caption,omitempty"`
		CaptionEntities []wireEntity    `json:"caption_entities,omitempty"`
		ReplyMarkup     json.RawMessage `json:"reply_markup,omitempty"`

		Animation *wireFile     `json:"animation,omitempty"`
		Audio     *wireFile     `json:"audio,omitempty"`
		Document  *wireFile     `json:"document,omitempty"`
		Photo     []wireFile    `json:"photo,omitempty"`
		Sticker   *wireFile     `json:"sticker,omitempty"`
		Video     *wireFile     `json:"video,omitempty"`
		VideoNote *wireFile     `json:"video_note,omitempty"`
		Voice     *wireFile     `json:"voice,omitempty"`
		Contact   *wireContact  `json:"contact,omitempty"`
		Venue     *wireVenue    `json:"venue,omitempty"`
		Location  *wireLocation `json:"location,omitempty"`
		Poll      *wirePoll     `json:"poll,omitempty"`
		Dice      *wireDice     `json:"dice,omitempty"`
		Story     *wireStory    `json:"story,omitempty"`
	}

	wireOrigin struct {
		Type string `json:"type"`
		Name string `json:"sender_user_name"`
		Date int64  `json:"date"`
	}

	wireQuote struct {
		Text     string `json:"text"`
		Position int    `json:"position"`
		IsManual bool   `json:"is_manual"`
	}

	wireEntity struct {
		Type          string    `json:"type"`
		Offset        int       `json:"offset"`
		Length        int       `json:"length"`
		URL           string    `json:"url,omitempty"`
		User          *wireUser `json:"user,omitempty"`
		Language      string    `json:"language,omitempty"`
		CustomEmojiID string    `json:"custom_emoji_id,omitempty"`
	}

	wireVenue struct {
		Location wireLocation `json:"location"`
		Title    string       `json:"title"`
		Address  string       `json:"address"`
	}

	wirePoll struct {
		ID        string       `json:"id"`
		Question  string       `json:"question"`
		Options   []wireOption `json:"options"`
		Voters    int          `json:"total_voter_count"`
		Closed    bool         `json:"is_closed"`
		Anonymous bool         `json:"is_anonymous"`
		Type      string       `json:"type"`
		Multiple  bool         `json:"allows_multiple_answers"`
	}

	wireOption struct {
		Text   string `json:"text"`
		Voters int    `json:"voter_count"`
	}

	wireDice struct {
		Emoji string `json:"emoji"`
		Value int    `json:"value"`
	}

	wireStory struct {
		Chat wireChat `json:"chat"`
		ID   int64    `json:"id"`
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
		Latitude   float64 `json:"latitude"`
		Longitude  float64 `json:"longitude"`
		LivePeriod int     `json:"live_period,omitempty"`
	}

	wireReaction struct {
		Type  string `json:"type"`
		Emoji string `json:"emoji,omitempty"`
		ID    string `json:"custom_emoji_id,omitempty"`
	}

	wireUpdate struct {
		UpdateID int64        `json:"update_id"`
		Message  *wireMessage `json:"message,omitempty"`
		Edited   *wireMessage `json:"edited_message,omitempty"`

		Business        *wireBusiness `json:"business_connection,omitempty"`
		BusinessMessage *wireMessage  `json:"business_message,omitempty"`
		BusinessEdited  *wireMessage  `json:"edited_business_message,omitempty"`
		BusinessDeleted *wireDeleted  `json:"deleted_business_messages,omitempty"`

		Reaction     *wireReacted  `json:"message_reaction,omitempty"`
		Callback     *wireCallback `json:"callback_query,omitempty"`
		MyChatMember *wireMember   `json:"my_chat_member,omitempty"`
	}

	wireBusiness struct {
		ID         string         `json:"id"`
		User       wireUser       `json:"user"`
		UserChatID int64          `json:"user_chat_id"`
		Date       int64          `json:"date"`
		IsEnabled  bool           `json:"is_enabled"`
		CanReply   bool           `json:"can_reply"`
		Rights     map[string]any `json:"rights,omitempty"`
	}

	wireDeleted struct {
		Connection string   `json:"business_connection_id"`
		Chat       wireChat `json:"chat"`
		MessageIDs []int64  `json:"message_ids"`
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
