import csv
import gzip

import pytest

from hubpipe.config import data_files, schema


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Checks inputs that train on `files`, with files written as given: name -> bytes."""
    monkeypatch.chdir(tmp_path)
    before = csv.field_size_limit(131072)  # Python's, which reading rows raises

    def run(files, written=(), **keys):
        for name, content in dict(written).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        sources = {"train": {"files": files}, "eval": {"sample": "stdlib_docs"}}
        return list(data_files.check(schema.TextInputs.model_validate({"kind": "text"} | sources | keys)))

    yield run
    csv.field_size_limit(before)


GOOD = b"label,text\n1,good\n"


@pytest.mark.parametrize(
    ("files", "written"),
    [
        ("a.csv", {"a.csv": GOOD}),
        ("a.csv.gz", {"a.csv.gz": gzip.compress(GOOD)}),
        ("a.CSV", {"a.CSV": b"\xef\xbb\xbf\r\ntext,label\r\n"}),
        ("a.tsv", {"a.tsv": b'"text"\tlabel\n'}),
        ("a.csv", {"a.csv": b" \nmore, label ,text\n"}),
        ("a.jsonl", {"a.jsonl": b'\n{"text": "x", "label": 1, "more": []}\nnot json'}),
        ("*.csv", {"a.csv": GOOD, "b.csv": GOOD, "c.txt": b""}),
        ("**/*.csv", {"deep/er/a.csv": GOOD}),
        ("a[1].csv", {"a[1].csv": GOOD}),
        ("a.csv", {"a.csv": b'"multi\nline",text,label\n'}),
        ("a.jsonl", {"a.jsonl": b"not json, for the reader to judge\n"}),
        ("gs://bucket/*.csv", {}),
    ],
)
def test_good_files(check, files, written):
    assert check(files, written) == []


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_good_files_of_another_dialect(check, encoding):
    content = "Größe|text|label\n".encode(encoding)
    assert check("a.csv", {"a.csv": content}, delimiter="|", encoding=encoding) == []


def test_files_of_another_dialect_are_known_for_what_they_are(check):
    hint = 'if {!r} stands between the columns, set inputs.delimiter: "{}"'
    for delimiter, shown in ((";", ";"), ("|", "|"), ("\t", "\\t")):
        found = dict(check("a.csv", {"a.csv": f"a{delimiter}label{delimiter}text\n".encode()}))
        for key in ("label", "text"):
            expected = f"a.csv: no column in the header is named {key!r}; {hint.format(delimiter, shown)}"
            assert found["inputs", key] == expected
    found = check("a.csv", {"a.csv": "text,label\n".encode("utf-16")})
    assert found == [(("inputs", "encoding"), "a.csv: the file is UTF-16; set inputs.encoding: utf-16")]


@pytest.mark.parametrize(
    ("files", "written", "key", "message"),
    [
        ("/nowhere/a.csv", {}, "train.files", "no file '/nowhere/a.csv'"),
        ("/nowhere/*.csv", {}, "train.files", "no file matches '/nowhere/*.csv'"),
        ("folder", {"folder/a": b""}, "train.files",
         "'folder' is a directory; expected a file, or a glob such as 'folder/*.csv'"),
        ("a.txt", {"a.txt": GOOD}, "format",
         "a.txt: cannot be told by its ending (.csv, .tsv, .jsonl, .ndjson); set inputs.format"),
        ("a.csv", {"a.csv": b" \n\n"}, "train.files", "a.csv: the file is empty"),
        ("a.csv", {"a.csv": b" ,\n"}, "train.files", "a.csv: the file is empty"),
        ("a.jsonl", {"a.jsonl": b"\n"}, "train.files", "a.jsonl: the file is empty"),
        ("a.csv", {"a.csv": b"label,txet\n"}, "text",
         "a.csv: no column in the header is named 'text' (did you mean 'txet'?). Columns: 'label', 'txet'"),
        ("a.tsv", {"a.tsv": b"text,label\n"}, None, None),
        ("a.jsonl", {"a.jsonl": b'{"text": "x", "Label": 1}\n'}, "label",
         "a.jsonl: no key in the first line is named 'label' (did you mean 'Label'?). Columns: 'text', 'Label'"),
        (["a.csv", "b.csv"], {"a.csv": b"text,x\n", "b.csv": b"text,x\n"}, "label",
         "a.csv: no column in the header is named 'label'. Columns: 'text', 'x'"),
        ("a.csv", {"a.csv": b"text," + b",".join(b"%d" % i for i in range(30))}, "label",
         "a.csv: no column in the header is named 'label'. Columns: 'text', "
         + ", ".join(f"'{i}'" for i in range(19)) + " and 11 more"),
        ("a.csv", {"a.csv": b"x" * 200_000}, "train.files",
         "a.csv: cannot be read: field larger than field limit (131072)"),
    ],
)  # fmt: skip
def test_bad_files(check, files, written, key, message):
    found = check(files, written)
    if message is None:
        assert [path for path, _ in found] == [("inputs", "text"), ("inputs", "label")]
    else:
        assert found == [(("inputs", *key.split(".")), message)]


def test_relative_names_say_where_they_start(check, tmp_path):
    assert check(["a.csv", "*.csv"]) == [
        (("inputs", "train", "files"), f"no file 'a.csv' in {tmp_path}"),
        (("inputs", "train", "files"), f"no file matches '*.csv' in {tmp_path}"),
    ]


def test_a_set_format_is_for_every_file(check):
    assert check("a.txt", {"a.txt": GOOD}, format="csv") == []


def test_given_columns_take_the_place_of_the_header(check):
    written = {"a.csv": b"1,x\n", "a.jsonl": b"{}"}
    assert check("a.csv", written, columns=["label", "text"]) == []
    assert check("a.jsonl", written, columns=["label", "text"]) == [
        (("inputs", "columns"), "a.jsonl: for csv and tsv only; a jsonl line names its keys")
    ]


@pytest.mark.parametrize(
    ("files", "keys", "expected"),
    [
        ("folder", {}, []),
        ("fold*", {}, []),
        (["a.tar", "a.TGZ", "a.tfrecord", "a.csv"], {}, []),
        ("a.bin", {}, [(("inputs", "format"), "a.bin: cannot be told by its ending (.csv, .tsv, .jsonl, .ndjson, "
                        ".tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .tfrecord, .tfrecords); set inputs.format")]),
        ("a.bin", {"format": "tfrecord"}, []),
        ("folder", {"format": "tar"}, [(("inputs", "format"), "folder: expected tar, this is a folder")]),
        ("a.tar", {"format": "folder"}, [(("inputs", "format"), "a.tar: expected folder, this is a file")]),
        ("gone", {}, [(("inputs", "train", "files"), "no file 'gone' in {directory}")]),
        ("a.csv", {"image": "path"}, [(("inputs", "image"), "a.csv: no column in the header is named 'path'. "
                                       "Columns: 'image', 'label'")]),
    ],
)  # fmt: skip
def test_files_of_images(tmp_path, monkeypatch, files, keys, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("a.tar", "a.TGZ", "a.tfrecord", "a.bin"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a.csv").write_text("image,label\n1.png,x\n")
    sources = {"train": {"files": files}, "eval": {"sample": "digits"}}
    inputs = schema.ImageInputs.model_validate({"kind": "image"} | sources | keys)
    found = list(data_files.check(inputs))
    assert found == [(path, message.format(directory=tmp_path)) for path, message in expected]


def test_packed_files(check):
    ((key, message),) = check("a.csv.gz", {"a.csv.gz": gzip.compress(GOOD)}, label="kind")
    assert key == ("inputs", "label") and message.startswith("a.csv.gz: no column in the header is named 'kind'")
    ((key, message),) = check("b.csv.gz", {"b.csv.gz": gzip.compress(GOOD)[:-9]})
    assert message.startswith("b.csv.gz: cannot be read: ")
    ((key, message),) = check("c.txt.gz", {"c.txt.gz": gzip.compress(GOOD)})
    assert key == ("inputs", "format")
