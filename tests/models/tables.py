"""A small table for tests of tabular models: what its training data would tell, and rows of it."""

import numpy as np

from hubpipe.config import schema

# Column -> values of four rows; the last has none.
ROWS = {
    "age": np.array([20.0, 30.0, 40.0, np.nan], np.float32),
    "gain_": np.array([0.0, 99.0, -99.0, np.nan], np.float32),
    "work": np.array([b"clerk", b"  sales  rep", b"pilot", b"?"]),
    "zip": np.array([b"01234", b"99999", b"01234", b""]),
    "since": np.array([b"2024-02-29", b"1999-12-31 23:59:59", b"2023-02-29", b""]),
}


def write(directory):
    """Writes the vocabularies of a table, and returns what is known of it."""
    (directory / "vocabulary_work.txt").write_text("<missing>\nclerk\nsales rep\n", encoding="utf-8")
    (directory / "labels.txt").write_text("no\nyes\n")
    numeric = {"kind": "numeric", "log": False, "missing_indicator": False}
    return schema.Table.model_validate(
        {
            "columns": (
                {**numeric, "column": "age", "mean": 30.0, "std": 10.0, "boundaries": (25.0, 40.0)},
                {**numeric, "column": "gain ", "mean": 0.0, "std": 2.0, "boundaries": ()}
                | {"log": True, "missing_indicator": True},
                {"kind": "categorical", "column": "work", "size": 3, "buckets": 2}
                | {"vocabulary_path": str(directory / "vocabulary_work.txt")},
                {"kind": "categorical", "column": "zip", "vocabulary_path": None, "size": 0, "buckets": 4},
                {
                    "kind": "date",
                    "column": "since",
                    "pattern": r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?: ([0-9]{2}):([0-9]{2}):([0-9]{2}))?",
                    "groups": ("Y", "m", "d", "H", "M", "S"),
                    "parts": ("age_days", "year", "month", "day_of_year", "day_of_week", "hour"),
                    "reference_day": 19782,
                    "mean_age_days": 100.0,
                    "std_age_days": 50.0,
                    "mean_year": 2010.0,
                    "std_year": 10.0,
                },
            ),
            "missing": ("", "?", "-1"),
        }
    )
