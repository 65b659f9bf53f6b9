package migrations_test

// differences are the places where the schema deliberately is not what the data
// model says, or has more. docs/data-model.md tells each.
var differences = []difference{
	{
		reason: "Points in time carry their zone: TIMESTAMP means something else on every server, and daylight " +
			"saving repeats an hour of it.",
		live: map[string]string{
			"column crm_chat_members.created_at":             "timestamp with time zone not null default now()",
			"column crm_chat_members.updated_at":             "timestamp with time zone not null default now()",
			"column crm_chat_message_attachments.created_at": "timestamp with time zone not null default now()",
			"column crm_chat_messages.created_at":            "timestamp with time zone not null default now()",
			"column crm_chat_messages.read_at":               "timestamp with time zone",
			"column crm_chat_messages.sent_at":               "timestamp with time zone",
			"column crm_chats.created_at":                    "timestamp with time zone not null default now()",
			"column crm_chats.last_message_at":               "timestamp with time zone",
			"column crm_client_contacts.created_at":          "timestamp with time zone not null default now()",
			"column crm_client_contacts.updated_at":          "timestamp with time zone not null default now()",
			"column crm_clients.created_at":                  "timestamp with time zone not null default now()",
			"column crm_clients.updated_at":                  "timestamp with time zone not null default now()",
			"column crm_message_templates.created_at":        "timestamp with time zone not null default now()",
		},
	},
	{
		reason: "Every table has its tenant, because the data model says so of all tables and the walls need it. " +
			"The default is the session's tenant, so inserts that do not name it still work.",
		live: map[string]string{
			"column crm_chat_members.tenant_id":             "uuid not null default parley_tenant()",
			"column crm_chat_message_attachments.tenant_id": "uuid not null default parley_tenant()",
			"column crm_chat_messages.tenant_id":            "uuid not null default parley_tenant()",
			"column crm_chats.tenant_id":                    "uuid not null default parley_tenant()",
			"column crm_client_contacts.tenant_id":          "uuid not null default parley_tenant()",
			"column crm_clients.tenant_id":                  "uuid not null default parley_tenant()",
			"column crm_message_templates.tenant_id":        "uuid not null default parley_tenant()",
		},
	},
	{
		reason: "The member's tenant was marked as a foreign key, but its constraint was not written down.",
		live: map[string]string{
			"constraint fk_crm_chat_members_tenant_id": "crm_chat_members FOREIGN KEY (tenant_id) REFERENCES tenants(id) ON DELETE CASCADE",
		},
	},
	{
		reason: "Messages and their attachments outgrow 2^31 within the life of a busy installation.",
		live: map[string]string{
			"column crm_chat_message_attachments.id":         "bigint not null default nextval('crm_chat_message_attachments_id_seq'::regclass)",
			"column crm_chat_message_attachments.message_id": "bigint not null",
			"column crm_chat_messages.id":                    "bigint not null default nextval('crm_chat_messages_id_seq'::regclass)",
		},
	},
	{
		reason: "A member's id is made by the database when the program does not give one.",
		live: map[string]string{
			"column crm_chat_members.id": "uuid not null default gen_random_uuid()",
		},
	},
	{
		reason: "References carry the tenant, so that a row of another tenant cannot be named. SET NULL names " +
			"its column: the tenant stays.",
		live: map[string]string{
			"constraint fk_crm_chat_members_chat_id":                "crm_chat_members FOREIGN KEY (tenant_id, chat_id) REFERENCES crm_chats(tenant_id, id) ON DELETE CASCADE",
			"constraint fk_crm_chat_members_client_contact_id":      "crm_chat_members FOREIGN KEY (tenant_id, client_contact_id) REFERENCES crm_client_contacts(tenant_id, id) ON DELETE SET NULL (client_contact_id)",
			"constraint fk_crm_chat_members_user_id":                "crm_chat_members FOREIGN KEY (tenant_id, user_id) REFERENCES core_users(tenant_id, id) ON DELETE SET NULL (user_id)",
			"constraint fk_crm_chat_message_attachments_message_id": "crm_chat_message_attachments FOREIGN KEY (tenant_id, message_id) REFERENCES crm_chat_messages(tenant_id, id) ON DELETE CASCADE",
			"constraint fk_crm_chat_messages_chat_id":               "crm_chat_messages FOREIGN KEY (tenant_id, chat_id) REFERENCES crm_chats(tenant_id, id) ON DELETE CASCADE",
			"constraint fk_crm_chats_client_id":                     "crm_chats FOREIGN KEY (tenant_id, client_id) REFERENCES crm_clients(tenant_id, id) ON DELETE CASCADE",
			"constraint fk_crm_client_contacts_client_id":           "crm_client_contacts FOREIGN KEY (tenant_id, client_id) REFERENCES crm_clients(tenant_id, id) ON DELETE CASCADE",
			"constraint fk_crm_clients_passport_id":                 "crm_clients FOREIGN KEY (tenant_id, passport_id) REFERENCES core_passports(tenant_id, id) ON DELETE SET NULL (passport_id)",
		},
	},
	{
		reason: "What the references with a tenant point at.",
		live: map[string]string{
			"constraint parley_chats_tenant_id_id":           "crm_chats UNIQUE (tenant_id, id)",
			"constraint parley_client_contacts_tenant_id_id": "crm_client_contacts UNIQUE (tenant_id, id)",
			"constraint parley_clients_tenant_id_id":         "crm_clients UNIQUE (tenant_id, id)",
			"constraint parley_members_tenant_chat_id":       "crm_chat_members UNIQUE (tenant_id, chat_id, id)",
			"constraint parley_messages_id_tenant_id":        "crm_chat_messages UNIQUE (id, tenant_id)",
		},
	},
	{
		reason: "The client's member goes with the client. SET NULL would leave a member who is nobody, in a " +
			"chat that is being deleted anyway.",
		live: map[string]string{
			"constraint fk_crm_chat_members_client_id": "crm_chat_members FOREIGN KEY (tenant_id, client_id) REFERENCES crm_clients(tenant_id, id) ON DELETE CASCADE",
		},
	},
	{
		reason: "RESTRICT fires at once, even when deferrable, and stops the deletion of a client whose members " +
			"or uploads go before the messages; checked at the end of the transaction it refuses the same " +
			"lasting states. The sender's chat is part of the key: a sender is a member of the same chat. " +
			"Messages follow a member that a merge moves.",
		live: map[string]string{
			"constraint fk_crm_chat_message_attachments_upload_id": "crm_chat_message_attachments FOREIGN KEY (tenant_id, upload_id) REFERENCES core_uploads(tenant_id, id) DEFERRABLE INITIALLY DEFERRED",
			"constraint fk_crm_chat_messages_sender_id":            "crm_chat_messages FOREIGN KEY (tenant_id, chat_id, sender_id) REFERENCES crm_chat_members(tenant_id, chat_id, id) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED",
		},
	},
	{
		reason: "A member must reference either user or client. A CHECK would also stop the SET NULL that makes " +
			"a user a former agent.",
		live: map[string]string{
			"trigger crm_chat_members.parley_members_somebody": "BEFORE INSERT OR UPDATE OF user_id, client_id ON crm_chat_members FOR EACH ROW WHEN (((new.user_id IS NULL) AND (new.client_id IS NULL))) EXECUTE FUNCTION parley_members_somebody()",
		},
	},
	{
		reason: "A client's member is one person on one channel: who they are there, where a reply goes, whether " +
			"they can be reached.",
		live: map[string]string{
			"column crm_chat_members.address":                         "text",
			"column crm_chat_members.channel_id":                      "uuid",
			"column crm_chat_members.opted_out":                       "boolean not null default false",
			"column crm_chat_members.provider_user":                   "text",
			"column crm_chat_members.unreachable_at":                  "timestamp with time zone",
			"column crm_chat_members.unreachable_why":                 "text",
			"constraint crm_chat_members_provider_user_check":         "crm_chat_members CHECK ((provider_user <> ''::text))",
			"trigger crm_chat_members.parley_members_channel":         "AFTER INSERT ON crm_chat_members REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION parley_own_channel('parley_members_channel')",
			"trigger crm_chat_members.parley_members_channel_changed": "AFTER UPDATE OF channel_id ON crm_chat_members FOR EACH ROW WHEN (((new.channel_id IS NOT NULL) AND (new.channel_id IS DISTINCT FROM old.channel_id))) EXECUTE FUNCTION parley_own_channel('parley_members_channel')",
			"index parley_members_provider":                           "CREATE UNIQUE INDEX parley_members_provider ON crm_chat_members USING btree (channel_id, provider_user)",
		},
	},
	{
		reason: "An agent is one member per chat and transport, however many replies they write at once.",
		live: map[string]string{
			"index parley_members_agent": "CREATE UNIQUE INDEX parley_members_agent ON crm_chat_members USING btree (chat_id, user_id, transport) WHERE (user_id IS NOT NULL)",
		},
	},
	{
		reason: "The order of a chat is a number given under the chat's row lock: created_at ties within a " +
			"transaction and ids commit out of order.",
		live: map[string]string{
			"column crm_chat_messages.seq":        "bigint not null",
			"column crm_chats.last_seq":           "bigint not null default 0",
			"constraint parley_messages_chat_seq": "crm_chat_messages UNIQUE (chat_id, seq) DEFERRABLE",
		},
	},
	{
		reason: "Inserts that know only the data model's columns get seq and direction, and move the chat's " +
			"last_message_at.",
		live: map[string]string{
			"trigger crm_chat_messages.parley_messages_complete": "BEFORE INSERT ON crm_chat_messages FOR EACH ROW WHEN ((new.seq IS NULL)) EXECUTE FUNCTION parley_messages_complete()",
		},
	},
	{
		reason: "Which way a message went, so that unread means inbound; inbound always has sent_at.",
		live: map[string]string{
			"column crm_chat_messages.direction":           "text not null",
			"constraint crm_chat_messages_direction_check": "crm_chat_messages CHECK ((direction = ANY (ARRAY['in'::text, 'out'::text])))",
			"constraint parley_messages_inbound_sent":      "crm_chat_messages CHECK (((direction <> 'in'::text) OR (sent_at IS NOT NULL)))",
		},
	},
	{
		reason: "What was said beyond plain text.",
		live: map[string]string{
			"column crm_chat_messages.content":   "jsonb",
			"column crm_chat_messages.edited_at": "timestamp with time zone",
			"column crm_chat_messages.kind":      "text not null default 'text'::text",
		},
	},
	{
		reason: "Where a message came from or goes to, and the key by which a provider's second delivery of it " +
			"is recognised.",
		live: map[string]string{
			"column crm_chat_messages.channel_id":                       "uuid",
			"column crm_chat_messages.part":                             "smallint not null default 0",
			"column crm_chat_messages.provider_at":                      "timestamp with time zone",
			"column crm_chat_messages.provider_chat":                    "text",
			"column crm_chat_messages.provider_message":                 "text",
			"constraint crm_chat_messages_provider_chat_check":          "crm_chat_messages CHECK ((provider_chat <> ''::text))",
			"constraint crm_chat_messages_provider_message_check":       "crm_chat_messages CHECK ((provider_message <> ''::text))",
			"trigger crm_chat_messages.parley_messages_channel":         "AFTER INSERT ON crm_chat_messages REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION parley_own_channel('parley_messages_channel')",
			"trigger crm_chat_messages.parley_messages_channel_changed": "AFTER UPDATE OF channel_id ON crm_chat_messages FOR EACH ROW WHEN (((new.channel_id IS NOT NULL) AND (new.channel_id IS DISTINCT FROM old.channel_id))) EXECUTE FUNCTION parley_own_channel('parley_messages_channel')",
			"index parley_messages_provider":                            "CREATE UNIQUE INDEX parley_messages_provider ON crm_chat_messages USING btree (channel_id, provider_chat, provider_message, part) WHERE (provider_message IS NOT NULL)",
		},
	},
	{
		reason: "How it came here: the event, its place on the bus, why it went to this chat, and whether it was " +
			"replayed.",
		live: map[string]string{
			"column crm_chat_messages.event_id":         "uuid",
			"column crm_chat_messages.late":             "boolean not null default false",
			"column crm_chat_messages.routed_by":        "text",
			"column crm_chat_messages.stream_partition": "smallint",
			"column crm_chat_messages.stream_seq":       "bigint",
		},
	},
	{
		reason: "A reply that is sent twice with one key is one reply.",
		live: map[string]string{
			"column crm_chat_messages.idempotency_key":           "text",
			"constraint crm_chat_messages_idempotency_key_check": "crm_chat_messages CHECK ((idempotency_key <> ''::text))",
			"index parley_messages_idempotency":                  "CREATE UNIQUE INDEX parley_messages_idempotency ON crm_chat_messages USING btree (tenant_id, idempotency_key) WHERE (idempotency_key IS NOT NULL)",
		},
	},
	{
		reason: "What leaves with its chat is counted for the audit.",
		live: map[string]string{
			"trigger crm_chat_messages.parley_messages_erased": "AFTER DELETE ON crm_chat_messages REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parley_messages_erased()",
		},
	},
	{
		reason: "A partial index for what is unread, as the data model asks under performance. The one it " +
			"asks for what has no sent_at is on the queue, parley_deliveries_lane: on the messages it made " +
			"each sending write their other indexes, too.",
		live: map[string]string{
			"index parley_messages_unread": "CREATE INDEX parley_messages_unread ON crm_chat_messages USING btree (chat_id) WHERE ((read_at IS NULL) AND (direction = 'in'::text))",
		},
	},
	{
		reason: "The inbox lists chats by their last activity.",
		live: map[string]string{
			"column crm_chats.activity_slot": "timestamp with time zone not null default date_bin('00:00:15'::interval, CASE WHEN (last_message_at IS NULL) THEN created_at ELSE last_message_at END, '2000-01-01 00:00:00+00'::timestamp with time zone)",
		},
	},
	{
		reason: "What agents do with a chat: open, snoozed or closed, whose it is, whether something is unread. Each " +
			"list of the inbox is some of the folders that these make.",
		live: map[string]string{
			"column crm_chats.status":                          "text not null default 'open'::text",
			"column crm_chats.snoozed_until":                   "timestamp with time zone",
			"column crm_chats.assignee_id":                     "integer",
			"column crm_chats.team_id":                         "integer",
			"column crm_chats.unread":                          "boolean not null default false",
			"column crm_chats.reopened_seq":                    "bigint",
			"column crm_chats.folder":                          "smallint not null default (( CASE status WHEN 'open'::text THEN (0)::smallint WHEN 'snoozed'::text THEN (4)::smallint ELSE (8)::smallint END + CASE WHEN ((assignee_id IS NULL) AND (team_id IS NULL)) THEN (0)::smallint ELSE (2)::smallint END) + CASE WHEN unread THEN (1)::smallint ELSE (0)::smallint END)",
			"constraint parley_chats_status":                   "crm_chats CHECK (((status = ANY (ARRAY['open'::text, 'snoozed'::text, 'closed'::text])) AND ((status = 'snoozed'::text) = (snoozed_until IS NOT NULL))))",
			"constraint parley_chats_assignee":                 "crm_chats FOREIGN KEY (tenant_id, assignee_id) REFERENCES core_users(tenant_id, id) ON DELETE SET NULL (assignee_id)",
			"constraint parley_chats_team":                     "crm_chats FOREIGN KEY (tenant_id, team_id) REFERENCES parley_teams(tenant_id, id) ON DELETE SET NULL (team_id)",
			"index parley_chats_folder":                        "CREATE INDEX parley_chats_folder ON crm_chats USING btree (tenant_id, folder, activity_slot DESC)",
			"index parley_chats_assignee":                      "CREATE INDEX parley_chats_assignee ON crm_chats USING btree (assignee_id, folder, activity_slot DESC) WHERE (assignee_id IS NOT NULL)",
			"index parley_chats_team":                          "CREATE INDEX parley_chats_team ON crm_chats USING btree (team_id, folder, activity_slot DESC) WHERE (team_id IS NOT NULL)",
			"index parley_chats_snoozed":                       "CREATE INDEX parley_chats_snoozed ON crm_chats USING btree (snoozed_until) WHERE (snoozed_until IS NOT NULL)",
			"trigger crm_chat_messages.parley_messages_marked": "AFTER UPDATE OF read_at ON crm_chat_messages FOR EACH ROW WHEN (((new.direction = 'in'::text) AND ((new.read_at IS NULL) <> (old.read_at IS NULL)))) EXECUTE FUNCTION parley_messages_marked()",
		},
	},
	{
		reason: "A client that is created twice with one key is one client.",
		live: map[string]string{
			"column crm_clients.idempotency_key": "text",
			"index parley_clients_idempotency":   "CREATE UNIQUE INDEX parley_clients_idempotency ON crm_clients USING btree (tenant_id, idempotency_key) WHERE (idempotency_key IS NOT NULL)",
		},
	},
	{
		reason: "A contact that is added twice with one key is added once.",
		live: map[string]string{
			"column crm_client_contacts.idempotency_key": "text",
			"index parley_contacts_idempotency":          "CREATE UNIQUE INDEX parley_contacts_idempotency ON crm_client_contacts USING btree (tenant_id, idempotency_key) WHERE (idempotency_key IS NOT NULL)",
		},
	},
	{
		reason: "Every foreign key has an index.",
		live: map[string]string{
			"index parley_clients_passport": "CREATE INDEX parley_clients_passport ON crm_clients USING btree (passport_id) WHERE (passport_id IS NOT NULL)",
			"index parley_members_client":   "CREATE INDEX parley_members_client ON crm_chat_members USING btree (client_id)",
			"index parley_members_contact":  "CREATE INDEX parley_members_contact ON crm_chat_members USING btree (client_contact_id)",
		},
	},
	{
		reason: "What is searched is written beside the tables, by a worker: a change tells it to look again.",
		live: map[string]string{
			"trigger crm_chat_messages.parley_messages_words":   "AFTER UPDATE OF message ON crm_chat_messages FOR EACH ROW WHEN ((new.message IS DISTINCT FROM old.message)) EXECUTE FUNCTION parley_words_stale()",
			"trigger crm_clients.parley_clients_words":          "AFTER UPDATE OF first_name, middle_name, last_name, phone_number, email ON crm_clients FOR EACH ROW EXECUTE FUNCTION parley_words_stale()",
			"trigger crm_client_contacts.parley_contacts_words": "AFTER DELETE OR UPDATE OF contact_value, client_id ON crm_client_contacts FOR EACH ROW EXECUTE FUNCTION parley_words_stale()",
		},
	},
	{
		reason: "With a chat goes what webhooks were told of it.",
		live: map[string]string{
			"trigger crm_chats.parley_chats_told": "AFTER DELETE ON crm_chats REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parley_chats_told()",
		},
	},
	{
		reason: "Template must have content.",
		live: map[string]string{
			"constraint parley_templates_content": `crm_message_templates CHECK ((template ~ '\S'::text))`,
		},
	},
	{
		reason: "A template has a name for people, the providers' templates that say the same, and a version so that " +
			"nobody overwrites what a colleague changed.",
		live: map[string]string{
			"column crm_message_templates.approved":                  "jsonb not null default '[]'::jsonb",
			"column crm_message_templates.idempotency_key":           "text",
			"column crm_message_templates.name":                      "text",
			"column crm_message_templates.updated_at":                "timestamp with time zone not null default now()",
			"column crm_message_templates.version":                   "bigint not null default 1",
			"constraint crm_message_templates_approved_check":        "crm_message_templates CHECK ((jsonb_typeof(approved) = 'array'::text))",
			"constraint crm_message_templates_idempotency_key_check": "crm_message_templates CHECK ((idempotency_key <> ''::text))",
			"constraint crm_message_templates_name_check":            "crm_message_templates CHECK ((btrim(name) <> ''::text))",
			"index parley_templates_idempotency":                     "CREATE UNIQUE INDEX parley_templates_idempotency ON crm_message_templates USING btree (tenant_id, idempotency_key) WHERE (idempotency_key IS NOT NULL)",
			"index parley_templates_name":                            "CREATE UNIQUE INDEX parley_templates_name ON crm_message_templates USING btree (tenant_id, lower(name)) WHERE (name IS NOT NULL)",
		},
	},
	{
		reason: "Two clients without a phone or PIN must not collide on an empty string.",
		live: map[string]string{
			"trigger crm_clients.parley_clients_blank_to_null": "BEFORE INSERT OR UPDATE OF phone_number, pin ON crm_clients FOR EACH ROW WHEN ((((new.phone_number)::text IS DISTINCT FROM NULLIF(btrim((new.phone_number)::text), ''::text)) OR ((new.pin)::text IS DISTINCT FROM NULLIF(btrim((new.pin)::text), ''::text)))) EXECUTE FUNCTION parley_clients_blank_to_null()",
		},
	},
	{
		reason: "What a blocked client writes is accounted for and not shown.",
		live: map[string]string{
			"column crm_clients.blocked_at": "timestamp with time zone",
		},
	},
	{
		reason: "Where a client went that was merged into another, and its chat.",
		live: map[string]string{
			"column crm_clients.merged_into":        "integer",
			"column crm_chats.merged_into":          "integer",
			"constraint parley_clients_merged_into": "crm_clients FOREIGN KEY (tenant_id, merged_into) REFERENCES crm_clients(tenant_id, id) ON DELETE CASCADE",
			"index parley_clients_merged":           "CREATE INDEX parley_clients_merged ON crm_clients USING btree (merged_into) WHERE (merged_into IS NOT NULL)",
		},
	},
	{
		reason: "A client who was registered by a Telegram username is found when they first write.",
		live: map[string]string{
			"index parley_contacts_username": "CREATE INDEX parley_contacts_username ON crm_client_contacts USING btree (tenant_id, lower((contact_value)::text)) WHERE (((contact_type)::text = 'telegram'::text) AND ((contact_value)::text ~~ '@%'::text))",
		},
	},
}
