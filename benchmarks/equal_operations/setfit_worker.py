"""Train SetFit in an environment of its own: reads a question as JSON, and answers with a line of JSON.

The library wants an older transformers than ours, so this file needs nothing of the project. A question has
the `folder` of a backbone, `texts` and `labels` of `train`, `dev` and `test`, `max_length`, `seed`, and a
`budget` in operations. SetFit has its defaults: one epoch of its pairs, or as much as the budget holds.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from operator import eq
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer
from setfit import SetFitModel, Trainer, TrainingArguments
from setfit.sampler import ContrastiveDataset
from sklearn.linear_model import LogisticRegression
from torch.utils.flop_counter import FlopCounterMode, flop_registry

_aten = torch.ops.aten
# torch has formulas of the attention that GPUs fuse, and none of that of CPUs
_fused = "_scaled_dot_product_flash_attention"
for _way in ("", "_backward"):
    _of_gpus, _of_cpus = (getattr(_aten, f"{_fused}{_device}{_way}") for _device in ("", "_for_cpu"))
    flop_registry[_of_cpus] = flop_registry[_of_gpus]

Pairs = Sequence[dict[str, Any]]
# batches of pairs that are drawn to tell what a step takes, and what they may miss
DRAWN = 300
MARGIN = 1.03
PACKAGES = ("setfit", "sentence-transformers", "transformers", "torch")


class Operations:
    """Tell the operations of the body's passes from those of rows of three lengths.

    Args:
        body: whose passes they are.
        longest: tokens of a row, at most.
    """

    def __init__(self, body: SentenceTransformer, longest: int) -> None:
        self._body = body
        self._lengths = sorted({1, max(1, longest // 2), longest})
        self._costs = {learns: [self._row(tokens, learns) for tokens in self._lengths] for learns in (0, 1)}
        self.total = 0.0

    def of(self, rows: int, tokens: int, learns: bool) -> float:
        """Return the operations of rows of so many tokens, with the backward pass where it learns."""
        # Lagrange's polynomial, because the attention makes it one of second degree
        total = 0.0
        for at, cost in zip(self._lengths, self._costs[int(learns)], strict=True):
            others = [other for other in self._lengths if other != at]
            weight = 1.0
            for other in others:
                weight *= (tokens - other) / (at - other)
            total += weight * cost
        return rows * total

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Add up those of all passes meanwhile in `total`."""

        def note(module: Any, inputs: Any) -> None:  # noqa: ARG001
            rows, tokens = inputs[0]["input_ids"].shape
            self.total += self.of(rows, tokens, torch.is_grad_enabled())

        handle = self._body[0].register_forward_pre_hook(note)
        try:
            yield
        finally:
            handle.remove()

    def _row(self, tokens: int, learns: int) -> int:
        ids = torch.ones(1, tokens, dtype=torch.long)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(bool(learns)):
            features = self._body(batch)["sentence_embedding"]
            if learns:
                features.sum().backward()
        self._body.zero_grad(set_to_none=True)
        return int(counter.get_total_flops())


def main() -> None:
    """Answer the one question, behind all that the libraries print."""
    torch.set_num_threads(1)
    answer = train_within(json.load(sys.stdin))
    print(json.dumps(answer), flush=True)


def train_within(question: dict[str, Any]) -> dict[str, Any]:
    """Train and score; answer with a reason alone where the budget does not hold a step."""
    seed, rows = question["seed"], question["train"]
    random.seed(seed)
    torch.manual_seed(seed)
    body = load_body(question["folder"], question["max_length"])
    lengths = [len(ids) for ids in body.tokenizer(rows["texts"])["input_ids"]]
    operations = Operations(body, min(max(lengths), question["max_length"]))
    arguments = TrainingArguments(seed=seed, report_to="none", show_progress_bar=False, save_strategy="no")
    pairs = list(ContrastiveDataset(rows["texts"], rows["labels"], None))
    epoch = -(-len(pairs) // arguments.embedding_batch_size)
    step = step_operations(operations, dict(zip(rows["texts"], lengths, strict=True)), pairs, arguments)
    # the head is fitted on the features of train
    head = operations.of(len(lengths), max(lengths), learns=False)
    steps = int((question["budget"] / MARGIN - head) // step)
    if steps < 1:
        return {"over_budget": f"A step takes {step / 1e12:.2g} * 10^12 operations."}
    if steps < epoch:
        arguments.max_steps = steps
    with TemporaryDirectory() as folder:
        arguments.output_dir = folder
        return trained(body, question, arguments, operations) | {"shortened": steps < epoch}


def trained(
    body: SentenceTransformer, question: dict[str, Any], arguments: TrainingArguments, operations: Operations
) -> dict[str, Any]:
    """Train, and score dev and test."""
    rows = Dataset.from_dict({"text": question["train"]["texts"], "label": question["train"]["labels"]})
    model = SetFitModel(body, LogisticRegression())
    trainer = Trainer(model, args=arguments, train_dataset=rows)
    start = time.process_time()
    with operations.noting():
        trainer.train()
    seconds = time.process_time() - start
    head = model.model_head
    return {
        **{f"{split}_accuracy": accuracy(model, question[split]) for split in ("dev", "test")},
        "tunable_parameters": sum(p.numel() for p in body.parameters())
        + head.coef_.size
        + head.intercept_.size,
        "train_flops": round(operations.total),
        "seconds": seconds,
        "steps": trainer.st_trainer.state.global_step,
        "versions": {name: version(name) for name in PACKAGES},
    }


def load_body(folder: str, max_length: int) -> SentenceTransformer:
    """Load a backbone with the modules that the hub's all-MiniLM-L6-v2 has: mean pooling, and unit length."""
    transformer = Transformer(folder, max_seq_length=max_length)
    pooling = Pooling(transformer.get_word_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")


def step_operations(
    operations: Operations, lengths: dict[str, int], pairs: Pairs, arguments: TrainingArguments
) -> float:
    """Return the mean operations of steps on pairs that are drawn."""
    size = min(arguments.embedding_batch_size, len(pairs))
    total = 0.0
    for _ in range(DRAWN):
        drawn = random.sample(pairs, size)
        for sentence in ("sentence_1", "sentence_2"):
            total += operations.of(size, max(lengths[pair[sentence]] for pair in drawn), learns=True)
    return total / DRAWN


def accuracy(model: SetFitModel, rows: dict[str, Any]) -> float:
    """Return the share of rows that are classified right."""
    answers: list[int] = model.predict(rows["texts"], show_progress_bar=False).tolist()
    labels: list[int] = rows["labels"]
    return float(sum(map(eq, answers, labels)) / len(labels))


if __name__ == "__main__":
    main()
