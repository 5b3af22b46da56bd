"""Freeing the memory that a kept error holds through its traceback."""

__all__ = ["forget_frames"]


def forget_frames(error: BaseException) -> None:
    """Drop the traceback, the context and the cause of an error that is kept.

    Their frames would keep alive every object that they refer to.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
