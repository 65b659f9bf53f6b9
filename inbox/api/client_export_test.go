package api_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"parley/inbox"
	"parley/inbox/api"
	"parley/store"
)

func TestExportOfAClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.says(1, "hello")
	var up inbox.Upload
	w.do("POST", "/api/v1/uploads?name=map.txt", "dig here", 201, &up, "Content-Type", "application/octet-stream")
	w.do("POST", "/api/v1/chats/1/messages", fmt.Sprintf(`{"text":"look","seen":1,"attachments":[%d]}`, up.ID), 201, nil)
	w.do("POST", "/api/v1/chats/1/notes", `{"text":"pays late"}`, 201, nil)
	// More than a page.
	w.exec(`INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message)
		SELECT m.tenant_id, m.chat_id, m.sender_id, 'more ' || n FROM crm_chat_messages m, generate_series(1, 450) n WHERE m.chat_id = 1 AND m.seq = 1`)
	var c inbox.Chat
	w.do("GET", "/api/v1/chats/1", "", 200, &c)

	status, head, body := w.file("GET", fmt.Sprintf("/api/v1/clients/%d/export", c.Client.ID), "")
	if status != 200 || head.Get("Content-Type") != "application/zip" {
		t.Fatalf("%d %v", status, head)
	}
	z, err := zip.NewReader(bytes.NewReader([]byte(body)), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name] = string(data)
	}
	var card inbox.ClientCard
	if err := json.Unmarshal([]byte(content["client.json"]), &card); err != nil || card.ID != c.Client.ID || len(card.Contacts) == 0 {
		t.Errorf("client %+v, %v", card, err)
	}
	var seqs []int64
	lines := bufio.NewScanner(bytes.NewReader([]byte(content["messages.ndjson"])))
	for lines.Scan() {
		var m inbox.Message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if seqs = append(seqs, m.Seq); m.Seq == 1 && (m.Text != "hello" || m.RoutedBy != "new") {
			t.Errorf("first message %+v", m)
		}
	}
	for i, seq := range seqs {
		if seq != int64(i)+1 {
			t.Fatalf("message %d has seq %d", i, seq)
		}
	}
	if len(seqs) != 452 {
		t.Errorf("%d messages", len(seqs))
	}
	if have := content[fmt.Sprintf("files/%d-map.txt", up.ID)]; have != "dig here" {
		t.Errorf("the file is %q; there are %d entries", have, len(content))
	}
	if !bytes.Contains([]byte(content["notes.ndjson"]), []byte("pays late")) || content["chat.json"] == "" {
		t.Error("notes or chat are missing")
	}
	if _, missing := content["missing.txt"]; missing {
		t.Error(content["missing.txt"])
	}
	var log api.List[store.AuditEntry]
	w.do("GET", "/api/v1/audit-log?limit=1", "", 200, &log)
	if len(log.Items) != 1 || log.Items[0].Action != "client.export" || log.Items[0].TargetID != itoa(card.ID) {
		t.Errorf("audit log: %+v", log.Items)
	}
	w.do("GET", "/api/v1/clients/999/export", "", 404, nil)
}
