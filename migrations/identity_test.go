package migrations_test

// seedRules writes what people decided about who may write and what was erased.
func seedRules(s *session) {
	s.t.Helper()
	s.exec("INSERT INTO parley_blocks (kind, value) VALUES ('domain', 'example.com')")
	s.exec("INSERT INTO parley_tombstones (digest, erased_at) VALUES (sha256('x'), now())")
	s.exec("INSERT INTO parley_erased (id, at, client_id, messages, files) VALUES (gen_random_uuid(), now(), 0, 1, 0)")
}

// seedIdentity merges somebody into the client.
func seedIdentity(s *session, c *clientWorld) {
	s.t.Helper()
	from := one[int](s, "INSERT INTO crm_clients (first_name, merged_into) VALUES ('Merged', $1) RETURNING id", c.client)
	merge := one[int64](s, "INSERT INTO parley_merges (into_id, from_id) VALUES ($1, $2) RETURNING id", c.client, from)
	s.exec("INSERT INTO parley_merged_messages (merge_id, message_id, seq, sender) VALUES ($1, $2, 1, $3)", merge, c.in, c.them)
}
