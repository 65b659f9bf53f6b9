-- The inbox lists chats by their last activity; store/chat.go has the same
-- expression.

-- +goose Up
CREATE INDEX parley_chats_activity ON crm_chats (tenant_id, coalesce(last_message_at, created_at) DESC, id DESC);

-- +goose Down
DROP INDEX parley_chats_activity;
