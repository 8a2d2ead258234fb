"""Invented worlds: people with tastes, things with titles, and what the one did with the other.

The demo, the tests and the benchmarks play in them. A world is drawn from one seed: tastes are mixtures of a few hidden
features, each thing belongs mostly to one of them, some things are far more popular than others (Zipf), some people far
more active, and tastes drift, so that what somebody did last says more than what they did first.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["GENRES", "World", "make_world"]

GENRES: Final = (
    "Drama", "Comedy", "Thriller", "Romance", "Science Fiction", "Documentary", "Western", "Animation",
    "Horror", "Mystery", "Adventure", "War", "Musical", "Fantasy", "Crime", "History",
)  # fmt: skip

# Two words for each genre's flavour, eight for each side: 8 × 8 titles a genre, then numbered sequels.
_FIRST: Final = {
    "Drama": ("Quiet", "Broken", "Distant", "Autumn", "Borrowed", "Tender", "Unsaid", "Winter"),
    "Comedy": ("Absurd", "Lucky", "Crooked", "Merry", "Hopeless", "Sunday", "Runaway", "Second-Hand"),
    "Thriller": ("Cold", "Silent", "Burning", "Final", "Hidden", "Midnight", "Double", "Sharp"),
    "Romance": ("Secret", "Summer", "Moonlit", "Foolish", "Patient", "Scarlet", "Parisian", "Velvet"),
    "Science Fiction": ("Orbital", "Electric", "Distant", "Synthetic", "Lunar", "Parallel", "Frozen", "Infinite"),
    "Documentary": ("Living", "Forgotten", "Inside the", "Vanishing", "Ordinary", "Wild", "Hungry", "Measured"),
    "Western": ("Dusty", "Lonesome", "Iron", "Red", "Wanted", "Bitter", "High", "Dead Man's"),
    "Animation": ("Tiny", "Clockwork", "Curious", "Paper", "Brave", "Sleepy", "Flying", "Marvellous"),
    "Horror": ("Hollow", "Crawling", "Pale", "Buried", "Whispering", "Hungry", "Rotten", "Nameless"),
    "Mystery": ("Missing", "Locked", "Seventh", "Crooked", "Vanished", "Unopened", "Blind", "Porcelain"),
    "Adventure": ("Lost", "Golden", "Forbidden", "Endless", "Savage", "Northern", "Stolen", "Farthest"),
    "War": ("Last", "Muddy", "Hundred-Day", "Fallen", "Iron", "Unknown", "Long", "Forgotten"),
    "Musical": ("Dancing", "Singing", "Broadway", "Glittering", "Off-Key", "Jazz", "Midnight", "Silver"),
    "Fantasy": ("Enchanted", "Dragon's", "Moonstone", "Ancient", "Thorned", "Glass", "Wandering", "Raven"),
    "Crime": ("Dirty", "Easy", "Marked", "Concrete", "Honest", "Small-Time", "Loaded", "Smoking"),
    "History": ("Imperial", "Crowned", "Stone", "Exiled", "Marble", "Plague", "Merchant", "Barefoot"),
}
_SECOND: Final = {
    "Drama": ("Harbour", "Daughters", "Orchard", "Letters", "House", "River", "Silence", "Inheritance"),
    "Comedy": ("Wedding", "Neighbours", "Holiday", "Butler", "Plan", "Umbrella", "Cousins", "Honeymoon"),
    "Thriller": ("Witness", "Hour", "Signal", "Pursuit", "Alibi", "Harbour", "Exit", "Edge"),
    "Romance": ("Letter", "Garden", "Waltz", "Promise", "Stranger", "Balcony", "Summer", "Kiss"),
    "Science Fiction": ("Horizon", "Dream", "Colony", "Signal", "Garden", "Paradox", "Archive", "Sun"),
    "Documentary": ("Ocean", "Machine", "City", "Glacier", "Bread", "Orchestra", "Archive", "River"),
    "Western": ("Canyon", "Stagecoach", "Horses", "Saloon", "Noon", "Valley", "Marshal", "Gold"),
    "Animation": ("Mouse", "Circus", "Balloon", "Fox", "Penguins", "Castle", "Robot", "Whale"),
    "Horror": ("House", "Cellar", "Guests", "Doll", "Forest", "Mirror", "Hour", "Thing"),
    "Mystery": ("Room", "Key", "Guest", "Portrait", "Train", "Letter", "Lighthouse", "Heir"),
    "Adventure": ("Island", "Compass", "Temple", "Caravan", "Passage", "Treasure", "Summit", "Voyage"),
    "War": ("Regiment", "Bridge", "Winter", "Trench", "Convoy", "Soldier", "March", "Front"),
    "Musical": ("Shoes", "Orchestra", "Boulevard", "Tenor", "Chorus", "Encore", "Ballroom", "Summer"),
    "Fantasy": ("Crown", "Egg", "Tower", "Kingdom", "Sword", "Forest", "Song", "Witch"),
    "Crime": ("Money", "Heist", "Partner", "Streets", "Getaway", "Verdict", "Gun", "Favour"),
    "History": ("Empress", "Siege", "Cathedral", "Throne", "Road", "Chronicle", "Pilgrim", "Senator"),
}


@dataclass(frozen=True, slots=True)
class World:
    """What happened, in the order of time, and the names of things.

    The four arrays run in parallel, one entry an interaction: ``users`` and ``items`` are IDs (object arrays of str),
    ``strengths`` are whole numbers from 1 to 5 as float64 (how well the thing meets the taste: usable as ratings or as
    implicit strengths), ``timestamps_ms`` epoch milliseconds, ascending. A pair may occur more than once.
    ``titles`` and ``genres`` have every item, also those that nobody met; titles are unique.
    """

    users: npt.NDArray[np.object_]
    items: npt.NDArray[np.object_]
    strengths: npt.NDArray[np.float64]
    timestamps_ms: npt.NDArray[np.int64]
    titles: dict[str, str]
    genres: dict[str, str]

    def __len__(self) -> int:
        """Count of interactions."""
        return len(self.strengths)


def make_world(
    seed: int,
    users: int,
    items: int,
    interactions: int,
    features: int = 8,
    *,
    drift: float = 0.3,
    start_ms: int = 1_700_000_000_000,
    span_ms: int = 90 * 24 * 3_600_000,
) -> World:
    """Draw a world; the same arguments give the same world.

    Args:
        seed: the only randomness.
        users: how many people; u00000, u00001, ….
        items: how many things; m00000, m00001, ….
        interactions: how many interactions in all; the most active may have hundreds, some people none.
        features: hidden tastes, at most 16; one genre each.
        drift: 0 = tastes stay, 1 = at the end everybody's taste is another than at the beginning.
        start_ms: epoch milliseconds of the beginning.
        span_ms: length of the time, milliseconds.

    An interaction's feature z is drawn from the user's taste at that time, its item from
    P(item | z) ∝ popularity(item) · loading(item, z): a topic model, so that users and items have rank ``features``.
    """
    if not 1 <= features <= len(GENRES):
        raise ValueError(f"features must be 1 to {len(GENRES)}, not {features}")
    rng = np.random.default_rng(seed)
    home = rng.permutation(np.arange(items) % features)  # each item's own feature
    loading = 0.02 + 0.1 * rng.random((items, features)) * (rng.random((items, features)) < 0.2)
    loading[np.arange(items), home] = 1.0
    popularity = (1.0 + rng.permutation(items)) ** -0.8  # Zipf's law, a little flatter
    taste = rng.dirichlet(np.full(features, 0.25), users)
    later = (1.0 - drift) * taste + drift * rng.dirichlet(np.full(features, 0.25), users)

    who = rng.choice(users, interactions, p=_normalised(rng.lognormal(0.0, 1.0, users)))
    when = np.sort(rng.random(interactions))
    now = _normalised((1.0 - when[:, None]) * taste[who] + when[:, None] * later[who])
    feature = _pick(np.cumsum(now, axis=1), rng.random(interactions))
    what = np.empty(interactions, np.int64)
    for z in range(features):
        rows = np.flatnonzero(feature == z)
        cumulative = np.cumsum(_normalised(popularity * loading[:, z]))
        what[rows] = np.minimum(np.searchsorted(cumulative, rng.random(len(rows)), side="right"), items - 1)
    liking = now[np.arange(interactions), home[what]]
    strengths = np.clip(np.round(1.5 + 3.5 * np.sqrt(liking) + 0.7 * rng.standard_normal(interactions)), 1.0, 5.0)

    user_ids = np.array([f"u{n:05d}" for n in range(users)], dtype=object)
    item_ids = np.array([f"m{n:05d}" for n in range(items)], dtype=object)
    return World(
        users=user_ids[who],
        items=item_ids[what],
        strengths=strengths,
        timestamps_ms=start_ms + (when * span_ms).astype(np.int64),
        titles=dict(zip(item_ids.tolist(), _titles(home, rng), strict=True)),
        genres=dict(zip(item_ids.tolist(), (GENRES[z] for z in home), strict=True)),
    )


def _normalised(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def _pick(cumulative: npt.NDArray[np.float64], uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """One column a row, by inverting each row's cumulative distribution."""
    picked: npt.NDArray[np.int64] = np.minimum((cumulative < uniform[:, None]).sum(axis=1), cumulative.shape[1] - 1)
    return picked


def _titles(home: npt.NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    """Unique titles like "The Lost Compass (1987)"; a genre that runs out of words makes sequels."""
    order = {z: rng.permutation(64) for z in range(len(GENRES))}
    used = dict.fromkeys(range(len(GENRES)), 0)
    years = rng.integers(1950, 2025, len(home))
    titles = []
    for z, year in zip(home.tolist(), years.tolist(), strict=True):
        sequel, place = divmod(used[z], 64)
        used[z] += 1
        first, second = divmod(int(order[z][place]), 8)
        number = f" {sequel + 1}" if sequel else ""
        words = f"{_FIRST[GENRES[z]][first]} {_SECOND[GENRES[z]][second]}{number}"
        titles.append(f"{'' if words.startswith('Inside the') else 'The '}{words} ({year})")
    return titles
