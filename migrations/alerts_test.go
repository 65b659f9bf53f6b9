package migrations_test

// seedAlerts writes what a user wants to be told, and was told of a chat.
func seedAlerts(s *session, w *tenantWorld, c *clientWorld) {
	s.t.Helper()
	s.exec("INSERT INTO parley_alerts (user_id, chat_id, seq, at, way) VALUES ($1, $2, 1, now(), 'mail')", w.colleague, c.chat)
}

func seedAlertSettings(s *session, w *tenantWorld) {
	s.t.Helper()
	s.exec("INSERT INTO parley_alert_settings (user_id, way, after_minutes, quiet_minutes) VALUES ($1, 'mail', 5, 60)", w.colleague)
	s.exec("INSERT INTO parley_alert_bots (channel_id) VALUES ($1)", w.channel)
	s.exec("INSERT INTO parley_presence (user_id, process, seen_at) VALUES ($1, 'one', now())", w.colleague)
}
