"""Parameters of an estimator that are sections of a run: mappings, whose keys can be had and set too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from sklearn.base import BaseEstimator
from typing_extensions import Self

from experiments.fitting.parameters import SECTIONS, plain, unknown_parameters


class SectionedEstimator(BaseEstimator):  # type: ignore[misc]
    """Name each key of a section as section__key, as scikit-learn's grids do for the parts of a pipeline."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with `deep` the keys of sections too, as section__key."""
        parameters: dict[str, Any] = super().get_params(deep=False)
        sections = {name: parameters[name] for name in SECTIONS} if deep else {}
        keys = {
            f"{name}__{key}": value
            for name, section in sections.items()
            if isinstance(section, Mapping)
            for key, value in section.items()
        }
        return {**parameters, **keys}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, and keys of sections as section__key; returns the estimator.

        Raises:
            InputError: for a parameter that there is not, naming the closest.
        """
        known = self._get_param_names()
        split = {name: name.partition("__") for name in params}
        unknown = [
            name
            for name, (parameter, _, key) in split.items()
            if parameter not in known or (key and parameter not in SECTIONS)
        ]
        if unknown:
            raise unknown_parameters(unknown, known)
        # a section that is given whole goes before its keys
        for name, (parameter, _, key) in sorted(split.items(), key=lambda item: bool(item[1][2])):
            value = {**_keys_of(getattr(self, parameter)), key: params[name]} if key else params[name]
            setattr(self, parameter, value)
        return self


def _keys_of(section: Any) -> dict[str, Any]:
    """Return the keys of a section that is a mapping, None, or a task as an object or by its name."""
    if isinstance(section, str):
        return {"name": section}
    return dict(plain(section) if isinstance(section, BaseModel) else section or {})
