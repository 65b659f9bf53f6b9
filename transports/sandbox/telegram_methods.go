package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// params are a method's parameters, however they came, and its uploaded files.
type params struct {
	values url.Values
	files  map[string]upload
}

type upload struct {
	name    string
	size    int64
	content []byte // nil when larger than is kept
}

func (p params) get(name string) string { return p.values.Get(name) }

func (p params) int(name string) int64 {
	return toInteger(p.get(name))
}

func jsonParams(fields map[string]json.RawMessage) params {
	p := params{values: url.Values{}}
	for name, raw := range fields {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			p.values.Set(name, s)
		} else {
			p.values.Set(name, string(raw))
		}
	}
	return p
}

const (
	maxForm       = 10 << 20    // all of a request but its files
	maxUploadSize = 50 << 20    // https://core.telegram.org/bots/api#sending-files
	keptUpload    = maxDownload // ours: what a bot sends is kept as far as getFile hands it out
	// maxLocalUpload is of a server with --local
	// (https://core.telegram.org/bots/api#using-a-local-bot-api-server).
	maxLocalUpload = 2000 << 20
)

// errTooLarge says that an upload has more bytes than the server takes.
var errTooLarge = errors.New("too large")

// readParams takes the four ways of passing parameters
// (https://core.telegram.org/bots/api#making-requests).
func readParams(r *http.Request, maxFile int64) (params, error) {
	p := params{values: r.URL.Query()}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "multipart/form-data":
		return p, p.readMultipart(r, maxFile)
	case "application/json":
		var fields map[string]json.RawMessage
		if err := json.NewDecoder(io.LimitReader(r.Body, maxForm)).Decode(&fields); err != nil {
			return p, err
		}
		for name, values := range jsonParams(fields).values {
			p.values[name] = values
		}
	case "application/x-www-form-urlencoded":
		body, err := io.ReadAll(io.LimitReader(r.Body, maxForm))
		if err != nil {
			return p, err
		}
		form, err := url.ParseQuery(string(body))
		for name, values := range form {
			p.values[name] = values
		}
		return p, err
	}
	return p, nil
}

func (p *params) readMultipart(r *http.Request, maxFile int64) error {
	in, err := r.MultipartReader()
	if err != nil {
		return err
	}
	p.files = map[string]upload{}
	for {
		part, err := in.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if part.FileName() == "" {
			value, err := io.ReadAll(io.LimitReader(part, maxForm))
			if err != nil {
				return err
			}
			p.values.Set(part.FormName(), string(value))
			continue
		}
		kept, err := io.ReadAll(io.LimitReader(part, keptUpload+1))
		if err != nil {
			return err
		}
		rest, err := io.Copy(io.Discard, io.LimitReader(part, maxFile))
		if err != nil {
			return err
		}
		f := upload{name: part.FileName(), size: int64(len(kept)) + rest}
		if f.size > maxFile {
			return errTooLarge
		}
		if len(kept) <= keptUpload {
			f.content = kept
		}
		p.files[part.FormName()] = f
	}
}

func (t *Telegram) serveMethod(w http.ResponseWriter, r *http.Request, token, method string) {
	bot := t.bots[token]
	if bot == nil {
		// A token of the right shape could have been one.
		refused := &refusal{Code: http.StatusUnauthorized, Words: "Unauthorized"}
		if _, err := botID(token); err != nil {
			refused = &refusal{Code: http.StatusNotFound, Words: "Not Found"}
		}
		answer(w, nil, "", refused)
		return
	}
	maxFile := int64(maxUploadSize)
	if t.opts.LocalFiles != "" {
		maxFile = maxLocalUpload
	}
	p, err := readParams(r, maxFile)
	if errors.Is(err, errTooLarge) {
		answer(w, nil, "", &refusal{Code: http.StatusRequestEntityTooLarge, Words: "Request Entity Too Large"})
		return
	}
	if err != nil {
		answer(w, nil, "", badRequest("can't parse the request"))
		return
	}
	switch {
	case strings.EqualFold(method, "getUpdates"):
		result, refused := bot.getUpdates(r, p)
		answer(w, result, "", refused)
	case isSend(method):
		t.serveSend(w, r, bot, sends[strings.ToLower(method)], p)
	case isChange(method):
		t.serveChange(w, r, bot, method, p)
	default:
		result, words, refused := bot.callWith(method, p)
		answer(w, result, words, refused)
	}
}

// isChange reports whether a method changes what was sent.
func isChange(method string) bool {
	switch strings.ToLower(method) {
	case "editmessagetext", "editmessagecaption", "setmessagereaction", "deletemessage":
		return true
	}
	return false
}

func isSend(method string) bool { _, ok := sends[strings.ToLower(method)]; return ok }

// call runs a method without the faults and the description.
func (b *telegramBot) call(method string, p params) (any, *refusal) {
	if isSend(method) {
		return b.send(sends[strings.ToLower(method)], p, "")
	}
	result, _, refused := b.callWith(method, p)
	return result, refused
}

func (b *telegramBot) callWith(method string, p params) (result any, words string, refused *refusal) {
	switch strings.ToLower(method) {
	case "getme":
		return b.user, "", nil
	case "setwebhook":
		return b.setWebhook(p)
	case "deletewebhook":
		return b.deleteWebhook(p)
	case "getwebhookinfo":
		return b.webhookInfo(), "", nil
	case "getfile":
		result, refused = b.getFile(p.get("file_id"))
	case "getbusinessconnection":
		result, refused = b.businessConnection(p.get("business_connection_id"))
	case "setmessagereaction":
		result, refused = b.react(p)
	case "editmessagetext":
		result, refused = b.editText(p)
	case "editmessagecaption":
		result, refused = b.editCaption(p)
	case "deletemessage":
		result, refused = b.deleteMessage(p)
	case "sendchataction":
		result, refused = b.chatAction(p)
	case "answercallbackquery":
		result, refused = b.answerCallback(p.get("callback_query_id"))
	default:
		refused = &refusal{Code: http.StatusNotFound, Words: "Not Found: method not found"}
	}
	return result, "", refused
}

func answer(w http.ResponseWriter, result any, words string, refused *refusal) {
	code := http.StatusOK
	var body []byte
	var err error
	if refused != nil {
		code = refused.Code
		body, err = refused.body()
	} else {
		body, err = answerOK(result, words)
	}
	if err != nil {
		code, body = http.StatusInternalServerError, []byte(`{"ok":false,"error_code":500,"description":"Internal Server Error"}`)
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// serveSend is a send with what may go wrong around it.
func (t *Telegram) serveSend(w http.ResponseWriter, r *http.Request, bot *telegramBot, kind sendKind, p params) {
	plan := t.faults.Load()
	th, refused := bot.reach(p)
	fault := ""
	if refused == nil {
		fault = plan.pick(t.opts.Seed, th.person.user.ID, th.sends.Add(1))
	}
	var m any
	switch {
	case refused == nil && strikesBefore(fault):
		refused = plan.before(fault)
		entry := TelegramEntry{What: LogRefused, Bot: bot.id, Chat: th.person.user.ID, Kind: kind.name, Text: p.get(kind.text), Fault: fault}
		if refused != nil {
			entry.Code = refused.Code
		}
		t.log.add(entry)
	case refused == nil:
		m, refused = bot.send(kind, p, fault)
	}
	t.answerFaulty(w, r, fault, m, refused)
}

// serveChange is an edit or a reaction with what may go wrong around it.
func (t *Telegram) serveChange(w http.ResponseWriter, r *http.Request, bot *telegramBot, method string, p params) {
	plan := t.faults.Load()
	fault := plan.pickChange()
	var result any
	var refused *refusal
	if strikesBefore(fault) {
		refused = plan.before(fault)
	} else {
		result, _, refused = bot.callWith(method, p)
	}
	t.answerFaulty(w, r, fault, result, refused)
}

// answerFaulty answers, or fails to, as the fault wants it.
func (t *Telegram) answerFaulty(w http.ResponseWriter, r *http.Request, fault string, result any, refused *refusal) {
	if wait := t.faults.Load().DelayMS; wait > 0 {
		hold(t.stop, r.Context(), time.Duration(wait)*time.Millisecond)
	}
	if refused != nil {
		answer(w, nil, "", refused)
		return
	}
	switch fault {
	case faultHangBefore, faultHangAfter:
		hold(t.stop, r.Context(), -1)
		panic(http.ErrAbortHandler)
	case faultResetBefore, faultResetAfter:
		reset(w)
	case faultHalfCloseAfter:
		halfClose(w, t.stop)
	case faultCutAfter:
		cut(w, result)
	case faultServerErrorAfter:
		answer(w, nil, "", &refusal{Code: http.StatusInternalServerError, Words: "Internal Server Error"})
	default:
		answer(w, result, "", nil)
	}
}

// halfClose ends our side of a request's connection without an answer, and leaves
// the other open until the client or the stand-in gives up.
func halfClose(w http.ResponseWriter, standIn context.Context) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			closeWrite(conn)
			outlast(conn, standIn)
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// reset ends the connection with a TCP reset, without an answer.
func reset(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// cut ends the connection halfway through an answer.
func cut(w http.ResponseWriter, result any) {
	body, err := answerOK(result, "")
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}
