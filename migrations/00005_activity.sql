-- The inbox lists chats by their last activity; store/chat.go has the same
-- expression. Row security lets only leakproof conditions into an index, and
-- PostgreSQL does not count coalesce as one.

-- +goose Up
CREATE INDEX parley_chats_activity ON crm_chats
    (tenant_id, (CASE WHEN last_message_at IS NULL THEN created_at ELSE last_message_at END) DESC, id DESC);

-- +goose Down
DROP INDEX parley_chats_activity;
