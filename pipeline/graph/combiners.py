"""What Beam combines into one value, which a later step gets beside its elements."""

import itertools
from collections.abc import Iterable

import apache_beam as beam

from pipeline.catalogue import merging, nodes
from pipeline.catalogue.nodes import Catalogue
from pipeline.keys import delivery_keys, weights
from pipeline.keys.delivery_keys import DeliveryKeys
from pipeline.keys.weights import Cut
from pipeline.run import Run
from pipeline.steps.sizes import SHARDS_LIMIT

# Weights of this many blocks are brought together at a time: with one more each time, all would be
# copied as often.
_WEIGHTS_AT_A_TIME = 256


class CombineDeliveryKeys(beam.CombineFn):
    """DeliveryKeys of parts of the delivery → DeliveryKeys of all of it."""

    def create_accumulator(self) -> DeliveryKeys:
        """Nothing."""
        return delivery_keys.NOTHING

    def add_input(self, accumulator: DeliveryKeys, element: DeliveryKeys) -> DeliveryKeys:
        """Adds what a block has."""
        return delivery_keys.union([accumulator, element])

    def merge_accumulators(self, accumulators: Iterable[DeliveryKeys]) -> DeliveryKeys:
        """See `delivery_keys.union`."""
        return delivery_keys.union(accumulators)

    def extract_output(self, accumulator: DeliveryKeys) -> DeliveryKeys:
        """All of it."""
        return accumulator


class CombineWeights(beam.CombineFn):
    """Weights of parts of the delivery → the cuts of its large destinations."""

    def __init__(self, run: Run) -> None:
        self._target_bytes = run.target_file_bytes

    def create_accumulator(self) -> list[bytes]:
        """Nothing."""
        return []

    def add_input(self, accumulator: list[bytes], element: bytes) -> list[bytes]:
        """Adds those of a block."""
        accumulator.append(element)
        full = len(accumulator) >= _WEIGHTS_AT_A_TIME
        return [weights.union(accumulator)] if full else accumulator

    def merge_accumulators(self, accumulators: Iterable[list[bytes]]) -> list[bytes]:
        """See `weights.union`."""
        return [weights.union(itertools.chain.from_iterable(accumulators))]

    def extract_output(self, accumulator: list[bytes]) -> dict[int, Cut]:
        """See `weights.cuts`; these shards come after those of small destinations."""
        return weights.cuts(weights.union(accumulator), self._target_bytes, SHARDS_LIMIT)


class CombineCatalogues(beam.CombineFn):
    """Encoded catalogues of parts of the delivery → the encoded catalogue of all of it."""

    def create_accumulator(self) -> Catalogue:
        """Nothing."""
        return Catalogue()

    def add_input(self, accumulator: Catalogue, element: bytes) -> Catalogue:
        """Adds that of a block."""
        return merging.merge(accumulator, nodes.decode(element))

    def merge_accumulators(self, accumulators: Iterable[Catalogue]) -> Catalogue:
        """See `merging.merge`."""
        return merging.merge_all(accumulators)

    def extract_output(self, accumulator: Catalogue) -> bytes:
        """All of it."""
        return nodes.encode(accumulator)
