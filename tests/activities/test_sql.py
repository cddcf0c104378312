"""The sql action against real databases: a SQLite file, and PostgreSQL where there is one."""

import pytest
from sqlalchemy import Engine

from activities.actions.answers import Answer, NoAnswer
from activities.actions.dispatch import Actions
from activities.actions.sql import SqlAction
from activities.actions.sql_values import MOST_ROWS
from activities.rendering import RenderingError
from tests.support.databases import HOSTILE, a_call, body_of, lasting, rows


async def test_a_select_answers_its_rows(database: Engine, sql_action: SqlAction) -> None:
    call = a_call(database, "SELECT id, age, disabled FROM people ORDER BY id")
    body = body_of(await sql_action.call(call))
    is_true = True if database.dialect.name == "postgresql" else 1
    assert body["rows"][1] == {"id": "bob", "age": None, "disabled": is_true} and len(body["rows"]) == 2
    assert body["row"] == body["rows"][0] and body["value"] == "ada"
    assert body["affected"] == 0 and body["truncated"] is False


async def test_a_select_that_finds_no_row_answers_404(database: Engine, sql_action: SqlAction) -> None:
    call = a_call(database, "SELECT id FROM people WHERE id = :id", id="nobody")
    answer = await sql_action.call(call)
    assert isinstance(answer, Answer) and answer.status == 404
    assert answer.body == {"row": None, "rows": [], "value": None, "affected": 0, "truncated": False}
    assert sql_action.describe(call, answer) == "SELECT id FROM people WHERE id = :id → 404"
    # A count always answers.
    counted = body_of(
        await sql_action.call(a_call(database, "SELECT count(*) FROM people WHERE id = :id", id="nobody"))
    )
    assert counted["value"] == 0


async def test_a_change_that_finds_no_row_is_done(database: Engine, sql_action: SqlAction) -> None:
    for sql in (
        "DELETE FROM people WHERE id = :id",
        "DELETE FROM people WHERE id = :id RETURNING id",
        "UPDATE people SET age = 1 WHERE id = :id",
    ):
        assert body_of(await sql_action.call(a_call(database, sql, id="nobody")))["affected"] == 0


async def test_a_with_that_deletes_is_no_select(on_postgresql: Engine, sql_action: SqlAction) -> None:
    deleting = "WITH gone AS (DELETE FROM orders WHERE person = :id RETURNING id) SELECT id FROM gone"
    assert body_of(await sql_action.call(a_call(on_postgresql, deleting, id="ada")))["affected"] == 2
    assert body_of(await sql_action.call(a_call(on_postgresql, deleting, id="ada")))["affected"] == 0
    looking = "WITH found AS (SELECT 'delete' AS id WHERE false) SELECT id FROM found"
    answer = await sql_action.call(a_call(on_postgresql, looking))
    assert isinstance(answer, Answer) and answer.status == 404


async def test_statements_are_one_transaction(database: Engine, sql_action: SqlAction) -> None:
    call = a_call(
        database,
        "DELETE FROM orders WHERE person = :id",
        "DELETE FROM people WHERE id = :id",
        "SELECT count(*) AS left_over FROM people",
        id="{{ user_id }}",
    )
    body = body_of(await sql_action.call(call))
    assert body["affected"] == 3 and body["row"] == {"left_over": 1}
    assert rows(database, "SELECT person FROM orders") == [("bob",)]
    broken = a_call(database, "DELETE FROM orders", "DELETE FROM nowhere")
    assert isinstance(await sql_action.call(broken), NoAnswer)
    assert rows(database, "SELECT person FROM orders") == [("bob",)], "the first statement was not taken back"


async def test_a_value_is_bound_and_never_part_of_a_statement(database: Engine, sql_action: SqlAction) -> None:
    call = a_call(
        database,
        "UPDATE people SET name = :name, email = :email, age = :age WHERE id = :id",
        name="{{ subject.name }}",
        email="{{ subject.nothing }}",
        age="{{ subject.age + 1 }}",
        id="{{ user_id }}",
    )
    assert body_of(await sql_action.call(call))["affected"] == 1
    assert rows(database, "SELECT name, email, age FROM people WHERE id = 'ada'") == [(HOSTILE, None, 37)]
    found = body_of(
        await sql_action.call(a_call(database, "SELECT id FROM people WHERE name = :name", name="{{ subject.name }}"))
    )
    assert found["value"] == "ada"
    assert HOSTILE not in sql_action.describe(call, Answer(status=200)) + repr(call)


async def test_a_parameter_that_is_missing_or_can_t_be_bound_is_permanent(
    database: Engine, sql_action: SqlAction
) -> None:
    assert await sql_action.call(a_call(database, "SELECT :id")) == lasting("sql_bad_parameter")
    too_large = await sql_action.call(a_call(database, "UPDATE people SET age = :age", age=2**70))
    assert isinstance(too_large, NoAnswer) and not too_large.may_pass and not too_large.touched
    with pytest.raises(RenderingError, match="unsafe_value"):
        await sql_action.call(a_call(database, "SELECT :id", id="\ud800"))
    with pytest.raises(RenderingError, match="value_missing"):
        await sql_action.call(a_call(database, "SELECT :id", id="{{ subject.nobody }}"))


async def test_values_come_as_json_has_them(on_postgresql: Engine, sql_action: SqlAction) -> None:
    sql = """
        SELECT '7f8c0f0e-0000-4000-8000-000000000001'::uuid AS id, 12.50::numeric AS total, '\\xdeadbeef'::bytea AS raw,
               '2030-01-01 12:00:00+00'::timestamptz AT TIME ZONE 'UTC' AS at, date '2030-01-02' AS day,
               '{"a": [1, null]}'::jsonb AS doc, ARRAY['x', 'y'] AS list, 'NaN'::float8 AS nan,
               inet '10.0.0.1' AS address, interval '90 seconds' AS long, true AS yes, NULL AS nothing
    """
    assert body_of(await sql_action.call(a_call(on_postgresql, sql)))["row"] == {
        "id": "7f8c0f0e-0000-4000-8000-000000000001",
        "total": "12.50",
        "raw": "deadbeef",
        "at": "2030-01-01T12:00:00",
        "day": "2030-01-02",
        "doc": {"a": [1, None]},
        "list": ["x", "y"],
        "nan": "nan",
        "address": "10.0.0.1",
        "long": "0:01:30",
        "yes": True,
        "nothing": None,
    }


async def test_what_was_read_can_be_bound_again(on_postgresql: Engine, sql_action: SqlAction) -> None:
    sql = """
        SELECT CAST(:id AS uuid) = '7f8c0f0e-0000-4000-8000-000000000001' AND decode(:raw, 'hex') = '\\xdeadbeef'
           AND CAST(:at AS timestamp) = '2030-01-01 12:00' AND CAST(:doc AS jsonb) = '{"a": [1, null]}'
           AND 'y' = ANY (:list) AND 7 = ANY (:numbers) AND CAST(:total AS numeric) = 12.5 AS same
    """
    body = body_of(
        await sql_action.call(
            a_call(
                on_postgresql,
                sql,
                id="7f8c0f0e-0000-4000-8000-000000000001",
                raw="deadbeef",
                at="2030-01-01T12:00:00",
                doc={"a": [1, None]},
                list=["x", "y"],
                numbers=[7, 8],
                total="12.50",
            )
        )
    )
    assert body["value"] is True


async def test_a_column_finds_its_type_for_a_text(on_postgresql: Engine, sql_action: SqlAction) -> None:
    """Ids come as text from everywhere; whoever writes a plan doesn't want to cast."""
    assert (
        body_of(await sql_action.call(a_call(on_postgresql, "SELECT id FROM orders WHERE id = :id", id="3")))["value"]
        == 3
    )


async def test_many_rows_are_cut_and_it_is_said(database: Engine, sql_action: SqlAction) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n"
    body = body_of(await sql_action.call(a_call(database, numbers.format(MOST_ROWS))))
    assert len(body["rows"]) == MOST_ROWS and body["truncated"] is False
    body = body_of(await sql_action.call(a_call(database, numbers.format(MOST_ROWS + 1))))
    assert len(body["rows"]) == MOST_ROWS and body["truncated"] is True


async def test_a_body_that_is_too_large_leaves_the_status_standing(
    on_postgresql: Engine, sql_action: SqlAction
) -> None:
    answer = await sql_action.call(a_call(on_postgresql, "SELECT repeat('x', 1024 * 1024)"))
    assert isinstance(answer, Answer) and answer.status == 200 and answer.body is None


async def test_a_connection_says_who_we_are(on_postgresql: Engine, sql_action: SqlAction) -> None:
    call = a_call(on_postgresql, "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert body_of(await sql_action.call(call))["value"] == "account-retirement"
    own = on_postgresql.url.update_query_dict({"application_name": "acme"}).render_as_string(hide_password=False)
    assert body_of(await sql_action.call(a_call(own, *call.request.statements)))["value"] == "acme"  # type: ignore[union-attr]


async def test_a_database_is_reached_through_the_seam_of_the_steps(database: Engine) -> None:
    actions = Actions(version="1.2.3")
    call = a_call(database, "SELECT id FROM people WHERE id = :id", id="{{ user_id }}")
    assert body_of(await actions.call(call))["row"] == {"id": "ada"}
    assert await actions.is_route_known(call) is True
    assert actions.place_to_ask(call, url="https://acme.example/jobs/1") is None
    await actions.close()
