"""`RefusedError`: a request that the local server answers with an error."""

from collections.abc import Mapping, Sequence

__all__ = ["RefusedError"]


class RefusedError(Exception):
    """A request that is answered with the error envelope."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        details: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.code = code
        self.details = list(details)
        self.headers = dict(headers or {})
