import hypothesis
import pytest
from hypothesis import strategies as st

from hubpipe.config import dump, load, schema

positive = st.floats(1e-300, 1e300)
fraction = st.floats(0, 1, exclude_max=True)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
words = st.sampled_from(
    ["yes", "no", "on", "1e-6", "010", "null", "~", "2024-01-01", "#a", "a: b", "*a", "<<", "\x85"]
)
schedules = st.one_of(
    positive,
    st.builds(
        schema.CosineRate,
        kind=st.just("cosine"),
        initial=positive,
        decay_steps=st.integers(1, 2**70),
        alpha=st.floats(0, 1),
    ),
    st.just(schema.PiecewiseRate(kind="piecewise", boundaries=(3, 5), values=(1.0, 0.5, 1e-7))),
)
configs = st.builds(
    schema.Config,
    name=names,
    seed=st.integers(0, 2**31 - 1),
    inputs=st.builds(
        schema.TextInputs,
        kind=st.just("text"),
        train=st.just(schema.Source(sample="stdlib_docs")),
        eval=st.just(schema.Source(sample="stdlib_docs")),
        text=texts | words,
        label=st.just("label of its own"),
        shuffle=st.booleans(),
    ),
    model_fn=st.builds(
        schema.TextModel,
        kind=st.just("text"),
        dropout=st.builds(schema.Dropout, rate=fraction),
        encoder=st.builds(schema.TextEncoder, hidden_units=st.lists(st.integers(1, 99)).map(tuple)),
    ),
    optimizer=st.one_of(
        st.builds(schema.Adam, kind=st.just("adam"), learning_rate=schedules, epsilon=positive),
        st.builds(schema.Ftrl, kind=st.just("ftrl"), learning_rate=schedules, clip_norm=st.none() | positive),
    ),
    selection=st.builds(schema.Selection, metric=st.sampled_from(["accuracy", "loss"])),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("dump") / "config.yaml"


@hypothesis.given(config=configs)
@hypothesis.settings(max_examples=60)
def test_dump_loads_to_an_equal_config(path, config):
    path.write_text(dump.dump(config), encoding="utf-8", newline="")
    assert load.load(path) == config


def test_dump_shows_every_default_in_the_order_of_the_schema(write_config):
    config = load.load(write_config())
    lines = dump.dump(config).splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == list(schema.Config.model_fields)
    assert "model_dir: runs/docs" in lines
    assert "    kernel: {l1: 0.0, l2: 0.0}" in lines
