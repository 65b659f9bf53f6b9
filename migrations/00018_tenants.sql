-- Tenants are suspended and removed; versions of what two people may edit, and
-- keys of what is created, where they were missing.

-- +goose Up
ALTER TABLE tenants
    -- Nobody of a suspended tenant may log in, and its channels are paused.
    ADD COLUMN suspended_at    timestamptz,
    ADD COLUMN version         integer NOT NULL DEFAULT 1,
    ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX parley_tenants_idempotency ON tenants (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- That a tenant was removed, and what is left to do outside of the database. It
-- names no row of the tenant's, and says nothing of who it was.
CREATE TABLE parley_removed_tenants (
    id   uuid        PRIMARY KEY,
    at   timestamptz NOT NULL,
    -- Blobs that no row names any more; NULL once all is gone.
    todo jsonb
);
CREATE INDEX parley_removed_tenants_todo ON parley_removed_tenants (at) WHERE todo IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON parley_removed_tenants TO parley_worker;

ALTER TABLE parley_teams ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE parley_labels ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE parley_notes ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE parley_webhooks ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE crm_client_contacts ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX parley_contacts_idempotency ON crm_client_contacts (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- +goose Down
DROP INDEX parley_contacts_idempotency;
ALTER TABLE crm_client_contacts DROP COLUMN idempotency_key;
ALTER TABLE parley_webhooks DROP COLUMN version;
ALTER TABLE parley_notes DROP COLUMN version;
ALTER TABLE parley_labels DROP COLUMN version;
ALTER TABLE parley_teams DROP COLUMN version;
DROP TABLE parley_removed_tenants;
DROP INDEX parley_tenants_idempotency;
ALTER TABLE tenants DROP COLUMN idempotency_key, DROP COLUMN version, DROP COLUMN suspended_at;
