"""The key file."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ledger import Keys, KeysError

_KEY = base64.b64encode(b"k" * 32).decode()


def a_key_file(folder: Path, **overrides: Any) -> Path:
    document: dict[str, Any] = {"subject": _KEY, "vault": {"1": _KEY}, "current": "1"} | overrides
    path = folder / "keys.json"
    path.write_text(json.dumps(document))
    return path


def test_new_keys_can_be_loaded_again_and_read_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = Keys.create(path)
    assert Keys.load(path) == keys
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]
    assert len({keys.subject, *keys.vault.values()}) == 2


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = a_key_file(tmp_path)
    before = path.read_bytes()
    with pytest.raises(KeysError, match="never overwritten"):
        Keys.create(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


def test_keys_are_not_in_their_repr(tmp_path: Path) -> None:
    keys = Keys.create(tmp_path / "keys.json")
    for secret in (keys.subject, *keys.vault.values()):
        assert repr(secret) not in repr(keys)
        assert base64.b64encode(secret).decode() not in repr(keys)


def test_a_missing_key_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="retire setup"):
        Keys.load(tmp_path / "keys.json")
    with pytest.raises(KeysError, match="check the folder"):
        Keys.create(tmp_path / "missing" / "keys.json")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"subject": None}, "`subject` has to be 32 bytes"),
        ({"subject": "c2hvcnQ="}, "`subject` has to be 32 bytes"),
        ({"subject": "&" + _KEY}, "`subject` has to be 32 bytes"),
        ({"vault": {}}, "has no vault keys"),
        ({"vault": [_KEY]}, "has no vault keys"),
        ({"vault": {"1": "c2hvcnQ="}}, "`vault.1` has to be 32 bytes"),
        ({"current": "2"}, "`current` has to name one"),
        ({"current": ["1"]}, "`current` has to name one"),
    ],
)
def test_a_malformed_key_file_names_the_field_and_shows_no_key(
    tmp_path: Path, overrides: dict[str, Any], told: str
) -> None:
    path = a_key_file(tmp_path, **overrides)
    with pytest.raises(KeysError, match=told) as raised:
        Keys.load(path)
    assert _KEY not in str(raised.value) and "c2hvcnQ=" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(("text", "told"), [("{", "is no JSON"), ("[]", "is no JSON object"), ("\udcff", "is no JSON")])
def test_a_key_file_that_is_no_json_object_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(KeysError, match=told):
        Keys.load(path)


def test_subjects_of_other_tenants_have_other_keys(tmp_path: Path) -> None:
    keys = Keys.create(tmp_path / "keys.json")
    subjects = [("1", None), ("1", "a"), ("a1", None), ("", "a1"), ("1a", None), ("a", "1"), ("\ud800", None)]
    named = {keys.subject_key(user_id=user_id, tenant=tenant) for user_id, tenant in subjects}
    assert len(named) == len(subjects)
    assert keys.subject_key(user_id="1", tenant="") == keys.subject_key(user_id="1", tenant=None)


def test_other_keys_name_the_same_subject_otherwise(tmp_path: Path) -> None:
    one, other = Keys.create(tmp_path / "one.json"), Keys.create(tmp_path / "other.json")
    assert one.subject_key(user_id="1", tenant=None) != other.subject_key(user_id="1", tenant=None)
    assert one.fingerprint() != other.fingerprint()
    assert Keys.load(tmp_path / "one.json").fingerprint() == one.fingerprint()
