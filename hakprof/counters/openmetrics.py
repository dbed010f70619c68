"""Counts as OpenMetrics text, for a scraper."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest

from hakprof.counters.dump import Dump, Words, values
from hakprof.counters.layout import Field
from hakprof.schema import Schema


def openmetrics(dumps: Sequence[Dump], schema: Schema) -> str:
    """One sample for each counter, member and process that is not zero."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(dumps, schema))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call] # it has no annotations
    return text.decode()


class _Collector:
    """prometheus_client asks it for the metric families."""

    def __init__(self, dumps: Sequence[Dump], schema: Schema) -> None:
        self._dumps = dumps
        self._schema = schema

    def collect(self) -> Iterator[Metric]:
        layout = self._dumps[0].layout
        for field in layout.counters.values():
            family = CounterMetricFamily(
                f"hakmem_{field.name}", self._help(field.name), labels=_labels(field)
            )
            for dump in self._dumps:
                for labels, value in _samples(dump, dump.own(), dump.layout.counters, field.name):
                    family.add_metric(labels, value)
            yield family
        for field in layout.gauges.values():
            gauge = GaugeMetricFamily(
                f"hakmem_{field.name}", self._help(field.name), labels=_labels(field)
            )
            for dump in self._dumps:
                for labels, value in _samples(dump, dump.gauges, dump.layout.gauges, field.name):
                    gauge.add_metric(labels, value)
            yield gauge

    def _help(self, name: str) -> str:
        counter = self._schema.counters.get(name)
        return f"{counter.unit}: {counter.meaning}" if counter else name


def _labels(field: Field) -> list[str]:
    return ["pid", *(axis.name for axis in field.axes)]


def _samples(
    dump: Dump, words: Words, fields: Mapping[str, Field], name: str
) -> Iterator[tuple[list[str], int]]:
    """(label values, value) of each word that is not zero."""
    found = fields.get(name)
    if found is None:
        return
    numbers = values(words, found)
    for index in np.argwhere(numbers):
        labels = [axis.label(int(i)) for axis, i in zip(found.axes, index, strict=True)]
        yield [str(dump.pid), *labels], int(numbers[tuple(index)])
