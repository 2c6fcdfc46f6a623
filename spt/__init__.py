"""Selective prompt tuning of frozen transformers: the method, without any search or scheduling framework."""

from spt.architecture import PromptLayers
from spt.classifier import Prediction, PromptClassifier

__all__ = ["Prediction", "PromptClassifier", "PromptLayers"]
