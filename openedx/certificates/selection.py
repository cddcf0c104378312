"""Which certificates of a listing are purged. Decided here, and nowhere else; nothing is touched yet."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from openedx.certificates.listing import Certificate


class Refusal(StrEnum):
    """Why a certificate that somebody named is left alone."""

    NOT_LISTED = "not_listed"
    NOT_RETIRED = "not_retired"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is to be done about each certificate that was asked for."""

    chosen: tuple[Certificate, ...] = ()
    #: Both links are blank: somebody has been there before.
    purged: tuple[int, ...] = ()
    refused: tuple[tuple[int, Refusal], ...] = ()


def select_all(listing: Iterable[Certificate]) -> Selection:
    """Every certificate of a retired user."""
    return _sorted_out(certificate for certificate in listing if certificate.is_retired)


def select_ids(listing: Iterable[Certificate], *, ids: Collection[int]) -> Selection:
    """The certificates of these ids, each once. One that isn't listed, or whose user isn't retired, is refused."""
    listed = {certificate.id: certificate for certificate in listing}
    refused: list[tuple[int, Refusal]] = []
    allowed: list[Certificate] = []
    for id in dict.fromkeys(ids):
        certificate = listed.get(id)
        if certificate is None:
            refused.append((id, Refusal.NOT_LISTED))
        elif not certificate.is_retired:
            refused.append((id, Refusal.NOT_RETIRED))
        else:
            allowed.append(certificate)
    sorted_out = _sorted_out(allowed)
    return Selection(chosen=sorted_out.chosen, purged=sorted_out.purged, refused=tuple(refused))


def select_user(listing: Iterable[Certificate], *, user_id: int) -> Selection:
    """The certificates of one user of the LMS; one that still has links though its user isn't retired yet is refused."""
    theirs = [certificate for certificate in listing if certificate.user_id == user_id]
    ids = [certificate.id for certificate in theirs if certificate.is_retired or not certificate.is_purged]
    return select_ids(theirs, ids=ids)


def _sorted_out(certificates: Iterable[Certificate]) -> Selection:
    chosen: list[Certificate] = []
    purged: list[int] = []
    for certificate in certificates:
        if certificate.is_purged:
            purged.append(certificate.id)
        else:
            chosen.append(certificate)
    return Selection(chosen=tuple(chosen), purged=tuple(purged))
