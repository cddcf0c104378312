"""`python -m sandbox.lms.manage --url URL lms COMMAND`: the few commands of the LMS's own `manage.py` that matter here."""

import argparse
import sys

from sandbox.lms.client import StandInLms

#: As many ids as one run takes.
_MOST_IDS = 100


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.lms.manage", description="Commands of a stand-in LMS.")
    parser.add_argument("--url", required=True, help="where the stand-in is served, such as http://127.0.0.1:18000")
    parser.add_argument("part", choices=["lms"], help="as with the real one")
    commands = parser.add_subparsers(dest="command", required=True)
    purge = commands.add_parser("purge_references_to_pdf_certificates", help="blank the links of certificates")
    purge.add_argument("--certificate_ids", type=int, nargs="+", required=True, help="of retired learners")
    purge.add_argument("--dry-run", action="store_true", help="change nothing")
    cancel = commands.add_parser("cancel_user_retirement_request", help="rescind, while the row is PENDING")
    cancel.add_argument("email", help="the learner's address as it was")
    return parser


def main() -> int:
    """Run one command: 0 where everything was done, 1 where not."""
    arguments = _parser().parse_args()
    with StandInLms(url=arguments.url) as lms:
        if arguments.command == "purge_references_to_pdf_certificates":
            return _purge(lms, ids=arguments.certificate_ids, dry_run=arguments.dry_run)
        return _cancel(lms, email=arguments.email)


def _purge(lms: StandInLms, *, ids: list[int], dry_run: bool) -> int:
    if len(ids) > _MOST_IDS:
        print(f"at most {_MOST_IDS} ids a run", file=sys.stderr)
        return 1
    if dry_run:
        return 0
    return 1 if lms.blank_certificates(ids) else 0


def _cancel(lms: StandInLms, *, email: str) -> int:
    rows = [learner["row"] for learner in lms.learners() if learner["row"]]
    found = [row for row in rows if row["original_email"] == email]
    if not found or found[0]["current_state"]["state_name"] != "PENDING":
        print("no retirement request that could be cancelled", file=sys.stderr)
        return 1
    lms.cancel_row(found[0]["original_username"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
