-- Keys that have to stay the same when the secret key is rotated, sealed with it.

-- +goose Up
CREATE TABLE parley_secrets (
    name    text        PRIMARY KEY,
    sealed  bytea       NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON parley_secrets TO parley_worker;

-- +goose Down
DROP TABLE parley_secrets;
