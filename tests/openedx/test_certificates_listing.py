"""The listing of certificates, who is chosen from it, and where files may be."""

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from openedx.certificates.listing import Certificate, ListingError, read_listing
from openedx.certificates.outcomes import CODES, meaning_of_code
from openedx.certificates.paths import CertificatePaths, NoPath, files_of
from openedx.certificates.selection import Refusal, select_all, select_ids, select_user
from tests.openedx.certificates import HEADER


def a_certificate(id: int = 1, **changes: Any) -> Certificate:
    """A certificate of a retired user."""
    known: dict[str, Any] = {
        "user_id": 7,
        "is_retired": True,
        "download_url": "",
        "download_uuid": uuid4().hex,
        "verify_uuid": uuid4().hex,
    }
    return Certificate(id=id, **{**known, **changes})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1: no column certificate_id, user_id, retired"),
        ("certificate_id,user_id,retired,download_url,download_uuid\n", ":1: no column verify_uuid"),
        (f"{HEADER},retired\n", ":1: a column is there twice"),
        (f"{HEADER}\n1,2,1,,a\n", ":2: 5 cells under 6 columns"),
        (f"{HEADER}\n\nx,2,1,,a,b\n", ":3: certificate_id is no number"),
        (f"{HEADER}\n1,-2,1,,a,b\n", ":2: user_id is no number"),
        (f"{HEADER}\n1,٣,1,,a,b\n", ":2: user_id is no number"),
        (f"{HEADER}\n1,2,yes,,a,b\n", ":2: retired is neither 0 nor 1"),
        (f"{HEADER}\n1,2,,,a,b\n", ":2: retired is neither 0 nor 1"),
        (f"{HEADER}\n1,2,1,,a,b\n2,2,1,,c,d\n1,2,0,,e,f\n", ":4: the certificate of line 2 again"),
        (f'{HEADER}\n1,2,1,"http://h,a,b\n2,2,1,,c,d\n', ": no CSV"),
    ],
)
def test_a_listing_with_a_mistake_is_refused_with_file_and_line(tmp_path: Path, text: str, problem: str) -> None:
    listing = tmp_path / "listing.csv"
    listing.write_text(text)
    with pytest.raises(ListingError, match=re.escape(f"{listing}{problem}") if problem[1].isdigit() else problem):
        read_listing(listing)


def test_a_listing_may_begin_with_a_byte_order_mark_and_have_more_columns(tmp_path: Path) -> None:
    listing = tmp_path / "listing.csv"
    listing.write_bytes(f"\ufeff{HEADER},grade\r\n1,2,1,,a,b,0.9\r\n".encode())
    assert [each.id for each in read_listing(listing)] == [1]


def test_a_listing_of_other_bytes_is_refused(tmp_path: Path) -> None:
    listing = tmp_path / "listing.csv"
    listing.write_bytes(f"{HEADER}\n1,2,1,,\xe4,b\n".encode("latin-1"))
    with pytest.raises(ListingError, match="no UTF-8 text"):
        read_listing(listing)


def test_who_is_chosen() -> None:
    retired, blank, other = a_certificate(1), a_certificate(2, download_uuid=""), a_certificate(3, is_retired=False)
    listing = (retired, blank, other)

    assert select_all(listing).chosen == (retired,) and select_all(listing).purged == (2,)
    chosen = select_ids(listing, ids=[3, 1, 1, 4])
    assert chosen.chosen == (retired,)
    assert chosen.refused == ((3, Refusal.NOT_RETIRED), (4, Refusal.NOT_LISTED))


def test_a_learner_of_whom_the_listing_does_not_know_yet_is_refused() -> None:
    mine, others = a_certificate(1, is_retired=False), a_certificate(2, user_id=8)
    gone = a_certificate(3, is_retired=False, download_uuid="")
    assert select_user([mine, others, gone], user_id=7).refused == ((1, Refusal.NOT_RETIRED),)
    assert select_user([mine, others, gone], user_id=8).chosen == (others,)
    assert select_user([mine, others], user_id=9) == select_all([])


# Paths.


@pytest.mark.parametrize(
    "template",
    [
        "/etc/{verify_uuid}",
        "../{verify_uuid}",
        "a//{verify_uuid}",
        "cert/valid.html",
        "cert/{user_id}",
        "cert/{verify_uuid.__class__}",
        "cert/{verify_uuid!r}",
        "cert/{verify_uuid",
        "cert\\{verify_uuid}",
    ],
)
def test_a_template_that_leads_elsewhere_or_names_one_file_for_all_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"write a path with \{download_uuid\}"):
        CertificatePaths(validity=template)


def test_the_same_template_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="the same path"):
        CertificatePaths(validity="cert/{verify_uuid}/verify.html")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"verify_uuid": ""}, "no_verify_uuid"),
        ({"verify_uuid": "a.b"}, "unsafe_verify_uuid"),
        ({"verify_uuid": "a\x00b"}, "unsafe_verify_uuid"),
        (
            {"download_uuid": "", "download_url": "https://h/downloads/..%2F..%2Fx/Certificate.pdf"},
            "unsafe_download_uuid",
        ),
        ({"download_uuid": "", "download_url": "https://h/downloads/Certificate.pdf"}, "no_download_uuid"),
        ({"download_uuid": "", "download_url": "https://[/downloads/a/b"}, "no_download_uuid"),
    ],
)
def test_files_that_cannot_be_named_for_certain_are_not_named(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(NoPath, match=code):
        files_of(a_certificate(**changes), paths=CertificatePaths())
    assert meaning_of_code(code) == CODES[code]


def test_nothing_of_a_certificate_but_its_id_is_in_its_repr() -> None:
    certificate = a_certificate(download_url="https://h/x")
    assert repr(certificate) == "Certificate(id=1, is_retired=True)"
