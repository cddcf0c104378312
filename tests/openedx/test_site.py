"""A site's file: what it may say, and that mistakes are told by line and without their values."""

from datetime import timedelta
from pathlib import Path

import pytest

from openedx.site import BlankByCommand, BucketPlace, DirectoryPlace, SiteError, load_site

_WHOLE = """\
site: courses
plan: openedx
cool_off_days: 30
collect: {guard: 20, batch: 10, paused: true}
archive:
  to: {bucket: archive, prefix: openedx/, region: eu-central-1, endpoint: "https://store.example.org", encryption: "aws:kms"}
  batch_size: 50
  pause: 1m
  fields: minimal
  retention_days: 365
reports:
  platform: edx
  partners: {OrgX: ["Ｕniversity"]}
  to: {directory: /srv/reports}
  retention_days: 30
certificates:
  listing: /srv/certificates.csv
  files: {directory: /srv/www}
  paths: {verification: "v/{verify_uuid}.html"}
  blank: {command: [ssh, lms, manage.py, lms, purge_references_to_pdf_certificates]}
usernames: {ecommerce: "https://ecommerce.example.org"}
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "site.yaml"
    file.write_text(text)
    return file


def told(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with it, without the file's name."""
    file = written(tmp_path, text)
    with pytest.raises(SiteError) as caught:
        load_site(file)
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


def test_a_site_says_all_that_commands_need(tmp_path: Path) -> None:
    site = load_site(written(tmp_path, _WHOLE))
    assert (site.site, site.cool_off_days, site.collect.guard, site.collect.paused) == ("courses", 30, 20, True)
    assert site.archive is not None and isinstance(site.archive.to, BucketPlace)
    assert (site.archive.to.encryption, site.archive.pause) == ("aws:kms", timedelta(minutes=1))
    assert site.reports is not None and site.reports.to == DirectoryPlace(directory=Path("/srv/reports"))
    assert site.reports.partners == {"OrgX": ("University",)}, "names are compared as NFKC"
    assert site.certificates is not None and isinstance(site.certificates.blank, BlankByCommand)
    assert site.certificates.paths.certificate == "downloads/{download_uuid}/Certificate.pdf"


def test_little_is_enough_and_the_rest_is_as_the_driver_has_it(tmp_path: Path) -> None:
    site = load_site(written(tmp_path, "site: courses\nplan: openedx\n"))
    assert (site.cool_off_days, site.collect.guard, site.collect.batch, site.collect.paused) == (7, 300, 200, False)
    assert (site.archive, site.reports, site.certificates) == (None, None, None)


def test_every_mistake_is_told_by_line_and_without_its_value(tmp_path: Path) -> None:
    text = """\
site: Courses-hunter2
cool_off_days: true
colect: {guard: 1}
archive: {to: {bucket: b, directry: hunter2}}
reports: {platform: edx, to: {directory: [hunter2]}}
certificates: {files: {directory: /srv}}
"""
    assert told(tmp_path, text) == [
        "1: plan: is required, and isn't there; add it",
        "1: site: has characters that it can't have; see the example, openedx/site.yaml",
        "2: cool_off_days: is no number of days; write one, as 7",
        "3: colect: is no setting of a site; check its spelling, or remove it",
        "4: archive.to.directry: is no setting of a site; check its spelling, or remove it",
        "5: reports.to.directory: isn't a path; write one",
        "6: certificates.blank: is required, and isn't there; add it",
    ]


def test_what_is_no_site_at_all_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "- site\n") == ["1: isn't a mapping; begin with `site: <id>`"]
    with pytest.raises(SiteError, match=r"missing\.yaml: there is no such file; check the path"):
        load_site(tmp_path / "missing.yaml")
    with pytest.raises(SiteError, match="can't be read"):
        load_site(tmp_path)
