"""The prompt's state, and the choices that keep, replace or mix it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spt.prompts.choices import GatedPrompt, InsertPrompt, Propagate
from spt.prompts.state import EMPTY, PromptState

HIDDEN, MASK = torch.ones(2, 5, 4), torch.ones(2, 5, dtype=torch.long)


class Constant(nn.Module):
    """A generator of one value, [B, 3, H]."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((1, 3, 4), value))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return self.value.expand(len(mask), -1, hidden.shape[-1])


def state(value: float, presence: float | None = None) -> PromptState:
    return PromptState(torch.full((2, 3, 4), value), None if presence is None else torch.tensor([presence]))


def gated(value: float, gate: float) -> GatedPrompt:
    choice = GatedPrompt({"insert": InsertPrompt(Constant(value))})
    choice.alpha.data.fill_(torch.tensor(gate).logit().item())
    return choice


def test_the_empty_state_has_no_prompt() -> None:
    assert EMPTY.length == 0
    assert EMPTY.moved(torch.zeros(2, 0, 4)) is EMPTY


def test_moved_keeps_the_presence() -> None:
    before = state(1.0, 0.3)
    after = before.moved(torch.full((2, 3, 4), 7.0))
    assert after.presence is before.presence
    assert after.vectors.unique().tolist() == [7.0]
    assert after.length == 3


def test_propagate_keeps_the_very_state() -> None:
    before = state(1.0, 0.3)
    assert Propagate()(before, HIDDEN, MASK) is before
    assert Propagate()(EMPTY, HIDDEN, MASK) is EMPTY


def test_insert_replaces_whatever_there_was() -> None:
    after = InsertPrompt(Constant(2.0))(state(1.0, 0.3), HIDDEN, MASK)
    assert after.presence is None
    assert after.vectors.unique().tolist() == [2.0]


@pytest.mark.parametrize(("presence", "expected"), [(None, 3.0), (1.0, 3.0), (0.3, 2.3), (0.0, 2.0)])
def test_adding_keeps_as_much_of_the_prompt_below_as_is_present(
    presence: float | None, expected: float
) -> None:
    after = InsertPrompt(Constant(2.0), adds=True)(state(1.0, presence), HIDDEN, MASK)
    assert after.presence is None
    torch.testing.assert_close(after.vectors, torch.full((2, 3, 4), expected))


def test_adding_to_nothing_is_inserting() -> None:
    after = InsertPrompt(Constant(2.0), adds=True)(EMPTY, HIDDEN, MASK)
    assert after.vectors.unique().tolist() == [2.0]


def test_presence_of_rows_and_of_positions_weighs_vectors() -> None:
    vectors = torch.ones(2, 3, 4)
    rows = PromptState(vectors, torch.tensor([0.5, 1.0])).present()
    assert rows[:, 0, 0].tolist() == [0.5, 1.0]
    places = PromptState(vectors, torch.tensor([[0.0, 1, 1], [1, 1, 1]])).present()
    assert places[:, :, 0].tolist() == [[0, 1, 1], [1, 1, 1]]


def test_insert_gives_its_generator_hidden_states_and_mask() -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
            seen.extend([hidden, mask])
            return hidden[:, :1]

    InsertPrompt(Watching())(EMPTY, HIDDEN, MASK)
    assert seen[0] is HIDDEN
    assert seen[1] is MASK


def test_a_new_gate_is_one_half() -> None:
    assert GatedPrompt({"insert": InsertPrompt(Constant(0.0))}).gates().tolist() == [0.5]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(gate=st.floats(0.01, 0.99), old=st.floats(-3, 3), new=st.floats(-3, 3), presence=st.floats(0, 1))
def test_a_gate_mixes_vectors_and_presence_alike(
    gate: float, old: float, new: float, presence: float
) -> None:
    after = gated(new, gate)(state(old, presence), HIDDEN, MASK)
    wanted = torch.full((2, 3, 4), (1 - gate) * old + gate * new)
    torch.testing.assert_close(after.vectors, wanted, rtol=1e-4, atol=1e-5)
    assert after.presence.item() == pytest.approx((1 - gate) * presence + gate, abs=1e-5)


def test_a_fully_present_prompt_stays_so_when_mixed() -> None:
    after = gated(3.0, 0.25)(state(1.0), HIDDEN, MASK)
    torch.testing.assert_close(after.vectors, torch.full((2, 3, 4), 1.5))
    assert after.presence.item() == pytest.approx(1)


def test_over_nothing_the_gate_is_the_presence() -> None:
    after = gated(4.0, 0.25)(EMPTY, HIDDEN, MASK)
    torch.testing.assert_close(after.vectors, torch.full((2, 3, 4), 1.0))
    assert after.presence.item() == pytest.approx(0.25)


def test_gates_may_differ_by_row() -> None:
    new = PromptState(torch.full((2, 3, 4), 2.0))
    after = state(0.0).mixed([(new, torch.tensor([0.0, 0.5]))])
    assert after.vectors[:, 0, 0].tolist() == [0.0, 1.0]
    assert after.presence.tolist() == [1.0, 1.0]


def test_a_fixed_gate_does_one_thing_only() -> None:
    choice, before = gated(2.0, 0.5), state(1.0, 0.3)
    choice.fixed = {"insert": 0.0}
    assert choice(before, HIDDEN, MASK) is before
    choice.fixed = {"insert": 1.0}
    after = choice(before, HIDDEN, MASK)
    assert after.presence is None
    assert after.vectors.unique().tolist() == [2.0]


def test_gradient_reaches_gate_and_generator() -> None:
    choice = gated(2.0, 0.3)
    after = choice(state(1.0, 0.5), HIDDEN, MASK)
    (after.vectors.sum() + after.presence.sum()).backward()
    # 24 vector elements move by (new - old) g', the presence by (1 - 0.5) g'
    assert choice.alpha.grad.item() == pytest.approx((24 * (2 - 1) + 0.5) * 0.3 * 0.7, rel=1e-4)
    torch.testing.assert_close(choice.insert.generator.value.grad, torch.full((1, 3, 4), 2 * 0.3))


def test_log_presence_is_the_log_and_the_smallest_at_zero() -> None:
    presence = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    log = PromptState(torch.zeros(3, 1, 1), presence).log_presence(-1e9)
    assert log.tolist() == pytest.approx([-1e9, -0.6931472, 0.0])
    log.sum().backward()
    assert presence.grad.tolist() == pytest.approx([0.0, 2.0, 1.0])
