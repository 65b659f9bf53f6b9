-- Less work per message.

-- +goose Up
-- Facts are published and deleted within a moment: compressing them is in vain.
ALTER TABLE parley_facts ALTER COLUMN lines SET STORAGE EXTERNAL;

-- +goose Down
ALTER TABLE parley_facts ALTER COLUMN lines SET STORAGE EXTENDED;
