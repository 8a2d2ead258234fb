"""All endpoints, in the order in which the documentation shows them."""

from typing import Final

from serving_layer.api.operation import Operation
from serving_layer.handlers import (
    catalogue,
    estimate,
    forget,
    health,
    ingest,
    pages,
    pref,
    recommend,
    recommend_to_each,
    similarity,
)

__all__ = ["OPERATIONS"]

OPERATIONS: Final[tuple[Operation, ...]] = (
    recommend.recommend,
    recommend_to_each.recommend_to_each,
    recommend.recommend_to_many,
    recommend.recommend_to_anonymous,
    recommend.recommend_with_context,
    similarity.similarity,
    similarity.similarity_to_item,
    similarity.because,
    estimate.estimate,
    estimate.estimate_for_anonymous,
    estimate.most_surprising,
    catalogue.known_items,
    catalogue.most_popular_items,
    catalogue.most_active_users,
    catalogue.popular_representative_items,
    catalogue.all_items,
    catalogue.all_users,
    pref.post_pref,
    pref.delete_pref,
    ingest.ingest,
    forget.forget_user,
    forget.forget_item,
    health.ready,
    health.healthz,
    health.metrics,
    pages.openapi,
    pages.docs,
    pages.console,
    pages.asset,
)
