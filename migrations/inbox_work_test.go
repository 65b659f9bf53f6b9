package migrations_test

// seedTeam writes what inbox work is sorted by. The team's colleague is not the
// world's user, whose deletion takes nothing along.
func seedTeam(s *session, w *tenantWorld) {
	s.t.Helper()
	w.colleague = one[int](s, "INSERT INTO core_users (name) VALUES ('Cleo') RETURNING id")
	w.team = one[int](s, "INSERT INTO parley_teams (name) VALUES ('Sales') RETURNING id")
	s.exec("INSERT INTO parley_team_members (team_id, user_id) VALUES ($1, $2)", w.team, w.colleague)
	w.label = one[int](s, "INSERT INTO parley_labels (name, colour) VALUES ('urgent', '#ff0000') RETURNING id")
}

// seedWork writes what agents do with a chat.
func seedWork(s *session, w *tenantWorld, c *clientWorld) {
	s.t.Helper()
	s.exec("UPDATE crm_chats SET assignee_id = $2, team_id = $3 WHERE id = $1", c.chat, w.user, w.team)
	s.exec("INSERT INTO parley_chat_labels (chat_id, label_id) VALUES ($1, $2)", c.chat, w.label)
	s.exec("INSERT INTO parley_notes (chat_id, user_id, text, after_seq) VALUES ($1, $2, 'Pays late.', 2)", c.chat, w.user)
	s.exec("INSERT INTO parley_drafts (chat_id, user_id, text, channel_id, reply_to) VALUES ($1, $2, 'We', $3, $4)", c.chat, w.colleague, w.channel, c.in)
}
