package migrations_test

import (
	"testing"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := open(t)
	foreign := seedTenant(s, tenantB)
	w := seedTenant(s, tenantA)
	one, two := seedClient(s, w, "+4910"), seedClient(s, w, "+4911")

	for _, test := range []struct {
		name, state, constraint string
		sql                     string
		args                    []any
	}{
		{
			"a member that is nobody", stateCheck, "parley_members_somebody",
			"INSERT INTO crm_chat_members (chat_id, transport) VALUES ($1, 'sms')",
			[]any{one.chat},
		},
		{
			"a member that becomes nobody", stateCheck, "parley_members_somebody",
			"UPDATE crm_chat_members SET user_id = NULL WHERE id = $1",
			[]any{one.agent},
		},
		{
			"a client's member that becomes nobody", stateCheck, "parley_members_somebody",
			"UPDATE crm_chat_members SET client_id = NULL WHERE id = $1",
			[]any{one.them},
		},
		{
			"a sender from another chat", stateForeign, "fk_crm_chat_messages_sender_id",
			"INSERT INTO crm_chat_messages (chat_id, sender_id, message) VALUES ($1, $2, 'x')",
			[]any{one.chat, two.them},
		},
		{
			"a message moved to another chat without its sender", stateForeign, "fk_crm_chat_messages_sender_id",
			"UPDATE crm_chat_messages SET chat_id = $1, seq = 99 WHERE id = $2",
			[]any{two.chat, one.in},
		},
		{
			"a sender that is no member", stateForeign, "fk_crm_chat_messages_sender_id",
			"INSERT INTO crm_chat_messages (chat_id, sender_id, message) VALUES ($1, gen_random_uuid(), 'x')",
			[]any{one.chat},
		},
		{
			"a message in no chat", stateForeign, "fk_crm_chat_messages_chat_id",
			"INSERT INTO crm_chat_messages (chat_id, sender_id, message) VALUES (-1, $1, 'x')",
			[]any{one.them},
		},
		{
			"a sender deleted, the messages left", stateForeign, "fk_crm_chat_messages_sender_id",
			"DELETE FROM crm_chat_members WHERE id = $1",
			[]any{one.them},
		},
		{
			"an upload deleted, the attachment left", stateForeign, "fk_crm_chat_message_attachments_upload_id",
			"DELETE FROM core_uploads WHERE id = $1",
			[]any{one.upload},
		},
		{
			"an empty template", stateCheck, "parley_templates_content",
			"INSERT INTO crm_message_templates (template) VALUES ('')", nil,
		},
		{
			"a blank template", stateCheck, "parley_templates_content",
			"INSERT INTO crm_message_templates (template) VALUES (E' \\n\\t ')", nil,
		},
		{
			"inbound without sent_at", stateCheck, "parley_messages_inbound_sent",
			"INSERT INTO crm_chat_messages (chat_id, sender_id, message, seq, direction) VALUES ($1, $2, 'x', 99, 'in')",
			[]any{one.chat, one.them},
		},
		{
			"inbound that loses sent_at", stateCheck, "parley_messages_inbound_sent",
			"UPDATE crm_chat_messages SET sent_at = NULL WHERE id = $1",
			[]any{one.in},
		},
		{
			"an unknown direction", stateCheck, "crm_chat_messages_direction_check",
			"UPDATE crm_chat_messages SET direction = 'up' WHERE id = $1",
			[]any{one.in},
		},
		{
			"an empty provider id of a message", stateCheck, "crm_chat_messages_provider_message_check",
			"UPDATE crm_chat_messages SET provider_message = '' WHERE id = $1",
			[]any{one.in},
		},
		{
			"an empty provider chat", stateCheck, "crm_chat_messages_provider_chat_check",
			"UPDATE crm_chat_messages SET provider_chat = '' WHERE id = $1",
			[]any{one.in},
		},
		{
			"an empty provider id of a person", stateCheck, "crm_chat_members_provider_user_check",
			"UPDATE crm_chat_members SET provider_user = '' WHERE id = $1",
			[]any{one.them},
		},
		{
			"an empty identity", stateCheck, "parley_identities_value_check",
			"INSERT INTO parley_identities (kind, value, client_id) VALUES ('phone', '', $1)",
			[]any{one.client},
		},
		{
			"a member on another tenant's channel", stateForeign, "parley_members_channel",
			"UPDATE crm_chat_members SET channel_id = $2 WHERE id = $1",
			[]any{one.them, foreign.channel},
		},
		{
			"a message of another tenant's channel", stateForeign, "parley_messages_channel",
			"INSERT INTO crm_chat_messages (chat_id, sender_id, message, channel_id) VALUES ($1, $2, 'x', $3)",
			[]any{one.chat, one.them, foreign.channel},
		},
		{
			"a message moved to another tenant's channel", stateForeign, "parley_messages_channel",
			"UPDATE crm_chat_messages SET channel_id = $2 WHERE id = $1",
			[]any{one.in, foreign.channel},
		},
		{
			"the provider's message twice", stateUnique, "parley_messages_provider",
			`INSERT INTO crm_chat_messages (chat_id, sender_id, message, channel_id, provider_chat, provider_message)
			 SELECT chat_id, sender_id, message, channel_id, provider_chat, provider_message FROM crm_chat_messages WHERE id = $1`,
			[]any{one.in},
		},
		{
			"the provider's person twice", stateUnique, "parley_members_provider",
			"UPDATE crm_chat_members SET provider_user = '+4911' WHERE id = $1",
			[]any{one.them},
		},
		{
			"two messages at one place", stateUnique, "parley_messages_chat_seq",
			"UPDATE crm_chat_messages SET seq = 1 WHERE id = $1",
			[]any{one.in},
		},
		{
			"two chats of one client", stateUnique, "idx_crm_chats_tenant_client_unique",
			"INSERT INTO crm_chats (client_id) VALUES ($1)",
			[]any{one.client},
		},
		{
			"one phone of two clients", stateUnique, "idx_crm_clients_phone_unique",
			"INSERT INTO crm_clients (first_name, phone_number) VALUES ('x', ' +4910 ')", nil,
		},
		{
			"one PIN of two clients", stateUnique, "idx_crm_clients_pin_unique",
			"UPDATE crm_clients SET pin = '1'", nil,
		},
		{
			"two deliveries of one message", stateUnique, "parley_deliveries_message_id_key",
			`INSERT INTO parley_deliveries (message_id, chat_id, channel_id, member_id, lane)
			 VALUES ($1, $2, $3, $4, 'x')`,
			[]any{one.out, one.chat, w.channel, one.them},
		},
		{
			"a reply twice", stateUnique, "parley_messages_idempotency",
			"UPDATE crm_chat_messages SET idempotency_key = 'k' WHERE chat_id = $1",
			[]any{one.chat},
		},
		{
			"a delivery to a member of another chat", stateForeign, "parley_deliveries_member",
			"UPDATE parley_deliveries SET member_id = $1 WHERE message_id = $2",
			[]any{two.them, one.out},
		},
	} {
		if r := s.refused(test.state, test.sql, test.args...); r.constraint != test.constraint {
			t.Errorf("%s is refused by %q, expected %q", test.name, r.constraint, test.constraint)
		}
	}
}

// Without a tenant, an insert that does not name one has none.
func TestInsertWithoutTenantIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.act(worker, "")
	s.refused(stateNotNull, "INSERT INTO crm_clients (first_name) VALUES ('x')")
	s.act(api, "")
	s.refused(stateForbidden, "INSERT INTO crm_clients (first_name) VALUES ('x')")
}

func TestBlankPhoneAndPINAreNull(t *testing.T) {
	t.Parallel()
	s := open(t)
	seedTenant(s, tenantA)
	s.act(api, tenantA)
	for range 2 {
		s.exec("INSERT INTO crm_clients (first_name, phone_number, pin) VALUES ('x', '', '  ')")
	}
	s.exec("UPDATE crm_clients SET phone_number = ' ', pin = ''")
	s.exec("INSERT INTO crm_clients (first_name, phone_number, pin) VALUES ('y', '+49', '7')")
	s.exec("UPDATE crm_clients SET phone_number = '', comments = 'no phone' WHERE first_name = 'y'")
	if n := one[int](s, "SELECT count(*)::int FROM crm_clients WHERE phone_number IS NULL AND (pin IS NULL OR first_name = 'y' AND pin = '7')"); n != 3 {
		t.Errorf("%d of 3 clients have NULL for what is blank", n)
	}
}

// Somebody who left is still somebody's message; their member can be changed,
// for example marked.
func TestFormerAgentCanBeChanged(t *testing.T) {
	t.Parallel()
	s := open(t)
	w := seedTenant(s, tenantA)
	c := seedClient(s, w, "+4910")
	s.exec("DELETE FROM core_users WHERE id = $1", w.user)
	s.exec(`UPDATE crm_chat_members SET user_id = NULL, client_id = NULL, transport_meta = '{"left":true}' WHERE id = $1`, c.agent)
}
