"""What a version must pass before it is published: each gate answers with its reasons and numbers."""

from hubpipe.gates.module import check
from hubpipe.gates.result import Result

__all__ = ["Result", "check"]
