"""What a trial says of services: connections, certificates, databases, and every way of not answering."""

import asyncio
import re
import sqlite3
import ssl
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from activities.actions import sql_errors, wire
from activities.actions.answers import NoAnswer
from plans.model import Plan
from starter.trial.meanings import trouble
from tests.support.trials import TOKEN, USER, Document, a_document, codes, probe_of, tried

#: Errors of a driver without a SQLSTATE: nobody knows more of them than their name.
_RARE_IN_SQL = {
    f"sql_{name}"
    for name in (
        *("data_error", "database_error", "integrity_error", "interface_error", "internal_error"),
        *("not_supported", "operational_error", "programming_error"),
    )
}


@pytest.fixture
async def self_signed(tmp_path: Path) -> AsyncIterator[str]:
    """Something that speaks TLS with a certificate that nobody has vouched for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    certificate = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    file = tmp_path / "forum.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(
        key.private_bytes(encoding, form, serialization.NoEncryption()) + certificate.public_bytes(encoding)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


async def test_a_certificate_that_is_not_trusted_is_told_and_never_accepted(
    self_signed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORUM_TOKEN", TOKEN)
    findings = await tried(a_document(lambda d: d["services"]["forum"].update(base_url=self_signed)))
    assert findings.lookup is not None
    (remark,) = findings.lookup.remarks
    assert (remark.code, findings.lookup.answer) == ("certificate_not_trusted", "nothing (connect_error)")
    assert remark.what.endswith("is not trusted: self-signed certificate.")
    assert "SSL_CERT_FILE" in remark.mend


@pytest.mark.parametrize(
    ("address", "is_warned"),
    [("http://forum.example", True), ("https://forum.example", False), ("http://localhost:8080", False)],
)
def test_personal_data_in_the_clear_is_warned_of(address: str, is_warned: bool) -> None:
    from starter.trial.places import place

    plan = Plan.model_validate(
        a_document(lambda d: d["services"]["forum"].update(base_url=address, auth={"type": "none"}))
    )
    remarks = place("forum", plan.services["forum"]).remarks
    assert [remark.code for remark in remarks] == (["no_tls"] if is_warned else [])


def _sql(document: Document, database: Path) -> None:
    """The same service as a database."""
    document["services"]["forum"] = {"type": "sql", "database_url": f"sqlite:///{database}"}
    named = {"id": "{{ user_id }}"}
    find = {"sql": "SELECT id, mail FROM authors WHERE id = :id", "parameters": named}
    count = {"sql": "SELECT count(*) FROM authors WHERE id = :id", "parameters": named}
    document["subject"]["lookup"] |= {"request": find, "fields": {"email": "{{ body.row.mail }}"}}
    step = document["steps"]["author"]
    step |= {"request": {"sql": "DELETE FROM authors WHERE id = :id", "parameters": named}, "probe": {"request": count}}
    del step["absent"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "forum.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE authors (id TEXT, mail TEXT)")
        connection.execute("INSERT INTO authors VALUES (?, 'ada@example.org')", (USER,))
    return file


async def test_a_database_is_asked_like_any_service(database: Path) -> None:
    findings = await tried(a_document(lambda d: _sql(d, database)))
    assert findings.remarks() == []
    assert findings.lookup is not None
    assert findings.lookup.sent_as == "SELECT id, mail FROM authors WHERE id = :id with :id = •••"
    assert (findings.lookup.answer, findings.probes[0].meaning) == ("found", "the person is there")
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM authors").fetchone() == (1,)


@pytest.mark.parametrize(
    ("sql", "code", "says"),
    [
        ("SELECT count(*) FROM author WHERE id = :id", "sql_sqlite_error", "The statement fails: no such table"),
        ("SELECT count(*) FROM authors", "sees_everybody", "It says 'there' for an id that is nobody's, too"),
        ("SELECT count(*) FROM authors WHERE mail = :id", "nobody_seen", "The lookup knows the person, the probe"),
    ],
)
async def test_a_probe_s_wrong_statement_is_told(database: Path, sql: str, code: str, says: str) -> None:
    def change(document: Document) -> None:
        _sql(document, database)
        probe_of(document)["request"]["sql"] = sql

    (probe,) = (await tried(a_document(change))).probes
    assert codes(probe) == [code]
    assert probe.remarks[0].what.startswith(says)


@pytest.mark.parametrize(
    "code",
    sorted({each.code for each in (*wire.NO_ANSWERS.values(), *sql_errors.NO_ANSWERS.values())} - _RARE_IN_SQL),
)
def test_every_way_of_not_answering_has_words_of_its_own(code: str) -> None:
    plan = Plan.model_validate(a_document())
    remark = trouble(NoAnswer(code=code, touched=False), service=plan.services["forum"], service_id="forum")
    assert code not in remark.what
    assert remark.mend
    assert not re.search(r"[{}]", remark.what + remark.mend.replace("${env:FORUM_TOKEN}", ""))
