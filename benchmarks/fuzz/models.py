"""Saved prompts and backbone folders with something damaged or something hostile in them."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.fuzz import tiny
from benchmarks.fuzz.case import Case, Expected, Target
from benchmarks.fuzz.damage import VALUES, Damaged, damaged_bytes, damaged_trees
from spt.architecture import PromptLayers
from spt.audit.json_content import read_json
from spt.audit.report import audit
from spt.build import load_backbone, load_tokenizer, new_factory
from spt.errors import InputError
from spt.saved_folders import PROMPT_JSON, PROMPT_WEIGHTS
from spt.serving.classifier import PromptClassifier
from spt.storage.tensor_header import read_header

BACKBONE_WEIGHTS = "model.safetensors"
RAN = "ran"
CODE = f"from pathlib import Path\nPath(__file__).with_name({RAN!r}).touch()\n".encode()
SIZES = st.sampled_from([-1, 0, 1, 3, 10**3, 10**6, 10**9, 2**63])
# beside a model: none may be loaded, followed or run
STRANGERS: dict[str, bytes] = {
    "pytorch_model.bin": pickle.dumps({"weight": 1}),
    "modeling.py": CODE,
    "data": b"\x7fELF\x02",
    "more.json": b"[" * 20_000,
    "more.safetensors": struct.pack("<Q", 2**40),
}


class _Touch:
    """Touches a file where it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path(RAN),)


@st.composite
def damaged_tensors(draw: st.DrawFn, content: bytes) -> Damaged:
    """Draw a safetensors file with its header, its numbers or its end changed."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = draw(st.sampled_from([key for key in header if key != "__metadata__"]))
    deed = draw(
        st.sampled_from(
            ["shape", "type", "place", "name", "gone", "not finite", "a number", "length", "bytes"]
        )
    )
    if deed == "bytes":
        return draw(damaged_bytes(content))
    if deed == "length":
        return Damaged(struct.pack("<Q", draw(SIZES) % 2**64) + content[8:], "the header's length")
    if deed == "shape":
        header[name]["shape"] = draw(st.lists(SIZES, max_size=3))
    elif deed == "type":
        header[name]["dtype"] = draw(
            st.sampled_from(["F64", "F16", "I64", "U8", "BOOL", "F8_E4M3", "F4", "PY", 5, None])
        )
    elif deed == "place":
        header[name]["data_offsets"] = draw(st.lists(SIZES, min_size=1, max_size=3))
    elif deed == "name":
        header[draw(st.sampled_from(["", "x" * 1000, f"{name}.x", "__metadata__"]))] = header.pop(name)
    elif deed == "gone":
        header.pop(name)
    elif deed == "not finite":
        data = struct.pack("<f", draw(st.sampled_from([float("nan"), float("inf")]))) + data[4:]
    else:
        data = data[:-4] + struct.pack("<f", 7.5)
    text = json.dumps(header).encode()
    return Damaged(struct.pack("<Q", len(text)) + text + data, f"{name}: {deed}")


@st.composite
def prompts(draw: st.DrawFn) -> Case:
    """Draw the folder of a saved prompt: whole, or with one thing damaged or beside it."""
    files = dict(draw(st.sampled_from(tiny.prompt_files())))
    deeds = (
        _whole,
        _with_value,
        _with_value,
        _with_size,
        _with_json,
        _with_tensors,
        _without_file,
        _with_stranger,
    )
    return draw(st.sampled_from(deeds))(draw, files)


def _whole(draw: st.DrawFn, files: dict[str, bytes]) -> Case:  # noqa: ARG001
    return Case(files, expected="accepted")


def _with_value(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    damaged = draw(damaged_trees(json.loads(files[PROMPT_JSON]), closed=False))
    return Case({**files, PROMPT_JSON: json.dumps(damaged.content).encode()}, damaged.damage)


def _with_json(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    damaged = draw(damaged_bytes(files[PROMPT_JSON]))
    return Case({**files, PROMPT_JSON: damaged.content}, f"{PROMPT_JSON} {damaged.damage}")


def _with_size(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    tree = json.loads(files[PROMPT_JSON])
    damage = _damage_size(draw, tree)
    return Case({**files, PROMPT_JSON: json.dumps(tree).encode()}, damage)


def _damage_size(draw: st.DrawFn, tree: Any) -> str:
    section, name = draw(
        st.sampled_from(
            [
                (tree["architecture"], "total"),
                (tree["spec"], "max_length"),
                (tree["spec"]["prompt"], "bottleneck"),
                (tree["spec"]["prompt"], "length"),
                (tree["spec"]["prompt"], "phm_order"),
            ]
        )
    )
    section[name] = draw(SIZES)
    return f"{name} is {section[name]}"


def _with_tensors(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    """Damage the weights, with their digest in prompt.json as it was or as if they had been saved so."""
    damaged, signed = draw(damaged_tensors(files[PROMPT_WEIGHTS])), draw(st.booleans())
    tree = json.loads(files[PROMPT_JSON])
    expected: Expected = "either"
    if damaged.content != files[PROMPT_WEIGHTS]:
        finite = "not finite" not in damaged.damage
        expected = "either" if signed and finite else "refused"
    if signed:
        tree["tensors"][PROMPT_WEIGHTS] = hashlib.sha256(damaged.content).hexdigest()
    changed = {PROMPT_WEIGHTS: damaged.content, PROMPT_JSON: json.dumps(tree).encode()}
    return Case({**files, **changed}, f"{PROMPT_WEIGHTS} {damaged.damage}, signed: {signed}", expected)


def _with_stranger(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    name = draw(st.sampled_from(sorted(STRANGERS)))
    return Case({**files, name: STRANGERS[name]}, f"beside it {name}", "accepted")


def _without_file(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    """Take a file away, or put a link, a pickle, nothing or very much in its place."""
    name = draw(st.sampled_from(sorted(files)))
    deed = draw(
        st.sampled_from(
            ["gone", "a link to nothing", "a link to itself", "a device", "a pickle", "empty", "deep"]
        )
    )
    links = {"a link to nothing": "nothing", "a link to itself": name, "a device": "/dev/zero"}
    contents = {"a pickle": pickle.dumps(_Touch()), "empty": b"", "deep": b"[" * 50_000}
    content = files.pop(name)
    damage = f"{name} is {deed}"
    if deed in links:
        return Case(files, damage, links={name: links[deed]})
    return Case(
        {**files, name: contents[deed]} if deed in contents else files,
        damage,
        "refused" if content else "either",
    )


@st.composite
def backbones(draw: st.DrawFn) -> Case:
    """Draw a backbone's folder: whole, or with one thing damaged or beside it."""
    files = dict(tiny.backbone_files())
    deeds = (
        _whole,
        _other_value,
        _other_value,
        _with_code,
        _other_json,
        _other_weights,
        _other_file,
        _with_stranger,
    )
    return draw(st.sampled_from(deeds))(draw, files)


def _other_file(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    case = _without_file(draw, files)
    return Case(case.files, case.damage, links=case.links)


def _other_weights(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    damaged = draw(damaged_tensors(files[BACKBONE_WEIGHTS]))
    return Case({**files, BACKBONE_WEIGHTS: damaged.content}, f"{BACKBONE_WEIGHTS} {damaged.damage}")


def _other_json(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    name = _some_json(draw, files)
    damaged = draw(damaged_bytes(files[name]))
    return Case({**files, name: damaged.content}, f"{name} {damaged.damage}")


def _other_value(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    name = _some_json(draw, files)
    damaged = draw(damaged_trees(json.loads(files[name]), closed=False))
    return Case({**files, name: json.dumps(damaged.content).encode()}, f"{name} {damaged.damage}")


def _with_code(draw: st.DrawFn, files: dict[str, bytes]) -> Case:
    """Name classes of a Python file beside it, for a known or an unknown type of model."""
    name = _some_json(draw, files)
    tree = json.loads(files[name])
    classes = {
        kind: f"evil.{kind}" for kind in ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoModelForMaskedLM")
    }
    tree["auto_map"] = draw(st.sampled_from([classes, "evil.AutoModel", [1], None]))
    if draw(st.booleans()):
        tree["model_type"] = draw(st.sampled_from(["evil", "bert", "gpt2", "t5", None, 5]) | VALUES)
    return Case({**files, name: json.dumps(tree).encode(), "evil.py": CODE}, f"{name} with code")


def _some_json(draw: st.DrawFn, files: dict[str, bytes]) -> str:
    return draw(st.sampled_from(sorted(name for name in files if name.endswith(".json"))))


def _prompt_check(folder: Path) -> None:
    if not isinstance(read_json(folder / PROMPT_JSON), dict):
        raise InputError("it is no object")
    read_header(folder / PROMPT_WEIGHTS)


def _use_prompt(folder: Path) -> None:
    """Audit a saved prompt, load it over its backbone, and ask it."""
    audit(folder)
    _ask(PromptClassifier.from_pretrained(folder, *tiny.loaded()))


def _backbone_check(folder: Path) -> None:
    if not isinstance(read_json(folder / "config.json"), dict):
        raise InputError("it is no object")
    read_header(folder / BACKBONE_WEIGHTS)


def _use_backbone(folder: Path) -> None:
    """Audit a backbone, load it, and ask a fresh prompt over it; nothing of its own may run."""
    audit(folder)
    spec = tiny.spec_of(folder, {})
    try:
        tokenizer, backbone = load_tokenizer(spec), load_backbone(spec)
        layers = PromptLayers.of([backbone.num_layers - 1], backbone.num_layers)
        model = new_factory(spec, backbone, tokenizer, seed=0).model(layers).eval()
        _ask(PromptClassifier(model, tokenizer, spec, layers))
    finally:
        if any(path.name == RAN for place in (folder, Path()) for path in place.glob(f"**/{RAN}")):
            raise AssertionError("code of the folder ran")


def _ask(classifier: PromptClassifier) -> None:
    classifier.predict(tiny.TEXTS)
    chances = classifier.predict_proba(tiny.TEXTS)
    if not ((chances >= 0) & (chances <= 1)).all():
        raise AssertionError(f"its probabilities are {chances.tolist()}")


def _prompt_cases() -> st.SearchStrategy[Case]:
    tiny.prompt_files()
    return prompts()


def _backbone_cases() -> st.SearchStrategy[Case]:
    tiny.backbone_files()
    return backbones()


TARGETS = (
    Target("saved prompts", _prompt_cases, _prompt_check, _use_prompt, share=2),
    Target("backbone folders", _backbone_cases, _backbone_check, _use_backbone),
)
