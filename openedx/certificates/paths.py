"""Where a certificate's four files are: path templates of the site, filled so that no value can lead anywhere else."""

import re
from string import Formatter
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, model_validator

from openedx.certificates.listing import Certificate
from plans.fields import PlanModel

NAMES = ("download_uuid", "verify_uuid")
#: A value is one segment of a path, or a part of one: no separator, no dot that could climb.
_PLAIN = re.compile(r"[0-9A-Za-z_-]{1,64}")
_HOW = "write a path with {download_uuid} or {verify_uuid} in it, such as cert/{verify_uuid}/valid.html"


def _template(text: str) -> str:
    try:
        fields = [
            (name, bool(spec or conversion))
            for _, name, spec, conversion in Formatter().parse(text)
            if name is not None
        ]
    except ValueError:
        raise ValueError(f"has a brace too many or too few; {_HOW}") from None
    if not fields or any(name not in NAMES or has_more for name, has_more in fields):
        # Without a value in it every certificate would have this one file, and the first one would take it from all.
        raise ValueError(f"needs a value of the certificate and knows no others; {_HOW}")
    segments = text.split("/")
    if any(segment in ("", ".", "..") for segment in segments) or "\\" in text or not text.isprintable():
        raise ValueError(f"leads out of its folder or has an empty part; {_HOW}")
    return text


PathTemplate = Annotated[str, AfterValidator(_template)]


class CertificatePaths(PlanModel):
    """The four files of a certificate, below the store's folder or prefix."""

    certificate: PathTemplate = "downloads/{download_uuid}/Certificate.pdf"
    signature: PathTemplate = "cert/{verify_uuid}/Certificate.pdf.sig"
    validity: PathTemplate = "cert/{verify_uuid}/valid.html"
    verification: PathTemplate = "cert/{verify_uuid}/verify.html"

    @model_validator(mode="after")
    def _differ(self) -> "CertificatePaths":
        if len(set(self.templates)) != len(self.templates):
            raise ValueError("two of the four files have the same path; give each its own")
        return self

    @property
    def templates(self) -> tuple[str, ...]:
        """All four."""
        return (self.certificate, self.signature, self.validity, self.verification)


class NoPath(Exception):
    """The files of a certificate can't be named, so none is touched. The code says why, and no value."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def files_of(certificate: Certificate, *, paths: CertificatePaths) -> tuple[str, ...]:
    """The keys of the four files.

    Raises:
        NoPath: a value that a path needs is missing, or could lead out of the path's folder.
    """
    values = {"download_uuid": _download_uuid(certificate), "verify_uuid": certificate.verify_uuid}
    needed = {name for template in paths.templates for _, name, _, _ in Formatter().parse(template) if name}
    for name in sorted(needed):
        value = values[name]
        if not value:
            raise NoPath(f"no_{name}")
        if not _PLAIN.fullmatch(value):
            raise NoPath(f"unsafe_{name}")
    return tuple(template.format(**values) for template in paths.templates)


def _download_uuid(certificate: Certificate) -> str:
    """Old certificates have it in their URL only, behind `/downloads/`."""
    if certificate.download_uuid:
        return certificate.download_uuid
    try:
        segments = [unquote(segment) for segment in urlsplit(certificate.download_url).path.split("/")]
    except ValueError:
        return ""
    # There must be something behind it: `/downloads/Certificate.pdf` names no certificate.
    at = [index for index, segment in enumerate(segments[:-2]) if segment == "downloads"]
    return segments[at[-1] + 1] if at else ""
