package migrations_test

// seedComposing writes what agents set for their tenant.
func seedComposing(s *session, w *tenantWorld) {
	s.t.Helper()
	s.exec("INSERT INTO parley_desk_settings (undo_seconds) VALUES (5)")
	s.exec("INSERT INTO parley_hours (channel_id, time_zone) VALUES ($1, 'UTC')", w.channel)
}

// seedComposed writes what is waiting for a client, or was said without anybody.
func seedComposed(s *session, w *tenantWorld, c *clientWorld) {
	s.t.Helper()
	scheduled := one[int64](s, `INSERT INTO parley_scheduled (chat_id, user_id, reply, due_at, seen)
		VALUES ($1, $2, '{}', now(), 0) RETURNING id`, c.chat, w.user)
	s.exec("INSERT INTO parley_scheduled_files (scheduled_id, upload_id) VALUES ($1, $2)", scheduled, c.upload)
	s.exec("INSERT INTO parley_autoreplies (client_id, day, kind) VALUES ($1, '2026-01-02', 'away')", c.client)
}
