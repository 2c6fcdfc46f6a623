"""What other libraries say while a backbone is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils import are_progress_bars_disabled
from transformers.utils import logging as untyped

from spt.backbones.registry import load_backbone
from tests.support.tiny import make_backbone

logging: Any = untyped


def test_loading_weights_shows_no_bar_and_no_report_and_leaves_bars_of_downloads(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    folder = make_backbone(tmp_path / "backbone")
    logging.enable_progress_bar()
    capfd.readouterr()
    load_backbone(str(folder))
    assert capfd.readouterr() == ("", "") and caplog.messages == []
    assert logging.is_progress_bar_enabled() and not are_progress_bars_disabled()
