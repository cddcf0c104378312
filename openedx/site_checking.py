"""What a site's file says against its plan and its places: other times, secrets that are missing, places out of reach."""

from collections.abc import Iterator
from datetime import timedelta

from openedx.methods import METHODS, PARTNERS
from openedx.sinks import SinkError, sink_at
from openedx.site import BucketPlace, Place, Site
from plans.model import Plan
from plans.requests import HttpRequest, texts_in
from plans.secrets import SecretMissing, resolve, split_references
from plans.yaml_reading import Document, KeyPath, Problem, Severity

_CHECK = "site"


def compared(plan: Plan, site: Site, document: Document) -> Iterator[Problem]:
    """What a plan and its site's file say differently. `document` is the site's file."""
    if site.plan != plan.plan:
        what = (
            f"names another plan than {plan.plan}, and the commands would work with that one; write plan: {plan.plan}"
        )
        yield document.problem(("plan",), what, check=_CHECK)
    if timedelta(days=site.cool_off_days) != plan.cool_off.duration:
        yield document.problem(
            ("cool_off_days",),
            "is another time than the plan's cool_off.duration: the LMS is asked by this one, and each retirement waits by "
            "the plan's; make them the same",
            severity=Severity.WARNING,
            check=_CHECK,
        )
    if _has_partner_step(plan) and (site.reports is None or site.reports.to is None):
        yield document.problem(
            ("reports",),
            "doesn't say where reports go, and the plan queues learners for partners; add reports, with to: {directory: …} "
            "or {bucket: …}",
            severity=Severity.WARNING,
            check=_CHECK,
        )


def missing_secrets(site: Site, document: Document) -> Iterator[Problem]:
    """Secrets that the site's file needs and that this machine has not, each once."""
    told: set[str] = set()
    for path, text in texts_in(site.model_dump(mode="json", exclude={"kept"}), ()):
        for is_reference, reference in split_references(text):
            if is_reference and reference not in told and (what := _lacking(reference)) is not None:
                told.add(reference)
                yield document.problem(path, what, check=_CHECK)


async def unreachable_places(site: Site, document: Document) -> list[Problem]:
    """Places of archives and reports that can't be used from here, with the partners' folders. Nothing is written there."""
    problems: list[Problem] = []
    for path, place, folders in _places(site):
        try:
            sink = sink_at(place)
        except SinkError as error:
            problems.append(document.problem(path, _told(error), check=_CHECK))
            continue
        try:
            await sink.check(folders=folders)
        except SinkError as error:
            problems.append(document.problem(path, _told(error), check=_CHECK))
        except SecretMissing:
            # Told by `missing_secrets`, with its place.
            continue
        finally:
            await sink.close()
    return problems


def _places(site: Site) -> Iterator[tuple[KeyPath, Place, list[str]]]:
    if site.archive is not None:
        yield ("archive", "to"), site.archive.to, []
    if site.reports is not None and site.reports.to is not None:
        # A bucket has no folders: they come with the first report.
        names = {name for of_org in site.reports.partners.values() for name in of_org}
        is_bucket = isinstance(site.reports.to, BucketPlace)
        yield ("reports", "to"), site.reports.to, [] if is_bucket else sorted(names)


def _has_partner_step(plan: Plan) -> bool:
    route = METHODS[PARTNERS].path
    return any(isinstance(step.request, HttpRequest) and step.request.path == route for step in plan.steps.values())


def _lacking(reference: str) -> str | None:
    try:
        value = resolve(reference)
    except SecretMissing:
        how = "isn't set here; set it" if reference.startswith("${env:") else "can't be read here; mount the file"
        return f"{reference} {how}"
    return None if value else f"{reference} is empty here; give it a value"


def _told(error: SinkError) -> str:
    """A sink tells whole sentences; a problem goes on after its place."""
    return str(error).rstrip(".")
