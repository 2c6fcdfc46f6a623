"""Files are written whole or not at all, flushed, with the umask's mode, and dead writers' leftovers go."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spt.errors import InputError
from spt.storage import files
from spt.storage.files import (
    expanded,
    replacing,
    replacing_folder,
    restore_folder,
    sweep,
    temporaries,
    write_bytes,
    write_text,
)
from spt.storage.tensor_files import write_tensors
from tests.support.killed import dead_process, replaced_name, temporary_name


@pytest.mark.parametrize("place", [None, 3, b"folder", ["folder"]], ids=str)
def test_what_is_no_path_is_refused_with_its_value(place: Any) -> None:
    with pytest.raises(InputError, match=re.escape(f"{place!r} is no path, which must be a text or a Path")):
        expanded(place)


def test_a_file_is_flushed_then_put_in_place_then_its_folder_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old", encoding="utf-8")
    flushed: list[tuple[bool, str]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        flushed.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.read_text(encoding="utf-8")))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(path, "new\n")
    assert flushed == [(False, "old"), (True, "new\n")]
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_the_mode_is_as_the_umask_says_whoever_writes(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "bytes", b"1")
        write_tensors(tmp_path / "tensors", {"a": torch.zeros(2)})
        with replacing(tmp_path / "library") as partial:
            # as a library does that makes its own file
            partial.unlink()
            os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
        ("bytes", "tensors", "library"), mode
    )


def test_what_fails_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.ones(3)})
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_bytes(b"half")
        raise KeyboardInterrupt
    assert load_file(path)["a"].tolist() == [1, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_of_the_machine_that_names_the_file(tmp_path: Path) -> None:
    program = (
        "import pathlib, resource, torch\n"
        "from spt.storage.tensor_files import write_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"write_tensors(pathlib.Path({str(tmp_path / 'a.safetensors')!r}), {{'a': torch.ones(9999)}})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "OSError: " in done.stderr and "a.safetensors' cannot be written: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(InputError, match=r"a\.json' is a folder, but a file is written there"):
        write_text(tmp_path / "a.json", "1")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(InputError, match="is a pipe or a device, but"):
            write_text(path, "new")
    assert pipe.is_fifo() and link.is_symlink() and len(list(tmp_path.iterdir())) == 2


def test_temporaries_of_dead_processes_are_swept_by_the_next_writer_in_the_folder(tmp_path: Path) -> None:
    dead = dead_process()
    left = [temporary_name("a.json", dead), temporary_name("b.ckpt", dead)]
    living = temporary_name("c", os.getppid())
    elsewhere = temporary_name("d", dead, "otherhost")
    old = temporary_name("e", 12, "otherhost")
    # of others, however old
    mine = [
        "mine.partial",
        "film.2024.partial",
        ".cfg.5.partial",
        ".a.host.12.partial",
        "a.host.12.0.spt.partial",
    ]
    for name in [*left, living, elsewhere, old, *mine]:
        (tmp_path / name).write_bytes(b"123")
    yesterday = time.time() - 25 * 3600
    for name in [old, *mine]:
        os.utime(tmp_path / name, (yesterday, yesterday))
    assert {path.name for path in temporaries(tmp_path)} == {*left, living, elsewhere, old}
    write_text(tmp_path / "a.json", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", living, elsewhere, *mine}
    sweep(tmp_path)
    assert (tmp_path / living).exists()


def test_a_writer_that_is_killed_leaves_a_temporary_that_the_next_one_sweeps(tmp_path: Path) -> None:
    program = (
        "import os, pathlib\n"
        "from spt.storage.files import replacing\n"
        f"with replacing(pathlib.Path({str(tmp_path / 'a')!r})) as partial:\n"
        "    partial.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert len(list(temporaries(tmp_path))) == 1
    write_text(tmp_path / "a", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_writer_among_other_processes_of_the_machine_is_alive(tmp_path: Path) -> None:
    """A container may share the name of its machine, and has processes of its own."""
    name, processes = files._HOST.rsplit("-", 1)
    elsewhere = tmp_path / temporary_name("a", dead_process(), f"{name}-{int(processes) + 1}")
    elsewhere.write_bytes(b"half")
    sweep(tmp_path)
    assert elsewhere.exists()


def test_the_file_that_a_symbolic_link_names_is_written(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    real, link = tmp_path / "store" / "real.csv", tmp_path / "link.csv"
    for before in ("old", None):
        if before is not None:
            real.write_text(before)
            link.symlink_to(real)
        else:
            real.unlink()
        write_text(link, "new")
        assert link.is_symlink() and real.read_text() == "new"
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["real.csv"]


def test_threads_that_write_one_file_or_folder_leave_what_one_of_them_wrote(tmp_path: Path) -> None:
    def write(number: int) -> None:
        write_text(tmp_path / "file", str(number))
        with replacing_folder(tmp_path / "folder", "a", "a prompt", ("a", "b")) as partial:
            for name in ("a", "b"):
                (partial / name).write_text(str(number))
                time.sleep(0.001)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(60)))
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}
    assert (tmp_path / "folder" / "a").read_text() == (tmp_path / "folder" / "b").read_text()


def test_a_writer_that_has_ended_is_dead_before_its_parent_asks(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)
        os.kill(writer.pid, 0)
        left = tmp_path / temporary_name("model", writer.pid)
        left.mkdir()
        sweep(tmp_path)
        assert not left.exists()
    finally:
        writer.wait()


def test_a_folder_is_replaced_with_what_goes_with_it_and_nothing_else_there_or_beside_it_is_lost(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "model"
    (folder / ".git" / "refs").mkdir(parents=True)
    for name in ("prompt.json", "old.json", "notes.txt", ".git/HEAD", ".git/refs/main"):
        (folder / name).write_text(f"old {name}")
    (folder / "link").symlink_to("nowhere")
    for name in ("model.old", "model.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("kept")
    with replacing_folder(folder, "prompt.json", "a prompt", ("prompt.json", "old.json")) as partial:
        write_text(partial / "prompt.json", "new")
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    assert there == {"prompt.json", "notes.txt", ".git/HEAD", ".git/refs/main", "link"}
    assert (folder / "prompt.json").read_text() == "new"
    assert (folder / ".git" / "HEAD").read_text() == "old .git/HEAD"
    assert {path.name for path in tmp_path.iterdir()} == {"model", "model.old", "model.partial"}
    assert (tmp_path / "model.old" / "mine").read_text() == "kept"
    with (
        pytest.raises(InputError, match=r"holds notes\.txt, which is of something else, .* would delete it"),
        replacing_folder(folder, "prompt.json", "a prompt", ("prompt.json",)) as partial,
    ):
        for name in ("prompt.json", "notes.txt"):
            write_text(partial / name, "newer")
    assert (folder / "prompt.json").read_text() == "new"
    assert (folder / "notes.txt").read_text() == "old notes.txt"


def test_what_fails_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder, "a", "a prompt", ("a",)) as partial:
        write_text(partial / "a", "half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".", "..", "../../model"])
def test_the_folder_that_the_process_works_in_is_not_replaced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    (folder / "notes").mkdir(parents=True)
    (folder / "a").write_text("old")
    current = folder if name == "." else folder / "notes"
    monkeypatch.chdir(current)
    with (
        pytest.raises(
            InputError, match=r"model' is or holds the current folder, .* folder of its own, as '.*/"
        ),
        replacing_folder(Path(name), "a", "a prompt", ("a",)),
    ):
        pytest.fail("begun")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert Path.cwd() == current and (folder / "a").read_text() == "old"
    # what is in it is written, and what is beside it
    for below in (Path("prompt"), folder.with_name("model2")):
        with replacing_folder(below, "a", "a prompt", ("a",)) as partial:
            write_text(partial / "a", "new")
        assert (below / "a").read_text() == "new"


def test_a_folder_is_replaced_by_a_process_whose_own_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with replacing_folder(tmp_path / "model", "a", "a prompt", ("a",)) as partial:
        write_text(partial / "a", "new")
    assert (tmp_path / "model" / "a").read_text() == "new"


def test_a_folder_of_a_writer_that_was_killed_is_swept_and_one_of_the_user_is_not(tmp_path: Path) -> None:
    left, mine = tmp_path / temporary_name("model", dead_process()), tmp_path / ".mine.host.12.partial"
    yesterday = time.time() - 25 * 3600
    for folder in (left, mine):
        folder.mkdir()
        (folder / "half").write_text("half")
        os.utime(folder, (yesterday, yesterday))
    with replacing_folder(tmp_path / "model", "a", "a prompt", ("a",)) as partial:
        write_text(partial / "a", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"model", mine.name}


KILLED = """
import os, pathlib
from spt.storage.files import replacing_folder, write_text
rename = pathlib.Path.replace
def killed(path, target):
    # the second of two renamings puts the new folder in place
    if path.name.endswith(".partial") and pathlib.Path(target).name == "model":
        os.kill(os.getpid(), 9)
    return rename(path, target)
pathlib.Path.replace = killed
with replacing_folder(pathlib.Path("model"), "a", "a prompt", ("a",)) as partial:
    partial.joinpath("a").write_text("new")
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return where a folder was that a process was killed in replacing, between the two renamings."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a").write_text("old")
    # a writer elsewhere is dead after a day, whatever the age of what it replaces
    os.utime(folder, (time.time() - 25 * 3600,) * 2)
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == -9 and not folder.exists()
    return folder


def test_a_folder_that_was_being_replaced_at_a_kill_comes_back(killed: Path) -> None:
    (old,) = killed.parent.glob(".model.*.spt.old")
    assert time.time() - old.stat().st_mtime < 3600
    other = killed.parent / replaced_name("model.of.another", 12)
    other.mkdir()
    restore_folder(killed)
    assert (killed / "a").read_text() == "old"
    assert not old.exists() and other.exists()


def test_the_next_writer_begins_with_what_a_killed_one_was_replacing(killed: Path) -> None:
    with (
        pytest.raises(InputError, match="is neither a log nor an empty folder"),
        replacing_folder(killed, "b", "a log", ("b",)),
    ):
        pass
    assert (killed / "a").read_text() == "old"
    # and what a writer was killed in removing goes
    left = killed.with_name(replaced_name("model", dead_process()))
    left.mkdir()
    with replacing_folder(killed, "a", "a prompt", ("a",)) as partial:
        write_text(partial / "a", "newer")
    assert (killed / "a").read_text() == "newer"
    assert [path.name for path in killed.parent.iterdir()] == ["model"]


def test_what_a_living_writer_replaces_is_its_own(tmp_path: Path) -> None:
    living = tmp_path / replaced_name("model", os.getppid())
    living.mkdir()
    restore_folder(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == [living.name]


def test_a_folder_that_cannot_be_put_back_is_named(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(InputError, match=r"held is in '.*\.old', which cannot be put back: Permission"):
        restore_folder(killed)
