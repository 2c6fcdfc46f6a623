"""A CSV's texts and labels to a saved prompt: `python examples/estimator.py FILE BACKBONE`."""

import sys

import pandas as pd
from sklearn.model_selection import train_test_split

from spt import SPTClassifier

train, test = train_test_split(pd.read_csv(sys.argv[1]), test_size=0.2, random_state=0)
model = SPTClassifier(sys.argv[2], k=1).fit(train["text"], train["label"])
print("prompts at layers", model.layers_, "accuracy on test", model.score(test["text"], test["label"]))
model.save_pretrained("my-prompt")
print(SPTClassifier.from_pretrained("my-prompt").predict(["it was a lovely film"]))
