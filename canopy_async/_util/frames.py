"""Frames that errors hold, which are let go of where an error is kept."""

__all__ = ["forget_frames"]


def forget_frames(error: BaseException) -> None:
    """Let an error that is kept hold nothing but itself: no frames, no other errors."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
