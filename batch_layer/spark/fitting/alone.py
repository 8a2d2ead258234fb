"""A training in one task; the driver listens."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path

from batch_layer.engine import Cancelled
from batch_layer.spark.session.tasks import Hands
from batch_layer.telemetry.progress import OnProgress, Progress
from batch_layer.training.alone import Alone, Told, ask_to_end, progress_of, train_alone
from batch_layer.training.item_training import Outcome
from batch_layer.training.job import Job

__all__ = ["on_one_task"]

_LISTEN_S = 0.2


def on_one_task(
    hands: Hands,
    job: Job,
    path: Path,
    *,
    threads: int,
    cancelled: Callable[[], bool],
    on_progress: OnProgress,
) -> Outcome[None]:
    """Train in one task, which writes the items' factors to ``path``; ``threads`` 0: on all cores of its host.

    Raises:
        Cancelled: somebody asked for it.
    """
    heard: Told | None = None
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(hands, partial(train_alone, path=path), [Alone(job, threads)])
        try:
            while not wait([task], _LISTEN_S).done:
                if cancelled():
                    ask_to_end(job.work)
                told = progress_of(job.work)
                if told is not None and told != heard:
                    on_progress(_progress(told, job))
                    heard = told
        finally:
            if not task.done():
                ask_to_end(job.work)
        try:
            (outcome,) = task.result()
        except Exception as failure:
            if cancelled():
                raise Cancelled from failure
            raise
    return outcome


def _progress(told: Told, job: Job) -> Progress:
    ndcg = told.value if told.metric == "ndcg@10" else None
    return Progress(step="train", epoch=told.epoch.number, of=job.recipe.iterations, loss=told.epoch.loss, ndcg=ndcg)
