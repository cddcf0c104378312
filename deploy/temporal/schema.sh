#!/bin/sh
# Brings the tables of the Temporal server to the version of this image. Safe to repeat: `setup-schema` leaves alone a
# database that is further than 0.0, `update-schema` applies what is missing. How to connect is in SQL_HOST and so on.
set -eu

bring_up_to_date() {
    temporal-sql-tool --database "$1" setup-schema --version 0.0
    temporal-sql-tool --database "$1" update-schema --schema-name "postgresql/v12/$2"
}

bring_up_to_date temporal temporal
bring_up_to_date temporal_visibility visibility
