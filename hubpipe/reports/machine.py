"""Reports for programs: one line of JSON, the fields of the dataclasses."""

import dataclasses
import json
import math
from typing import Any


def of(report: Any) -> str:
    """Returns one line of JSON.

    Args:
        report: a dataclass of this folder; numbers that are not finite become null.
    """
    return json.dumps(_plain(dataclasses.asdict(report)), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
