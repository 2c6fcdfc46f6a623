"""A selective prompt as a scikit-learn classifier: from texts and labels in memory to a trained prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from experiments.fitting.class_values import ClassValues
from experiments.fitting.label_columns import label_column
from experiments.fitting.parameters import plain, run_config, unknown_parameters
from experiments.fitting.rows import LabelledRows
from experiments.fitting.saved_estimator import SavedEstimator, packed, unpacked
from experiments.fitting.scoring import score_rows
from experiments.fitting.sectioned import SectionedEstimator
from experiments.fitting.splits import held_out, read_splits
from experiments.fitting.text_columns import TextColumns, read_text_columns
from experiments.logs import quiet_training
from spt.data.labels.indicators import indicated_classes
from spt.errors import InputError
from spt.hub.download import prompt_folder
from spt.hub.model_card import write_model_card
from spt.hub.upload import check_hub_name, upload, warn_of_local_backbone
from spt.process.modes import AUTO, CacheMode
from spt.saved_folders import ESTIMATOR_JSON
from spt.storage.files import expanded
from spt.tasks import Task

if TYPE_CHECKING:
    # takes seconds to load, for which an estimator that is not fitted need not wait
    from spt.serving.classifier import PromptClassifier

Section = Mapping[str, Any]


class SPTClassifier(ClassifierMixin, SectionedEstimator):  # type: ignore[misc]
    """Classify texts by soft prompts at the layers of a frozen transformer that a search chose.

    `fit` takes texts and labels, or pairs of texts; nothing is written unless `folder` is given. A parameter
    that is None has the default that `spt config` prints. One that is a mapping holds keys of the section of
    that name, as in YAML, and a grid names each as `training__weight_decay`.

    Args:
        backbone: an embedded name (minilm-l6, splade-tiny, ...), a local folder, or a hub name; or a mapping
            with name, revision and attention.
        k: K, the number of layers that get a prompt.
        strategy: how layers are chosen: spt_darts, darts, gumbel_darts, one_shot_random, probe, gradient,
            random, evolution, exhaustive, or manual.
        layers: that get a prompt, from 0, without a search; layer -> kind, as {8: "generated_offset"}; or
            input, all, middle or every_2.
        epochs: of the training. Where neither this, batch_size, patience nor contrastive_steps is given, the
            training suits its rows, as `spt.training.by_rows` has it.
        learning_rate: of the training.
        batch_size: of the training.
        max_length: tokens of the longest text; longer ones are cut.
        task: a task's name, or its fields, such as the columns of a DataFrame, the metric or label words.
        data: sizes of splits and samples.
        head: how classes are read off.
        prompt: shape of the prompts.
        search: further options of the strategy.
        training: further options of the training.
        answers: calibration, and when a text is answered by None.
        seed: of initial weights, batch order and samples.
        threads: of torch in `fit`; 0 leaves what the process has.
        device: where torch computes in `fit`, and the prompt is then: auto, cpu, cuda, cuda:1 or mps.
        cache: where hidden states below the first prompt are kept: auto, disk or off.
        cache_gb: size of all cached files together.
        baselines: whether what needs no prompt is scored beside it, where test rows are given; in `metrics_`.
        loggers: where the training is logged as it goes: tensorboard, in `folder`; mlflow, wandb, trackio.
        folder: of the run, which is kept there with its report: the same call goes on where it was stopped.
            None runs in a folder that is cleaned.
        verbose: whether a terminal shows the progress.

    Attributes:
        classes_: sorted, of the type of the labels, [C]; those that have a column each, as the columns are.
        layers_: that have a prompt.
        kinds_: what each of them gets, by name; empty where all get what `prompt` says.
        gates_: of each layer in [0, 1], NaN of a layer that was no candidate, [L]; None where the strategy
            learns none.
        scores_: of each layer, by which it was chosen, higher being better, likewise.
        metrics_: of the run, by the names of metrics.json; without test rows those of dev alone.
        run_: folder of the run; None where it was cleaned.
        n_features_in_: texts a row, 1 or 2.
        feature_names_in_: names of their columns, where they had names.
        classifier_: the trained prompt as a `PromptClassifier`.
    """

    # the trained prompt, or where the estimator was unpickled the files that it is read from
    _classifier: PromptClassifier | None
    _files: dict[str, bytes]
    _classes: ClassValues
    # those of the run: others may be set since
    _fitted_parameters: dict[str, Any]

    def __init__(
        self,
        backbone: str | Path | Section = "minilm-l6",
        *,
        k: int | None = None,
        strategy: str | None = None,
        layers: Sequence[int] | Mapping[int, str] | str | None = None,
        epochs: int | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        max_length: int | None = None,
        task: str | Task | Section = "custom",
        data: Section | None = None,
        head: Section | None = None,
        prompt: Section | None = None,
        search: Section | None = None,
        training: Section | None = None,
        answers: Section | None = None,
        seed: int = 0,
        threads: int = 0,
        device: str = AUTO,
        cache: CacheMode = "auto",
        cache_gb: float = 8,
        baselines: bool = False,
        loggers: Sequence[str] = (),
        folder: str | Path | None = None,
        verbose: bool = True,
        **misspelt: Any,
    ) -> None:
        if misspelt:
            raise unknown_parameters(misspelt, self._get_param_names())
        self.backbone = backbone
        self.k = k
        self.strategy = strategy
        self.layers = layers
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_length = max_length
        self.task = task
        self.data = data
        self.head = head
        self.prompt = prompt
        self.search = search
        self.training = training
        self.answers = answers
        self.seed = seed
        self.threads = threads
        self.device = device
        self.cache = cache
        self.cache_gb = cache_gb
        self.baselines = baselines
        self.loggers = loggers
        self.folder = folder
        self.verbose = verbose

    def fit(
        self, X: Any, y: Any = None, *, pairs: Any = None, dev: Any = None, test: Any = None
    ) -> SPTClassifier:
        """Search layers, and train prompts there.

        Args:
            X: texts as a list, a tuple, an array or a Series; pairs of texts as a list of (first, second), or
                of [first, second] as JSON has them, or an array of two columns; or a DataFrame, a
                `datasets.Dataset` or a mapping with the task's columns, or with one or two of any name, of
                which two are taken for pairs, with a warning.
            y: a label for each row: texts, whole numbers or truth values; where the task has several labels a
                text, a list of them, or an array [N, C] or a DataFrame of 0 and 1 with a column for each
                class; None reads the task's column of X, of a `datasets.ClassLabel` by the names of its
                classes.
            pairs: the second text of each row, where X has the first.
            dev: rows that choose layers and epoch, as (X, y), (X, y, pairs) or a table with all; drawn from
                the training rows by default.
            test: rows that are scored once, in `metrics_`, likewise; none by default.

        Raises:
            InputError: naming all that is wrong with the parameters, or with the rows.
            TrialFailed: if no training gives finite numbers.
        """
        config = run_config(self._run_parameters())
        splits, config = read_splits(config, {"train": (X, y, pairs), **held_out(dev=dev, test=test)})
        rows = {split: given.by_column(config.task) for split, given in splits.items()}
        with quiet_training():
            # loads NNI and Lightning, which warn then
            from experiments.fitting.session import fit_rows  # noqa: PLC0415
            from experiments.live.run_view import run_shown, someone_watches  # noqa: PLC0415
        watched = self.verbose and someone_watches()
        with quiet_training(), self._run_folder() as folder, run_shown(folder, watched):
            run = fit_rows(config, rows, folder, partial(_class_values, splits["train"], _dtype(y)))
        self._remember(run.classifier, run.classes, run.metrics, splits["train"].columns.names)
        self.run_ = None if self.folder is None else folder
        return self

    def predict(self, X: Any, pairs: Any = None) -> NDArray[Any]:
        """Return the class of each row, of the type of the labels that were fitted, [N].

        Args:
            X: as of `fit`, or one text.
            pairs: the second text of each row, where X has the first.

        Returns:
            None for a row whose probabilities stay below the threshold that `answers` asked for. Where the
            task has several labels a text, a tuple of classes for each row; or 0 and 1 for each class
            [N, C], if the labels were fitted so.

        Raises:
            InputError: naming the rows, for what is no text, or for another number of texts a row than was
                fitted.
        """
        # loads torch, for which an estimator that is not fitted need not wait
        from spt.serving.predictions import LabelSet, Prediction  # noqa: PLC0415

        columns = self._text_columns(X, pairs)
        answers = self.classifier_.predict(columns.texts, columns.pairs)
        if self.classifier_.spec.task.multi_label:
            sets = [answer.labels for answer in answers if isinstance(answer, LabelSet)]
            return self._classes.value_sets_of(sets)
        return self._classes.values_of([answer.label for answer in answers if isinstance(answer, Prediction)])

    def predict_proba(self, X: Any, pairs: Any = None) -> NDArray[Any]:
        """Return the probability of each class for each row, [N, C] with columns as in `classes_`.

        Args:
            X: as of `predict`.
            pairs: likewise.

        Raises:
            InputError: as `predict`.
        """
        columns = self._text_columns(X, pairs)
        chances = self.classifier_.predict_proba(columns.texts, columns.pairs)
        return chances[:, self._classes.order]

    def score(self, X: Any, y: Any = None, pairs: Any = None) -> float:
        """Return the task's metric of the answers: accuracy, unless `task` names another.

        Rows without text or label are left out, as those of `fit`, where `data` said so by incomplete: drop.
        Parameters that were set since `fit` change nothing. A label that was not fitted, as one may be of
        which no row was in a fold, makes every answer wrong, and a warning says so.

        Args:
            X: as of `predict`, or a table with the labels too.
            y: a label for each row; None reads the task's column of X.
            pairs: the second text of each row, where X has the first.

        Raises:
            InputError: as `predict`; or for labels of another type than the classes, with their rows, another
                number of columns than of classes, or lists that may be 0 and 1 for each class.
        """
        columns = self._text_columns(X, pairs)
        config = run_config(self._fitted_parameters)
        classes = self._classes.of_columns(config.task.labels)
        rows = LabelledRows(
            columns,
            label_column(y, X, config.task, "X", classes),
            indicated_classes(y, config.task, "X", classes),
        )
        if config.data.incomplete == "drop" and len(rows.labels) == len(rows.columns.texts):
            rows = rows.complete("X")
        return score_rows(self.classifier_, self._classes, rows)

    @property
    def classifier_(self) -> PromptClassifier:
        """Return the trained prompt over its backbone, which is loaded now where the estimator was unpickled.

        Raises:
            NotFittedError: if the estimator is not fitted.
        """
        check_is_fitted(self)
        if self._classifier is None:
            with quiet_training():
                self._classifier = unpacked(self._files)
        return self._classifier

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the saved prompt, which `spt predict` reads too, and estimator.json in it: all or nothing.

        Its parameters are those that were fitted; those that were set since are of the next fit.

        Raises:
            InputError: if it is no path, or there is something else than a saved prompt or an empty folder.
            NotFittedError: if the estimator is not fitted.
        """
        path, saved = expanded(folder), self.classifier_.saved
        defaults = plain(SPTClassifier().get_params(deep=False))
        parameters = {"verbose": plain(self.verbose), **self._fitted_parameters}
        changed = {name: value for name, value in parameters.items() if value != defaults[name]}
        names = getattr(self, "feature_names_in_", None)
        estimator = SavedEstimator(
            parameters=changed,
            classes=self._classes,
            metrics=self.metrics_,
            feature_names=None if names is None else tuple(names),
        )
        saved.write(path, {ESTIMATOR_JSON: estimator.text})

    def push_to_hub(
        self,
        name: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        message: str | None = None,
    ) -> str:
        """Send what `save_pretrained` writes, with a card of the scores, to the Hugging Face hub.

        Args:
            name: owner/name; made where it is not there.
            private: as of `PromptClassifier.push_to_hub`, and the next two.
            revision: branch.
            message: of the commit.

        Returns:
            The commit, by which `from_pretrained(name, revision=...)` loads just this.

        Raises:
            InputError: for a name that no repository can have, or where the hub refuses or cannot be reached.
            NotFittedError: if the estimator is not fitted.
        """
        check_hub_name(name)
        warn_of_local_backbone(self.classifier_.spec.backbone.name)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            if self.classifier_.card is None:
                write_model_card(Path(folder), self.metrics_)
            return upload(Path(folder), name, private, revision, message)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, revision: str | None = None) -> SPTClassifier:
        """Return the fitted estimator that `save_pretrained` wrote, or one around the prompt of a run.

        Args:
            folder: that holds it, or owner/name of the hub as text; a folder wins.
            revision: commit, tag or branch of the hub; None for its main branch.

        Raises:
            InputError: as `PromptClassifier.from_pretrained`, or if estimator.json is damaged, or of another
                prompt.
        """
        folder = prompt_folder(folder, revision)
        saved = SavedEstimator.read(folder)
        with quiet_training():
            # loads torch, for which an estimator that is not fitted need not wait
            from spt.serving.classifier import PromptClassifier  # noqa: PLC0415

            classifier = PromptClassifier.from_pretrained(folder)
        if saved is not None:
            saved.check_classes(classifier.labels, folder)
        else:
            labels, spec = classifier.labels, classifier.spec
            parameters = {"backbone": spec.backbone.model_dump(exclude_defaults=True), "task": spec.task}
            saved = SavedEstimator(parameters=parameters, classes=ClassValues(labels, labels), metrics={})
        estimator = cls(**saved.parameters)
        estimator._remember(classifier, saved.classes, dict(saved.metrics), saved.feature_names)
        estimator.run_ = None
        return estimator

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the model as the files of a saved prompt."""
        state = dict(super().__getstate__())
        if state.get("_classifier") is not None:
            state["_files"] = packed(state["_classifier"])
            state["_classifier"] = None
        return state

    def __sklearn_tags__(self) -> Any:
        """Say that rows are texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags

    def _run_parameters(self) -> dict[str, Any]:
        """Return the parameters that describe a run."""
        names = set(self._get_param_names()) - {"folder", "verbose"}
        return {name: getattr(self, name) for name in sorted(names)}

    @contextmanager
    def _run_folder(self) -> Iterator[Path]:
        """Hand out the folder of the run; one that nobody asked for is cleaned."""
        if self.folder is not None:
            yield expanded(self.folder)
            return
        with TemporaryDirectory(prefix="spt-fit-") as folder:
            yield Path(folder)

    def _remember(
        self,
        classifier: PromptClassifier,
        classes: ClassValues,
        metrics: dict[str, Any],
        names: tuple[str, ...] | None,
    ) -> None:
        """Set what a fitted estimator has."""
        layers = classifier.architecture
        self._classifier, self._files = classifier, {}
        self._classes = classes
        self._fitted_parameters = plain(self._run_parameters())
        self.classes_ = classes.sorted
        self.layers_ = layers.layers
        self.kinds_ = layers.kinds
        self.gates_ = _by_layer(metrics.get("gates"), layers.total)
        self.scores_ = _by_layer(metrics.get("scores"), layers.total)
        self.metrics_ = metrics
        self.n_features_in_ = len(classifier.spec.task.text_fields)
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _text_columns(self, X: Any, pairs: Any) -> TextColumns:
        """Read the rows that are to be answered."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        task = self.classifier_.spec.task
        names = task.text_fields if names is None else list(names)
        columns = read_text_columns(X, pairs, names, "X", task.label_fields)
        if columns.width != self.n_features_in_:
            raise InputError(
                f"X has {columns.width} texts a row, but the estimator was fitted on {self.n_features_in_}."
            )
        return columns


def _by_layer(given: Mapping[Any, float] | None, layers: int) -> NDArray[np.float64] | None:
    """Return the values of all layers, NaN of those that have none."""
    if not given:
        return None
    values = {int(layer): value for layer, value in given.items()}
    return np.array([values.get(layer, np.nan) for layer in range(layers)])


def _class_values(train: LabelledRows, dtype: str | None, names: Sequence[str]) -> ClassValues:
    """Find out what the user calls the classes, by the labels of the training rows."""
    if train.classes is not None:
        return ClassValues(tuple(names), train.classes, indicator=True)
    return ClassValues.of(train.each_label, names, dtype)


def _dtype(labels: Any) -> str | None:
    """Return the type of an array's labels, as numpy writes it; None for text, whose length is in it."""
    dtype = getattr(labels, "dtype", None)
    return dtype.str if isinstance(dtype, np.dtype) and dtype.kind in "biuf" else None
