"""The three trainers, each from prepared matrices to both sides' factors in files."""

import shutil
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession
from threadpoolctl import threadpool_limits

from batch_layer.host.cores import cores
from batch_layer.recipe import Recipe
from batch_layer.spark.fitting import fit_generation
from batch_layer.spark.mllib.fitting import fit_mllib
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.session.opening import close_session, open_session
from oryx_py.events.fold import FoldSettings
from oryx_py.model.generations.history_files import history_files
from oryx_py.numerics.objective import Objective
from tests.bench.batch.samples import Sample, load_sample

__all__ = ["TRAINERS", "Parameters", "Trainer", "missing"]

Parameters = Mapping[str, float]
SEED: Final = 1
_FACTORS: Final = ("users.npy", "items.npy")


class Trainer(Protocol):
    """One of them, in a process of its own."""

    def open(self, folder: Path, memory: str) -> None:
        """Start what trains; ``folder`` is for its files, ``memory`` Spark's for the driver."""

    def prepare(self, sample: Path) -> None:
        """Bring a saved sample into the trainer's own form."""

    def fit(self, features: int, parameters: Parameters, into: Path) -> dict[str, float]:
        """Train, and write ``users.npy`` and ``items.npy`` into an empty folder; returns the seconds by step.

        "total" are those from the prepared form to factors in memory or in files; others explain it.
        """

    def algebra(self) -> str:
        """Name what its linear algebra is done by."""

    def close(self) -> None:
        """End it."""


class _OnSpark:
    """A trainer of the batch layer, as a run calls it, on all cores of this machine; in a session of its own or not."""

    def __init__(self, spark: SparkSession | None = None) -> None:
        self._spark = spark
        self._lent = spark is not None
        self._folder = Path()
        self._prepared = Prepared(0, 0, 0)

    def open(self, folder: Path, memory: str) -> None:
        self._folder = folder
        if not self._lent:
            self._spark = open_session("local[*]", {"spark.driver.memory": memory}, folder / "spark.log")

    def prepare(self, sample: Path) -> None:
        found = load_sample(sample)
        matrices = self._folder / "prepared"
        shutil.rmtree(matrices, ignore_errors=True)
        matrices.mkdir()
        for side, rows in (("users", found.train), ("items", found.train.transposed(found.items))):
            for file, array in zip(history_files(side), (rows.indptr, rows.indices, rows.strengths), strict=True):
                np.save(matrices / file, array)
        self._prepared = Prepared(found.users, found.items, found.train.pairs)

    def _fit(self, recipe: Recipe, into: Path) -> dict[str, float]:
        assert self._spark is not None
        work = self._folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for file in (self._folder / "prepared").iterdir():
            (into / file.name).hardlink_to(file)
        fit = fit_mllib if recipe.trainer == "mllib" else fit_generation
        fitted = fit(self._spark, into, work, self._prepared, recipe)
        for file in into.iterdir():
            if file.name not in _FACTORS:
                file.unlink()
        return dict(fitted.seconds)

    def close(self) -> None:
        if self._spark is not None and not self._lent:
            close_session(self._spark)


class Oryx(_OnSpark):
    """This project's: weight ``alpha0`` of what was not observed, ``lambda_``, ``nu`` (1), ``epochs``; users solved.

    ``alpha`` is for a pair of the mean strength, as `model.alpha`; without it strengths weigh what they are.
    """

    def algebra(self) -> str:
        """Its own kernels, compiled."""
        return f"numba {metadata.version('numba')}"

    def fit(self, features: int, parameters: Parameters, into: Path) -> dict[str, float]:
        objective = Objective.ials(parameters["alpha0"], parameters["lambda_"], parameters.get("nu", 1.0))
        recipe = _recipe("ials", features, parameters, objective)
        began = time.perf_counter()
        seconds = self._fit(msgspec.structs.replace(recipe, alpha=parameters.get("alpha")), into)
        return {**seconds, "total": time.perf_counter() - began}


class MLlib(_OnSpark):
    """Spark's, through this project's `fit_mllib`; its users are solved exactly as well, which is not counted."""

    def algebra(self) -> str:
        """A library of the machine's where Spark finds one, which halves its time; else Java's own."""
        assert self._spark is not None
        spark: Any = self._spark
        try:
            return str(spark._jvm.dev.ludovic.netlib.lapack.NativeLAPACK.getInstance().getClass().getSimpleName())
        except Py4JError:
            return "none that is native: Java's"

    def fit(self, features: int, parameters: Parameters, into: Path) -> dict[str, float]:
        objective = Objective.mllib_implicit(parameters["lambda_"], parameters["alpha"], False, 1e-5)
        seconds = self._fit(_recipe("mllib", features, parameters, objective), into)
        return {**seconds, "total": seconds["train"]}


class Implicit:
    """benfred/implicit by conjugate gradients; its users are solved once more for their score, which is not counted."""

    def __init__(self) -> None:
        self._sample: Sample | None = None
        self._pairs: Any = None

    def open(self, folder: Path, memory: str) -> None:
        """Import it."""
        import implicit  # noqa: F401

    def prepare(self, sample: Path) -> None:
        """Make the matrix of SciPy's that it takes."""
        from scipy.sparse import csr_matrix

        self._sample = found = load_sample(sample)
        parts = (found.train.strengths.astype(np.float32), np.array(found.train.indices), found.train.indptr)
        self._pairs = csr_matrix((parts[0], parts[1], parts[2].astype(np.int32)), shape=(found.users, found.items))

    def algebra(self) -> str:
        """See `Trainer`."""
        return f"its own and SciPy's, {metadata.version('scipy')}"

    def fit(self, features: int, parameters: Parameters, into: Path) -> dict[str, float]:
        """See `Trainer`."""
        from implicit.als import AlternatingLeastSquares

        assert self._sample is not None
        model = AlternatingLeastSquares(
            factors=features,
            regularization=parameters["lambda_"],
            alpha=parameters["alpha"],
            iterations=int(parameters["epochs"]),
            use_gpu=False,
            use_cg=True,
            num_threads=cores(),
            random_state=SEED,
        )
        with threadpool_limits(1, "blas"):  # as it asks for itself
            began = time.perf_counter()
            model.fit(self._pairs, show_progress=False)
            total = time.perf_counter() - began
            tested = self._sample.tested
            users = np.array(model.user_factors)
            for first in range(0, len(tested), 1000):
                some = tested[first : first + 1000]
                users[some] = model.recalculate_user(some, self._pairs[some])
        np.save(into / "users.npy", users)
        np.save(into / "items.npy", model.item_factors)
        return {"total": total}

    def close(self) -> None:
        """Nothing to end."""


TRAINERS: Final[Mapping[str, type[Oryx] | type[MLlib] | type[Implicit]]] = {
    "oryx": Oryx,
    "mllib": MLlib,
    "implicit": Implicit,
}


def missing(name: str) -> str | None:
    """Say what to do where a trainer cannot be run; None where it can."""
    if name == "implicit":
        try:
            import implicit  # noqa: F401
            import scipy.sparse  # noqa: F401
        except ImportError:
            return "implicit is not installed, so it is left out: `pip install implicit`"
    return None


def _recipe(trainer: str, features: int, parameters: Parameters, objective: Objective) -> Recipe:
    return Recipe(
        trainer=trainer,
        features=features,
        iterations=int(parameters["epochs"]),
        seed=SEED,
        objective=objective,
        fold=FoldSettings(feedback="implicit"),
    )
