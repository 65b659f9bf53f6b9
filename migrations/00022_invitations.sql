-- Who made an invitation: it is worth no more than they are when it is used.

-- +goose Up
-- NULL: the operator, or an invitation from before.
ALTER TABLE parley_invitations
    ADD COLUMN made_by integer,
    ADD CONSTRAINT parley_invitations_maker FOREIGN KEY (tenant_id, made_by)
        REFERENCES core_users (tenant_id, id) ON DELETE CASCADE;
CREATE INDEX parley_invitations_made ON parley_invitations (tenant_id, made_by);

-- +goose Down
ALTER TABLE parley_invitations DROP COLUMN made_by;
