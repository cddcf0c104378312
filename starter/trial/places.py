"""The services of a plan: are their addresses and secrets here, and are they spoken to in private?"""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from activities.actions.wire import BadAddress, origin_of
from plans.requests import texts_in
from plans.secrets import SecretMissing, resolve, split_references
from plans.services import HttpService, Service, SqlService
from starter.trial.findings import Place, Remark, problem, warning
from starter.trial.masking import place_of
from starter.trial.meanings import references_of


def place(service_id: str, service: Service) -> Place:
    """What can be said of a service before it is asked."""
    remarks = list(_missing_secrets(service_id, service))
    address = "?"
    try:
        address = place_of(service)
        if isinstance(service, HttpService):
            remarks += _in_the_clear(service_id, address)
    except SecretMissing:
        # Among the secrets that are missing already.
        pass
    except BadAddress as error:
        key = "database_url" if isinstance(service, SqlService) else "base_url"
        remarks.append(problem("bad_address", f"services.{service_id}.{key} is no address.", mend=f"{error}."))
    return Place(service=service_id, address=address, credentials=_credentials(service), remarks=tuple(remarks))


def _missing_secrets(service_id: str, service: Service) -> Iterator[Remark]:
    """Every reference in it that can't be resolved here, each once."""
    seen: set[str] = set()
    for _, text in texts_in(service.model_dump(mode="json"), ()):
        for is_secret, reference in split_references(text):
            if not is_secret or reference in seen:
                continue
            seen.add(reference)
            try:
                resolve(reference)
            except SecretMissing:
                kind, _, name = reference[2:-1].partition(":")
                how = {"env": f"Set {name} in this shell.", "file": f"Mount {name}, readable for this user."}
                mend = how.get(kind, "Write ${env:NAME} or ${file:/path}.")
                what = f"services.{service_id} needs {reference}, which can't be resolved here."
                yield problem("secret_missing", what, mend=mend)


def _in_the_clear(service_id: str, address: str) -> Iterator[Remark]:
    host = urlsplit(origin_of(address)).hostname or ""
    if address.startswith("http://") and not _is_this_machine(host):
        what = f"{address} is not encrypted: credentials and personal data pass in the clear."
        yield warning("no_tls", what, mend=f"Give services.{service_id}.base_url as https://.")


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(service: Service) -> str:
    """How we show who we are; secrets as the plan writes them."""
    named = references_of(service)
    if not isinstance(service, HttpService):
        return named or service.type
    return f"{service.auth.type} {named}".strip() if named or service.auth.type != "none" else "no credentials"
