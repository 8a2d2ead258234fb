"""What many fold-ins promise beside the solution: independence, repeatability, threads, and one compilation."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oryx_py
from oryx_py.numerics.fold_in import batched, gathered, kernel, systems
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.fold_in.systems import weighed
from oryx_py.numerics.objective import Objective
from tests.support.ridge import CONSTANTS, Histories, objective, random_histories, relative_error, solution, system

LENGTHS = [0, 1, 3, 40, 0, 75, 160, 700, 2, 0]


@pytest.fixture(params=["mllib_implicit", "mllib_explicit", "ials"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[8, 48])
def histories(request: pytest.FixtureRequest) -> Histories:
    return random_histories(np.random.default_rng(5), k=request.param, lengths=LENGTHS, rows=900)


def solve(h: Histories, chosen: Objective, threads: int = 1) -> np.ndarray:
    return fold_in_many(h.indptr, h.indices, h.strengths, h.factors, h.prior, chosen, threads=threads)


def test_a_row_does_not_depend_on_the_others(histories: Histories, kind: str) -> None:
    together = solve(histories, objective(kind))
    for row in range(len(LENGTHS)):
        strengths, vectors = histories.row(row)
        order = np.arange(len(strengths))
        alone = fold_in_many(np.array([0, len(strengths)]), order, strengths, vectors, histories.prior, objective(kind))
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.mark.parametrize("k", [24, 64])
@pytest.mark.parametrize("large", [1e10, 1e18, 1e30])
def test_a_row_that_overflows_leaves_no_trace_in_others(k: int, large: float, kind: str) -> None:
    h = random_histories(np.random.default_rng(9), k=k, lengths=[40, 30, 200], rows=300)
    factors = h.factors.copy()
    factors[h.indices[0]] *= large
    indices = np.where(h.indices == h.indices[0], h.indices[0] ^ 1, h.indices)
    indices[0] = h.indices[0]
    together = fold_in_many(h.indptr, indices, h.strengths, factors, h.prior, objective(kind))
    for row in (1, 2):
        pairs = slice(h.indptr[row], h.indptr[row + 1])
        ends = np.array([0, h.indptr[row + 1] - h.indptr[row]])
        alone = fold_in_many(ends, indices[pairs], h.strengths[pairs], factors, h.prior, objective(kind))
        np.testing.assert_array_equal(alone[0], together[row])


def test_threads_and_chunks_do_not_change_a_bit(
    histories: Histories, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = solve(histories, objective(kind))
    for threads in (2, 5):
        np.testing.assert_array_equal(solve(histories, objective(kind), threads), reference)
    monkeypatch.setattr(batched, "_CHUNK", 64)
    np.testing.assert_array_equal(solve(histories, objective(kind)), reference)


def test_concurrent_calls_do_not_disturb_each_other(histories: Histories) -> None:
    kinds = ["mllib_implicit", "mllib_explicit", "ials", "mllib_log"] * 8
    expected = {kind: solve(histories, objective(kind)) for kind in set(kinds)}
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda kind: solve(histories, objective(kind), threads=2), kinds))
    for kind, X in zip(kinds, results, strict=True):
        np.testing.assert_array_equal(X, expected[kind])


def test_a_part_of_a_larger_matrix_can_be_solved(histories: Histories, kind: str) -> None:
    h = histories
    part = fold_in_many(h.indptr[3:7], h.indices, h.strengths, h.factors, h.prior, objective(kind))
    np.testing.assert_array_equal(part, solve(h, objective(kind))[3:6])


def test_factors_may_be_mapped_and_indices_short(tmp_path: Path, histories: Histories) -> None:
    h = histories
    np.save(tmp_path / "items.npy", h.factors)
    mapped = np.load(tmp_path / "items.npy", mmap_mode="r")
    X = fold_in_many(h.indptr, h.indices.astype(np.int32), h.strengths, mapped, h.prior, objective("ials"))
    np.testing.assert_array_equal(X, solve(h, objective("ials")))


def test_one_compilation_serves_every_kind_of_call(tmp_path: Path) -> None:
    """Compiling takes seconds: neither layout, nor writeability, nor dtype of the arguments may cause it again."""
    for k in (1, 4):
        h = random_histories(np.random.default_rng(1), k=k, lengths=[3, 5], rows=20)
        np.save(tmp_path / "gram.npy", np.asfortranarray(h.prior.gram))
        prior = Prior(np.load(tmp_path / "gram.npy", mmap_mode="r"), 20)
        for chosen in (Objective("implicit", 1, 1, 1, 1, 0, 1, False, 1, "positive"), objective("ials")):
            fold_in_many(
                h.indptr.astype(np.int32), h.indices.tolist(), h.strengths.tolist(), np.asfortranarray(h.factors),
                prior, chosen,
            )  # fmt: skip
    solve_rows = kernel.solve_rows
    assert len(solve_rows.signatures) == 1  # type: ignore[attr-defined]  # numba's dispatcher


@pytest.mark.parametrize("name", sorted(CONSTANTS))
def test_the_kernel_weighs_pairs_as_the_objective_does(name: str) -> None:
    chosen = objective(name)
    strengths = np.array([1.0, -2.0, 0.0, np.nan, -0.0, 1e-9, 1e300, -np.inf, np.inf, 5.0])
    indptr = np.array([0, 4, 4, 10])
    w, t, counted = chosen.weights(strengths)
    found_w, found_t, n = weighed(indptr, strengths, chosen)
    np.testing.assert_allclose(found_w, w, rtol=1e-14, atol=0)
    np.testing.assert_allclose(found_t, t, rtol=1e-14, atol=0)
    np.testing.assert_array_equal(n, [counted[:4].sum(), 0, counted[4:].sum()])


def test_what_rounding_leaves_beside_the_diagonal_counts() -> None:
    """A Gram matrix that is diagonal but for a part too small to change the basis, and large enough to show if lost."""
    rng, k, n = np.random.default_rng(7), 64, 20
    values = np.geomspace(10.0, 0.1, k)
    off = np.triu(rng.standard_normal((k, k)), 1)
    off += off.T
    gram = np.diag(values) + 5e-4 * off / np.linalg.norm(off)
    factors = rng.standard_normal((n, k)).astype(np.float32)
    chosen, prior = Objective.mllib_implicit(1e-6, 1.0), Prior(gram, 1000)
    assert prior.plain.spilled < systems._SPILL * values.min()
    Y = factors.astype(np.float64)
    x = fold_in_many(np.array([0, n]), np.arange(n), np.ones(n), factors, prior, chosen)[0]
    ridge = 1e-6 * n * np.eye(k)
    history, b = Y.T @ Y, 2 * Y.sum(axis=0)
    assert relative_error(x, solution(gram + history + ridge, b)) < 1e-5
    assert relative_error(x, solution(np.diag(values) + history + ridge, b)) > 5e-5


def test_systems_singular_in_float64_are_solved_with_least_norm() -> None:
    """λ = 0 and fewer pairs than features: the kernel hands such rows to the dense solve."""
    h = random_histories(np.random.default_rng(2), k=24, lengths=[5, 30], rows=60)
    s = np.abs(np.nan_to_num(h.strengths)) + 1
    X = fold_in_many(h.indptr, h.indices, s, h.factors, h.prior, Objective.mllib_explicit(0.0))
    Y = h.factors[h.indices[:5]].astype(np.float64)
    assert relative_error(X[0], np.linalg.pinv(Y) @ s[:5]) < 1e-5


def test_histories_longer_than_the_gathered_block_are_exact() -> None:
    k = 64
    n = gathered.MOST // k + 100
    h = random_histories(np.random.default_rng(3), k=k, lengths=[n], rows=n)
    A, b = system("ials", 1.0, *h.row(0), h.factors)
    assert relative_error(solve(h, objective("ials"))[0], solution(A, b)) < 1e-5


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-22, 1e-18, 1.0, 1e14])
def test_ratings_of_any_size_are_solved(scale: float) -> None:
    """Targets are summed up in float32 where that can hold them."""
    h = random_histories(np.random.default_rng(5), k=48, lengths=[1, 30, 200], rows=300)
    h = replace(h, strengths=np.nan_to_num(h.strengths) * scale)
    X = solve(h, objective("mllib_explicit"))
    for row in range(3):
        A, b = system("mllib_explicit", 1.0, *h.row(row), h.factors)
        assert relative_error(X[row], solution(A, b)) < 1e-5


def test_targets_that_cancel_give_nothing() -> None:
    """An item of rating 1 and its like of rating -1: b is 0, though no target is; and nearly 0 is not 0."""
    rng = np.random.default_rng(6)
    factors = np.repeat(rng.normal(size=(100, 48)), 2, axis=0).astype(np.float32)
    prior = Prior(factors.T.astype(np.float64) @ factors, len(factors))
    strengths = np.tile([1.0, -1.0], 100)
    nearly = strengths.copy()
    nearly[0] += 1e-9
    indptr, indices = np.array([0, 200, 400]), np.tile(np.arange(200), 2)
    kind = objective("mllib_explicit")
    X = fold_in_many(indptr, indices, np.concatenate([strengths, nearly]), factors, prior, kind)
    assert not X[0].any()
    A, b = system("mllib_explicit", 1.0, nearly, factors, factors)
    assert relative_error(X[1], solution(A, b)) < 1e-5


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 2], [0, 3], "rows of the 3 factors"),
        ([0, 2], [-1, 0], "rows of the 3 factors"),
        ([0, 3], [0, 1], "indptr"),
        ([1, 0], [0, 1], "indptr"),
        ([], [0, 1], "indptr"),
        ([0, 1], [0], "strengths"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(indptr: list[int], indices: list[int], message: str) -> None:
    factors = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match=message):
        fold_in_many(
            np.array(indptr, np.int64), np.array(indices), np.ones(2), factors, Prior(np.eye(3), 3), objective("ials")
        )
    with pytest.raises(ValueError, match="Gram"):
        fold_in_many(np.array([0, 1]), np.array([0]), np.ones(1), factors, Prior(np.eye(2), 3), objective("ials"))


@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_an_installation_that_cannot_be_written_still_works(tmp_path: Path, home: str) -> None:
    """The cache goes to the user's own; where there is none either, the kernel compiles without."""
    site, user = tmp_path / "site", tmp_path / "user"
    package = Path(oryx_py.__file__).parent
    shutil.copytree(package, site / "oryx_py", ignore=shutil.ignore_patterns("__pycache__"))
    # A file in the folder's place: unlike a mode, it stops the superuser too.
    (site / "oryx_py" / "numerics" / "compiled" / "__pycache__").write_text("")
    if home == "writable":
        user.mkdir()
    else:
        user.write_text("")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    environment |= {"PYTHONPATH": str(site), "HOME": str(user), "XDG_CACHE_HOME": str(user / "cache")}
    script = (
        "from oryx_py.numerics.compiled import compiling, loops\n"
        "tiny = compiling.compiled(loops.dot.py_func)\n"
        "import numpy\n"
        "print(tiny(numpy.ones(3), numpy.ones(3)), loops.__file__)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3.0", str(site / "oryx_py" / "numerics" / "compiled" / "loops.py")]
    assert bool(list(tmp_path.rglob("*.nbi"))) == (home == "writable")
