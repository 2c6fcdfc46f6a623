"""Where a new prompt comes from: generated from the instance, or free (the same for every instance)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from spt.prompts.config import PromptConfig
from spt.prompts.phm import linear, start_at_zero
from spt.prompts.pooling import POOLERS

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class PromptSource(nn.Module, ABC):
    """What prompt vectors come from; those that it learns as they are have a learning rate of their own."""

    @property
    @abstractmethod
    def free_vectors(self) -> nn.Parameter | None:
        """Return the parameter that is P vectors, the same for every instance, if there is one."""


class BottleneckGenerator(PromptSource):
    """A generator that goes through R features; it can offset the tokens by features of their own.

    Source: ADePT (arXiv 2501.03291) adds to each token's embedding what a small network makes of it. Doing so
    at a chosen layer, with the down-projection that its prompt is made by, and the start at zero are ours.
    """

    down: nn.Module
    activation: nn.Module
    dropout: nn.Module

    up_tokens: nn.Module | None

    @abstractmethod
    def prompt_of(self, features: Tensor, mask: Tensor) -> Tensor:
        """Generate the prompt from what the tokens became: features [B, T, R], mask [B, T] -> [B, P, H]."""

    def with_offset(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Generate from hidden [B, T, H] and mask [B, T] a prompt [B, P, H] and an offset [B, T, H]."""
        assert self.up_tokens is not None
        features = self.down(hidden)
        offset: Tensor = self.dropout(self.up_tokens(self.activation(features)))
        return self.prompt_of(features, mask), offset * mask[..., None]


class PooledGenerator(BottleneckGenerator):
    """Generate a prompt: down to R -> pool T to P -> activation -> up to H -> dropout, plus a bias [P, H].

    With `zero_start` the bias is all that it gives before training.

    Source: LPT's pooling generators (arXiv 2210.11292); PHM projections as in SPT (arXiv 2310.20127).
    The learned bias a position is ours: it lets pooled positions differ before the pooler has learned to.
    """

    def __init__(self, hidden_size: int, config: PromptConfig) -> None:
        super().__init__()
        self.down = linear(hidden_size, config.bottleneck, config.phm_order)
        self.pool = POOLERS[config.pooler](config.bottleneck, config.length)
        self.activation = ACTIVATIONS[config.activation]()
        self.up = linear(config.bottleneck, hidden_size, config.phm_order)
        self.dropout = nn.Dropout(config.dropout)
        if config.zero_start:
            start_at_zero(self.up)
        self.bias = random_vectors(hidden_size, config) if config.position_bias else None
        self.up_tokens = _token_projection(hidden_size, config)

    @property
    def free_vectors(self) -> nn.Parameter | None:
        """Return the position bias [P, H]."""
        return self.bias

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Generate the prompt: hidden [B, T, H], mask [B, T] -> [B, P, H]."""
        return self.prompt_of(self.down(hidden), mask)

    def prompt_of(self, features: Tensor, mask: Tensor) -> Tensor:
        """Generate the prompt from what the tokens became: features [B, T, R], mask [B, T] -> [B, P, H]."""
        pooled: Tensor = self.pool(features, mask)
        prompt: Tensor = self.dropout(self.up(self.activation(pooled)))
        return prompt if self.bias is None else prompt + self.bias


class NaiveGenerator(BottleneckGenerator):
    """Generate a prompt from the first real token: R -> P * H at once (LPT's NPG, arXiv 2210.11292).

    With `zero_start`, which is ours, the projection's bias is all that it gives before training, and starts
    as a free prompt does.
    """

    def __init__(self, hidden_size: int, config: PromptConfig) -> None:
        super().__init__()
        self.length = config.length
        self.first = POOLERS["first"](hidden_size, 1)
        self.down = linear(hidden_size, config.bottleneck, config.phm_order)
        self.activation = ACTIVATIONS[config.activation]()
        size = config.length * hidden_size
        self.up = linear(config.bottleneck, size, config.phm_order, bias=config.position_bias)
        if config.zero_start:
            start_at_zero(self.up)
            if self.up.bias is not None:
                nn.init.normal_(self.up.bias, std=config.init_std)
        self.dropout = nn.Dropout(config.dropout)
        self.up_tokens = _token_projection(hidden_size, config)

    @property
    def free_vectors(self) -> nn.Parameter | None:
        """Return the bias [P * H] of the projection."""
        return self.up.bias

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Generate the prompt: hidden [B, T, H], mask [B, T] -> [B, P, H]."""
        return self._up(self.down(self.first(hidden, mask)[:, 0]))

    def prompt_of(self, features: Tensor, mask: Tensor) -> Tensor:
        """Generate the prompt from what the tokens became: features [B, T, R], mask [B, T] -> [B, P, H]."""
        return self._up(self.first(features, mask)[:, 0])

    def _up(self, first: Tensor) -> Tensor:
        prompt: Tensor = self.dropout(self.up(self.activation(first)))
        return prompt.view(prompt.shape[0], self.length, -1)


class FreePrompt(PromptSource):
    """Learn P vectors, the same for every instance (Prompt Tuning, arXiv 2104.08691)."""

    def __init__(self, hidden_size: int, config: PromptConfig) -> None:
        super().__init__()
        self.vectors = random_vectors(hidden_size, config)
        self.dropout = nn.Dropout(config.dropout)

    @property
    def free_vectors(self) -> nn.Parameter:
        """Return the prompt itself, [P, H]."""
        return self.vectors

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Repeat the prompt for each row: hidden [B, T, H] gives B only -> [B, P, H]."""
        prompt: Tensor = self.dropout(self.vectors)
        return prompt.expand(hidden.shape[0], -1, -1)


class LayersOwnBias(PromptSource):
    """Add a bias [P, H] of this layer's own to a generator that several layers share.

    Source: IDPG's generator for several layers (arXiv 2204.04497).
    """

    def __init__(self, shared: nn.Module, hidden_size: int, config: PromptConfig) -> None:
        super().__init__()
        self.shared = shared
        self.bias = random_vectors(hidden_size, config)

    @property
    def free_vectors(self) -> nn.Parameter:
        """Return the layer's own bias [P, H]."""
        return self.bias

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Generate the prompt: hidden [B, T, H], mask [B, T] -> [B, P, H]."""
        prompt: Tensor = self.shared(hidden, mask)
        return prompt + self.bias

    def with_offset(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Generate from hidden [B, T, H] and mask [B, T] a prompt [B, P, H] and an offset [B, T, H]."""
        prompt, offset = cast(BottleneckGenerator, self.shared).with_offset(hidden, mask)
        return prompt + self.bias, offset


def _token_projection(hidden_size: int, config: PromptConfig) -> nn.Module | None:
    """Make the projection R -> H that offsets tokens, where they are offset; drawn after all else."""
    if not config.token_offset:
        return None
    projection = linear(config.bottleneck, hidden_size, config.phm_order)
    start_at_zero(projection)
    return projection


def random_vectors(hidden_size: int, config: PromptConfig) -> nn.Parameter:
    """Draw [P, H] from a normal distribution with a deviation of `init_std`."""
    return nn.Parameter(torch.empty(config.length, hidden_size).normal_(std=config.init_std))


def scaling_generator(hidden_size: int, config: PromptConfig) -> PooledGenerator:
    """Make a generator of factors of the tokens' states: a pooled one of length 1 without a bias.

    What it gives [B, 1, H] is added to 1. With `zero_start` that is 0 before training, so that the states
    stay.

    Source: PARA (arXiv 2502.01033) and PEDRO (arXiv 2409.17834) scale states inside every layer by vectors
    that a pooling generator makes of the instance. One factor for what enters a chosen layer, PHM
    projections and the start at zero are ours.
    """
    one_factor = {"length": 1, "position_bias": False, "token_offset": False}
    return PooledGenerator(hidden_size, config.model_copy(update=one_factor))


Generator = Callable[[int, PromptConfig], nn.Module]
GENERATORS: dict[str, Generator] = {
    "pooled": PooledGenerator,
    "naive": NaiveGenerator,
    "free": FreePrompt,
    "scaling": scaling_generator,
}


def new_generator(
    hidden_size: int, config: PromptConfig, seed: int, shared: nn.Module | None = None
) -> nn.Module:
    """Make a fresh generator; the same seed gives the same weights, global state untouched.

    Args:
        hidden_size: H.
        config: of the prompt.
        seed: of the weights.
        shared: a generator without position bias to share; only the bias, where the config has one, is new.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if shared is None:
            return GENERATORS[config.generator](hidden_size, config)
        return LayersOwnBias(shared, hidden_size, config) if config.position_bias else shared
