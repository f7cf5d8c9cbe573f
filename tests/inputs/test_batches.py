"""hubpipe.inputs.batches, run in graph mode as an Estimator does."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from hubpipe.config import schema
from hubpipe.inputs import batches, cache, rows, targets

COUNT = 23
COLUMNS = {"text": tf.string, "label": tf.int64}
OPTIONS = {"columns": COLUMNS, "batch_size": 4, "seed": 1, "shuffle": True, "epochs": None, "start_step": 0}


def write(directory):
    data = [rows.Row(f"text {n}", str(n), "a.csv", n) for n in range(COUNT)]
    labels = [str(n) for n in range(COUNT)]
    target = targets.create(schema.ClassificationHead(kind="classification"))
    fill = functools.partial(
        cache.write_records, data=data, target=target, labels=labels, skipped=None, where="inputs.train"
    )
    entry = cache.entry(str(directory), {}, fill)
    return cache.read_records(entry).paths


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def several_paths(tmp_path_factory):
    """The same rows in eight files: seven of three rows, and one of two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "PART_BYTES", 80)  # a record takes from 32 to 34
        return write(tmp_path_factory.mktemp("cache"))


@pytest.fixture(params=["in memory", "in memory, of files", "streamed", "streamed, of files"])
def stored(request, monkeypatch):
    """The files, read in each of the ways."""
    if request.param.startswith("streamed"):
        monkeypatch.setattr(batches, "MAX_BYTES_IN_MEMORY", 0)
    return request.getfixturevalue("several_paths" if request.param.endswith("of files") else "paths")


def run(make, most=1000):
    """The labels of each batch, after a check that its texts belong to them."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        iterator = tf.compat.v1.data.make_initializable_iterator(make())
        features, labels = iterator.get_next()
        assert list(features) == ["text"]
        assert (features["text"].dtype, labels.dtype) == (tf.string, tf.int64)
        assert features["text"].shape.rank == labels.shape.rank == 1
        session.run(iterator.initializer)
        found = []
        try:
            for _ in range(most):
                texts, classes = session.run((features["text"], labels))
                assert [text.decode() for text in texts] == [f"text {n}" for n in classes]
                found.append(classes.tolist())
        except tf.errors.OutOfRangeError:
            pass
        return found


def train(paths, most=1000, **options):
    return run(lambda: batches.train(paths, COUNT, **{**OPTIONS, **options}), most)


def flat(found):
    return list(itertools.chain.from_iterable(found))


def test_each_epoch_has_every_row_once_in_a_new_order(stored):
    found = flat(train(stored, 4 * COUNT))
    epochs = [found[n : n + COUNT] for n in range(0, 4 * COUNT, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len(set(map(tuple, [*epochs, range(COUNT)]))) == 5


def test_seed_decides_the_order(stored):
    first = train(stored, 20)
    assert train(stored, 20) == first
    assert train(stored, 20, seed=2) != first


@pytest.mark.parametrize("batch_size, sizes", [(4, [4] * 11 + [2]), (23, [23, 23]), (100, [46])])
def test_epochs_are_counted_and_only_the_last_batch_is_smaller(stored, batch_size, sizes):
    found = train(stored, epochs=2, batch_size=batch_size)
    assert [len(batch) for batch in found] == sizes
    assert sorted(flat(found)) == sorted([*range(COUNT), *range(COUNT)])


def test_order_of_the_file(stored):
    assert flat(train(stored, shuffle=False, epochs=2)) == [*range(COUNT), *range(COUNT)]


def test_batch_larger_than_the_data(paths):
    (batch,) = train(paths, 1, batch_size=3 * COUNT)
    assert sorted(batch) == sorted([*range(COUNT)] * 3)


@pytest.mark.parametrize("start_step", [1, 7, 16, 20])
def test_resumed_training_goes_on_where_it_stopped(paths, start_step):
    whole = train(paths, 40)
    assert train(paths, 40 - start_step, start_step=start_step) == whole[start_step:]
    of_epochs = train(paths, epochs=4)
    assert train(paths, epochs=4, start_step=start_step) == of_epochs[start_step:]


@pytest.mark.parametrize("start_step, left", [(11, [2]), (12, []), (50, [])])
def test_resumed_at_the_end(paths, start_step, left):
    assert [len(batch) for batch in train(paths, epochs=2, start_step=start_step)] == left


def test_resumed_training_on_a_large_file_has_another_order(paths, monkeypatch):
    monkeypatch.setattr(batches, "MAX_BYTES_IN_MEMORY", 0)
    assert train(paths, 5, start_step=3) != train(paths, 5)


@pytest.mark.parametrize("count", [1000, 100_003])
def test_epochs_are_not_correlated(count):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        positions = tf.range(6 * count, dtype=tf.int64)
        found = session.run(batches.shuffled(positions, tf.constant(count, tf.int64), seed=1)).reshape(6, count)
    assert (np.sort(found) == np.arange(count)).all()
    between = np.corrcoef([np.arange(count), *found])[np.triu_indices(7, k=1)]
    neighbours = [np.corrcoef(epoch[:-1], epoch[1:])[0, 1] for epoch in found]
    assert np.abs([*between, *neighbours]).max() < 4 / count**0.5


def test_order_is_the_same_on_every_tensorflow(paths):
    assert train(paths, 2, batch_size=8) == [[16, 18, 10, 7, 8, 1, 12, 9], [3, 20, 15, 14, 17, 4, 19, 5]]


def test_evaluation_is_one_pass_in_order(paths):
    found = run(lambda: batches.evaluate(paths, columns=COLUMNS, batch_size=8))
    assert [len(batch) for batch in found] == [8, 8, 7]
    assert flat(found) == list(range(COUNT))


@pytest.mark.parametrize("dataset", ["train", "evaluate"])
def test_autotune_is_off(paths, dataset):
    if dataset == "evaluate":
        made = batches.evaluate(paths, columns=COLUMNS, batch_size=8)
    else:
        made = batches.train(paths, COUNT, **OPTIONS)
    assert made.options().autotune.enabled is False
    assert made.options().deterministic is True


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("shuffle", [False, True])
def test_shards_are_every_row_once_in_an_epoch(stored, count, shuffle):
    options = {"shuffle": shuffle, "epochs": 1, "buffer_rows": 5}
    found = [flat(train(stored, shard=batches.Shard(index, count), **options)) for index in range(count)]
    assert sorted(itertools.chain(*found)) == list(range(COUNT))
    assert max(map(len, found)) - min(map(len, found)) <= 2


def test_shards_are_every_row_once_in_each_epoch(stored):
    """Row by row the shards go through the epochs together, wherever these end."""
    found = [flat(train(stored, shard=batches.Shard(index, 2), epochs=2)) for index in range(2)]
    assert sorted(itertools.chain(*found)) == sorted([*range(COUNT)] * 2)


def test_shards_in_memory_share_the_order_of_one_that_trains_alone(paths):
    alone = flat(train(paths, epochs=2))
    found = [flat(train(paths, shard=batches.Shard(index, 3), epochs=2)) for index in range(3)]
    assert [alone[index::3] for index in range(3)] == found


def test_a_shard_goes_on_where_it_was(paths):
    shard = batches.Shard(1, 3)
    assert train(paths, shard=shard, start_step=3, epochs=4) == train(paths, shard=shard, epochs=4)[3:]


def test_a_shard_depends_on_the_seed_alone(stored):
    options = {"shard": batches.Shard(1, 2), "epochs": 1, "buffer_rows": 100}
    assert train(stored, seed=1, **options) == train(stored, seed=1, **options)
    assert train(stored, seed=1, **options) != train(stored, seed=2, **options)


def test_shards_of_larger_data_read_files_of_their_own(several_paths, monkeypatch):
    monkeypatch.setattr(batches, "MAX_BYTES_IN_MEMORY", 0)
    assert len(several_paths) == 8
    options = {"shuffle": False, "epochs": 1}
    of_two = [flat(train(several_paths, shard=batches.Shard(index, 2), **options)) for index in range(2)]
    assert of_two[1] == [3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22]
    # Of three, each has two files, and every third row of the last two.
    of_three = [flat(train(several_paths, shard=batches.Shard(index, 3), **options)) for index in range(3)]
    assert of_three == [
        [0, 1, 2, 9, 10, 11, 18, 21], [3, 4, 5, 12, 13, 14, 19, 22], [6, 7, 8, 15, 16, 17, 20]
    ]


def test_larger_data_are_mixed_from_several_files(several_paths, monkeypatch):
    """Rows that are sorted are not read in the order of the files, even by a small buffer."""
    monkeypatch.setattr(batches, "MAX_BYTES_IN_MEMORY", 0)
    found = flat(train(several_paths, epochs=1, buffer_rows=1))
    assert len({row // 3 for row in found[:8]}) == 8
    assert sorted(found) == list(range(COUNT))
