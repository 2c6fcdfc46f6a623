"""A prompted model in a training loop of one's own: `python examples/torch_loop.py FILE BACKBONE`.

The model is an `nn.Module` like any other. Its backbone is frozen, and a batch brings the hidden states
below the first prompt, which are computed once.
"""

import sys

import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from spt import PromptClassifier, PromptLayers, Workbench

EPOCHS = 5

workbench = Workbench.load(rows={"train": pd.read_csv(sys.argv[1])}, backbone=sys.argv[2])
layers = PromptLayers.of([workbench.num_layers - 1], workbench.num_layers)
model = workbench.factory.model(layers)
train = workbench.batches("train", model, shuffled=True).loader
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)

for epoch in range(EPOCHS):
    model.train()
    for batch in train:
        loss = cross_entropy(model(batch, batch.get("start")).logits, batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: loss of the last batch {loss.item():.3f}")

model.eval()
with torch.no_grad():
    right = [
        (model(batch, batch.get("start")).logits.argmax(-1) == batch["labels"]).float()
        for batch in workbench.batches("test", model).loader
    ]
print(f"accuracy on test {torch.cat(right).mean():.3f}")
PromptClassifier(model, workbench.tokenizer, workbench.spec, layers).save_pretrained("my-prompt")
