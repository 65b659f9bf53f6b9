package migrations_test

// seedWords writes what a client and their message are found by.
func seedWords(s *session, c *clientWorld) {
	s.t.Helper()
	s.exec("INSERT INTO parley_message_words (id, words) VALUES ($1, 'seed')", c.in)
	s.exec("INSERT INTO parley_client_words (id, words) VALUES ($1, 'seed')", c.client)
	s.exec("INSERT INTO parley_words_stale (message_id) VALUES ($1)", c.in)
	s.exec("INSERT INTO parley_words_stale (client_id) VALUES ($1)", c.client)
}
