"""Tests of hubpipe.cli."""

import errno
import os
import sys

import pytest
from absl import flags

from hubpipe import cli, errors


@pytest.fixture
def ended(monkeypatch, capsys):
    """A function (main, *arguments) -> (exit code, stdout, stderr) of a command."""

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.run(main, flags.FlagValues())
        return (end.value.code, *capsys.readouterr())

    yield run
    flags.FLAGS.unparse_flags()
    flags.FLAGS["traceback"].value = False


def failing(error):
    def main(arguments):
        raise error

    return main


@pytest.mark.parametrize("code", list(cli.ExitCode))
def test_the_exit_code_is_that_of_main(ended, code):
    assert ended(lambda arguments: code) == (code, "", "")


def test_main_gets_what_is_no_flag(ended):
    def main(arguments):
        print(arguments)
        return cli.ExitCode.DONE

    assert ended(main, "a.b=1", "--traceback", "c=--d") == (0, "['a.b=1', 'c=--d']\n", "")


@pytest.mark.parametrize(
    "error, code",
    [
        (errors.ConfigError(["a.yaml:1: one", "a.yaml:2: two"]), 2),
        (errors.InputError("a.csv:3: three"), 2),
        (errors.UnknownVersionError("modules/text: there is no version 7"), 2),
        (errors.HandleError("/m does not exist"), 2),
        (errors.NotAModuleError("/m: not a TF1 Hub module"), 2),
        (errors.TrainingError("run: the loss became NaN"), 1),
        (errors.ExportError("nothing registered"), 1),
        (OSError(28, "No space left on device", "/m/x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_user_is_its_message_alone(ended, error, code):
    assert ended(failing(error)) == (code, "", f"{error}\n")


def test_a_reader_that_has_seen_enough_is_no_error(ended, monkeypatch):
    def main(arguments):
        print("much")
        return cli.ExitCode.REJECTED

    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert ended(main)[::2] == (3, "")


def test_another_broken_pipe_is_told(ended):
    error = BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert ended(failing(error)) == (1, "", "[Errno 32] Broken pipe\n")


def test_traceback_shows_where(ended):
    code, _, written = ended(failing(errors.InputError("a.csv:3: three")), "--traceback")
    assert code == 2
    assert "in failing" not in written and "in main" in written
    assert written.endswith("hubpipe.errors.InputError: a.csv:3: three\n")


def test_a_bug_shows_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda arguments: 1 // 0, flags.FlagValues())


def test_an_interruption_can_be_run_again(ended):
    code, _, written = ended(failing(KeyboardInterrupt()))
    assert (code, written) == (75, "interrupted; run the same command again to go on\n")


def test_an_unknown_flag(ended):
    code, _, written = ended(lambda arguments: cli.ExitCode.DONE, "--tracebak")
    assert code == 2
    assert written.startswith("Unknown command line flag 'tracebak'. Did you mean: traceback ?\nTry: python -m ")


def test_help_is_no_failure(ended):
    code, written, _ = ended(lambda arguments: cli.ExitCode.FAILED, "--help")
    assert code == 0
    assert "--helpfull" in written


def test_the_flags_of_a_store(tmp_path):
    values = flags.FlagValues()
    found = cli.StoreFlags(values)
    values(["command", "--store_dir", str(tmp_path), "--name", "text", "--why", "wrong labels"])
    assert (found.versions.path, found.versions.name, found.why) == (f"{tmp_path}/text", "text", "wrong labels")
    values.unparse_flags()
    values(["command", "--store_dir", str(tmp_path), "--name", "a/b"])
    with pytest.raises(errors.StoreError, match="the module name 'a/b' is not valid"):
        found.versions  # noqa: B018
    for argument in ("--store_dir", "--name"):
        fresh = flags.FlagValues()
        cli.StoreFlags(fresh)
        with pytest.raises(flags.Error, match=f"Flag {argument} must have a value other than None"):
            fresh(["command", *(["--name", "text"] if argument == "--store_dir" else ["--store_dir", "modules"])])
