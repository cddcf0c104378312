"""The kit: every check in the order in which they are run. Reads come first, what can't be taken back comes late."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starter.conformance import asking, doing, looking_back, refusals, restoring, seeing
from starter.conformance.bench import Bench
from starter.conformance.target import Target


@dataclass(frozen=True, kw_only=True)
class Check:
    """A promise that retirements count on. `run` says what was seen, or raises an `Ending`."""

    id: str
    promise: str
    mend: str
    run: Callable[[Bench], Awaitable[str]]
    #: Only freeze steps have what it looks at; only HTTP has it.
    freeze_only: bool = False
    http_only: bool = False
    #: How many test users it takes for itself, beside the first; and whether it watches another.
    takes: int = 0
    watches: bool = False

    def why_not_for(self, target: Target) -> str | None:
        """Why it makes no sense for this step; None where it does."""
        if self.freeze_only and not target.is_freeze:
            return "only for freeze steps"
        if self.http_only and not target.is_http:
            return "only for services that are called over HTTP"
        return None


KIT = (
    Check(
        id="reachable",
        promise="The service answers, takes our credentials and speaks JSON.",
        mend="`retire plan try` says what is wrong with address, path or credentials.",
        run=seeing.reachable,
    ),
    Check(
        id="sees_person",
        promise="The probe sees a person who is there.",
        mend="Give test users who exist; if they do, the probe looks in the wrong place: check its path and id.",
        run=seeing.sees_person,
    ),
    Check(
        id="unknown_is_gone",
        promise="Of somebody who doesn't exist the probe says gone, as it must once a person is erased.",
        mend="Answer 404, or say in `gone` or `gone_when` how it is told.",
        run=seeing.unknown_is_gone,
    ),
    Check(
        id="read_needs_token",
        promise="Without credentials a read is answered 401, before anything is looked up.",
        mend="Check credentials before the route and the person; answer 401.",
        run=seeing.read_needs_token,
        http_only=True,
    ),
    Check(
        id="read_refuses_wrong_token",
        promise="With wrong credentials a read is answered 401 or 403.",
        mend="Verify the token, not only that there is one.",
        run=seeing.read_refuses_wrong_token,
        http_only=True,
    ),
    Check(
        id="read_hostile_ids",
        promise="For a read an id is data, whatever it looks like: nobody's, and no failure.",
        mend="Route before percent-decoding, bind ids as parameters, and answer 404 (or 400) for what can't be an id.",
        run=seeing.read_hostile_ids,
    ),
    Check(
        id="request_needs_token",
        promise="Without good credentials the request is refused and changes nothing.",
        mend="Check credentials before anything else; answer 401.",
        run=asking.request_needs_token,
        http_only=True,
    ),
    Check(
        id="unknown_person",
        promise="The request for somebody who doesn't exist is done at once, or says that nobody is there.",
        mend="Answer 404 or 204, and name it in the step's `absent`; a failure would hold up every retirement "
        "of people whom the service never met.",
        run=asking.unknown_person,
    ),
    Check(
        id="hostile_requests",
        promise="For the request an id is data, whatever it looks like: it touches nobody else, and is no failure.",
        mend="Route before percent-decoding, bind ids as parameters, and answer 404 (or 400) for what can't be an id.",
        run=asking.hostile_requests,
    ),
    Check(
        id="undo_without_freeze",
        promise="Undo is done for somebody who was not frozen: the freeze may have got lost on its way.",
        mend="Let undo set a state instead of requiring one: what is so already is a success.",
        run=asking.undo_without_freeze,
        freeze_only=True,
    ),
    Check(
        id="request_answers",
        promise="The request is answered 2xx in time.",
        mend="Answer 2xx when it is done; where it takes longer than the timeout, 202 with a place to ask. "
        "Let `save` name what is in the answer.",
        run=doing.request_answers,
    ),
    Check(
        id="finishes",
        promise="Work that is accepted (202) names a place of its own origin and comes to its end.",
        mend="Send Location (or what poll.url reads) with a path of your own, and let it say done.",
        run=doing.finishes,
        http_only=True,
    ),
    Check(
        id="gone_after",
        promise="Once it is done, the probe says so.",
        mend="Do it before you answer, or answer 202 until it is done; look for caches and replicas behind the probe.",
        run=doing.gone_after,
    ),
    Check(
        id="token_before_person",
        promise="Without credentials nobody learns who exists: never 404, of nobody and of whoever has been erased.",
        mend="Check credentials before you look anybody up: the 404 is how a retirement tells a right path from a wrong one.",
        run=doing.token_before_person,
        http_only=True,
    ),
    Check(
        id="repeat_same_key",
        promise="Asked again under the same Idempotency-Key, it is a success again.",
        mend="Give the first answer again, or say that there is nothing to do (404, named in `absent`).",
        run=doing.repeat_same_key,
    ),
    Check(
        id="repeat_other_key",
        promise="Asked again under another key once it is done, it says done or nobody there.",
        mend="Answer 2xx, or 404 and name it in `absent`; never 409 or 5xx for what is so already.",
        run=doing.repeat_other_key,
    ),
    Check(
        id="long_key",
        promise="The longest Idempotency-Key that a retirement sends is taken.",
        mend="Take keys of at least 128 characters; letters, digits, -, _ and : occur.",
        run=doing.long_key,
        http_only=True,
    ),
    Check(
        id="frozen_shows",
        promise="Once it is frozen, something that can be read of the person is otherwise than before.",
        mend="Is the key in the request right, and the test user not frozen already? If the state can't be read, nobody "
        "can check the undo either: read it in subject.lookup.fields, or add a probe.",
        run=restoring.frozen_shows,
        freeze_only=True,
    ),
    Check(
        id="undo_restores",
        promise="After undo the person is as before the freeze.",
        mend="Restore what was there, not a default; where it differs by person, `save` it at the freeze.",
        run=restoring.undo_restores,
        freeze_only=True,
    ),
    Check(
        id="undo_twice",
        promise="A second undo is a success, and changes nothing.",
        mend="Let undo set a state instead of requiring one: what is so already is a success.",
        run=restoring.undo_twice,
        freeze_only=True,
    ),
    Check(
        id="frozen_stays_frozen",
        promise="Whoever was frozen before by somebody else is so afterwards.",
        mend='Say in undo.when who is restored (`when: "not subject.locked"`), or freeze under a name of our own.',
        run=restoring.frozen_stays_frozen,
        freeze_only=True,
    ),
    Check(
        id="two_at_once",
        promise="Two requests under the same key at the same time both end well.",
        mend="Let the second wait for the first, or answer as if it were repeated; name a passing 409 in `transient`.",
        run=doing.two_at_once,
        takes=1,
    ),
    Check(
        id="client_gone",
        promise="Where the caller is gone in mid-answer, the repeat under the same key ends well.",
        mend="Keep what was done and its key in one transaction; a key must not stay `in progress` for ever.",
        run=doing.client_gone,
        http_only=True,
        takes=1,
    ),
    Check(
        id="bystander",
        promise="What is done to one person touches nobody else.",
        mend="See what the request selects by: one id, bound as a parameter, within its tenant.",
        run=doing.bystander,
        watches=True,
    ),
    Check(
        id="two_people_at_once",
        promise="Requests for two people at the same time both end well.",
        mend="Lock the person, not the table.",
        run=doing.two_people_at_once,
        takes=1,
        watches=True,
    ),
    Check(
        id="last_resort",
        promise="Where the request is refused for good, the last resort is accepted and its probe no longer sees the person.",
        mend="Let on_permanent.request replace all that tells who it was, and name every such field in the gone_when "
        "of its probe.",
        run=refusals.last_resort,
    ),
    Check(
        id="in_time",
        promise="Every answer comes within the service's timeout.",
        mend="Make it faster, answer 202, or raise the service's timeout in the plan.",
        run=looking_back.in_time,
    ),
    Check(
        id="no_redirect",
        promise="No answer redirects: none is followed, as credentials would go with it.",
        mend="Give the final address in the plan; answer 401 instead of leading to a login page.",
        run=looking_back.no_redirect,
        http_only=True,
    ),
    Check(
        id="retry_after",
        promise="Who is asked to come back later (429) is told when.",
        mend="Send Retry-After with every 429.",
        run=looking_back.retry_after,
        http_only=True,
    ),
)


def users_needed(checks: tuple[Check, ...], *, target: Target) -> int:
    """How many test users these checks need: one to do it to, one to watch, and those that single checks take."""
    wanted = [check for check in checks if check.why_not_for(target) is None]
    # A freeze is given back, so that the first serves again.
    taken = 0 if target.is_freeze else sum(check.takes for check in wanted)
    return 1 + any(check.watches for check in wanted) + taken
