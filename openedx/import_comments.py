"""What an imported plan and site file say about themselves: comments, by the place they stand above."""

from collections.abc import Mapping

from plans.yaml_reading import KeyPath

PLAN_HEADING = """\
Retires learners of an Open edX site. Made by `retire openedx import` from the driver's configuration; change it as you like.
Importing the same file again gives this very text, so changes of the driver's file can be compared.

After every change: `retire plan check` for the plan itself, `retire openedx check` for what your LMS has of it.
A retirement keeps the plan that it began with; a changed one is for those that begin later.
Each value of a step can be changed for that step alone: its request, `absent`, `timeout`, `patience`, and also `transient` \
and `permanent`, which are those of its service otherwise."""

PLAN_COMMENTS: Mapping[KeyPath, str] = {
    (
        "subject",
    ): "Who starts a retirement hands over the username and the id of the learner's row in the LMS. Both are sealed: neither "
    "they nor what is looked up gets into Temporal, logs or errors.",
    (
        "subject",
        "lookup",
        "absent_when",
    ): "A row that isn't this retirement's: the learner has asked again meanwhile, after the row was deleted.",
    (
        "subject",
        "also",
    ): "Asked once, before anything is done to the learner. Without an answer there is none, and it goes on.",
    ("mirror",): "The LMS' row of the learner: it decides where a run begins, and each step is mirrored there.\n"
    "For one more look at the LMS at the end, add:\n"
    '  verified_when: "body.user.username == body.retired_username and body.user.email == body.retired_email and not '
    'body.user.profile.name"',
    (
        "mirror",
        "adopt_after",
    ): "What the driver has left in the middle of a step is taken over when its row wasn't moved for so long.",
    (
        "hold_for",
    ): "How long a held retirement waits for a person: credentials that were refused, somebody else moving the row.\n"
    "To be mailed about it: `retire openedx import --operators ADDRESS`, or add\n"
    "  mail: {from: ADDRESS, to_person: false, operators: [ADDRESS]}",
    (
        "mail",
    ): "Learners are written to by the LMS; operators hear of what is held or ERRORED, and of a deadline that is near.",
    ("deadline",): "By law: a month (GDPR Art. 12(3)), unless what may come takes longer.",
    (
        "cool_off",
    ): "Counted from the learner's request, as the LMS has it. `max` is how far an operator may put it off; shortening it is "
    "allowed, too.",
    (
        "services",
    ): "All that are Open edX share one token. Calls in flight are bounded in each worker, which protects a small LMS; "
    "`limits: {rate: 20/s}` bounds them over all workers.",
    (
        "steps",
    ): "In the order of the LMS' states, which only go forward. `absent` are answers that mean that the learner isn't "
    "there, provided that the route exists; where it is empty, a 404 stops the retirement.\n"
    'Where a gateway hides routes, so that no route can be told from none, say so in the step: absent_unchecked: "why".',
}

SITE_HEADING = """\
What the operators' commands must know of an Open edX site besides its plan: `--site FILE`, or RETIREMENT_OPENEDX_SITE.
Made by `retire openedx import` from the driver's configuration; change it as you like."""

SITE_COMMENTS: Mapping[KeyPath, str] = {
    ("site",): "Learners run as `<site>-<id of their row>`. Don't change it while anybody is being retired.",
    ("plan",): "The plan's name, which is its file's.",
    ("cool_off_days",): "Days between a learner's request and the first step; as in the plan (cool_off.duration).",
    ("collect",): "guard: more new learners than this in one sweep, and nobody is started until an operator confirms.\n"
    "batch: most runs of due learners that one sweep starts. paused: nobody is started; what runs goes on.",
    (
        "archive",
    ): "For `retire openedx archive`; the bucket's keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless said "
    "otherwise here (access_key_id, secret_access_key, region, endpoint).\n"
    "fields: minimal leaves out original username, e-mail and name. retention_days: 365 lets objects expire.",
    (
        "reports",
    ): "For `retire openedx partner-report` and `destroy-reports`. Say where reports go, one folder a partner below it:\n"
    "  to: {directory: /srv/partner-reports}\n"
    "  to: {bucket: …, prefix: reports/}\n"
    "retention_days: 30 has older reports destroyed daily.",
    ("usernames",): "For `retire openedx replace-usernames`; services without an address are left out.",
    ("kept",): "Keys of the driver's file that nothing here reads. What looked like a secret was not kept.",
}
