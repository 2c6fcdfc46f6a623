"""Rows from a hub name, local files or a package, split, encoded and batched."""

from spt.data.batches import Batch, BucketedBatches, collate, make_loader
from spt.data.config import DataConfig
from spt.data.encoding import Example, encode, encode_texts
from spt.data.halves import halves
from spt.data.label_words import label_sequences, label_word_ids
from spt.data.loading import load_splits

__all__ = [
    "Batch",
    "BucketedBatches",
    "DataConfig",
    "Example",
    "collate",
    "encode",
    "encode_texts",
    "halves",
    "label_sequences",
    "label_word_ids",
    "load_splits",
    "make_loader",
]
