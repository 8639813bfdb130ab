"""Every clause of the policies' explanations, and of what surrounds a policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace

from support.explanations import (
    CAUSE,
    COUNT,
    HEAD,
    NUMBER,
    SIGNALS,
    SLOQ,
    Claims,
    Said,
    Told,
    changed,
    faults,
    says,
)
from tidegate.autoscaler.policy_registry import POLICIES


def _per_slot(said: Said, told: Told) -> bool:
    requests, slots, usage, target = said.groups()
    now = told.signals
    assert now.slots_per_replica is not None
    return (
        says(requests, told["in_system"], 6)
        and int(slots) == now.ready * now.slots_per_replica
        and says(usage, told["in_system"] / int(slots))
        and says(target, float(told.parameters["target"]))
    )


def _stabilized(said: Said, told: Told) -> bool:
    enough, kept, seconds = said.groups()
    return (
        bool(int(enough) == max(told["recommendation"], told.parameters["min"]))
        and int(kept) == told["largest_recommendation"]
        and float(seconds) == told.parameters["down_stabilization_seconds"]
    )


HPA: Claims = {
    HEAD: changed,
    (
        rf"{NUMBER} requests in the system over {COUNT} slots is {NUMBER} per slot, target {NUMBER}"
        r"(?:, with \d+ starting)?(?:: within 10%|, but \d+ more are starting, which is enough"
        r"|: \d+ would be enough, but that is the opposite direction)?"
    ): _per_slot,
    rf"no replica is ready, with {COUNT} starting": lambda said, told: (
        told.signals.ready <= 0 and int(said[1]) == told["running"]
    ),
    (
        rf"{COUNT} would be enough, but {COUNT} is the largest recommendation of the last {NUMBER} s"
    ): _stabilized,
    rf"{COUNT} wanted, {COUNT} allowed within 15 s": lambda said, told: (
        (int(said[1]), int(said[2])) == (told["recommendation"], told["up_limit"])
    ),
    rf"the maximum is {COUNT}": SLOQ[rf"the maximum is {COUNT}"],
    rf"the minimum is {COUNT}": SLOQ[rf"the minimum is {COUNT}"],
    **SIGNALS,
}

KPA: Claims = {
    HEAD: changed,
    (
        rf"(panic|stable) mode; mean of {NUMBER} requests over 60 s and {NUMBER} over the panic window,"
        rf" target {NUMBER} per replica"
    ): lambda said, told: (
        said[1] == told["mode"]
        and says(said[2], told["stable"])
        and says(said[3], told["panic"])
        and says(said[4], 0.7 * (told.signals.slots_per_replica or 1))
    ),
    **SIGNALS,
}


def _ongoing(said: Said, told: Told) -> bool:
    ongoing, target, wanted, ticks = said.groups()
    run = 0
    for one in told.ticks:
        if "wanted" not in one.inputs:
            continue  # without signals it counts nothing
        before = one.signals.desired
        if run and one.desired == max(1, one["wanted"]) != before:
            break  # a change begins the next count
        if not run:
            up = one["wanted"] > before
            if one["wanted"] == before:
                break
        if one["wanted"] == before or (one["wanted"] > before) != up:
            break
        run += 1
    return (
        says(ongoing, told["ongoing"])
        and float(target) == told.parameters["target"]
        and int(wanted) == told["wanted"]
        and int(ticks) == run
    )


RAY_SERVE: Claims = {
    HEAD: changed,
    (
        rf"{NUMBER} ongoing requests, target {NUMBER} per replica; {COUNT} wanted for {COUNT} ticks?"
    ): _ongoing,
    **SIGNALS,
}
STEP: Claims = {
    HEAD: changed,
    rf"{NUMBER} requests in the system per slot": lambda said, told: says(
        said[1],
        (told.signals.in_system or 0.0)
        / (told.signals.ready * (told.signals.slots_per_replica or 1)),
    ),
    **SIGNALS,
}
STATIC: Claims = {HEAD: changed, "the number is fixed": lambda said, told: True}
KEDA: Claims = {
    HEAD: changed,
    rf"outside the bounds {COUNT} to {COUNT}": lambda said, told: (
        not int(said[1]) <= told.signals.desired <= int(said[2])
    ),
    rf"{NUMBER} requests in the system, target {NUMBER} per replica": lambda said, told: (
        says(said[1], told.signals.in_system or 0.0, 6)
        and says(said[2], 0.7 * (told.signals.slots_per_replica or 1))
    ),
    r"the trigger is (not )?active": lambda said, told: told.desired == (0 if said[1] else 1),
    rf"the trigger has not been active for {NUMBER} s": lambda said, told: (
        float(said[1]) == told.parameters["cooldown_seconds"] and told.desired == 0
    ),
    **SIGNALS,
}
CLAIMS: Mapping[str, Claims] = {
    "sloq": SLOQ, "surge": SLOQ, "hpa": HPA, "kpa": KPA, "ray-serve": RAY_SERVE, "step": STEP,
    "static": STATIC, "keda": KEDA,
}  # fmt: skip
"""By the name of a policy."""


# What surrounds a policy


def _clamped(said: Said, told: Told) -> bool:
    low, high, inner = int(said[4]), int(said[5]), int(said[6])
    return told.desired == max(low, min(high, inner)) != inner


AROUND: Claims = {
    (
        HEAD + r"((?:manual )?bounds|schedule)[^;(]*(?:\(the time is not known\))?"
        rf" from {COUNT} to {COUNT}; else {COUNT} \((?P<inner>.*)\)$"
    ): _clamped,
    HEAD + r"paused until [-\d: ]*Z; else (?P<inner>.*)$": changed,
    (
        HEAD
        + rf"{NUMBER} requests/s are expected within {NUMBER} min: {COUNT} of {COUNT} earlier days"
        rf" had that rise at this time; else {COUNT} \((?P<inner>.*)\)$"
    ): lambda said, told: (
        says(said[3], told["daily_rise"]["rate"])
        and float(said[4]) * 60 == told["daily_rise"]["seconds"]
        and (int(said[5]), int(said[6]))
        == (told["daily_rise"]["with_it"], told["daily_rise"]["days"])
        and told.desired > int(said[7])
    ),
    (
        HEAD + rf"(?:{NUMBER} requests? waits? at the gateway|{NUMBER} requests/s arrive)"
        r"(?: \((?P<inner>.*)\))?$"
    ): lambda said, told: (
        told.signals.desired <= 0 < told.desired
        and (
            says(said[3], told["waiting"], 6)
            if said[3]
            else says(said[4], told.signals.arrival_rate or 0.0)
        )
    ),
    HEAD + r"no request waits at the gateway$": lambda said, told: told["waiting"] == 0,
    HEAD + rf"no request for {NUMBER} s$": lambda said, told: (
        float(said[3]) == told["zero"]["idle_seconds"]
        and all(
            one.signals.in_system == 0
            for one in told.ticks
            if told.now - one.now <= told["zero"]["idle_seconds"]
        )
    ),
    HEAD + rf"it is not known whether requests (?:wait|arrive){CAUSE}$": lambda said, told: (
        told.desired == told.signals.desired
    ),
    (
        HEAD + rf"it has not been known for {COUNT} s whether requests (?:wait|arrive){CAUSE}$"
    ): lambda said, told: float(said[3]) >= told["zero"]["stale_seconds"],
    HEAD + rf"no replica is ready yet after the start from zero to {COUNT}$": lambda said, told: (
        told.signals.ready <= 0 and int(said[3]) == told.signals.desired
    ),
    HEAD + r"replicas are still starting; else (?P<inner>.*)$": lambda said, told: (
        told.signals.ready <= 0
    ),
    r"(?P<inner>.*); manual bounds until [-\d: ]*Z, at least \d+(?: and at most \d+)?$": (
        lambda said, told: True
    ),
}


def read(name: str, text: str, told: Told, made: set[str]) -> list[str]:
    """What is wrong with an explanation of a policy of this name, with what may surround it."""
    for clause, holds in AROUND.items():
        said = re.match(clause, text)
        if said is None:
            continue
        made.add(clause)
        found = [] if holds(said, told) else [f"untrue: {text}"]
        if HEAD in clause and not changed(said, told):
            found.append(f"another change: {text}")
        inner = said.groupdict().get("inner") or ""
        if head := re.match(HEAD.removesuffix(": "), inner):
            # What it decided itself is recorded in its words alone.
            own = replace(told, desired=int(head[2] or head[1]))
            if own.signals.desired == int(head[1]):
                found += read(name, inner, own, made)
        elif inner:
            found += read(name, inner, told, made)
        return found
    return (
        faults(text, told, CLAIMS[name], made) if name in CLAIMS else _parts(name, text, told, made)
    )


def _part(told: Told, number: int) -> Told | None:
    """What a tick knows of a part of a composition."""
    if "parts" not in told.inputs:
        return None
    part = told["parts"][number]
    given = told.parameters["parts"][number]["parameters"]
    parameters = asdict(POLICIES[part["policy"].split(":")[0]].parameters(**given))
    inputs = {**part["inputs"], "parameters": parameters}
    # Nobody asks those before for what was before them.
    each = (_part(replace(one, before=()), number) for one in told.before)
    earlier = [one for one in each if one]
    return Told(told.now, told.signals, part["desired"], inputs, earlier)


def _parts(name: str, text: str, told: Told, made: set[str]) -> list[str]:
    """A composition: the words of the part that decided, and what the others want."""
    names = [part["policy"] for part in told["parts"]]
    chosen = told["chosen"]
    wants = ", ".join(
        f"{part['policy']} wants {part['desired']}"
        for part in told["parts"]
        if part["policy"] != chosen
    )
    best = (max if name.startswith("max") else min)(part["desired"] for part in told["parts"])
    if not (
        text.startswith(f"{chosen}: ") and text.endswith(f"; {wants}") and told.desired == best
    ):
        return [f"not {chosen}, {wants}: {text}"]
    part = _part(told, names.index(chosen))
    assert part is not None
    inner = text.removeprefix(f"{chosen}: ").removesuffix(f"; {wants}")
    return read(chosen.split(":")[0], inner, part, made)
