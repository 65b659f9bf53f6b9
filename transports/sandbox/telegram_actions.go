package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
)

// controlRequest is what any action takes.
type controlRequest struct {
	From       string        `json:"from"`
	Bot        string        `json:"bot"`
	Connection string        `json:"connection"`
	Owner      bool          `json:"owner"`
	ReadOnly   bool          `json:"read_only"`
	Text       string        `json:"text"`
	Marks      []Mark        `json:"marks"`
	ReplyTo    int64         `json:"reply_to"`
	Quote      string        `json:"quote"`
	Forward    string        `json:"forward_from"`
	Topic      int64         `json:"topic"`
	MessageID  int64         `json:"message_id"`
	MessageIDs []int64       `json:"message_ids"`
	Emoji      []string      `json:"emoji"`
	Data       string        `json:"data"`
	Group      string        `json:"group"`
	Files      []controlFile `json:"files"`
	controlFile
	Phone     string   `json:"phone"`
	Latitude  float64  `json:"latitude"`
	Longitude float64  `json:"longitude"`
	Live      int      `json:"live"`
	Title     string   `json:"title"`
	Address   string   `json:"address"`
	Poll      []string `json:"poll"`
}

type controlFile struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	MIME    string `json:"mime"`
	Content []byte `json:"content"`
}

func (f controlFile) file() File { return File{Name: f.Name, MIME: f.MIME, Content: f.Content} }

func (t *Telegram) controlAction(w http.ResponseWriter, r *http.Request) {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	action := r.PathValue("action")
	if action == "update" {
		var raw json.RawMessage
		if err := body.Decode(&raw); err != nil {
			refuse(w, err)
			return
		}
		t.Inject(raw)
		reply(w, map[string]bool{"ok": true})
		return
	}
	var req controlRequest
	if err := body.Decode(&req); err != nil {
		refuse(w, err)
		return
	}
	who, err := t.who(req.From, req.Bot)
	var account *BusinessAccount
	if err == nil && req.Connection != "" {
		var b BusinessAccount
		if b, err = t.business(req.Connection); err == nil {
			who, account = who.At(b), &b
		}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	done, err := who.act(action, req, account)
	switch {
	case errors.Is(err, errNoAction):
		http.NotFound(w, r)
	case err != nil:
		refuse(w, err)
	default:
		reply(w, done)
	}
}

var errNoAction = errors.New("sandbox: no such action")

// act does what a person, or the owner of the account they write to, would do on
// their phone. It yields what to answer.
func (a Person) act(action string, req controlRequest, account *BusinessAccount) (any, error) {
	var err error
	switch action {
	case "album":
		return a.actAlbum(req)
	case "edit":
		if req.Owner && account != nil {
			err = account.Edit(a, req.MessageID, req.Text)
		} else {
			err = a.Edit(req.MessageID, req.Text)
		}
	case "editfile":
		err = a.EditFile(req.MessageID, req.Kind, req.file())
	case "move":
		err = a.Move(req.MessageID, req.Latitude, req.Longitude, req.Live > 0)
	case "react":
		err = a.React(req.MessageID, req.Emoji...)
	case "press":
		err = a.Press(req.MessageID, req.Data)
	case "delete":
		err = a.Delete(req.MessageIDs...)
	case "block":
		err = a.Block()
	case "unblock":
		err = a.Unblock()
	case "migrate":
		a.MigrateTo(req.MessageID)
	default:
		return a.actPost(action, req, account)
	}
	return map[string]bool{"ok": true}, err
}

func (a Person) actPost(action string, req controlRequest, account *BusinessAccount) (any, error) {
	post, ok := req.post(action)
	if !ok {
		return nil, errNoAction
	}
	var id int64
	var err error
	if req.Owner && account != nil {
		id, err = account.Post(a, post)
	} else {
		id, err = a.Post(post)
	}
	return map[string]int64{"message_id": id}, err
}

// post is what an action posts.
func (req controlRequest) post(action string) (Post, bool) {
	post := Post{
		Text: req.Text, Marks: req.Marks, ReplyTo: req.ReplyTo, Quote: req.Quote, ForwardFrom: req.Forward, Topic: req.Topic, Group: req.Group,
	}
	switch action {
	case "say":
	case "file":
		f := req.file()
		post.Kind, post.File = req.Kind, &f
	case "location":
		post.Location, post.Live = &[2]float64{req.Latitude, req.Longitude}, req.Live
		if req.Title != "" {
			post.Venue = &[2]string{req.Title, req.Address}
		}
	case "contact":
		post.OwnContact = req.Phone == ""
		post.Contact = &[2]string{req.Phone, req.Name}
	case "poll":
		post.Poll = req.Poll
	case "dice":
		post.Text, post.Dice = "", req.Text
	case "story":
		post.Story = req.MessageID
	default:
		return post, false
	}
	return post, true
}

func (a Person) actAlbum(req controlRequest) (any, error) {
	posts := make([]Post, 0, len(req.Files))
	for i, f := range req.Files {
		content := f.file()
		post := Post{Kind: f.Kind, File: &content, Topic: req.Topic}
		if i == 0 {
			post.Text, post.Marks, post.ReplyTo = req.Text, req.Marks, req.ReplyTo
		}
		posts = append(posts, post)
	}
	ids, err := a.PostAlbum(posts...)
	return map[string][]int64{"message_ids": ids}, err
}

// business finds an account by its connection, with whichever bot.
func (t *Telegram) business(connection string) (BusinessAccount, error) {
	for _, b := range t.bots {
		b.threadsMu.RLock()
		account := b.accounts[connection]
		b.threadsMu.RUnlock()
		if account != nil {
			return BusinessAccount{t: t, a: account}, nil
		}
	}
	return BusinessAccount{}, errors.New("sandbox: no such business connection")
}

func (t *Telegram) controlConnect(w http.ResponseWriter, r *http.Request) {
	req, ok := readControl(w, r)
	if !ok {
		return
	}
	who, err := t.who(req.From, req.Bot)
	var b BusinessAccount
	if err == nil {
		b, err = who.ConnectBusiness(!req.ReadOnly)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, map[string]string{"connection": b.ID()})
}

func (t *Telegram) controlRights(w http.ResponseWriter, r *http.Request) {
	t.controlAccount(w, r, func(b BusinessAccount, req controlRequest) error { return b.AllowReplies(!req.ReadOnly) })
}

func (t *Telegram) controlDisconnect(w http.ResponseWriter, r *http.Request) {
	t.controlAccount(w, r, func(b BusinessAccount, _ controlRequest) error { return b.Disconnect() })
}

func (t *Telegram) controlAccount(w http.ResponseWriter, r *http.Request, do func(BusinessAccount, controlRequest) error) {
	req, ok := readControl(w, r)
	if !ok {
		return
	}
	b, err := t.business(req.Connection)
	if err == nil {
		err = do(b, req)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, map[string]bool{"ok": true})
}

func readControl(w http.ResponseWriter, r *http.Request) (req controlRequest, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl)).Decode(&req); err != nil {
		refuse(w, err)
		return req, false
	}
	return req, true
}
