"""How far a long activity is, told with its heartbeats: numbers only."""

from contextvars import ContextVar

from workflows.messages import Progress


class _Told:
    """What the next heartbeat tells."""

    def __init__(self) -> None:
        self.progress: Progress | None = None


_told: ContextVar[_Told | None] = ContextVar("told", default=None)


def begin() -> None:
    """Make room for what an activity will tell. Before its heartbeats begin: they look into the same place."""
    _told.set(_Told())


def tell(progress: Progress) -> None:
    """Tell how far it is. Where nobody heartbeats, nobody is told."""
    told = _told.get()
    if told is not None:
        told.progress = progress


def told() -> tuple[Progress, ...]:
    """What a heartbeat carries."""
    told = _told.get()
    return () if told is None or told.progress is None else (told.progress,)
