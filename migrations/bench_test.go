package migrations_test

import (
	"strconv"
	"testing"
)

// A router stores what waits in batches, and every index and trigger of the
// messages is paid for here. Some 50 µs a message are expected on two idle
// cores, each in a chat of its own, which is the dearest case.
func BenchmarkInsertMessages(b *testing.B) {
	s := open(b)
	w := seedTenant(s, tenantA)
	const batch = 1000
	s.exec("INSERT INTO crm_clients (first_name) SELECT 'x' FROM generate_series(1, $1::int)", batch)
	s.exec("INSERT INTO crm_chats (client_id) SELECT id FROM crm_clients")
	s.exec(`INSERT INTO crm_chat_members (chat_id, client_id, transport, channel_id, provider_user)
		SELECT id, client_id, 'sms', $1, id::text FROM crm_chats`, w.channel)
	s.act(owner, "")
	s.exec("ANALYZE crm_chats, crm_chat_members")
	s.act(worker, "")
	seq := 0
	for b.Loop() {
		seq++
		s.exec("BEGIN")
		s.exec(`INSERT INTO crm_chat_messages (tenant_id, chat_id, sender_id, message, sent_at, seq, direction, content,
				channel_id, provider_chat, provider_message, provider_at, routed_by, event_id, stream_partition, stream_seq)
			SELECT tenant_id, chat_id, id, 'Are you open?', now(), $1, 'in', '{"text":"Are you open?"}',
				channel_id, provider_user, $2, now(), 'member', gen_random_uuid(), 1, $1
			  FROM crm_chat_members`, seq, strconv.Itoa(seq))
		s.exec("UPDATE crm_chats SET last_seq = $1, last_message_at = now()", seq)
		s.exec("COMMIT")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*batch), "µs/message")
}
