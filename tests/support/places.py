"""Places where prompts are kept, and what is no such place."""

from __future__ import annotations

from typing import Any

import pytest

from spt.errors import InputError
from spt.serving.classifier import PromptClassifier


def check_no_place_is_refused(place: Any, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look that what is neither a path nor a name is refused before any work, to load from and to save to."""
    monkeypatch.setattr(PromptClassifier, "saved", property(lambda _: pytest.fail("it has worked")))
    for use in (type(made).from_pretrained, made.save_pretrained):
        with pytest.raises(InputError, match=f"{place} is no path"):
            use(place)
    with pytest.raises(InputError, match=f"{place} is no name of the hub"):
        made.push_to_hub(place)
