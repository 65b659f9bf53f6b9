package telegram

import (
	"encoding/json"
	"fmt"
	"strings"

	"parley/events"
)

// rare reads content that seldom comes and that no field of events.Content is
// made for, and reports whether it could
// (https://core.telegram.org/bots/api#message).
func (p *parser) rare(c *events.Content, name string, raw json.RawMessage) bool {
	switch name {
	case "checklist":
		return p.checklist(c, raw)
	case "paid_media":
		return p.paidMedia(c, raw)
	case "web_app_data":
		return p.webApp(c, raw)
	case "invoice":
		return p.invoice(c, raw)
	case "game":
		return p.game(c, raw)
	}
	return false
}

// checklist shows a list of tasks as text, those that are done marked.
func (p *parser) checklist(c *events.Content, raw json.RawMessage) bool {
	var list struct {
		Title string `json:"title"`
		Tasks []struct {
			Text string `json:"text"`
			Done int64  `json:"completion_date"`
		} `json:"tasks"`
	}
	if json.Unmarshal(raw, &list) != nil || (list.Title == "" && len(list.Tasks) == 0) {
		return false
	}
	lines := []string{list.Title}
	for _, task := range list.Tasks {
		box := "☐ "
		if task.Done > 0 {
			box = "☑ "
		}
		lines = append(lines, box+task.Text)
	}
	c.Type, c.Text = events.Text, p.clean(strings.TrimSpace(strings.Join(lines, "\n")))
	p.note("a checklist, as text")
	return true
}

// paidMedia are photos and videos that are seen once they are paid for; those
// that the bot may see can be fetched.
func (p *parser) paidMedia(c *events.Content, raw json.RawMessage) bool {
	var info struct {
		Stars int `json:"star_count"`
		Media []struct {
			Photo []file `json:"photo"`
			Video *file  `json:"video"`
		} `json:"paid_media"`
	}
	if json.Unmarshal(raw, &info) != nil {
		return false
	}
	c.Unsupported = "paid_media"
	p.note(fmt.Sprintf("paid media, for %d Telegram Stars", info.Stars))
	var files []events.Attachment
	for _, m := range info.Media {
		var one events.Content
		switch {
		case len(m.Photo) > 0:
			p.attach(&one, events.Photo, largest(m.Photo))
		case m.Video != nil:
			p.attach(&one, events.Video, m.Video)
		}
		files = append(files, one.Attachments...)
	}
	if len(files) > 0 {
		c.Type, c.Attachments, c.Unsupported = files[0].Kind, files, ""
	}
	return true
}

// webApp is what a page opened by a keyboard's button sent.
func (p *parser) webApp(c *events.Content, raw json.RawMessage) bool {
	var data struct {
		Data  string `json:"data"`
		Label string `json:"button_text"`
	}
	if json.Unmarshal(raw, &data) != nil {
		return false
	}
	c.Type = events.Button
	c.Pressed = &events.Pressed{Label: p.clean(data.Label), Payload: p.clean(data.Data)}
	c.Text = firstOf(c.Pressed.Label, c.Pressed.Payload)
	return true
}

func (p *parser) invoice(c *events.Content, raw json.RawMessage) bool {
	var bill struct {
		Title    string `json:"title"`
		Currency string `json:"currency"`
		Total    int64  `json:"total_amount"`
	}
	if json.Unmarshal(raw, &bill) != nil {
		return false
	}
	c.Type = events.Service
	c.Text = p.clean(fmt.Sprintf("invoice %s: %s", bill.Title, money(bill.Total, bill.Currency)))
	return true
}

func (p *parser) game(c *events.Content, raw json.RawMessage) bool {
	var game struct {
		Title       string `json:"title"`
		Description string `json:"description"`
	}
	if json.Unmarshal(raw, &game) != nil {
		return false
	}
	c.Unsupported = "game"
	if c.Text == "" {
		c.Text = p.clean(strings.TrimSpace(game.Title + "\n" + game.Description))
	}
	return true
}

// money is an amount in a currency's smallest unit, in words
// (https://core.telegram.org/bots/payments/currencies.json).
func money(amount int64, currency string) string {
	switch currency {
	case "XTR":
		return fmt.Sprintf("%d Telegram Stars", amount)
	case "CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND":
		return fmt.Sprintf("%d %s", amount, currency)
	}
	sign := ""
	if amount < 0 {
		sign = "-"
	}
	whole, cents := amount/100, amount%100
	return fmt.Sprintf("%s%d.%02d %s", sign, max(whole, -whole), max(cents, -cents), currency)
}
