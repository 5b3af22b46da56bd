"""`OptionGroup`: options that several commands have together, as one argument."""

import inspect
from collections.abc import Callable
from typing import Any, Final

__all__ = ["OptionGroup"]


class OptionGroup:
    """A decorator that gives a command some options in the place of one argument.

    Args:
        argument: The name of the argument that the command has for them.
        options: A function whose parameters are the options, as typer reads them.
        make: Makes the argument of the values of the options, by name.
    """

    def __init__(
        self,
        argument: str,
        options: Callable[..., None],
        make: Callable[..., object],
    ) -> None:
        self._argument: Final = argument
        self._make: Final = make
        self._options: Final = tuple(inspect.signature(options).parameters.values())

    def __call__(self, command: Callable[..., None]) -> Callable[..., None]:
        """Return what typer makes a command of.

        Args:
            command: Has a parameter for each argument of the command line, one of
                which is the argument of this group.
        """

        def call(**given: Any) -> None:
            values = {option.name: given.pop(option.name) for option in self._options}
            given[self._argument] = self._make(**values)
            command(**given)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            is_group = parameter.name == self._argument
            parameters += self._options if is_group else (parameter,)
        by_name = [it.replace(kind=inspect.Parameter.KEYWORD_ONLY) for it in parameters]
        made: Any = call
        made.__signature__ = inspect.Signature(by_name, return_annotation=None)
        made.__annotations__ = {it.name: it.annotation for it in by_name}
        made.__name__, made.__doc__ = command.__name__, command.__doc__
        made.__module__ = command.__module__
        return call
