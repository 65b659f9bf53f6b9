#!/bin/sh
# Makes Parley's role and database. It may create roles (its walls are roles), and
# is no superuser: row security would not bind one.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$PARLEY_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE parley LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE parley OWNER parley ENCODING 'UTF8' TEMPLATE template0;
SQL
