"""hubpipe.inputs.rows"""

import csv
import gzip
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubpipe import errors
from hubpipe.inputs import bad_rows, delimited, dialects, rows


@pytest.fixture
def put(tmp_path):
    """Writes a file of bytes or text and returns its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def pairs(path, **options):
    return [(row.label, row.text) for row in rows.read_rows(path, **options)]


def problem(path, **options):
    with pytest.raises(errors.InputError) as caught:
        list(rows.read_rows(path, **options))
    return str(caught.value)


def test_csv_quotes_separators_and_newlines(put):
    path = put("a.csv", 'label,id,text\nx,1,"a, ""b""\nc"\n\n \ny,2,d "e" f\n')
    assert list(rows.read_rows(path)) == [
        rows.Row('a, "b"\nc', "x", path, 2),
        rows.Row('d "e" f', "y", path, 6),
    ]


def test_tsv_takes_quotes_and_commas(put):
    assert pairs(put("a.tsv", 'text\tlabel\na, b\tx\n"c\td"\ty\n')) == [("x", "a, b"), ("y", "c\td")]


def test_jsonl(put):
    lines = ['{"text": "a", "label": 1, "more": [1]}', "", '  {"text": "b\\n", "label": "1"}  ']
    path = put("a.jsonl", "\n".join(lines))
    assert list(rows.read_rows(path)) == [rows.Row("a", "1", path, 1), rows.Row("b\n", "1", path, 3)]


def test_pairs(put):
    table = put("a.csv", "second,label,text,weight\nb,x,a,2\n,y,c,3\n")
    objects = put("a.jsonl", '{"text": "a", "label": 1, "second": "b\\u0000"}\n')
    found = list(rows.read_rows([table, objects], text_pair="second"))
    assert [(row.texts, row.label) for row in found] == [
        (["a", "b"], "x"), (["c", ""], "y"), (["a", "b\ufffd"], "1")
    ]  # fmt: skip
    assert found[0].columns == {"text": b"a", "text_b": b"b"}
    assert found[0].identity == ["a", "b"]
    (weighted, _) = rows.read_rows(table, text_pair="second", weight="weight")
    assert (weighted.weight, weighted.text_pair) == ("2", "b")
    assert problem(put("b.csv", "label,text\n"), text_pair="second").startswith(
        f"{put('b.csv', 'label,text')}: no column 'second'"
    )
    line = put("b.jsonl", '{"text": "a", "label": 1, "second": 2}')
    assert problem(line, text_pair="second") == f"{line}:1: 'second' is not a string but '2'"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_end_in_newlines_only(put, end):
    text = "a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg"
    assert pairs(put("a.csv", f"label,text{end}x,{text}{end}")) == [("x", text)]
    assert pairs(put("a.jsonl", json.dumps({"label": "x", "text": text}, ensure_ascii=False) + end)) == [
        ("x", text)
    ]


def test_byte_order_mark_and_characters_that_no_text_has(put):
    assert pairs(put("a.csv", b"\xef\xbb\xbflabel,text\nx,\xc3\xa9\0z\n")) == [("x", "é\ufffdz")]
    path = put("a.jsonl", b'\xef\xbb\xbf{"label": "x", "text": "\\u0000\\ud800\\ud83d\\ude00"}\n')
    assert pairs(path) == [("x", "\ufffd\ufffd\U0001f600")]


def test_files_packed_by_gzip(put):
    packed = gzip.compress(b"label,text\nx,a\n", mtime=0)
    assert pairs(put("a.csv.gz", packed)) == [("x", "a")]
    assert pairs(put("b.JSONL.gz", gzip.compress(b'{"label": 1, "text": "b"}\n'))) == [("1", "b")]
    for broken in (packed[:-9], packed[:20] + b"\xff" + packed[21:]):
        path = put("c.csv.gz", broken)
        assert problem(path).startswith(f"{path}: cannot be read (")
    assert "the ending '.txt' does not tell the format" in problem(put("d.txt.gz", packed))


def test_bytes_of_another_encoding(put):
    advice = "; set inputs.encoding to that of the file, such as latin-1"
    path = put("a.csv", b"label,text\nx,ok \xef\xbf\xbd\ncaf\xe9,bad\ny,good\n")
    assert problem(path) == f"{path}:3: bytes that are not utf-8 ('caf\ufffd,bad'){advice}"
    skipped = bad_rows.Skipped()
    assert pairs(path, skipped=skipped) == [("x", "ok \ufffd"), ("y", "good")]
    assert skipped.count == 1
    path = put("a.jsonl", b'{"label": "x", "text": "\xe9"}\n')
    assert problem(path) == f"""{path}:1: bytes that are not utf-8 ('bel": "x", "text": "\ufffd"}}'){advice}"""
    path = put("b.csv", b"label,t\xe9xt\nx,a\n")
    assert problem(path) == f"{path}:1: bytes that are not utf-8 ('label,t\ufffdxt'){advice}"


@pytest.mark.parametrize(
    "value, label",
    [
        ("1", "1"),
        ('"1"', "1"),
        ("1.0", "1.0"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        ("-2", "-2"),
        ('" a \\n b "', "a b"),
    ],
)
def test_jsonl_labels(put, value, label):
    assert pairs(put("a.jsonl", '{"text": "t", "label": ' + value + "}")) == [(label, "t")]


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"text": "t"}', ":2: no key 'label'. Keys: 'text'"),
        ('{"label": 1}', ":2: no key 'text'. Keys: 'label'"),
        ('{"text": "t", "label": null}', ":2: label 'label' is not a string or a number but 'null'"),
        ('{"text": "t", "label": true}', ":2: label 'label' is not a string or a number but 'true'"),
        ('{"text": "t", "label": NaN}', ":2: label 'label' is not a string or a number but 'NaN'"),
        ('{"text": "t", "label": [1]}', ":2: label 'label' is not a string or a number but a list"),
        ('{"text": "t", "label": " "}', ":2: no label ('label' is empty)"),
        ('{"text": 1.50, "label": 1}', ":2: 'text' is not a string but '1.50'"),
        ('{"text": {}, "label": 1}', ":2: 'text' is not a string but an object"),
        ("[1, 2]", ":2: not an object but a list"),
        ('"text"', ":2: not an object but '\"text\"'"),
        ('{"text": "t"', ":2: not JSON: "),
        ('{"text": "t", "label": 1} {}', ":2: more than one value ("),
        ("[" * 100_000, ":2: not JSON: "),
        ('{"text": "t", "label": ' + "9" * 10_000 + "}", ":2: not JSON: "),
    ],
)
def test_bad_jsonl_row(put, line, message):
    path = put("a.jsonl", '{"text": "a", "label": 0}\n' + line + '\n{"text": "b", "label": 2}\n')
    said = problem(path)
    assert said.startswith(path + message)
    assert len(said) < len(path) + 250
    skipped = bad_rows.Skipped()
    assert pairs(path, skipped=skipped) == [("0", "a"), ("2", "b")]
    assert (skipped.count, skipped.reasons) == (1, [said])


@pytest.mark.parametrize(
    "line, message, lines",
    [
        (",t", ":3: no label ('label' is empty)", 1),
        (" ,t", ":3: no label ('label' is empty)", 1),
        ("x", ":3: 1 field instead of 2 ('x')", 1),
        ("x,t,u", ":3: 3 fields instead of 2 ('x,t,u')", 1),
        ("label,text", ":3: names of columns, not a row ('label,text')", 1),
        ('x,"t"u', ":3: line 3 cannot be split into fields (',' expected after '\"')", 1),
        ('x,"t\n\n"u', ":3: lines 3 to 5 cannot be split into fields (',' expected after '\"')", 3),
        ("x,t\ru", ":3: line 3 cannot be split into fields (", 1),
    ],
)
def test_bad_csv_row(put, line, message, lines):
    path = put("a.csv", f"label,text\n0,a\n{line}\n1,b\n")
    said = problem(path)
    assert said.startswith(path + message)
    skipped = bad_rows.Skipped()
    assert pairs(path, skipped=skipped) == [("0", "a"), ("1", "b")]
    assert (skipped.count, skipped.reasons) == (lines, [said])


def test_unclosed_quote_counts_every_line_it_swallows(put):
    path = put("a.csv", 'label,text\n0,a\n1,"b\n2,c\n3,d\n')
    assert problem(path).startswith(path + ":3: lines 3 to 5 cannot be split into fields (unexpected end of data)")
    skipped = bad_rows.Skipped()
    assert pairs(path, skipped=skipped) == [("0", "a")]
    assert skipped.count == 3


def test_field_size(put, monkeypatch):
    long = "a" * 200_000  # more than the csv module takes by itself
    assert pairs(put("a.csv", f"label,text\nx,{long}\n")) == [("x", long)]
    limit = csv.field_size_limit()
    try:
        monkeypatch.setattr(delimited, "MAX_FIELD_CHARS", 10)
        csv.field_size_limit(10)
        assert "field larger than field limit (10)" in problem(put("b.csv", "label,text\nx,aaaaaaaaaaa\n"))
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le"])
def test_other_delimiters_and_encodings(put, encoding):
    path = put("a.csv", 'label;text\r\nx;"größer; als, b"\r\ny;é\n'.encode(encoding))
    dialect = dialects.Dialect(";", encoding)
    assert pairs(path, dialect=dialect) == [("x", "größer; als, b"), ("y", "é")]
    path = put("b.jsonl", '{"label": "x", "text": "größer"}\n'.encode(encoding))
    assert pairs(path, dialect=dialect) == [("x", "größer")]


def test_columns_of_a_file_without_header(put):
    path = put("a.csv", "t,7,x\nu,8,y\n")
    assert pairs(path, columns=["words", "n", "class"], text="words", label="class") == [("x", "t"), ("y", "u")]
    headed = put("b.csv", "words,class\nt,x\n")
    said = problem(headed, columns=["words", "class"], text="words", label="class")
    assert said == f"{headed}:1: names of columns, not a row ('words,class')"


@pytest.mark.parametrize(
    "content, message",
    [
        ("", ": empty; the first line must name the columns"),
        ("\n\n", ": empty; the first line must name the columns"),
        ("sentence,lable\n", ": no column 'text'. Columns: 'sentence, lable'"),
        ("text,lable\n", ": no column 'label' (did you mean 'lable'?). Columns: 'text, lable'"),
        ("text,label,text\n", ": column 'text' stands 2 times in ['text', 'label', 'text']"),
        ('text,"label\n', ":1: line 1 cannot be split into fields (unexpected end of data)"),
    ],
)
def test_bad_header_is_always_an_error(put, content, message):
    path = put("a.csv", content)
    assert problem(path, skipped=bad_rows.Skipped()).startswith(path + message)


def test_empty_text_is_a_row(put):
    assert pairs(put("a.csv", "label,text\nx,\n")) == [("x", "")]


@pytest.mark.parametrize(
    "name, message", [("no.csv", "no such file"), ("*.csv", "no such file"), ("", "a folder")]
)
def test_missing_files(tmp_path, name, message):
    path = str(tmp_path / name)
    assert problem(path).startswith(f"{path}: {message}")


def test_format(put):
    path = put("a.txt", "label,text\nx,t\n")
    assert problem(path).startswith(
        f"{path}: the ending '.txt' does not tell the format. Endings known: .csv, .tsv"
    )
    assert pairs(path, format="csv") == [("x", "t")]
    with pytest.raises(ValueError, match="format 'xml' is not one of auto, csv, tsv, jsonl"):
        list(rows.read_rows(path, format="xml"))
    lines = put("a.ndjson", "")
    assert problem(lines, columns=["a"]).startswith(f"{lines}: columns ['a'] are for csv and tsv")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"))


@given(st.lists(texts, max_size=5))
def test_what_is_written_is_read(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("rows")
    with open(folder / "a.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["label", "text"], *(["x", value] for value in values)])
    with open(folder / "a.jsonl", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps({"label": "x", "text": value}) + "\n" for value in values)
    assert [row.text for row in rows.read_rows(folder / "a.csv")] == values
    assert [row.text for row in rows.read_rows(folder / "a.jsonl")] == values


def test_no_tensorflow():
    program = "import sys; from hubpipe.inputs import rows, sources, vocab; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
