"""The audit: what a folder holds, what would be read of it, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from pydantic import ValidationError

from spt.architecture import PromptLayers
from spt.assets import BACKBONES
from spt.audit.folder import FoundFile, find_files
from spt.audit.json_content import (
    code_problems,
    proportion_problems,
    read_json,
    size_problems,
)
from spt.audit.onnx_references import external_files
from spt.errors import InputError
from spt.saved_folders import (
    EXPORT_JSON,
    FORMATS,
    FORMATS_WITH_DIGESTS,
    PROMPT_JSON,
    PROMPT_WEIGHTS,
    TOKENIZER_JSON,
)
from spt.sections import problems_of
from spt.spec import ModelSpec, spec_as_written
from spt.storage.digests import file_digest
from spt.storage.tensor_header import TensorEntry, read_header

CONFIG_JSON, BACKBONE_WEIGHTS = "config.json", "model.safetensors"
INDEX = f"{BACKBONE_WEIGHTS}.index.json"
TOKENIZERS = (
    TOKENIZER_JSON,
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
BESIDE_TOKENIZERS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")

# of one kind in one file that are told
MOST_PROBLEMS = 20

Content = Literal["saved prompt", "backbone", "export", "neither"]


@dataclass(frozen=True)
class Audit:
    """Hold what an audit found.

    Attributes:
        content: what the folder is by the files in it.
        files: all of them, by name.
        read: names of those that this project would read.
        tensors: by the name of their file.
        notes: what else to look at.
        problems: what is wrong, each with its file's name; empty for a folder that may be loaded.
    """

    content: Content
    files: list[FoundFile]
    read: list[str] = field(default_factory=list)
    tensors: dict[str, list[TensorEntry]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def audit(folder: Path) -> Audit:
    """Say what the folder of a saved prompt or a backbone holds, loading neither tensors nor code.

    Raises:
        InputError: if it is no folder, or cannot be looked through.
    """
    files = find_files(folder)
    names = {file.name for file in files}
    content: Content = "neither"
    if PROMPT_JSON in names:
        content = "saved prompt"
    elif EXPORT_JSON in names:
        content = "export"
    elif CONFIG_JSON in names:
        content = "backbone"
    result = Audit(content, files)
    readable: dict[str, Any] = {}
    for file in files:
        if file.problem is not None:
            result.problems.append(f"{file.name} {file.problem}")
        else:
            _look_into(file, result, readable)
    if content == "saved prompt":
        _check_prompt(result, names, readable)
    elif content == "export":
        _check_export(result, names, readable)
    elif content == "backbone":
        _check_backbone(result, names, readable)
    else:
        result.problems.append(f"The folder holds neither {PROMPT_JSON}, {CONFIG_JSON} nor {EXPORT_JSON}")
    return result


def _look_into(file: FoundFile, result: Audit, readable: dict[str, Any]) -> None:
    """Read a file's JSON or its header of tensors, and note what is wrong with it."""
    try:
        if file.kind == "tensors":
            result.tensors[file.name] = read_header(file.path)
        elif file.kind == "json":
            readable[file.name] = read_json(file.path)
            problems = _first_few(code_problems(readable[file.name]))
            result.problems.extend(f"{file.name} {problem}" for problem in problems)
    except (InputError, OSError) as error:
        result.problems.append(f"{file.name} {error}")


def _check_prompt(result: Audit, names: set[str], readable: Mapping[str, Any]) -> None:
    result.read.extend(_there((PROMPT_JSON, PROMPT_WEIGHTS), names))
    if PROMPT_WEIGHTS not in names:
        result.problems.append(f"{PROMPT_WEIGHTS} is missing")
    if PROMPT_JSON not in readable:
        return
    config = readable[PROMPT_JSON]
    numbers = _numbers(result, [PROMPT_WEIGHTS])
    result.problems.extend(f"{PROMPT_JSON} {problem}" for problem in _prompt_problems(config, numbers))
    if PROMPT_WEIGHTS in result.tensors and _has_digests(config):
        weights = next(file for file in result.files if file.name == PROMPT_WEIGHTS)
        result.problems.extend(_digest_problems(weights, _weights_digest(config), PROMPT_JSON))
    if name := _backbone_name(config):
        where = "embedded" if name in BACKBONES else "of a folder or the hub; audit it too"
        result.notes.append(f"It needs the backbone {name!r:.200}, {where}.")


def _prompt_problems(config: Any, numbers: int | None) -> Iterator[str]:
    """Say what is wrong with prompt.json, beside which weights of so many numbers are, or refused ones."""
    try:
        if type(config["format"]) is not int or config["format"] not in FORMATS:
            readable = f"{FORMATS[0]} to {FORMATS[-1]}"
            yield f"has format {config['format']!r:.80}, but this version reads {readable}"
            return
        spec = ModelSpec.model_validate(spec_as_written(config["spec"]))
        PromptLayers.model_validate(config["architecture"])
    except (KeyError, TypeError, RecursionError) as error:
        yield f"is not of a saved prompt: {type(error).__name__} {error}"
        return
    except ValidationError as error:
        for each in problems_of(error)[:5]:
            yield f"is damaged: {'.'.join(map(str, each['loc']))}: {each['msg']}"
        return
    # a generator's PHM projection alone has more numbers
    if numbers is None or spec.prompt.generator == "free":
        return
    if spec.prompt.bottleneck > numbers * spec.prompt.phm_order:
        yield f"has bottleneck {spec.prompt.bottleneck:,}, but the weights are {numbers:,} in all"


def _weights_digest(config: Any) -> Any:
    """Return the digest of the weights that prompt.json says, or what stands in its place."""
    digests = config.get("tensors") if isinstance(config, dict) else None
    return digests.get(PROMPT_WEIGHTS) if isinstance(digests, dict) else None


def _has_digests(config: Any) -> bool:
    return isinstance(config, dict) and config.get("format") in FORMATS_WITH_DIGESTS


def _digest_problems(file: FoundFile, written: Any, where: str) -> Iterator[str]:
    """Compare a file's digest with the one written of it; what was refused already is not opened for it."""
    if file.problem is not None:
        return
    try:
        now = file_digest(file.path)
    except OSError as error:
        yield f"{file.name} cannot be read: {error.strerror}"
        return
    if written != now:
        yield f"{file.name} has SHA-256 {now}, but {where} says {written!r:.80}"


def _backbone_name(config: Any) -> str | None:
    for key in ("spec", "backbone", "name"):
        config = config.get(key) if isinstance(config, dict) else None
    return config if isinstance(config, str) else None


def _check_export(result: Audit, names: set[str], readable: Mapping[str, Any]) -> None:
    if EXPORT_JSON not in readable:
        return
    content = readable[EXPORT_JSON]
    digests = content.get("files") if isinstance(content, dict) else None
    graphs = content.get("graphs") if isinstance(content, dict) else None
    named = [TOKENIZER_JSON, *graphs] if isinstance(graphs, list) and graphs else None
    if not isinstance(digests, dict) or named is None or not _are_among(named, digests):
        result.problems.append(f"{EXPORT_JSON} does not say which graphs and files there are")
        return
    result.read.extend(_there([EXPORT_JSON, *named], names))
    files = {file.name: file for file in result.files}
    for graph in _there(named[1:], names):
        result.problems.extend(_first_few(_reference_problems(files[graph], digests)))
    for name, written in digests.items():
        if name in files:
            result.problems.extend(_digest_problems(files[name], written, EXPORT_JSON))
        else:
            result.problems.append(f"{name} is missing")


def _reference_problems(graph: FoundFile, digests: Mapping[str, Any]) -> Iterator[str]:
    """Say which weights of a graph lie elsewhere than in files that the export has digests of."""
    if graph.problem is not None:
        return
    try:
        locations = external_files(graph.path)
    except (InputError, OSError) as error:
        yield f"{graph.name} {error}"
        return
    for location in locations:
        # it parts paths as Linux does and as Windows does, and knows the roots of both
        place = PureWindowsPath(location)
        if place.anchor or ".." in place.parts:
            yield f"{graph.name} has weights outside of the folder, in {location!r:.200}"
        elif (PurePosixPath(graph.name).parent / place.as_posix()).as_posix() not in digests:
            yield f"{graph.name} has weights in {location!r:.200}, of which {EXPORT_JSON} has no digest"


def _are_among(values: list[Any], names: Mapping[str, Any]) -> bool:
    """Say whether values of JSON, which may be anything, are all names."""
    return all(isinstance(value, str) and value in names for value in values)


def _check_backbone(result: Audit, names: set[str], readable: Mapping[str, Any]) -> None:
    weights = _weight_files(result, names, readable)
    tokenizers = _there(TOKENIZERS, names)
    result.read.extend([CONFIG_JSON, *_there(weights, names), *tokenizers, *_there(BESIDE_TOKENIZERS, names)])
    result.problems.extend(f"{name} is missing" for name in weights if name not in names)
    if not tokenizers:
        result.problems.append(f"There is no tokenizer: none of {', '.join(TOKENIZERS)}")
    if CONFIG_JSON in readable:
        config = readable[CONFIG_JSON]
        numbers = _numbers(result, [name for name in weights if name != INDEX])
        problems = _first_few(size_problems(config))
        if not problems and numbers is not None:
            problems = list(proportion_problems(config, numbers))
        result.problems.extend(f"{CONFIG_JSON} {problem}" for problem in problems)


def _weight_files(result: Audit, names: set[str], readable: Mapping[str, Any]) -> list[str]:
    """Name the files of a backbone's weights: one, or those that its index lists."""
    if BACKBONE_WEIGHTS in names or INDEX not in readable:
        return [BACKBONE_WEIGHTS]
    index = readable[INDEX]
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
        result.problems.append(f"{INDEX} does not say which file holds which tensor")
        return [INDEX]
    return [INDEX, *sorted(set(places.values()))]


def _numbers(result: Audit, files: list[str]) -> int | None:
    """Count the numbers of tensors in files; None where one is missing or refused, which is told of it."""
    if any(name not in result.tensors for name in files):
        return None
    return sum(tensor.numbers for name in files for tensor in result.tensors[name])


def _first_few(problems: Iterator[str]) -> list[str]:
    """Return the first problems of a file, each once: a hostile one may have millions."""
    return list(islice(dict.fromkeys(problems), MOST_PROBLEMS))


def _there(wanted: tuple[str, ...] | list[str], names: set[str]) -> list[str]:
    return [name for name in wanted if name in names]
