"""The vault: one encrypted entry a case, held by whoever still needs it, shredded when the last lets go."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import BindParameter, Connection, Executable, bindparam, delete, insert, select, update

from ledger import intakes, jobs, schema
from ledger.database import insert_into
from ledger.errors import VaultMissing
from ledger.keys import Keys
from ledger.rows import People, VaultValues, no_values
from ledger.sealing import OpenedKeys, new_data_key, seal, unseal, unwrap

#: The run itself holds the entry from open to close.
RUN = "run"
_SAVED = "saved."

_CASE: BindParameter[str] = bindparam("retirement_id")
_ENTRY = select(schema.vault.c.key_id, schema.vault.c.wrapped_key).where(schema.vault.c.retirement_id == _CASE)
_LOCKED_ENTRY = _ENTRY.with_for_update()
_FIELDS = (
    select(schema.vault.c.key_id, schema.vault.c.wrapped_key, schema.vault_fields.c.field, schema.vault_fields.c.sealed)
    .outerjoin(schema.vault_fields, schema.vault_fields.c.retirement_id == schema.vault.c.retirement_id)
    .where(schema.vault.c.retirement_id == _CASE)
)
_HOLDER = select(schema.vault_holders.c.holder).where(schema.vault_holders.c.retirement_id == _CASE).limit(1)


#: The entry, and all that hangs on it.
_SHRED = tuple(
    delete(table).where(table.c.retirement_id == _CASE) for table in (schema.assets, schema.vault_fields, schema.vault)
)
_MAKE = insert(schema.vault)
_HOLD = insert(schema.vault_holders)


class Vault:
    """The tables of the vault, and the keys that open them. Every method works inside the caller's transaction."""

    def __init__(self, *, keys: Keys) -> None:
        self._keys = keys
        self._opened = OpenedKeys()

    def make(self, connection: Connection, *, retirement_id: str, holders: Iterable[str]) -> None:
        """Make a case's empty entry, with a data key of its own."""
        key_id, wrapped = new_data_key(keys=self._keys, retirement_id=retirement_id)
        connection.execute(_MAKE, {"retirement_id": retirement_id, "key_id": key_id, "wrapped_key": wrapped})
        connection.execute(
            _HOLD,
            [{"retirement_id": retirement_id, "holder": holder} for holder in sorted({RUN, *holders})],
        )

    def read(self, connection: Connection, *, retirement_id: str) -> VaultValues | None:
        """Open a case's entry; None where it is missing."""
        rows = connection.execute(_FIELDS, {"retirement_id": retirement_id}).all()
        if not rows:
            self._opened.drop(retirement_id)
            return None
        values = no_values()
        for key_id, wrapped, field, sealed in rows:
            if field is None:
                continue
            data_key = self._data_key(retirement_id, key_id=key_id, wrapped=wrapped)
            opened = unseal(data_key=data_key, retirement_id=retirement_id, field=field, sealed=sealed)
            match field:
                case "subject":
                    values["subject"] = opened
                case "successors":
                    values["successors"] = opened
                case "people":
                    values["people"] = cast(People, opened)
                case _:
                    values["saved"][field.removeprefix(_SAVED)] = opened
        return values

    def take_in(self, connection: Connection, *, subject_key: str, values: Mapping[str, Any], now: datetime) -> None:
        """Keep what is known of a person whose case is not open yet."""
        intakes.take_in(connection, keys=self._keys, subject_key=subject_key, values=values, now=now)

    def take_out_intake(self, connection: Connection, *, subject_key: str) -> dict[str, Any] | None:
        """What was taken in; from now on it is the caller's to keep."""
        return intakes.take_out(connection, keys=self._keys, subject_key=subject_key)

    def keep_subject(self, connection: Connection, *, retirement_id: str, values: Mapping[str, Any]) -> None:
        """Keep what the lookup found."""
        self._keep(connection, retirement_id=retirement_id, field="subject", values=values)

    def keep_saved(self, connection: Connection, *, retirement_id: str, step: str, values: Mapping[str, Any]) -> None:
        """Keep what a step saved for later ones."""
        self._keep(connection, retirement_id=retirement_id, field=_SAVED + step, values=values)

    def keep_successors(self, connection: Connection, *, retirement_id: str, values: Mapping[str, Any]) -> None:
        """Keep who takes over, by policy."""
        self._keep(connection, retirement_id=retirement_id, field="successors", values=values)

    def keep_people(self, connection: Connection, *, retirement_id: str, people: People) -> None:
        """Keep who else is concerned: what was kept of them before stays, where nothing new is told."""
        known = self.read(connection, retirement_id=retirement_id) or no_values()
        self._keep(connection, retirement_id=retirement_id, field="people", values={**known["people"], **people})

    def seal_fields(
        self, connection: Connection, *, retirement_id: str, fields: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, bytes]:
        """Seal values that other tables keep, under the key of the case.

        Raises:
            VaultMissing: the entry is gone, and the key with it.
        """
        data_key = self._locked_key(connection, retirement_id=retirement_id)
        return {
            field: seal(data_key=data_key, retirement_id=retirement_id, field=field, values=dict(values))
            for field, values in fields.items()
        }

    def unseal_fields(
        self, connection: Connection, *, retirement_id: str, fields: Mapping[str, bytes]
    ) -> dict[str, dict[str, Any]]:
        """Open what `seal_fields` has sealed.

        Raises:
            VaultMissing: the entry is gone, and the key with it.
        """
        if not fields:
            return {}
        entry = connection.execute(_ENTRY, {"retirement_id": retirement_id}).one_or_none()
        if entry is None:
            raise VaultMissing("the vault entry of this case is gone, and what was sealed with it")
        data_key = self._data_key(retirement_id, key_id=entry.key_id, wrapped=entry.wrapped_key)
        return {
            field: unseal(data_key=data_key, retirement_id=retirement_id, field=field, sealed=sealed)
            for field, sealed in fields.items()
        }

    def _keep(self, connection: Connection, *, retirement_id: str, field: str, values: Mapping[str, Any]) -> None:
        data_key = self._locked_key(connection, retirement_id=retirement_id)
        sealed = seal(data_key=data_key, retirement_id=retirement_id, field=field, values=dict(values))
        connection.execute(
            _replace_field(connection.dialect.name),
            {"retirement_id": retirement_id, "field": field, "sealed": sealed},
        )

    def _locked_key(self, connection: Connection, *, retirement_id: str) -> AESGCM:
        # Locked, so that on PostgreSQL a shred at the same time comes before or after, never in between.
        entry = connection.execute(_LOCKED_ENTRY, {"retirement_id": retirement_id}).one_or_none()
        if entry is None:
            raise VaultMissing("the vault entry of this case is gone, so nothing can be kept in it")
        return self._data_key(retirement_id, key_id=entry.key_id, wrapped=entry.wrapped_key)

    def release(self, connection: Connection, *, retirement_id: str, holder: str, now: datetime) -> None:
        """One holder lets go; with the last of them the entry goes."""
        connection.execute(
            delete(schema.vault_holders).where(
                schema.vault_holders.c.retirement_id == retirement_id, schema.vault_holders.c.holder == holder
            )
        )
        self._shred_if_free(connection, retirement_id=retirement_id, now=now)

    def hold(self, connection: Connection, *, retirement_id: str, holder: str, until: datetime) -> None:
        """Somebody needs the entry beside those who do already. One that is gone stays gone."""
        if connection.execute(_LOCKED_ENTRY, {"retirement_id": retirement_id}).one_or_none() is not None:
            connection.execute(
                _hold_longer(connection.dialect.name),
                {"retirement_id": retirement_id, "holder": holder, "until": until},
            )

    def limit_holds(self, connection: Connection, *, retirement_id: str, until: datetime) -> None:
        """Give every hold that has no end yet this one."""
        connection.execute(
            update(schema.vault_holders)
            .where(schema.vault_holders.c.retirement_id == retirement_id, schema.vault_holders.c.until.is_(None))
            .values(until=until)
        )

    def expire_holders(self, connection: Connection, *, now: datetime) -> int:
        """End every hold whose time is over, and forget whom nobody came to retire; gives their number."""
        over = schema.vault_holders.c.until <= now
        gone = (
            connection.execute(delete(schema.vault_holders).where(over).returning(schema.vault_holders.c.retirement_id))
            .scalars()
            .all()
        )
        for retirement_id in sorted(set(gone)):
            self._shred_if_free(connection, retirement_id=retirement_id, now=now)
        return len(gone) + intakes.expire(connection, now=now)

    def unknown_keys(self, connection: Connection) -> list[str]:
        """Ids of ring keys that entries need and the ring has not got."""
        used = {
            key_id
            for table in (schema.vault, schema.intakes)
            for key_id in connection.execute(select(table.c.key_id).distinct()).scalars()
        }
        return sorted((used - set(self._keys.vault)) | jobs.unknown_keys(connection, keys=self._keys))

    def _shred_if_free(self, connection: Connection, *, retirement_id: str, now: datetime) -> None:
        # The entry is locked first: two last holders letting go at once must not each see the other's hold.
        if connection.execute(_LOCKED_ENTRY, {"retirement_id": retirement_id}).one_or_none() is None:
            return
        if connection.execute(_HOLDER, {"retirement_id": retirement_id}).one_or_none() is not None:
            return
        self._opened.drop(retirement_id)
        for statement in _SHRED:
            connection.execute(statement, {"retirement_id": retirement_id})
        connection.execute(
            update(schema.cases).where(schema.cases.c.retirement_id == retirement_id).values(shredded_at=now)
        )

    def _data_key(self, retirement_id: str, *, key_id: str, wrapped: bytes) -> AESGCM:
        data_key = self._opened.get(retirement_id)
        if data_key is None:
            data_key = unwrap(keys=self._keys, retirement_id=retirement_id, key_id=key_id, wrapped=wrapped)
            self._opened.keep(retirement_id, data_key)
        return data_key


@cache
def _hold_longer(dialect: str) -> Executable:
    statement = insert_into(schema.vault_holders, dialect=dialect)
    return statement.on_conflict_do_update(
        index_elements=["retirement_id", "holder"], set_={"until": statement.excluded.until}
    )


@cache
def _replace_field(dialect: str) -> Executable:
    statement = insert_into(schema.vault_fields, dialect=dialect)
    return statement.on_conflict_do_update(
        index_elements=["retirement_id", "field"], set_={"sealed": statement.excluded.sealed}
    )
