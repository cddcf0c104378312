"""Scenes of people who work with others, own documents and have roles: plan `sandbox_team`."""

from sandbox.client import Document, Person
from sandbox.scenes.scene import ERASERS, Part, Scene
from starter.exit_codes import ExitCode
from workflows.names import Mail, Outcome, Reason

_PLAN = ("--plan", "sandbox_team")

_FINNS = (
    "House style",
    "Press list",
    "Photo credits",
    "Annual report, draft",
    "Launch day, hour by hour",
    "Questions we are asked",
    "Interview notes",
    "Corrections",
    "Press kit",
    "Embargoes",
    "What to say when the site is down",
    "Obituary of the fax machine",
)
_IRISES = ("Logo, final", "Logo, final final", "Colours", "Poster for the fair")


def _colleague(user_id: str, name: str, *, org: str, role: str, locked: bool = False) -> Person:
    return Person(
        user_id=user_id, name=name, email=f"{name.lower()}@person.example", org=org, roles=(role,), locked=locked
    )


_FINN = _colleague("u-1006", "Finn", org="press", role="author")
_GWEN = _colleague("u-1007", "Gwen", org="press", role="admin")
_HUGO = _colleague("u-1008", "Hugo", org="lab", role="admin")
_IRIS = _colleague("u-1009", "Iris", org="studio", role="author")
#: Away for long, so that his account is locked: he reads his mail, and takes nothing over.
_JACK = _colleague("u-1010", "Jack", org="studio", role="admin", locked=True)
_KIM = _colleague("u-1011", "Kim", org="studio", role="author")


async def _handed_over(scene: Scene) -> None:
    documents = scene.stage.sandbox.documents
    _give(scene, _FINNS)
    see_owners(scene, "before", {scene.person: len(_FINNS), _GWEN: 0})
    await scene.retire("start", *_PLAN, "--cool-off", "6s")
    await scene.ends(Outcome.COMPLETE)
    see_owners(scene, "after", {scene.person: 0, _GWEN: len(_FINNS)})
    see_moved_once(scene, _FINNS)
    moved = [effect.monotonic for effect in documents.effects(scene.person)]
    erased = [
        effect.monotonic
        for name in ERASERS
        for effect in scene.stage.sandbox.services[name].effects(scene.person)
        if effect.effect == "erase"
    ]
    scene.see(len(erased) == len(ERASERS) and max(moved) < min(erased), "all of it before anything was erased")
    scene.see_gone()
    await scene.see_told(_GWEN, *_FINNS, of=f"what became of all {len(_FINNS)}")


async def _sole_admin(scene: Scene) -> None:
    await scene.retire("start", *_PLAN, "--wait", expect=ExitCode.ABORTED)
    await scene.ends(Outcome.ABORTED, Reason.NOT_ELIGIBLE, code="sole_admin")
    scene.see_untouched()
    await scene.see_mails(Mail.ABORTED)


async def _nobody_takes_over(scene: Scene) -> None:
    _give(scene, _IRISES)
    await scene.retire("start", *_PLAN, "--wait", expect=ExitCode.ABORTED)
    await scene.ends(Outcome.ABORTED, Reason.NO_SUCCESSOR, code="colleague:nobody_suitable")
    scene.see_untouched()
    see_owners(scene, "after the refusal", {scene.person: len(_IRISES), _KIM: 0})
    await scene.see_told(_JACK, *_IRISES, of=f"of the {len(_IRISES)}")
    await scene.retire("start", *_PLAN, "--cool-off", "0", "--successor", _KIM.user_id)
    await scene.ends(Outcome.COMPLETE)
    see_owners(scene, "with Kim named", {scene.person: 0, _KIM: len(_IRISES)})
    see_moved_once(scene, _IRISES)
    scene.see_gone()
    await scene.see_told(_JACK, *_IRISES, _KIM.name, mails=2, of=f"that {_KIM.name} has them now")


def _give(scene: Scene, titles: tuple[str, ...]) -> None:
    """Documents of the person, under ids that are theirs alone."""
    owner = scene.person
    scene.stage.sandbox.documents.add(
        Document(id=f"{owner.user_id}-{number:02}", title=title, owner=owner.user_id, owner_name=owner.name)
        for number, title in enumerate(titles, start=1)
    )


def see_owners(scene: Scene, when: str, counts: dict[Person, int]) -> None:
    """So many documents each of them owns.

    Raises:
        NotAsItShould: it is not so.
    """
    documents = scene.stage.sandbox.documents
    owned = {person: len(documents.documents_of(person)) for person in counts}
    told = ", ".join(f"{person.name} {count}" for person, count in counts.items())
    scene.see(owned == counts, f"documents {when}: {told}")


def see_moved_once(scene: Scene, titles: tuple[str, ...]) -> None:
    """Each of the documents with these titles has been moved away from the person, once.

    Raises:
        NotAsItShould: it is not so.
    """
    times = scene.stage.sandbox.documents.transfers(scene.person)
    scene.see(len(times) == len(titles) and set(times.values()) == {1}, "each moved once")


PARTS = (
    Part(person=_FINN, shows="what he owned goes to an admin", play=_handed_over, others=(_GWEN,)),
    Part(person=_HUGO, shows="the sole admin has to stay", play=_sole_admin),
    Part(person=_IRIS, shows="nobody takes over; then named", play=_nobody_takes_over, others=(_JACK, _KIM)),
)

#: Whose mailboxes are worth a look afterwards: what an admin, or somebody who has to stay, is told.
WITH_MAIL = (_GWEN, _HUGO, _JACK)
