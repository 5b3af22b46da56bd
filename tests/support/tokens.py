"""A secret token, and a check that errors do not reveal it."""

import pickle
import traceback
from pathlib import Path

import canopy_async
from canopy_async import CanopyError

SECRET = "eyJhbGciOiJSUzI1NiJ9.s3cr3t-t0ken_of.c2lnbmF0dXJl"
OURS = str(Path(canopy_async.__file__).parent)


def chain_of(error):
    """An error with its causes and contexts."""
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def frames_of(error):
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.startswith(OURS):
            yield frame


def shown(value):
    try:
        return f"{value!r} {value!s}"
    except AttributeError:  # its __init__ failed before all attributes were set
        return repr(vars(value))


def assert_secret_kept(error, secret=SECRET):
    for each in chain_of(error):
        assert secret not in f"{each!s} {each!r} {each.args!r} {vars(each)!r}"
        for frame in frames_of(each):
            for name, value in frame.f_locals.items():
                assert secret not in shown(value), (frame.f_code.co_qualname, name)
    if isinstance(error, CanopyError):
        assert secret.encode() not in pickle.dumps(error)
