package migrations_test

// seedWebhook writes where somebody is told of what happens, and what they were.
func seedWebhook(s *session) {
	s.t.Helper()
	for i := range 2 { // one of them was told nothing
		hook := one[string](s, "INSERT INTO parley_webhooks (url, sealed, place) VALUES ('https://example.com', 's', '0') RETURNING id::text")
		for fact := range 2 - 2*i {
			delivery := one[int64](s, `INSERT INTO parley_webhook_deliveries (webhook_id, fact_id, chat_id, type, body)
				VALUES ($1, $2, 0, 'message.received', '{}') RETURNING id`, hook, fact)
			s.exec("INSERT INTO parley_webhook_attempts (webhook_delivery_id, status, took_ms) VALUES ($1, 200, 1)", delivery)
		}
	}
}

// seedWords writes what a client and their message are found by.
func seedWords(s *session, c *clientWorld) {
	s.t.Helper()
	s.exec("INSERT INTO parley_message_words (id, words) VALUES ($1, 'seed')", c.in)
	s.exec("INSERT INTO parley_client_words (id, words) VALUES ($1, 'seed')", c.client)
	s.exec("INSERT INTO parley_words_stale (message_id) VALUES ($1)", c.in)
	s.exec("INSERT INTO parley_words_stale (client_id) VALUES ($1)", c.client)
}
