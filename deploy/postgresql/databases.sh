#!/bin/sh
# Runs once, on an empty volume: a role and databases for the Temporal server, others for the ledger. Neither sees the
# other's; the server's rights end at histories, which hold no person.
set -eu

# psql reads the passwords from the environment itself: on its command line they would show in the list of processes.
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv temporal_password DB_TEMPORAL_PASSWORD
\getenv ledger_password DB_LEDGER_PASSWORD
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE ROLE retirement LOGIN PASSWORD :'ledger_password';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE retirement OWNER retirement;
REVOKE ALL ON DATABASE temporal, temporal_visibility, retirement FROM PUBLIC;
SQL
