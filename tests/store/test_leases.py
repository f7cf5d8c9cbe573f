"""Tests of hubpipe.store.leases."""

import os
import time

import pytest

from hubpipe import errors
from hubpipe.files import owner, records
from hubpipe.store import current, leases


def _write(directory, name, **keys):
    (directory / ".leases").mkdir(exist_ok=True)
    path = directory / ".leases" / name
    records.write(path, keys)
    return path


def test_a_lease_is_there_as_long_as_the_block(tmp_path):
    with leases.taken(str(tmp_path), 7):
        (lease,) = leases.all_of(str(tmp_path))
        assert (lease.number, lease.who, lease.has_ended) == (7, current.who(), False)
        assert lease.expires == pytest.approx(time.time() + leases.EXPIRES_SECS, abs=60)
        assert owner.of(os.path.basename(lease.path)) == owner.Owner(owner.host(), os.getpid())
    assert leases.all_of(str(tmp_path)) == []
    assert os.listdir(tmp_path / ".leases") == []


def test_a_lease_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "EXPIRES_SECS", 0.03)
    with leases.taken(str(tmp_path), 7):
        (first,) = leases.all_of(str(tmp_path))
        while leases.all_of(str(tmp_path))[0].expires == first.expires:
            time.sleep(0.01)


def test_a_lease_of_a_process_that_has_ended_has_ended(tmp_path, ended_pid):
    path = _write(tmp_path, f"7-{owner.host()}-{ended_pid}-00ff", who="ann@host", expires=time.time() + 900)
    (lease,) = leases.all_of(str(tmp_path))
    assert lease.has_ended
    leases.remove_ended(str(tmp_path))
    assert not path.exists()


@pytest.mark.parametrize(("ago", "has_ended"), [(-600, False), (200, False), (400, True)])
def test_a_lease_of_another_machine_ends_when_it_expired(tmp_path, ago, has_ended):
    path = _write(tmp_path, "7-other.00000000-1-00ff", who="ann@other", expires=time.time() - ago)
    (lease,) = leases.all_of(str(tmp_path))
    assert (lease.who, lease.has_ended) == ("ann@other", has_ended)
    leases.remove_ended(str(tmp_path))
    assert path.exists() != has_ended


@pytest.mark.parametrize("keys", [{}, {"who": 1, "expires": 0}, {"who": "a", "expires": None}, {"format": 9}])
def test_a_lease_that_cannot_be_read_holds(tmp_path, keys):
    _write(tmp_path, "7-other.00000000-1-00ff", **keys)
    (lease,) = leases.all_of(str(tmp_path))
    assert (lease.number, lease.who, lease.expires, lease.has_ended) == (7, "", None, False)


def test_other_names_are_no_leases_and_stay(tmp_path):
    for name in ("notes", "7", "0-other.00000000-1-00ff", "x-other.00000000-1-00ff"):
        _write(tmp_path, name, who="", expires=0)
    assert leases.all_of(str(tmp_path)) == []
    leases.remove_ended(str(tmp_path))
    assert len(os.listdir(tmp_path / ".leases")) == 4


def test_a_store_that_cannot_be_written_gives_no_lease(tmp_path):
    (tmp_path / ".leases").write_text("a file")
    message = "no lease can be written .*; readers need write access to it, or must do without"
    with pytest.raises(errors.StoreError, match=message), leases.taken(str(tmp_path), 7):
        pytest.fail("the block must not run")
