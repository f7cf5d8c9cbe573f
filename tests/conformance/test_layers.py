"""What imports what: arrows point one way, and only compat/ knows that TensorFlow versions differ."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[2] / "hubpipe"

# Folder -> the folders of hubpipe it may import from, besides itself.
ALLOWED = {
    "config": {"files"},
    "inputs": {"compat", "config", "embeddings", "files", "own_code"},
    "models": {"compat", "config", "hub", "own_code"},
    "examples": {"hub"},
    "training": {"cli", "compat", "config", "exporters", "files", "inputs", "models", "store"},
    "retraining": {
        *("cli", "compat", "config", "exporters", "files", "gates", "hub", "inputs", "models", "reports", "store"),
        "training",
    },
    "embeddings": {"files", "hub", "saved_model", "store"},
    "exporters": {"compat", "files", "hub", "saved_model", "store"},
    "gates": {"compat", "files", "hub", "saved_model", "store"},
    "saved_model": {"compat", "files", "hub"},
    "hub": {"compat", "files"},
    "store": {"files"},
    "reports": {"files", "store"},
    "files": set(),
    "compat": set(),
}
# Of a folder, the only parts that another may import.
ONLY_PARTS = {
    ("models", "config"): ("hubpipe.config.schema", "hubpipe.config.wording"),
    ("inputs", "config"): ("hubpipe.config.schema", "hubpipe.config.wording"),
    # What reads the files; what makes modules of them imports TensorFlow.
    ("inputs", "embeddings"): tuple(f"hubpipe.embeddings.{part}" for part in ("reader", "streaming", "text")),
}
FOR_ALL = {"errors", "version"}
WITHOUT_TENSORFLOW = {"config", "store", "reports", "files"}
ONLY_IN_COMPAT = ("tf.__version__", "tf.version", "hasattr(tf", "tf1.__version__", "hasattr(tf1")


def _modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def _folder(path):
    """The folder of a module, None for those at the top, which are commands and may import anything."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def _imports(path):
    """Full names of the modules, and of what is imported from them, in the whole file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own(path):
    """Pairs (folder or module, full name) of hubpipe that a module imports."""
    return [(name.split(".")[1], name) for name in _imports(path) if name.startswith("hubpipe.")]


def _id(path):
    return str(path.relative_to(PACKAGE))


def test_every_folder_has_its_place():
    folders = {_folder(path) for path in _modules()} - {None}
    assert len(folders) >= 8
    assert folders <= set(ALLOWED)


@pytest.mark.parametrize("path", [path for path in _modules() if _folder(path)], ids=_id)
def test_imports_point_one_way(path):
    folder = _folder(path)
    allowed = ALLOWED[folder] | FOR_ALL | {folder}
    wrong = [name for target, name in _own(path) if target not in allowed]
    wrong += [
        name
        for target, name in _own(path)
        if (folder, target) in ONLY_PARTS and not name.startswith(ONLY_PARTS[folder, target])
    ]
    assert not wrong, f"hubpipe/{folder} must not import {wrong}"


@pytest.mark.parametrize("path", [path for path in _modules() if _folder(path) in WITHOUT_TENSORFLOW], ids=_id)
def test_folders_without_tensorflow(path):
    assert not [name for name in _imports(path) if name.split(".")[0] in ("tensorflow", "tensorflow_estimator")]


def test_the_top_needs_no_tensorflow():
    for name in ("__init__.py", "errors.py", "own_code.py", "version.py"):
        assert not [name for name in _imports(PACKAGE / name) if name.startswith("tensorflow")]


@pytest.mark.parametrize("path", [path for path in _modules() if _folder(path) != "compat"], ids=_id)
def test_only_compat_knows_versions_and_private_parts(path):
    private = ("tensorflow.python", "tensorflow_estimator", "tf_keras", "keras")
    assert not [name for name in _imports(path) if name.startswith(private)]
    text = path.read_text(encoding="utf-8")
    assert not [phrase for phrase in ONLY_IN_COMPAT if phrase in text]


@pytest.mark.parametrize("path", sorted((PACKAGE / "hub" / "handles").glob("*.py")), ids=_id)
def test_handles_know_no_modules(path):
    known = ("hubpipe.hub.handles", "hubpipe.files", "hubpipe.errors", "hubpipe.version")
    assert not [name for _, name in _own(path) if not name.startswith(known)]


def test_no_module_is_called_utils():
    assert not [path for path in PACKAGE.rglob("*util*") if "__pycache__" not in path.parts]
