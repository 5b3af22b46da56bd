"""A fake disk that records all changes of a directory, and can be told to fail."""

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import attrs

CALLS = ("open", "write", "fsync", "ftruncate", "rename", "replace", "unlink", "close")


@attrs.frozen
class Step:
    """One change of the files of a directory.

    Attributes:
        what: ``create``, ``write``, ``truncate``, ``sync``, ``rename`` or ``delete``.
        name: The name of the file; empty for a ``sync`` of the directory itself.
        data: The written bytes, the new size or the new name.
    """

    what: str
    name: str
    data: object = None


class Disk:
    """Replaces functions of ``os`` to record and to fail changes of one directory.

    Attributes:
        steps: The recorded changes.
        fault: Called with each step before it is done. An error that it returns is
            raised instead.
    """

    def __init__(self, directory, fault=lambda _: None):
        self.steps = []
        self.fault = fault
        self._directory = Path(directory)
        self._names = {}
        self._real = {name: getattr(os, name) for name in CALLS}

    @contextmanager
    def watching(self):
        """Replace the functions of ``os`` in the ``with`` block."""
        with ExitStack() as stack:
            for name in CALLS:
                stand_in = getattr(self, f"_{name}")
                stack.enter_context(mock.patch.object(os, name, stand_in))
            yield self

    def _do(self, step, call, *args):
        error = self.fault(step)
        if error is not None:
            raise error
        done = self._real[call](*args)
        self.steps.append(step)
        return done

    def _name_of(self, path):
        """The name of a file in the directory, "" for itself, None for other files."""
        path = Path(path)
        if path == self._directory:
            return ""
        return path.name if path.parent == self._directory else None

    def _open(self, path, flags, *args):
        name = self._name_of(path)
        if name and flags & os.O_CREAT and not Path(path).exists():
            fd = self._do(Step("create", name), "open", path, flags, *args)
        elif name and flags & os.O_TRUNC:
            fd = self._do(Step("truncate", name, 0), "open", path, flags, *args)
        else:
            fd = self._real["open"](path, flags, *args)
        if name is not None:
            self._names[fd] = name
        return fd

    def _close(self, fd):
        self._names.pop(fd, None)
        self._real["close"](fd)

    def _write(self, fd, data):
        if fd not in self._names:
            return self._real["write"](fd, data)
        return self._do(Step("write", self._names[fd], bytes(data)), "write", fd, data)

    def _fsync(self, fd):
        if fd not in self._names:
            return self._real["fsync"](fd)
        return self._do(Step("sync", self._names[fd]), "fsync", fd)

    def _ftruncate(self, fd, size):
        step = Step("truncate", self._names[fd], size)
        return self._do(step, "ftruncate", fd, size)

    def _rename(self, source, target):
        step = Step("rename", self._name_of(source), self._name_of(target))
        return self._do(step, "rename", source, target)

    def _replace(self, source, target):
        step = Step("rename", self._name_of(source), self._name_of(target))
        return self._do(step, "replace", source, target)

    def _unlink(self, path):
        return self._do(Step("delete", self._name_of(path)), "unlink", path)


@attrs.define
class _File:
    content: bytes = b""
    durable: bytes = b""


def after_kill(steps):
    """The files that exist after the process was killed after these steps."""
    names, _ = _replayed(steps)
    return {name: file.content for name, file in names.items()}


def after_power_loss(steps, *, keeps_names):
    """The files that exist after a power failure after these steps.

    Everything that was not synced is lost: the bytes of files, and also their names
    unless ``keeps_names``.
    """
    names, durable_names = _replayed(steps)
    kept = names if keeps_names else durable_names
    return {name: file.durable for name, file in kept.items()}


def _replayed(steps):
    names, durable_names = {}, {}
    for step in steps:
        match step:
            case Step("create", name):
                names[name] = _File()
            case Step("write", name, data):
                names[name].content += data
            case Step("truncate", name, size):
                names[name].content = names[name].content[:size]
            case Step("sync", ""):
                durable_names = dict(names)
            case Step("sync", name):
                names[name].durable = names[name].content
            case Step("rename", name, target):
                names[target] = names.pop(name)
            case Step("delete", name):
                del names[name]
    return names, durable_names


def restore(directory, files):
    """Create a directory with these files."""
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
