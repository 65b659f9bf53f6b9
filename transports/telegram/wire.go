package telegram

import "encoding/json"

// The parts of the Bot API's objects that are read, by their names there
// (https://core.telegram.org/bots/api#available-types). Ids have up to 52
// significant bits. What only rare messages hold is in rare.go and service.go,
// and decoded when it is met.
type (
	update struct {
		UpdateID          int64                   `json:"update_id"`
		Message           *message                `json:"message"`
		EditedMessage     *message                `json:"edited_message"`
		ChannelPost       *message                `json:"channel_post"`
		EditedChannelPost *message                `json:"edited_channel_post"`
		Business          *businessConnection     `json:"business_connection"`
		BusinessMessage   *message                `json:"business_message"`
		BusinessEdited    *message                `json:"edited_business_message"`
		BusinessDeleted   *messagesDeleted        `json:"deleted_business_messages"`
		Reaction          *messageReactionUpdated `json:"message_reaction"`
		Callback          *callbackQuery          `json:"callback_query"`
		MyChatMember      *chatMemberUpdated      `json:"my_chat_member"`
	}

	user struct {
		ID           int64  `json:"id"`
		IsBot        bool   `json:"is_bot"`
		FirstName    string `json:"first_name"`
		LastName     string `json:"last_name"`
		Username     string `json:"username"`
		LanguageCode string `json:"language_code"`
	}

	chat struct {
		ID        int64  `json:"id"`
		Type      string `json:"type"`
		Title     string `json:"title"`
		FirstName string `json:"first_name"`
		LastName  string `json:"last_name"`
		Username  string `json:"username"`
	}

	message struct {
		MessageID       int64           `json:"message_id"`
		ThreadID        int64           `json:"message_thread_id"`
		IsTopic         bool            `json:"is_topic_message"`
		DirectTopic     *directTopic    `json:"direct_messages_topic"`
		From            *user           `json:"from"`
		SenderChat      *chat           `json:"sender_chat"`
		SentBy          *user           `json:"sender_business_bot"`
		Connection      string          `json:"business_connection_id"`
		Chat            chat            `json:"chat"`
		Date            int64           `json:"date"`
		EditDate        int64           `json:"edit_date"`
		ForwardOrigin   *messageOrigin  `json:"forward_origin"`
		ReplyTo         *repliedMessage `json:"reply_to_message"`
		ExternalReply   *externalReply  `json:"external_reply"`
		ReplyToStory    *story          `json:"reply_to_story"`
		Quote           *textQuote      `json:"quote"`
		MediaGroupID    string          `json:"media_group_id"`
		Text            string          `json:"text"`
		Entities        []entity        `json:"entities"`
		Caption         string          `json:"caption"`
		CaptionEntities []entity        `json:"caption_entities"`
		Animation       *file           `json:"animation"`
		Audio           *file           `json:"audio"`
		Document        *file           `json:"document"`
		Photo           []file          `json:"photo"`
		Sticker         *file           `json:"sticker"`
		Story           *story          `json:"story"`
		Video           *file           `json:"video"`
		VideoNote       *file           `json:"video_note"`
		Voice           *file           `json:"voice"`
		Contact         *contact        `json:"contact"`
		Location        *location       `json:"location"`
		Venue           *venue          `json:"venue"`
		Dice            *dice           `json:"dice"`
		Poll            *poll           `json:"poll"`
	}

	directTopic struct {
		ID int64 `json:"topic_id"`
	}

	repliedMessage struct {
		MessageID int64 `json:"message_id"`
		Chat      chat  `json:"chat"`
	}

	// externalReply is a message of another chat or topic.
	externalReply struct {
		Origin    *messageOrigin `json:"origin"`
		Chat      *chat          `json:"chat"`
		MessageID int64          `json:"message_id"`
	}

	textQuote struct {
		Text string `json:"text"`
	}

	messageOrigin struct {
		SenderUser     *user  `json:"sender_user"`
		SenderUserName string `json:"sender_user_name"`
		SenderChat     *chat  `json:"sender_chat"`
		Chat           *chat  `json:"chat"`
	}

	entity struct {
		Type          string `json:"type"`
		Offset        int    `json:"offset"`
		Length        int    `json:"length"`
		URL           string `json:"url"`
		User          *user  `json:"user"`
		CustomEmojiID string `json:"custom_emoji_id"`
	}

	// file is any of PhotoSize, Animation, Audio, Document, Sticker, Video,
	// VideoNote and Voice. A VideoNote's side is its length.
	file struct {
		FileID       string `json:"file_id"`
		FileUniqueID string `json:"file_unique_id"`
		Width        int    `json:"width"`
		Height       int    `json:"height"`
		Length       int    `json:"length"`
		Duration     int    `json:"duration"`
		Performer    string `json:"performer"`
		Title        string `json:"title"`
		FileName     string `json:"file_name"`
		MIMEType     string `json:"mime_type"`
		FileSize     int64  `json:"file_size"`
		Emoji        string `json:"emoji"`
		// Thumbnail is a PhotoSize.
		Thumbnail *struct {
			FileID string `json:"file_id"`
		} `json:"thumbnail"`
	}

	story struct {
		Chat chat  `json:"chat"`
		ID   int64 `json:"id"`
	}

	contact struct {
		PhoneNumber string `json:"phone_number"`
		FirstName   string `json:"first_name"`
		LastName    string `json:"last_name"`
		UserID      int64  `json:"user_id"`
	}

	location struct {
		Latitude   float64 `json:"latitude"`
		Longitude  float64 `json:"longitude"`
		LivePeriod int64   `json:"live_period"`
	}

	venue struct {
		Location location `json:"location"`
		Title    string   `json:"title"`
		Address  string   `json:"address"`
	}

	dice struct {
		Emoji string `json:"emoji"`
		Value int    `json:"value"`
	}

	poll struct {
		Question string `json:"question"`
		Options  []struct {
			Text string `json:"text"`
		} `json:"options"`
	}

	businessConnection struct {
		ID        string `json:"id"`
		User      *user  `json:"user"`
		Date      int64  `json:"date"`
		IsEnabled bool   `json:"is_enabled"`
		// CanReply is from before Bot API 9.0; servers still send it.
		CanReply bool `json:"can_reply"`
		Rights   *struct {
			CanReply bool `json:"can_reply"`
		} `json:"rights"`
	}

	messagesDeleted struct {
		Connection string  `json:"business_connection_id"`
		Chat       chat    `json:"chat"`
		MessageIDs []int64 `json:"message_ids"`
	}

	messageReactionUpdated struct {
		Chat        chat           `json:"chat"`
		MessageID   int64          `json:"message_id"`
		User        *user          `json:"user"`
		Date        int64          `json:"date"`
		NewReaction []reactionType `json:"new_reaction"`
	}

	reactionType struct {
		Type          string `json:"type"`
		Emoji         string `json:"emoji,omitempty"`
		CustomEmojiID string `json:"custom_emoji_id,omitempty"`
	}

	callbackQuery struct {
		ID            string          `json:"id"`
		From          *user           `json:"from"`
		Message       *pressedMessage `json:"message"`
		Data          string          `json:"data"`
		GameShortName string          `json:"game_short_name"`
	}

	// pressedMessage is the message that a pressed button is under.
	pressedMessage struct {
		repliedMessage

		Connection  string       `json:"business_connection_id"`
		ThreadID    int64        `json:"message_thread_id"`
		IsTopic     bool         `json:"is_topic_message"`
		DirectTopic *directTopic `json:"direct_messages_topic"`
		ReplyMarkup *struct {
			Keyboard [][]struct {
				Text string `json:"text"`
				Data string `json:"callback_data"`
			} `json:"inline_keyboard"`
		} `json:"reply_markup"`
	}

	chatMemberUpdated struct {
		Chat          chat  `json:"chat"`
		From          *user `json:"from"`
		Date          int64 `json:"date"`
		NewChatMember struct {
			Status string `json:"status"`
		} `json:"new_chat_member"`
	}

	// anyUpdate is what the objects of updates that are not known here tend to
	// share.
	anyUpdate struct {
		From *user           `json:"from"`
		User *user           `json:"user"`
		Chat *chat           `json:"chat"`
		Date json.RawMessage `json:"date"`
	}
)
