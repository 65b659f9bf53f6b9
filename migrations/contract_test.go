package migrations_test

// The data model as it was written for the CRM, word for word: what another
// program may rely on. contract.create makes exactly this in a schema of its
// own, so that the catalog, not a parser of ours, says what the words mean.

type contractColumn struct {
	name, typ, constraints string
}

type contractTable struct {
	name    string
	columns []contractColumn
	// indexes and constraints are the data model's own statements.
	indexes, constraints []string
}

var contract = []contractTable{
	{
		name: "crm_clients",
		columns: []contractColumn{
			{"id", "SERIAL", "PRIMARY KEY"},
			{"tenant_id", "UUID", "NOT NULL"},
			{"first_name", "VARCHAR(255)", "NOT NULL"},
			{"last_name", "VARCHAR(255)", "NULL"},
			{"middle_name", "VARCHAR(255)", "NULL"},
			{"phone_number", "VARCHAR(20)", "NULL"},
			{"address", "TEXT", "NULL"},
			{"email", "VARCHAR(255)", "NULL"},
			{"date_of_birth", "DATE", "NULL"},
			{"gender", "VARCHAR(20)", "NULL"},
			{"passport_id", "UUID", "NULL"},
			{"pin", "VARCHAR(20)", "NULL"},
			{"comments", "TEXT", "NULL"},
			{"created_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
			{"updated_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
		},
		indexes: []string{
			`CREATE INDEX idx_crm_clients_tenant_id ON crm_clients(tenant_id)`,
			`CREATE INDEX idx_crm_clients_phone ON crm_clients(tenant_id, phone_number)`,
			`CREATE INDEX idx_crm_clients_email ON crm_clients(tenant_id, email)`,
			`CREATE UNIQUE INDEX idx_crm_clients_phone_unique ON crm_clients(tenant_id, phone_number)`,
			`CREATE UNIQUE INDEX idx_crm_clients_pin_unique ON crm_clients(tenant_id, pin)`,
		},
		constraints: []string{
			`ALTER TABLE crm_clients
			ADD CONSTRAINT fk_crm_clients_tenant_id FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE`,
			`ALTER TABLE crm_clients
			ADD CONSTRAINT fk_crm_clients_passport_id FOREIGN KEY (passport_id) REFERENCES core_passports(id) ON DELETE SET NULL`,
		},
	},
	{
		name: "crm_client_contacts",
		columns: []contractColumn{
			{"id", "SERIAL", "PRIMARY KEY"},
			{"client_id", "INTEGER", "NOT NULL"},
			{"contact_type", "VARCHAR(50)", "NOT NULL"},
			{"contact_value", "VARCHAR(255)", "NOT NULL"},
			{"created_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
			{"updated_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
		},
		indexes: []string{
			`CREATE INDEX idx_crm_client_contacts_client_id ON crm_client_contacts(client_id)`,
			`CREATE INDEX idx_crm_client_contacts_type_value ON crm_client_contacts(contact_type, contact_value)`,
		},
		constraints: []string{
			`ALTER TABLE crm_client_contacts
			ADD CONSTRAINT fk_crm_client_contacts_client_id FOREIGN KEY (client_id)
			  REFERENCES crm_clients(id) ON DELETE CASCADE`,
		},
	},
	{
		name: "crm_chats",
		columns: []contractColumn{
			{"id", "SERIAL", "PRIMARY KEY"},
			{"tenant_id", "UUID", "NOT NULL"},
			{"client_id", "INTEGER", "NOT NULL"},
			{"last_message_at", "TIMESTAMP", "NULL"},
			{"created_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
		},
		indexes: []string{
			`CREATE INDEX idx_crm_chats_tenant_id ON crm_chats(tenant_id)`,
			`CREATE INDEX idx_crm_chats_client_id ON crm_chats(client_id)`,
			`CREATE UNIQUE INDEX idx_crm_chats_tenant_client_unique ON crm_chats(tenant_id, client_id)`,
		},
		constraints: []string{
			`ALTER TABLE crm_chats
			ADD CONSTRAINT fk_crm_chats_tenant_id FOREIGN KEY (tenant_id) REFERENCES public.tenants(id) ON DELETE CASCADE`,
			`ALTER TABLE crm_chats
			ADD CONSTRAINT fk_crm_chats_client_id FOREIGN KEY (client_id) REFERENCES crm_clients(id) ON DELETE CASCADE`,
		},
	},
	{
		name: "crm_chat_members",
		columns: []contractColumn{
			{"id", "UUID", "PRIMARY KEY"},
			{"tenant_id", "UUID", "NOT NULL"},
			{"chat_id", "INTEGER", "NOT NULL"},
			{"user_id", "INTEGER", "NULL"},
			{"client_id", "INTEGER", "NULL"},
			{"client_contact_id", "INTEGER", "NULL"},
			{"transport", "VARCHAR(50)", "NOT NULL"},
			{"transport_meta", "JSONB", "NULL"},
			{"created_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
			{"updated_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
		},
		indexes: []string{
			`CREATE INDEX idx_crm_chat_members_chat_id ON crm_chat_members(chat_id)`,
			`CREATE INDEX idx_crm_chat_members_tenant_id ON crm_chat_members(tenant_id)`,
			`CREATE INDEX idx_crm_chat_members_user_id ON crm_chat_members(user_id)`,
		},
		constraints: []string{
			`ALTER TABLE crm_chat_members
			ADD CONSTRAINT fk_crm_chat_members_chat_id FOREIGN KEY (chat_id) REFERENCES crm_chats(id) ON DELETE CASCADE`,
			`ALTER TABLE crm_chat_members
			ADD CONSTRAINT fk_crm_chat_members_user_id FOREIGN KEY (user_id) REFERENCES core_users(id) ON DELETE SET NULL`,
			`ALTER TABLE crm_chat_members
			ADD CONSTRAINT fk_crm_chat_members_client_id FOREIGN KEY (client_id) REFERENCES crm_clients(id) ON DELETE SET NULL`,
			`ALTER TABLE crm_chat_members
			ADD CONSTRAINT fk_crm_chat_members_client_contact_id FOREIGN KEY (client_contact_id) REFERENCES crm_client_contacts(id) ON DELETE SET NULL`,
		},
	},
	{
		name: "crm_chat_messages",
		columns: []contractColumn{
			{"id", "SERIAL", "PRIMARY KEY"},
			{"chat_id", "INTEGER", "NOT NULL"},
			{"sender_id", "UUID", "NOT NULL"},
			{"message", "TEXT", "NOT NULL"},
			{"sent_at", "TIMESTAMP", "NULL"},
			{"read_at", "TIMESTAMP", "NULL"},
			{"created_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
		},
		indexes: []string{
			`CREATE INDEX idx_crm_chat_messages_chat_id ON crm_chat_messages(chat_id)`,
			`CREATE INDEX idx_crm_chat_messages_sender_id ON crm_chat_messages(sender_id)`,
			`CREATE INDEX idx_crm_chat_messages_created_at ON crm_chat_messages(created_at)`,
		},
		constraints: []string{
			`ALTER TABLE crm_chat_messages
			ADD CONSTRAINT fk_crm_chat_messages_chat_id FOREIGN KEY (chat_id) REFERENCES crm_chats(id) ON DELETE CASCADE`,
			`ALTER TABLE crm_chat_messages
			ADD CONSTRAINT fk_crm_chat_messages_sender_id FOREIGN KEY (sender_id) REFERENCES crm_chat_members(id) ON DELETE RESTRICT`,
		},
	},
	{
		name: "crm_chat_message_attachments",
		columns: []contractColumn{
			{"id", "SERIAL", "PRIMARY KEY"},
			{"message_id", "INTEGER", "NOT NULL"},
			{"upload_id", "INTEGER", "NOT NULL"},
			{"created_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
		},
		indexes: []string{
			`CREATE INDEX idx_crm_chat_message_attachments_message_id ON crm_chat_message_attachments(message_id)`,
			`CREATE INDEX idx_crm_chat_message_attachments_upload_id ON crm_chat_message_attachments(upload_id)`,
		},
		constraints: []string{
			`ALTER TABLE crm_chat_message_attachments
			ADD CONSTRAINT fk_crm_chat_message_attachments_message_id FOREIGN KEY (message_id)
			  REFERENCES crm_chat_messages(id) ON DELETE CASCADE`,
			`ALTER TABLE crm_chat_message_attachments
			ADD CONSTRAINT fk_crm_chat_message_attachments_upload_id FOREIGN KEY (upload_id)
			  REFERENCES core_uploads(id) ON DELETE RESTRICT`,
		},
	},
	{
		name: "crm_message_templates",
		columns: []contractColumn{
			{"id", "SERIAL", "PRIMARY KEY"},
			{"tenant_id", "UUID", "NOT NULL"},
			{"template", "TEXT", "NOT NULL"},
			{"created_at", "TIMESTAMP", "NOT NULL DEFAULT NOW()"},
		},
		indexes: []string{
			`CREATE INDEX idx_crm_message_templates_tenant_id ON crm_message_templates(tenant_id)`,
		},
		constraints: []string{
			`ALTER TABLE crm_message_templates
			ADD CONSTRAINT fk_crm_message_templates_tenant_id FOREIGN KEY (tenant_id)
			  REFERENCES public.tenants(id) ON DELETE CASCADE`,
		},
	},
}
