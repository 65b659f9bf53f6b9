package telegram

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"parley/events"
)

// service tells a service message in plain words, and reports whether it could
// (https://core.telegram.org/bots/api#message). The words follow the name of
// whoever did it.
func (p *parser) service(c *events.Content, name string, raw json.RawMessage) bool {
	words := serviceWords(name)
	if words == "" {
		words = serviceTold(name, raw)
	}
	if words == "" {
		return false
	}
	c.Type, c.Text = events.Service, p.clean(words)
	return true
}

// serviceWords are those of service messages that need nothing but their name.
func serviceWords(name string) string {
	switch name {
	case "pinned_message":
		return "pinned a message"
	case "write_access_allowed":
		return "allowed the bot to write"
	case "chat_background_set":
		return "changed the chat's background"
	case "passport_data":
		return "shared Telegram Passport data; Parley does not read it"
	case "gift":
		return "sent a gift"
	case "unique_gift":
		return "sent a unique gift"
	case "gift_upgrade_sent":
		return "paid for the upgrade of a gift"
	case "chat_shared":
		return "shared a chat"
	case "proximity_alert_triggered":
		return "came near somebody who shares their location"
	case "boost_added":
		return "boosted the chat"
	case "delete_chat_photo":
		return "removed the group's photo"
	case "new_chat_photo":
		return "changed the group's photo"
	case "group_chat_created", "supergroup_chat_created":
		return "made the group"
	case "channel_chat_created":
		return "made the channel"
	case "migrate_to_chat_id", "migrate_from_chat_id":
		return "the group became a supergroup"
	case "forum_topic_closed":
		return "closed the topic"
	case "forum_topic_reopened":
		return "reopened the topic"
	case "general_forum_topic_hidden":
		return "hid the General topic"
	case "general_forum_topic_unhidden":
		return "showed the General topic again"
	case "video_chat_scheduled", "voice_chat_scheduled":
		return "planned a video chat"
	case "video_chat_started", "voice_chat_started":
		return "started a video chat"
	case "video_chat_ended", "voice_chat_ended":
		return "ended the video chat"
	case "video_chat_participants_invited", "voice_chat_participants_invited":
		return "invited to the video chat"
	case "giveaway_created", "giveaway", "giveaway_winners", "giveaway_completed":
		return "a giveaway of Telegram Premium or Stars"
	case "paid_message_price_changed", "direct_message_price_changed":
		return "changed the price of messages"
	case "suggested_post_approved", "suggested_post_approval_failed", "suggested_post_declined", "suggested_post_paid", "suggested_post_refunded":
		return "a suggested post was " + strings.ReplaceAll(strings.TrimPrefix(name, "suggested_post_"), "_", " ")
	case "poll_option_added":
		return "added an answer to the poll"
	case "poll_option_deleted":
		return "removed an answer from the poll"
	case "chat_owner_left", "chat_owner_changed":
		return "the group's owner changed"
	case "managed_bot_created":
		return "made a bot"
	}
	return ""
}

// serviceTold tells the rest from what they hold. Values of unexpected types
// leave gaps in the words, which are shown all the same: the payload is kept.
func serviceTold(name string, raw json.RawMessage) string {
	var held struct {
		Seconds  int64  `json:"message_auto_delete_time"`
		Name     string `json:"name"`
		Currency string `json:"currency"`
		Total    int64  `json:"total_amount"`
		Users    []user `json:"users"`
		Tasks    []struct {
			Text string `json:"text"`
		} `json:"tasks"`
		Done   []int64 `json:"marked_as_done_task_ids"`
		Undone []int64 `json:"marked_as_not_done_task_ids"`
	}
	switch name {
	case "message_auto_delete_timer_changed":
		_ = json.Unmarshal(raw, &held)
		if held.Seconds <= 0 {
			return "changed when messages delete themselves"
		}
		return fmt.Sprintf("let messages delete themselves after %s", inWords(held.Seconds))
	case "connected_website":
		var domain string
		_ = json.Unmarshal(raw, &domain)
		return strings.TrimSpace("logged in on the website " + domain)
	case "new_chat_title":
		var title string
		_ = json.Unmarshal(raw, &title)
		return strings.TrimSpace("named the group " + title)
	case "forum_topic_created":
		_ = json.Unmarshal(raw, &held)
		return strings.TrimSpace("opened the topic " + held.Name)
	case "forum_topic_edited":
		_ = json.Unmarshal(raw, &held)
		return strings.TrimSpace("changed the topic " + held.Name)
	case "successful_payment":
		_ = json.Unmarshal(raw, &held)
		return "paid " + money(held.Total, held.Currency)
	case "refunded_payment":
		_ = json.Unmarshal(raw, &held)
		return "got a refund of " + money(held.Total, held.Currency)
	case "users_shared":
		_ = json.Unmarshal(raw, &held)
		return strings.TrimSpace("shared contacts " + names(held.Users))
	case "checklist_tasks_done":
		_ = json.Unmarshal(raw, &held)
		return fmt.Sprintf("ticked off %d and unticked %d tasks of a checklist", len(held.Done), len(held.Undone))
	case "checklist_tasks_added":
		_ = json.Unmarshal(raw, &held)
		var tasks []string
		for _, task := range held.Tasks {
			tasks = append(tasks, task.Text)
		}
		return strings.TrimSpace("added to a checklist: " + strings.Join(tasks, ", "))
	case "new_chat_members":
		var joined []user
		_ = json.Unmarshal(raw, &joined)
		return strings.TrimSpace("joined: " + names(joined))
	case "left_chat_member":
		var left user
		_ = json.Unmarshal(raw, &left)
		return strings.TrimSpace("left: " + names([]user{left}))
	}
	return ""
}

// names are people's, as far as they have any.
func names(people []user) string {
	var out []string
	for _, u := range people {
		if name := firstOf(strings.TrimSpace(u.FirstName+" "+u.LastName), u.Username); name != "" {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// inWords is a time in the largest unit that divides it.
func inWords(seconds int64) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int64(unit.of / time.Second); seconds%n == 0 {
			return plural(seconds/n, unit.name)
		}
	}
	return plural(seconds, "second")
}

func plural(n int64, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}
