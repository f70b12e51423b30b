"""Some of the questions as calls of SearchImages. Pure."""

from imageservice.v1 import image_service_pb2 as pb
from loadtest.bench.search.questions import FACETS, NEAR_HASH, NEWEST, WORDS, Question

BY_CALL = (WORDS, NEAR_HASH, NEWEST, FACETS)


def call_of(asked: Question, page_size: int) -> pb.SearchImagesRequest:
    query = asked.query
    request = pb.SearchImagesRequest(
        customer_id=query.customer_id,
        text=" ".join(word.text for word in query.words),
        facets=asked.facets,
        page_size=page_size,
    )
    if query.similar is not None:
        request.similar_to = query.similar.perceptual_hash
        request.max_distance = query.similar.distance
    return request
