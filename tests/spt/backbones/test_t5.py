"""T5: prompts in the encoder, label words scored by the decoder, against stock Hugging Face models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

from spt.architecture import PromptLayers
from spt.backbones.registry import FAMILIES, load_backbone
from spt.backbones.t5 import T5Backbone
from spt.data.encoded.label_words import label_sequences
from spt.errors import InputError
from spt.heads import TextToTextHead
from spt.model import PromptedModel, trained
from spt.prompts.choices import GatedPrompt, InsertPrompt, Propagate
from spt.prompts.state import EMPTY
from spt.serving.classifier import PromptClassifier
from spt.serving.request import Request
from spt.serving.server import PromptServer
from spt.training.config import TrainingConfig
from spt.training.fit import fit
from tests.support.families import PAD, VOCABULARY, generator
from tests.support.tiny import BAD, FILLER, GOOD, tiny_workbench

LAYERS, HIDDEN, END = 3, 32, 3
LABELS = [[7, 9, END], [11, END], [7, 12, END]]
SHAPE = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "d_kv": 8,
    "d_ff": 40,
    "num_layers": LAYERS,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 10,
    "pad_token_id": PAD,
    "eos_token_id": END,
    "decoder_start_token_id": PAD,
}

kinds = pytest.mark.parametrize("attention", ["sdpa", "eager"])
families = pytest.mark.parametrize("family", ["t5", "mt5", "t5-gated"])


def stock(family: str = "t5", attention: str = "sdpa") -> Any:
    """A random model whose weights are large enough for a wrong mask or position to show."""
    changes = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if "-" in family else {}
    config = AutoConfig.for_model(family.removesuffix("-gated"), **SHAPE, **changes)
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(config, attn_implementation=attention).eval()
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=noise), alpha=0.15)
    return model


def inputs(side: str = "right") -> dict[str, Tensor]:
    ids = torch.randint(13, VOCABULARY, (3, 11), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    for row, padding in enumerate([0, 6, 3]):
        at = slice(11 - padding, 11) if side == "right" else slice(0, padding)
        ids[row, at], mask[row, at] = PAD, 0
    return {"input_ids": ids, "attention_mask": mask}


def likelihoods(model: Any, **given: Tensor) -> Tensor:
    """Each label's log-likelihood, one label a call of the stock model: [B, C]."""
    columns = []
    for label in LABELS:
        ids = torch.tensor([[PAD, *label[:-1]]]).expand(3, -1)
        log = model(decoder_input_ids=ids, **given).logits.log_softmax(-1)
        columns.append(sum(log[:, step, token] for step, token in enumerate(label)))
    return torch.stack(columns, dim=1)


def model_with(backbone: T5Backbone, choices: dict[int, Any]) -> PromptedModel:
    made = [choices.get(layer, Propagate()) for layer in range(LAYERS)]
    return PromptedModel(backbone, made, TextToTextHead(backbone, LABELS)).eval()


@pytest.mark.parametrize("side", ["right", "left"])
@kinds
@families
@torch.no_grad()
def test_no_prompt_equals_hugging_face(family: str, attention: str, side: str) -> None:
    model, given = stock(family, attention), inputs(side)
    backbone = T5Backbone(stock(family, attention))
    ours = model_with(backbone, {})(given)
    torch.testing.assert_close(ours.logits, likelihoods(model, **given), rtol=0, atol=2e-5)
    real = given["attention_mask"].bool()
    hidden, frame = backbone.embed(given), None
    for index in range(LAYERS):
        frame = frame or backbone.frame(hidden, given["attention_mask"], EMPTY)
        hidden = backbone.layer(index, hidden, frame)
    expected = model.encoder(**given).last_hidden_state
    torch.testing.assert_close(backbone.finish(hidden)[real], expected[real], rtol=0, atol=1e-5)


@kinds
@families
@torch.no_grad()
def test_every_logit_equals_hugging_faces(family: str, attention: str) -> None:
    """Not only those of labels: the whole vocabulary, to 1e-5, on a padded batch."""
    model, given = stock(family, attention), inputs()
    backbone = T5Backbone(stock(family, attention))
    ids = torch.randint(0, VOCABULARY, (3, 4), generator=torch.Generator().manual_seed(2))
    hidden = backbone.embed(given)
    frame = backbone.frame(hidden, given["attention_mask"], EMPTY)
    for index in range(LAYERS):
        hidden = backbone.layer(index, hidden, frame)
    memory, bias = backbone.memory(backbone.finish(hidden), given["attention_mask"], EMPTY)
    ours = backbone.lm_logits(backbone.decode(ids, memory, bias))
    torch.testing.assert_close(ours, model(decoder_input_ids=ids, **given).logits, rtol=0, atol=1e-5)


@kinds
@families
@torch.no_grad()
def test_a_prompt_is_what_stock_t5_makes_of_embeddings_that_begin_with_it(
    family: str, attention: str
) -> None:
    model, given = stock(family, attention), inputs()
    made = generator(0, length=4, kind="free")
    ours = model_with(T5Backbone(stock(family, attention)), {0: InsertPrompt(made)})(given)
    embedded = model.get_input_embeddings()(given["input_ids"])
    joined = {
        "inputs_embeds": torch.cat([made.vectors.expand(3, -1, -1), embedded], 1),
        "attention_mask": torch.cat([torch.ones(3, 4, dtype=torch.long), given["attention_mask"]], 1),
    }
    torch.testing.assert_close(ours.logits, likelihoods(model, **joined), rtol=0, atol=2e-5)
    assert (ours.logits - likelihoods(model, **given)).abs().max() > 1e-2


@torch.no_grad()
def test_the_likeliest_class_is_what_constrained_generation_writes() -> None:
    model, given = stock(), inputs()
    ours = model_with(T5Backbone(stock()), {})(given).logits.argmax(-1)
    tree = {}
    for label in LABELS:
        for step in range(len(label)):
            tree.setdefault((PAD, *label[:step]), set()).add(label[step])
    # beams as wide as there are labels leave none out
    written = model.generate(
        **given,
        num_beams=len(LABELS),
        length_penalty=0.0,
        max_new_tokens=3,
        prefix_allowed_tokens_fn=lambda _, prefix: list(tree.get(tuple(prefix.tolist()), {PAD})),
    )
    for row, label in zip(written.tolist(), ours.tolist(), strict=True):
        assert [token for token in row if token != PAD] == LABELS[label]


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
@torch.no_grad()
def test_gates_at_0_and_1_are_the_discrete_model_for_the_decoder_too(side: str, adds: bool) -> None:
    backbone, given = T5Backbone(stock()), inputs(side)
    for subset in range(2**LAYERS):
        layers = [layer for layer in range(LAYERS) if subset >> layer & 1]
        inserts = {layer: InsertPrompt(generator(layer), adds) for layer in range(LAYERS)}
        gates = {layer: GatedPrompt({"insert": insert}) for layer, insert in inserts.items()}
        for layer, gate in gates.items():
            gate.alpha.data.fill_(200.0 if layer in layers else -200.0)
        relaxed = model_with(backbone, gates)(given)
        discrete = model_with(backbone, {layer: inserts[layer] for layer in layers})(given)
        torch.testing.assert_close(relaxed.logits, discrete.logits, rtol=0, atol=2e-5)
        torch.testing.assert_close(relaxed.features, discrete.features, rtol=0, atol=2e-5)


def test_only_the_prompt_trains() -> None:
    model = model_with(T5Backbone(stock()), {1: InsertPrompt(generator(1))})
    torch.nn.functional.cross_entropy(model(inputs()).logits, torch.tensor([0, 1, 2])).backward()
    assert all(name.startswith("choices.1.") and p.grad.abs().sum() > 0 for name, p in trained(model))
    assert all(p.grad is None for p in model.backbone.parameters())


# --- a whole run


def save_backbone(folder: Path) -> Path:
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
    words = ["<s>", *special.values(), *GOOD, *BAD, *FILLER, "sentiment", "of", "a", "kind", ":"]
    core = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=64, **special)
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (PAD, END)
    config = AutoConfig.for_model("t5", **{**SHAPE, "vocab_size": len(words)})
    torch.manual_seed(0)
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def t5_sections(home: Path, **sections: Any) -> dict[str, Any]:
    if not (home / "t5").exists():
        save_backbone(home / "t5")
    defaults = {
        "task": {"name": "custom", "label_words": ["a lovely kind", "awful"]},
        "backbone": {"name": str(home / "t5")},
        "head": {"kind": "text_to_text"},
        "prompt": {"generator": "free", "length": 4, "init": "vocabulary"},
    }
    return {**defaults, **sections}


@pytest.mark.parametrize("head", ["text_to_text", "classification"])
def test_a_prompt_on_t5_trains_saves_and_predicts(head: str, tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, **t5_sections(tmp_path, head={"kind": head}))
    layers = PromptLayers.of([0], bench.num_layers)
    model = bench.factory.model(layers)
    train, dev = bench.batches("train", model, shuffled=True).loader, bench.batches("dev", model).loader
    config = TrainingConfig(epochs=1, batch_size=16)
    fit(model, train, dev, bench.spec.task, config, 0, tmp_path / "train")
    heads = 0 if head == "text_to_text" else 2 * HIDDEN + 2
    assert sum(p.numel() for _, p in trained(model)) == 4 * HIDDEN + heads
    PromptClassifier(model, bench.tokenizer, bench.spec, layers).save_pretrained(tmp_path / "model")
    loaded = PromptClassifier.from_pretrained(tmp_path / "model")
    answers = loaded.predict(["the film was awful", "lovely", "it was a very very dull plot"])
    assert {answer.label for answer in answers} <= {"good", "bad"}
    texts = ["the film was awful", "lovely"]
    voted = PromptServer({"t5": loaded}).predict([Request("t5", text) for text in texts])
    for served, alone in zip(voted, answers[:2], strict=True):
        assert served.probability == pytest.approx(alone.probability, abs=1e-5)


def test_tasks_of_t5_together_answer_as_each_alone(tmp_path: Path) -> None:
    shapes: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
        "input": ((0,), {"generator": "free", "length": 4}),
        "late": ((1,), {"generator": "pooled", "length": 2, "init": "random"}),
        "none": ((), {}),
    }
    tasks = {}
    for seed, (name, (layers, prompt)) in enumerate(shapes.items()):
        bench = tiny_workbench(tmp_path, seed=seed, **t5_sections(tmp_path, prompt=prompt))
        architecture = PromptLayers.of(layers, bench.num_layers)
        model = bench.factory.model(architecture)
        tasks[name] = PromptClassifier(model, bench.tokenizer, bench.spec, architecture)
    server, texts = PromptServer(tasks, cache_bytes=2**20), ["the film was awful", "lovely"]
    alone = {name: task.predict(texts) for name, task in tasks.items()}
    for _ in range(2):
        for row, answers in enumerate(server.label(texts)):
            for name, answer in answers.items():
                assert answer.probability == pytest.approx(alone[name][row].probability, abs=1e-5)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"head": {"kind": "verbalizer"}}, "head.kind is verbalizer, but .* is an encoder-decoder"),
        ({"head": {"kind": "label_vectors"}}, "head.kind is label_vectors, but .* is an encoder-decoder"),
        ({"task": {"name": "custom", "label_words": None}}, "text_to_text head needs a label word"),
        ({"task": {"name": "custom", "label_words": ["lovely", "lovely"]}}, "are the same tokens"),
        ({"task": {"name": "custom", "label_words": ["lovely", "unheard"]}}, "'unheard' has tokens that"),
    ],
)
def test_what_does_not_fit_is_refused(sections: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        tiny_workbench(tmp_path, **t5_sections(tmp_path, **sections))


def test_text_to_text_needs_an_encoder_decoder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"head\.kind is text_to_text, but .* is no encoder-decoder"):
        tiny_workbench(tmp_path, head={"kind": "text_to_text"})


def test_labels_end_with_the_end_token(tmp_path: Path) -> None:
    bench = tiny_workbench(tmp_path, **t5_sections(tmp_path))
    ids = label_sequences(bench.tokenizer, ["a lovely kind", "awful"])
    assert [len(tokens) for tokens in ids] == [4, 2]
    assert all(tokens[-1] == END for tokens in ids)


def test_loaded_from_a_folder_it_is_t5(tmp_path: Path) -> None:
    save_backbone(tmp_path)
    assert FAMILIES["t5"] is FAMILIES["mt5"] is T5Backbone
    backbone = load_backbone(str(tmp_path), language_model=True)
    assert isinstance(backbone, T5Backbone) and backbone.num_layers == LAYERS
    assert backbone.hidden_size == HIDDEN and backbone.start_id == PAD
    assert not hasattr(load_backbone(str(tmp_path)).model, "lm_head")
