"""The one objective that every trainer and every fold-in minimises.

With the other side's factors Y fixed, a user's vector solves ``A x = b``::

    A = g·YᵀY + Σ w_i y_i y_iᵀ + λ_u I        b = Σ t_i y_i        λ_u = λ (n_u + ρ|I|)^ν

summed over the user's pairs. The constants below choose among MLlib's implicit and explicit ALS and iALS. With biases,
two columns of the factors are not what a system solves for; `oryx_py.numerics.biases` has the form.
"""

import math
from typing import Literal, Self

import msgspec
import numpy as np

from oryx_py.numerics.arrays import BoolVector, DoubleVector, IntVector
from oryx_py.numerics.biases import Biases

STRENGTH_LIMIT = 1e15
"""Strengths beyond ±this count as this much: float64 has no digits left for anything beside them, and the squares
and sums that follow must not overflow."""


class Objective(msgspec.Struct, frozen=True):
    """The constants of the objective, as they stand in the manifest.

    ``g`` weighs the Gram matrix of all factors (the pairs nobody observed), ``kappa`` is the preference an observed
    pair has before its weight, ``alpha`` scales the weight, ``lambda_`` (``lambda`` in JSON) regularises in the
    units of its own form, ``rho`` is the share of the other side's rows in its scale and ``nu`` the scale's exponent.
    With ``log_strength`` the weight grows with ``log1p(|s|/epsilon)`` instead of ``|s|``.
    ``counts`` says which pairs are counted in n_u: those of positive strength, or all observed ones.
    ``biases`` are of explicit feedback alone; None: there are none.

    Raises:
        ValueError: A constant is negative, not finite, or (``epsilon``) zero; or biases do not go with it.
    """

    feedback: Literal["implicit", "explicit"]
    g: float
    kappa: float
    alpha: float
    lambda_: float = msgspec.field(name="lambda")
    rho: float
    nu: float
    log_strength: bool
    epsilon: float
    counts: Literal["positive", "observed"]
    biases: Biases | None = None

    def __post_init__(self) -> None:
        for name in ("g", "kappa", "alpha", "lambda_", "rho", "nu", "epsilon"):
            value = float(getattr(self, name))
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"the objective's {name.rstrip('_')} must be finite and not negative, not {value}")
            msgspec.structs.force_setattr(self, name, value)
        if not self.epsilon:
            raise ValueError("the objective's epsilon must be above 0")
        if self.biases is not None and (self.feedback != "explicit" or self.g):
            raise ValueError("biases are for explicit feedback, which weighs no pair that nobody observed")

    @classmethod
    def mllib_implicit(cls, lambda_: float, alpha: float, log_strength: bool = False, epsilon: float = 1e-5) -> Self:
        """Spark MLlib's ``implicitPrefs=True`` (Hu, Koren & Volinsky 2008; λ scaled as by Zhou et al. 2008).

        As in MLlib's ``computeFactors``: every pair of strength other than 0 weighs ``α|s|``, positive ones prefer
        ``1 + α|s|`` and are counted; negative ones pull towards 0 and are not.
        """
        return cls(
            feedback="implicit",
            g=1.0,
            kappa=1.0,
            alpha=alpha,
            lambda_=lambda_,
            rho=0.0,
            nu=1.0,
            log_strength=log_strength,
            epsilon=epsilon,
            counts="positive",
        )

    @classmethod
    def mllib_explicit(cls, lambda_: float) -> Self:
        """Spark MLlib's ``implicitPrefs=False`` (ALS-WR, Zhou et al. 2008): strengths are ratings, 0 among them."""
        return cls(
            feedback="explicit",
            g=0.0,
            kappa=0.0,
            alpha=1.0,
            lambda_=lambda_,
            rho=0.0,
            nu=1.0,
            log_strength=False,
            epsilon=1e-5,
            counts="observed",
        )

    @classmethod
    def biased_explicit(cls, lambda_: float, biases: Biases) -> Self:
        """Explicit feedback with biases, which are regularised as the factors beside them are."""
        return msgspec.structs.replace(cls.mllib_explicit(lambda_), biases=biases)

    @classmethod
    def ials(
        cls,
        alpha0: float,
        lambda_: float,
        nu: float = 1.0,
        alpha: float = 1.0,
        log_strength: bool = False,
        epsilon: float = 1e-5,
    ) -> Self:
        """The loss of Rendle et al. 2021 ("Revisiting the Performance of iALS"): unobserved pairs weigh ``alpha0``.

        An observed pair weighs ``α|s|``, or by the logarithm; its target is 1 if it is positive.
        """
        return cls(
            feedback="implicit",
            g=alpha0,
            kappa=0.0,
            alpha=alpha,
            lambda_=lambda_,
            rho=alpha0,
            nu=nu,
            log_strength=log_strength,
            epsilon=epsilon,
            counts="observed",
        )

    @property
    def settings(self) -> Self:
        """The same without what only the data tell, μ: what two trainings with equal settings have in common."""
        return self.centred(0.0)

    def centred(self, mean: float) -> Self:
        """Return it with this μ; itself where it has no biases."""
        if self.biases is None:
            return self
        return msgspec.structs.replace(self, biases=msgspec.structs.replace(self.biases, mean=mean))

    def weights(self, strengths: DoubleVector) -> tuple[DoubleVector, DoubleVector, BoolVector]:
        """Weight w, target t and membership in n_u of each pair.

        ``strengths`` float64[n], folded; NaN is a pair that is gone, and 0 of implicit feedback one that was never
        observed: both get w = t = 0 and are not counted. Returns float64[n], float64[n], bool[n].
        """
        s = np.clip(np.asarray(strengths, dtype=np.float64), -STRENGTH_LIMIT, STRENGTH_LIMIT)
        present = ~np.isnan(s)
        s = np.where(present, s, 0.0)
        if self.feedback == "explicit":
            return present.astype(np.float64), s, present
        size = np.abs(s)
        w = self.alpha * (np.log1p(size / self.epsilon) if self.log_strength else size)
        t = np.where(s > 0, self.kappa + w, 0.0)
        return w, t, s > 0 if self.counts == "positive" else s != 0

    def strength_of(self, weight: float, target: float) -> float:
        """Return the strength that has this weight and target, the inverse of `weights` for pairs that are there.

        Weights that the constants make 0 (``alpha`` 0) tell only the sign.
        """
        if self.feedback == "explicit":
            return target
        size = weight / self.alpha if self.alpha else float(bool(target))
        if self.log_strength:
            size = self.epsilon * math.expm1(min(size, 700.0))
        return size if target > 0 else -size

    def ridge(self, n: int, rows: int) -> float:
        """``λ_u`` for ``n`` counted pairs against ``rows`` rows of the other side."""
        return float(self.ridges(np.asarray([n], dtype=np.int64), rows)[0])

    def ridges(self, n: IntVector, rows: int) -> DoubleVector:
        """``λ_u`` of many systems; ``n`` int64[m], returns float64[m]."""
        scales: DoubleVector = np.power(n + self.rho * rows, self.nu)
        return self.lambda_ * scales
