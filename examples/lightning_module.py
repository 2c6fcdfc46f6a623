"""A prompted model under a Trainer of one's own: `python examples/lightning_module.py FILE BACKBONE`."""

import sys
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spt import PromptClassifier, PromptLayers, Workbench


class PromptModule(pl.LightningModule):
    """Train the prompts and the head of a model.

    Args:
        model: of `Workbench.factory`, with a frozen backbone.
        learning_rate: of AdamW.
    """

    def __init__(self, model: torch.nn.Module, learning_rate: float = 0.01) -> None:
        super().__init__()
        self.model = model
        self.learning_rate = learning_rate

    def forward(self, batch: Any) -> Tensor:
        """Return the logits [B, C] of a batch, from the hidden states that it brings on."""
        logits: Tensor = self.model(batch, batch.get("start")).logits
        return logits

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return cross_entropy(self(batch), batch["labels"])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the accuracy of a batch of dev."""
        right = self(batch).argmax(-1) == batch["labels"]
        self.log("dev_accuracy", right.float().mean(), batch_size=len(right), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Train what is not frozen."""
        return torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], self.learning_rate)


workbench = Workbench.load(rows={"train": pd.read_csv(sys.argv[1])}, backbone=sys.argv[2])
layers = PromptLayers.of([workbench.num_layers - 1], workbench.num_layers)
model = workbench.factory.model(layers)
trainer = pl.Trainer(max_epochs=5, logger=False, enable_checkpointing=False)
trainer.fit(
    PromptModule(model),
    workbench.batches("train", model, shuffled=True).loader,
    workbench.batches("dev", model).loader,
)
print(f"accuracy on dev {float(trainer.callback_metrics['dev_accuracy']):.3f}")
PromptClassifier(model, workbench.tokenizer, workbench.spec, layers).save_pretrained("my-prompt")
