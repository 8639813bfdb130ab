"""bench/scaling_out.py: the arithmetic of docs/scaling.md, on the committed unit costs."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from support.checkout import ROOT


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    found = importlib.util.spec_from_file_location("scaling_out", ROOT / "bench" / "scaling_out.py")
    assert found
    assert found.loader
    before, sys.path[0] = sys.path[0], sys.path[0]
    module = importlib.util.module_from_spec(found)
    sys.modules["scaling_out"] = module
    found.loader.exec_module(module)
    sys.path[0] = before
    return module


@pytest.fixture(scope="module")
def costs(bench: ModuleType) -> dict[str, float]:
    return {name: cost.value for name, cost in bench.load_costs().items()}


def test_each_unit_cost_names_the_command_that_printed_it(bench: ModuleType) -> None:
    for cost in bench.load_costs().values():
        part = cost.command.removeprefix("python -m bench.unit_costs ")
        assert (ROOT / "bench" / "unit_costs" / f"{part}.py").is_file(), cost
        assert cost.value > 0, cost


def test_cpu_and_events_are_in_proportion_to_the_requests(
    bench: ModuleType, costs: dict[str, float]
) -> None:
    one, ten = (bench.need(bench.Load(rate), costs) for rate in (1_000, 10_000))
    for name in ("replicas", "collector", "Logstash", "Elasticsearch"):
        assert ten.cores[name] == pytest.approx(10 * one.cores[name])
    assert one.events == pytest.approx(
        1_000 * (2 + 0.05 * costs["event: spans of a recorded trace"])
    )
    assert ten.stored_bytes == pytest.approx(10 * one.stored_bytes)


def test_series_grow_with_replicas_and_neither_with_rows_nor_sampling(
    bench: ModuleType, costs: dict[str, float]
) -> None:
    few = bench.need(bench.Load(1_000, sampling=0.0), costs)
    many = bench.need(bench.Load(1_000, sampling=1.0), costs)
    assert few.series == many.series
    assert few.events < many.events
    assert bench.need(bench.Load(4_000), costs).series > few.series


def test_rows_cost_cpu_of_the_replica_alone(bench: ModuleType, costs: dict[str, float]) -> None:
    one, many = (bench.need(bench.Load(100, rows=rows), costs) for rows in (1, 32))
    assert many.cores["replicas"] > one.cores["replicas"]
    assert many.events == one.events


def test_at_its_limit_a_component_needs_what_its_machine_gives(
    bench: ModuleType, costs: dict[str, float]
) -> None:
    machine = bench.Machine(cores=4.0, disk_bytes=1e12, memory_bytes=16e9)
    load = bench.Load(1.0)
    found = {name: rate for rate, name, _ in bench.limits(load, costs, machine)}
    assert list(found.values()) == sorted(found.values())
    at_gateway = bench.need(bench.Load(found["gateway"]), costs)
    assert at_gateway.cores["gateway"] == pytest.approx(bench.BUSY_SHARE, rel=0.02)
    at_disk = bench.need(bench.Load(found["Elasticsearch, disk"]), costs)
    assert at_disk.stored_bytes == pytest.approx(bench.BUSY_SHARE * 1e12, rel=0.02)


def test_divided_queues_need_more_slots_unless_the_load_is_large(bench: ModuleType) -> None:
    small, large = bench.Load(100.0), bench.Load(10_000.0)
    assert bench.slots_with(8, small) >= 2 * bench.slots_with(1, small)
    assert bench.slots_with(8, large) <= 1.02 * bench.slots_with(1, large)
