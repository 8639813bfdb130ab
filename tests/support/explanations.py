"""Every clause of an explanation, and what its numbers must be by the signals and inputs of its tick.

`faults` reads an explanation from its begin to its end: what is none of these clauses is a fault, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support.erlang import wait_exceeds
from tidegate.autoscaler.sloq.signal_checks import valid_or_none
from tidegate.autoscaler.types import Signals

NUMBER, COUNT = r"(\d[\d.e+-]*)", r"(\d+)"
HEAD = rf"{COUNT} (?:→ {COUNT}|held): "
CAUSE = r"(?: \(Prometheus [a-z ]*\))?"
END = r"(?=; |$)"


@dataclass(frozen=True)
class Told:
    """What a tick knows: its signals, its result, the inputs that are recorded, and the ticks before it."""

    now: float
    signals: Signals
    desired: int
    inputs: Mapping[str, Any]
    before: Sequence[Told] = ()

    @property
    def parameters(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.inputs["parameters"]
        return found

    @property
    def ticks(self) -> list[Told]:
        """This one and those before it, newest first."""
        return [self, *reversed(self.before)]

    def ago(self, seconds: str) -> list[Told]:
        """The ticks of about that time ago."""
        return [one for one in self.ticks if abs(self.now - one.now - float(seconds)) <= 0.5]

    def __getitem__(self, name: str) -> Any:
        return self.inputs[name]


Said = re.Match[str]
Claims = Mapping[str, Callable[[Said, Told], bool]]
"""By a clause, whether what was matched holds at that tick."""


def says(text: str, real: float, digits: int = 3) -> bool:
    """Whether the text is that number, rounded to this many digits."""
    unit = 10.0 ** (math.floor(math.log10(abs(real))) - digits + 1) if real else 0.0
    return abs(float(text) - real) <= 0.5001 * unit + 1e-12 * abs(real)


def whole(text: str, real: float) -> bool:
    """Whether the text is that number as a whole one."""
    return abs(float(text) - real) <= 0.5


def known(*values: float | None) -> list[float]:
    """Those that are valid."""
    return [one for one in map(valid_or_none, values) if one is not None]


def changed(said: Said, told: Told) -> bool:
    current, desired = said[1], said[2] or said[1]
    return (int(current), int(desired)) == (told.signals.desired, told.desired)


# SLOQ


def _work(said: Said, told: Told) -> bool:
    rate, reserve, service, assumed, slots = said.groups()
    measured = any(
        known(one.signals.service_seconds) not in ([], [0.0])
        for one in told.ticks
        if "service_seconds" in one.inputs
    )
    most = max(known(told.signals.arrival_rate, told.signals.arrival_rate_60s))
    # Of 5 s, it is at most three times that of the 15 s around them.
    burst = max(most, 3 * max(known(told.signals.arrival_rate)))
    if told.signals.gateway_seconds:
        burst = max(burst, (told.signals.gateway_arrivals or 0.0) / told.signals.gateway_seconds)
    by_reader = (float(rate) + float(reserve or 0)) * float(service)
    return (
        says(rate, told["rate"], 4)
        and 0.999 * most <= float(rate) <= 1.001 * burst
        and (
            says(reserve, told["reserve"], 4)
            if reserve
            else told["reserve"] <= 0.001 * told["rate"]
        )
        and says(service, told["service_seconds"], 4)
        and says(slots, (told["rate"] + told["reserve"]) * told["service_seconds"])
        # Three digits are right to half a percent.
        and math.isclose(float(slots), by_reader, rel_tol=0.0066, abs_tol=1e-12)
        and bool(assumed) != measured
    )


def _sized(said: Said, told: Told) -> bool:
    number, of, wait, late = int(said[1]), int(said[2]), said[3], said[4]
    # By Hayward's approximation.
    strain, load = told["peakedness"], told["load"] / told["peakedness"]
    patience = told["wait_seconds"] / told["service_seconds"]

    def free(replicas: int) -> float:
        return float((replicas * of - told["held"]) / strain)

    enough = (
        not load or wait_exceeds(math.ceil(free(number)), load, patience) <= 1.000001 * told["late"]
    )
    fewer = math.floor(free(number - 1) - 1)
    too_many = 0.97 * fewer > load and wait_exceeds(fewer, load, patience) <= told["late"]
    return (
        number == told["wanted"]
        and of == told["slots_per_replica"]
        and says(wait, told["wait_seconds"])
        and says(late, 100 * told["late"])
        and enough
        and not too_many
    )


def _blocked(said: Said, told: Told) -> bool:
    of, spread = told["slots_per_replica"], told["spread"]
    sigma = 1.645 - math.sqrt(max(0.0, 1.645**2 - 2 * math.log(spread)))
    strain = told["peakedness"] + max(0.0, math.expm1(sigma**2) - 1) / 2
    strain = min(strain, told.parameters["correction_most"])
    seconds = told["service_seconds"]
    patience = max(told["wait_seconds"], told.parameters["slo_seconds"] - seconds) / seconds
    alike = wait_exceeds(of, told["load"], told["wait_seconds"] / seconds)
    these = wait_exceeds(math.floor(of / strain), told["load"] / strain, patience)
    return (
        says(said[1], spread)
        and told["slots"] > of
        and (told["peakedness"] > 1 or alike <= 1.000001 * told["late"])
        and (of / strain <= told["load"] / strain or these > 1 - told.parameters["slo_quantile"])
    )


def _latency(said: Said, told: Told) -> bool:
    real, slo = told.signals.latency_seconds or 0.0, told.parameters["slo_seconds"]
    return (
        says(said[1], 100 * told.parameters["slo_quantile"])
        and says(said[3], min(real, 1e9))
        and float(said[5]) == slo
        and bool(said[2]) == (real > 2 * slo)
        # As a reader compares the two numbers, too.
        and (said[4] == "over") == (real > slo) == (float(said[3]) > slo)
    )


def _alone(said: Said, told: Told) -> bool:
    return (
        says(said[2], told["alone_seconds"])
        and float(said[2]) >= float(said[3]) == told.parameters["slo_seconds"]
        and bool(said[1]) == (told["alone_seconds"] > 2 * float(said[3]))
        and not told["meetable"]
    )


def _tried(said: Said, told: Told) -> bool:
    number, most = int(said[1]), told.parameters["max"]
    work = (told["rate"] + told["reserve"]) * told["service_seconds"]
    return (
        int(said[2]) == most >= number == told["tried"]
        and number * told["slots_per_replica"] < work / 0.97
        and not told["meetable"]
    )


def _needed(said: Said, told: Told) -> bool:
    number, ago, margin, lasts, most = said.groups()
    size = "stay_slots" if margin else "slots"
    of = told["slots_per_replica"]
    found = [math.ceil(one[size] / of) for one in told.ago(ago) if size in one.inputs]
    return (
        int(number) in found
        and (not margin or says(margin, 100 * told.parameters["stay_margin"]))
        and float(ago) <= float(lasts)
        and int(number) >= told.desired
        and (not most or int(most) == told.parameters["max"] < int(number))
    )


def _ran(said: Said, told: Told) -> bool:
    number, ago, lasts, _ = said.groups()
    of = told["slots_per_replica"]
    sized = [one for one in told.ticks if "slots" in one.inputs or one.signals.slots_per_replica]
    ran = [
        math.ceil(one.signals.desired * (one.signals.slots_per_replica or of) / of)
        for one in told.ago(ago)
        if "blind_seconds" in one.inputs or one is sized[-1]
    ]
    return int(number) in ran and float(ago) <= float(lasts)


def _unchanged(told: Told) -> bool:
    now, before = (one.signals for one in told.ticks[:2])
    return now.in_system == before.in_system or (
        (now.service_seconds, now.latency_seconds)
        == (before.service_seconds, before.latency_seconds)
    )


def _lent(said: Said, told: Told) -> bool:
    return bool(int(said[1]) > told["slots_per_replica"])


SIGNALS: Claims = {
    rf"the arrival rate is not known{CAUSE}": lambda _, told: not known(told.signals.arrival_rate),
    rf"the requests in the system are not known{CAUSE}": lambda _, told: (
        not known(told.signals.in_system) or not known(told.signals.in_system_60s)
    ),
    rf"the slots of a replica are not known{CAUSE}": lambda _, told: (
        (told.signals.slots_per_replica or 0) < 1
    ),
    rf"the age of the signals is not known{CAUSE}": lambda _, told: (
        not known(told.inputs.get("age_seconds", told.signals.age_seconds))
    ),
    rf"the signals are {COUNT} s old, more than {NUMBER} s{CAUSE}": lambda said, told: (
        whole(said[1], told.inputs.get("age_seconds", told.signals.age_seconds))
        and float(said[1]) >= float(said[2]) == 15
    ),
    rf"no replica is known to be running{CAUSE}": lambda _, told: (
        max(told.signals.ready, told.signals.running) <= 0
    ),
    "no replica is ready": lambda _, told: told.signals.ready <= 0,
    "Prometheus [a-z ]*": lambda _, told: bool(told.signals.problem),
}
"""Why signals cannot be used, of every policy."""

SLOQ: Claims = {
    HEAD: changed,
    (
        rf"\(?{NUMBER}(?: \+ {NUMBER} in reserve for bursts\))? requests/s × {NUMBER} s"  # noqa: RUF001
        rf"( \(assumed\))? = {NUMBER} slots of work"
    ): _work,
    (
        r"others queue and none leaves, so requests that do not end hold"
        rf" {COUNT} slots?, not counted below"
    ): lambda said, told: int(said[1]) == told["held"] > 0 == told.signals.completed_rate,
    (
        rf"{COUNT} requests? will queue before a new replica is ready \(in {NUMBER} s"
        r"(, as assumed until a start is measured)?\)"
    ): lambda said, told: (
        whole(said[1], told["backlog"])
        and says(said[2], told["horizon_seconds"])
        and not (said[3] and told.signals.startups)
    ),
    rf"the gateway counted {COUNT} requests? within {NUMBER} s, a jump": lambda said, told: (
        whole(said[1], told.signals.gateway_arrivals or 0.0)
        and says(said[2], told.signals.gateway_seconds or 0.0)
        and told["rate"] > max(told["rate_15s"], told["rate_60s"])
    ),
    (
        rf"requests come in bunches: those of half a second vary {NUMBER} times as much as by chance"
    ): lambda said, told: (
        says(said[1], told.signals.gateway_dispersion or 0.0)
        and told["peakedness"] > max(1.05, told["strain"])
    ),
    "between two ticks no replica is removed": lambda said, told: (
        told.signals.between and told.desired >= told.signals.desired
    ),
    rf"the gateway's queue has {COUNT} requests?": lambda said, told: (
        told.signals.between and whole(said[1], told.signals.gateway_queued or 0.0)
    ),
    (
        r"1 replica is enough for requests that are alike, not for these:"
        rf" p95 of the time in a slot is {NUMBER} times its mean"
    ): _blocked,
    rf"{COUNT} replicas? of {COUNT} slots? keeps? P\(wait > {NUMBER} s\) ≤ {NUMBER} %": _sized,
    (
        rf"more than {COUNT} replicas? of {COUNT} slots? keep P\(wait > {NUMBER} s\) ≤ {NUMBER} %"
    ): lambda said, told: int(said[1]) == told.parameters["max"] < told["wanted"],
    (
        r"the objective cannot be met by adding replicas: the time in a slot(?: to the first byte)?"
        rf" alone is (about )?{NUMBER} s, the objective {NUMBER} s"
    ): _alone,
    (
        rf"the queue grows with {COUNT} replicas?, and no more are tried: half-way from what met it to the"
        rf" maximum of {COUNT}"
    ): _tried,
    (
        rf"p{NUMBER} of the last minute is (about )?{NUMBER} s, (over|within) the objective of {NUMBER} s"
    ): _latency,
    (
        rf"each request keeps a slot {NUMBER} times as long as it is processed in it, by what left"
        " while others queued: time is spent outside the slots, or there are fewer"
    ): lambda said, told: says(said[1], told["occupancy"]) and told["occupancy"] > 1,
    rf"a replica has {NUMBER} slots as measured, not {COUNT} as reported": lambda said, told: (
        says(said[1], told["slots_per_replica"] / told["occupancy"])
        and int(said[2]) == told["slots_per_replica"]
    ),
    (
        rf"requests keep a slot {NUMBER} times as long as the mean says, by what left while others"
        " queued: some hang, or take longer than before"
    ): lambda said, told: says(said[1], told["slowness"]) and told["slowness"] > 1,
    rf"requests wait {NUMBER} times as long as the model says": lambda said, told: (
        says(said[1], told["strain"]) and told["strain"] > 1
    ),
    (
        rf"{COUNT} replicas complete no more requests than fewer did, so none is added: the machine,"
        " or something else that all replicas share, is used up"
    ): lambda said, told: int(said[1]) == told.signals.desired and told["machine_full"],
    rf"the maximum is {COUNT}": lambda said, told: (
        int(said[1]) == told.parameters["max"] == told.desired
    ),
    rf"the minimum is {COUNT}": lambda said, told: (
        int(said[1]) == told.parameters["min"] == told.desired
    ),
    (
        rf"(the requests in the system are|the arrival rate over a minute is) not known{CAUSE}, so no"
        " replica is removed"
    ): lambda said, told: (
        not known(told.signals.in_system if "system" in said[1] else told.signals.arrival_rate_60s)
        and told.desired >= told.signals.desired
    ),
    (
        r"(Prometheus [a-z ]*|the signals have not changed|the requests in the system have not"
        r" changed|the rates are not good for 15 s yet), so no replica is removed"
    ): lambda said, told: (
        told.desired >= told.signals.desired
        and ("not changed" not in said[1] or _unchanged(told))
        and (not said[1].startswith("Prometheus") or bool(told.signals.problem))
    ),
    (
        rf"{COUNT} were needed {NUMBER} s ago(?: with a margin of {NUMBER} %)?, and stay for"
        rf" {NUMBER} s(?:, but the maximum is {COUNT})?"
    ): _needed,
    (
        rf"{COUNT} ran {NUMBER} s ago, when nothing was known of the load, and stay for {NUMBER} s"
        rf"(?:, but the maximum is {COUNT})?"
    ): _ran,
    (
        rf"no usable signals for {COUNT} s, and the recent peak needs {COUNT} replicas"
    ): lambda said, told: (
        whole(said[1], told["blind_seconds"])
        and told.desired == min(int(said[2]), told.parameters["max"])
    ),
    rf"the signals have not changed for {COUNT} ticks: they are frozen{CAUSE}": lambda said, told: (
        len({one.signals.latency_seconds for one in told.ticks[: int(said[1]) + 1]}) == 1
    ),
    rf"{COUNT} slots per replica until the new ones are ready": _lent,
    rf"{COUNT} slots per replica again": lambda said, told: (
        int(said[1]) == told["slots_per_replica"]
    ),
    **SIGNALS,
}


def faults(text: str, told: Told, claims: Claims, made: set[str]) -> list[str]:
    """What is wrong with an explanation of these clauses; those that it makes are added to `made`."""
    found, at = [], 0
    while at < len(text):
        for clause, holds in claims.items():
            end = "" if clause is HEAD else END
            if said := re.compile(clause + end).match(text, at):
                made.add(clause)
                if not holds(said, told):
                    found.append(f"untrue: {said[0]}")
                at = said.end() + 2 * bool(end)
                break
        else:
            return [*found, f"unknown clause: {text[at:]}"]
    return found
