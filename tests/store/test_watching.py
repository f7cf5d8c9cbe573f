"""Tests of hubpipe.store.watching."""

import os
import threading

import pytest

from hubpipe import errors, store


def test_watch_yields_the_current_version_and_each_change(stores, publish):
    versions = stores.open()
    for _ in range(3):
        publish(versions)
    versions.promote(2)
    watched = store.watch(versions.path, poll_secs=0.001, gfile=stores.gfile)
    first = next(watched)
    assert first == versions.version(2)
    assert sorted(versions.leased()) == [2]
    versions.promote(3)
    assert versions.collect(1) == [1]
    assert next(watched).number == 3
    assert sorted(versions.leased()) == [2, 3]  # the consumer may be on its way from one to the other
    versions.rollback(2)
    assert next(watched).number == 2
    assert sorted(versions.leased()) == [2, 3]
    watched.close()
    assert versions.leased() == {}


def test_the_lease_is_kept_while_the_consumer_waits_for_more(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    versions.promote(1)
    stop, seen = threading.Event(), []
    watched = store.watch(versions.path, poll_secs=0.001, stop=stop)

    def consume():
        seen.extend(version.number for version in watched)

    thread = threading.Thread(target=consume)
    thread.start()
    while not seen and 1 not in versions.leased():
        pass
    assert sorted(versions.leased()) == [1]
    stop.set()
    thread.join()
    assert seen == [1]
    assert versions.leased() == {}


def test_watch_waits_for_the_first_version(tmp_path, publish):
    versions = store.Store(tmp_path, "text")

    class Stop(threading.Event):
        def wait(self, timeout=None):
            publish(versions)
            versions.promote(1)

    watched = store.watch(f"{versions.path}/", stop=Stop())
    assert next(watched).number == 1
    watched.close()


def test_watch_is_stopped_at_once(tmp_path):
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert list(store.watch(tmp_path / "text", poll_secs=3600, stop=stop)) == []


def test_watch_passes_over_a_broken_version(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    for _ in range(3):
        publish(versions)
    versions.promote(2)
    with open(os.path.join(versions.path, "2", "saved_model.pb"), "w") as file:
        file.write("grapH")

    class Stop(threading.Event):
        waits = 0

        def wait(self, timeout=None):
            self.waits += 1
            assert versions.leased() == {}
            if self.waits == 3:
                versions.promote(3)

    stop = Stop()
    watched = store.watch(versions.path, stop=stop)
    assert next(watched).number == 3
    assert stop.waits == 3
    watched.close()


def test_watch_outlives_a_store_that_cannot_be_read(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    versions.promote(1)
    record = tmp_path / "text" / "current.json"
    sound = record.read_text()
    record.write_text("{")

    class Stop(threading.Event):
        def wait(self, timeout=None):
            record.write_text(sound)

    watched = store.watch(versions.path, stop=Stop())
    assert next(watched).number == 1
    watched.close()


def test_watch_without_leases_writes_nothing(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    versions.promote(1)
    before = os.listdir(versions.path)
    watched = store.watch(versions.path, leased=False)
    assert next(watched).number == 1
    assert os.listdir(versions.path) == before
    watched.close()


def test_a_path_that_is_no_modules_folder_is_refused(tmp_path):
    with pytest.raises(errors.StoreError, match="the module name '.hidden' is not valid"):
        next(store.watch(tmp_path / ".hidden"))
