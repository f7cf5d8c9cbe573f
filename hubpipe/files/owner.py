"""Names of files that tell which process made them, and whether it lives: `<name>-<host>-<pid>-<random>`."""

import contextlib
import dataclasses
import hashlib
import os
import re
import secrets

_MARKED = re.compile(r".+-(?P<host>[^-]+)-(?P<pid>[1-9][0-9]{0,8})-[0-9a-f]+")
_HOST_LENGTH = 40  # characters of the host's name


@dataclasses.dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        host: the space that its id belongs to, as returned by `host`.
        pid: its id.
    """

    host: str
    pid: int

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == host()

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended; of a process of another machine that is never known."""
        return self.is_here and not _is_alive(self.pid)


def marked(name: str) -> str:
    """Returns a name that is this process's and that nobody has given yet: the name, then the mark."""
    return f"{name}-{host()}-{os.getpid()}-{secrets.token_hex(4)}"


def of(name: str) -> Owner | None:
    """Returns the owner that a name tells, None if it tells none."""
    match = _MARKED.fullmatch(name)
    return Owner(match["host"], int(match["pid"])) if match else None


def host() -> str:
    """Name of the space that process ids of this process belong to, without "-".

    The host's name is not enough: containers of one machine and copies of one machine image often share it.
    """
    marks = []
    with contextlib.suppress(OSError):  # there on Linux only
        marks.append(os.readlink("/proc/self/ns/pid"))
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            marks.append(file.read())
    name = os.uname().nodename
    digest = hashlib.sha256("\n".join([name, *marks]).encode()).hexdigest()
    return f"{name[:_HOST_LENGTH].replace('-', '_')}.{digest[:8]}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, as another user's
        pass
    return True
