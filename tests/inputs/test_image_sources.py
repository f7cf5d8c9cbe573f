"""hubpipe.inputs.image_sources"""

import os
import tarfile

import pytest

from hubpipe import errors
from hubpipe.inputs import bad_rows, image_sources
from tests.inputs import pictures


def found(*paths, split="train", skipped=None, **options):
    """Set of (label, content) of the images."""
    images = image_sources.Files(tuple(map(str, paths)), split, **options).images(skipped)
    return sorted((image.label, image.read()) for image in images)


def wheres(*paths, split="train", **options):
    return [image.where for image in image_sources.Files(tuple(map(str, paths)), split, **options).images()]


FILES = {"cat/1.jpg": b"c1", "cat/2.PNG": b"c2", "dog/1.jpeg": b"d1"}
EXPECTED = [("cat", b"c1"), ("cat", b"c2"), ("dog", b"d1")]


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def test_folders(tmp_path):
    root = write(tmp_path / "pets", FILES)
    assert found(root) == EXPECTED
    assert found(root / "cat", root / "dog") == EXPECTED
    assert found(tmp_path / "pets" / "*") == EXPECTED
    assert found(os.path.relpath(root)) == EXPECTED


def test_endings(tmp_path):
    names = ("a.jpg", "b.JPEG", "c.jfif", "d.png", "e.bmp", "f.gif")
    assert len(found(write(tmp_path / "pets", {f"cat/{name}": b"" for name in names}))) == len(names)


def test_linked_folders_are_classes_too(tmp_path):
    root = write(tmp_path / "pets", {"cat/1.jpg": b"c1", "cat/2.PNG": b"c2"})
    write(tmp_path / "else", {"1.jpeg": b"d1"})
    (root / "dog").symlink_to(tmp_path / "else")
    (root / "cat" / "round").symlink_to(root)
    assert found(root) == EXPECTED


@pytest.mark.parametrize("ending, mode", [("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.xz", "w:xz")])
def test_tars(tmp_path, ending, mode):
    files = {f"./{name}": content for name, content in FILES.items()}
    path = pictures.tar(tmp_path / f"pets.{ending}", files, mode)
    assert found(path) == EXPECTED


def test_tables(tmp_path):
    write(tmp_path / "pets", FILES)
    (tmp_path / "pets.csv").write_text("what,file\ncat,pets/cat/1.jpg\ncat,pets/cat/2.PNG\ndog,pets/dog/1.jpeg\n")
    assert found(tmp_path / "pets.csv", image="file", label="what") == EXPECTED
    (tmp_path / "pets[1].tsv").write_text(f"{tmp_path}/pets/cat/1.jpg\tcat\npets/dog/1.jpeg\tdog\n")
    assert found(tmp_path / "pets[1].tsv", columns=("image", "label")) == [EXPECTED[0], EXPECTED[2]]
    path = pictures.table(tmp_path / "pets.jsonl", [("pets/cat/1.jpg", "a")])
    assert found(path) == [("a", b"c1")]
    assert wheres(path) == [f"{path}:1: {tmp_path}/pets/cat/1.jpg"]


def test_records(tmp_path):
    examples = [
        {"image/encoded": b"one", "image/class/label": 12},
        {"image/encoded": b"2", "image/class/label": b" a\n"},
    ]
    path = pictures.records(tmp_path / "a.tfrecord", examples)
    assert found(path) == [("12", b"one"), ("a", b"2")]
    assert wheres(path) == [f"{path}: record 1", f"{path}: record 2"]
    other = pictures.records(tmp_path / "a-00000-of-00001", [{"jpeg": b"x", "text": "schön".encode()}])
    assert found(other, format="tfrecord", image="jpeg", label="text") == [("schön", b"x")]


def test_the_order_mixes_classes_and_moves_with_the_files(tmp_path):
    files = {f"{label}/{number}.png": b"" for label in "ab" for number in range(50)}

    def labels(*names):
        source = image_sources.Files(tuple(map(str, names)), "train")
        return [image.label for image in source.images()]

    mixed = labels(write(tmp_path / "one" / "pets", files))
    assert 10 < mixed[:50].count("a") < 40
    assert labels(write(tmp_path / "two" / "pets", files)) == mixed
    listed = "".join(f'{{"image": "{name}", "label": "{name[0]}"}}\n' for name in sorted(files))
    for folder in ("one", "two"):
        (tmp_path / folder / "all.jsonl").write_text(listed)
    table = labels(tmp_path / "one" / "all.jsonl")
    assert 10 < table[:50].count("a") < 40
    assert labels(tmp_path / "two" / "all.jsonl") == table


SPLIT = {
    "set/train/cat/1.jpg": b"c",
    "set/train/dog/1.jpg": b"d",
    "set/test/cat/1.jpg": b"t",
    "set/val/cat/2.jpg": b"v",
}


def test_splits_are_found_by_the_names_of_folders(tmp_path):
    path = pictures.tar(tmp_path / "all.tar", SPLIT)
    for source in (path, write(tmp_path / "all", SPLIT)):
        assert found(source) == [("cat", b"c"), ("dog", b"d")]
        assert found(source, split="eval") == [("cat", b"v")]
        assert found(source, split="eval", folder="test") == [("cat", b"t")]
        assert found(source, folder="set/val/") == [("cat", b"v")]
        with pytest.raises(errors.InputError) as caught:
            found(source, folder="dev")
        assert str(caught.value).startswith(f"{source}: no images in folders below 'dev'. Folders of folders: ")
        assert "set, test, train, val" in str(caught.value)
    without = {name: content for name, content in SPLIT.items() if "train" not in name}
    assert len(found(pictures.tar(tmp_path / "tests.tar", without))) == 2


def test_what_is_beside_images_is_refused_or_counted(tmp_path):
    beside = ("cat/notes.txt", "bird/1.webp", ".git/x/1.jpg", "LICENSE")
    beside += ("cat/.DS_Store", "cat/Thumbs.db", "cat/desktop.ini")
    root = write(tmp_path / "pets", {**FILES, **dict.fromkeys(beside, b"")})
    with pytest.raises(errors.InputError, match="(cat/notes.txt|bird/1.webp): no image by") as caught:
        found(root)
    assert str(caught.value).endswith(
        "Endings known: .jpg, .jpeg, .jfif, .png, .bmp, .gif. Remove it, or set inputs.bad_rows: skip to leave "
        "such files out"
    )
    skipped = bad_rows.Skipped()
    assert found(root, skipped=skipped) == EXPECTED
    assert skipped.count == 2


def test_loose_images_beside_the_folders_of_classes_have_no_label(tmp_path):
    root = write(tmp_path / "pets", {"1.jpg": b"loose", **FILES})
    with pytest.raises(errors.InputError, match=r"pets: pets/1.jpg: in no folder of a class, whose name would be"):
        found(root)
    skipped = bad_rows.Skipped()
    assert found(root, skipped=skipped) == EXPECTED
    assert skipped.count == 1


def test_links_and_loose_images_of_tars(tmp_path):
    path = pictures.tar(tmp_path / "a.tar", {"1.jpg": b"loose", **FILES})
    with pytest.raises(errors.InputError, match=r"a.tar: 1.jpg: in no folder of a class, whose name would be"):
        found(path)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("cat/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../etc/passwd"
        archive.addfile(link)
    skipped = bad_rows.Skipped()
    assert found(path, skipped=skipped) == EXPECTED
    assert sorted(reason.partition(": ")[2] for reason in skipped.reasons) == [
        "1.jpg: in no folder of a class, whose name would be its label",
        "cat/link.jpg: not a file, but a link or a device",
    ]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.tar", b"no tar at all", "a.tar: cannot be read as a tar ("),
        ("a.tgz", b"\x1f\x8bbroken", "a.tgz: cannot be read as a tar ("),
        ("a.tfrecord", b"something else than records", "a.tfrecord: cannot be read as TFRecords ("),
        ("a.zip", b"", "a.zip: the ending '.zip' does not tell the format"),
        (None, None, "nothing: no such file or folder, and none matches it as a pattern"),
    ],
)
def test_broken_files(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    if name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InputError) as caught:
        found(name or "nothing", skipped=bad_rows.Skipped())
    assert str(caught.value).startswith(message)


def test_a_truncated_tar(tmp_path):
    path = pictures.tar(tmp_path / "a.tar", {"cat/1.jpg": b"x" * 20_000})
    with open(path, "r+b") as file:
        file.truncate(5000)
    with pytest.raises(errors.InputError, match="a.tar: cannot be read as a tar"):
        found(path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(errors.InputError, match="no files in this folder, nor below it"):
        found(tmp_path)


@pytest.mark.parametrize(
    "example, message",
    [
        ({"image/class/label": 1}, "no key 'image/encoded'. Keys: image/class/label"),
        ({"image/encoded": b"x"}, "no key 'image/class/label'. Keys: image/encoded"),
        ({"image/encoded": 1, "image/class/label": 1}, "'image/encoded' has 0 encoded images, expected 1"),
        (
            {"image/encoded": b"x", "image/class/label": [1, 2]},
            "'image/class/label' is ['1', '2'], expected one text or number",
        ),
        (
            {"image/encoded": b"x", "image/class/label": b" "},
            "'image/class/label' is [''], expected one text or number",
        ),
    ],
)
def test_bad_examples(tmp_path, example, message):
    path = pictures.records(tmp_path / "a.tfrecord", [example])
    with pytest.raises(errors.InputError) as caught:
        found(path)
    assert str(caught.value) == f"{path}: record 1: {message}"
    skipped = bad_rows.Skipped()
    assert found(path, skipped=skipped) == []
    assert skipped.count == 1


def test_the_identity_follows_contents_and_options_not_places(tmp_path):
    def identity(place, **options):
        return image_sources.Files((str(tmp_path / place),), "train", **options).identity()

    for place in ("a/pets", "b/pets"):
        write(tmp_path / place, FILES)
    first = identity("a/pets")
    assert identity("b/pets") == first != identity("a/pets", folder="cat")
    (tmp_path / "b/pets/cat/1.jpg").write_bytes(b"other")
    assert identity("b/pets") != first
    for place in ("a", "b"):
        pictures.table(tmp_path / place / "all.jsonl", [("pets/dog/1.jpeg", "x"), ("missing", "y")])
    assert identity("a/all.jsonl") == identity("b/all.jsonl")
    (tmp_path / "b/pets/dog/1.jpeg").write_bytes(b"other")
    assert identity("a/all.jsonl") != identity("b/all.jsonl")


def test_further_columns(tmp_path):
    (tmp_path / "a.csv").write_text("image,label,where\n1.png,x,in\n2.png,y,out\n")
    source = image_sources.Files((str(tmp_path / "a.csv"),), "eval")
    assert [(row.where, row.label) for row in source.table_rows("where")] == [
        (f"{tmp_path}/a.csv:2", "in"),
        (f"{tmp_path}/a.csv:3", "out"),
    ]
    folder = image_sources.Files((str(tmp_path),), "eval")
    for other in (folder, image_sources.Sample("digits", "eval")):
        with pytest.raises(errors.InputError, match="column 'where'"):
            list(other.table_rows("where"))
