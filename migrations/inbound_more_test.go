package migrations_test

// seedNewcomers writes what a channel has besides its clients: its own user, and
// how many clients it brought.
func seedNewcomers(s *session, w *tenantWorld) {
	s.t.Helper()
	s.exec("INSERT INTO core_users (name, channel_id) VALUES ('Shop', $1)", w.channel)
	s.exec("INSERT INTO parley_newcomers (channel_id, hour, clients) VALUES ($1, date_trunc('hour', now()), 1)", w.channel)
}

// seedInbound writes what hangs on a client's message.
func seedInbound(s *session, w *tenantWorld, c *clientWorld, name string) {
	s.t.Helper()
	s.exec("INSERT INTO parley_mails (digest, message_id) VALUES (sha256($1::text::bytea), $2)", name, c.in)
	s.exec(`INSERT INTO parley_copies (channel_id, provider_chat, provider_message, message_id, event_id, accepted_at)
		VALUES ($1, 'mail', $2, $3, gen_random_uuid(), now())`, w.channel, name, c.in)
	s.exec("INSERT INTO parley_links (message_id, chat_id, why) VALUES ($1, $2, 'thread')", c.in, c.chat)
	s.exec("INSERT INTO parley_reactions (message_id, person, emoji, at) VALUES ($1, $2, '{+}', now())", c.in, name)
}
