"""`python -m sandbox.lms`: serve the stand-in."""

import argparse

from sandbox.lms.app import StandIn
from sandbox.server import arguments_parser, main

_EPILOG = """
It serves, on one port:
  /                   the LMS: token, retirement rows, the erasing calls, partner reports
  /credentials, /ecommerce, /demographics, /license_manager, /discovery, /extra
                      the services beside it, with the token of the LMS
  /segment, /braze, /amplitude, /hubspot
                      vendors, with keys of their own
  /_sandbox/          control pages: learners, faults, what was asked (see sandbox/lms/client.py)

Example:
  python -m sandbox.lms --database /tmp/site.db --port 18000
"""


def _make(arguments: argparse.Namespace) -> StandIn:
    return StandIn(database=arguments.database)


def _parser() -> argparse.ArgumentParser:
    parser = arguments_parser(name="lms")
    parser.description = "A stand-in for an Open edX site that keeps the LMS's rules and misbehaves as it is told."
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    return parser


if __name__ == "__main__":
    main(make=_make, parser=_parser())
