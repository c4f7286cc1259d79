"""A made-up day of 100 000 events, replayed: how many top-level messages, and how long until each notification.

    python -m benchmarks.alerts_replay [EVENTS]

300 problems in 20 projects and 5 rooms; most of them begin at one of six deploys, one deploy breaks eighty things
within a minute. A tenth of the problems is resolved during the day, some of these come back. Sentry's `issue` webhook
is sent once per new, resolved or regressed issue and gets lost once in twenty; a rule's webhook comes at most every
five minutes per issue. The poller asks every minute. The flow runs on a virtual clock, with real state and templates.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from errbot_sentry.domain.issues import RESOLVED, UNRESOLVED, Project
from tests.alerting import bodies
from tests.alerting.world import World

DAY = 86_400
PROBLEMS, PROJECTS, ROOMS, DEPLOYS = 300, 20, 5, 6
RULE_SPAN, SENTRY_SPAN = 300, 1800


@dataclass
class Problem:
    """One problem of the day; times in seconds since midnight."""

    number: int
    project: Project
    times: list[float]
    resolved: float | None = None
    back: float | None = None


@dataclass
class Said:
    """What one way of alerting says."""

    notifications: Counter[int] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)


def make_day(events: int, chance: random.Random) -> list[Problem]:
    """The problems with the times of their events."""
    projects = [Project(str(n), f"p{n}", f"P{n}") for n in range(PROJECTS)]
    deploys = sorted(chance.uniform(3600, DAY - 3600) for _ in range(DEPLOYS))
    weights = [chance.paretovariate(1.1) for _ in range(PROBLEMS)]
    problems = []
    for number, weight in enumerate(weights):
        if number < 80:
            start, project = deploys[0] + chance.uniform(0, 60), projects[0]
        else:
            project = chance.choice(projects)
            start = (
                chance.choice(deploys) + chance.expovariate(1 / 600) if number % 3 else chance.uniform(60, DAY - 600)
            )
        count = max(1, round(events * weight / sum(weights)))
        length = min(DAY - start, chance.choice((120, 1800, 7200, DAY)))
        times = sorted(start + chance.uniform(0, max(1.0, length)) for _ in range(count - 1))
        problem = Problem(number, project, [start, *times])
        if number % 10 == 0:
            problem.resolved = start + (DAY - start) * 0.5
            if number % 20 == 0:
                problem.back = problem.resolved + (DAY - problem.resolved) * 0.5
            problem.times = [at for at in problem.times if at < problem.resolved or at == start]
            problem.times += [problem.back] if problem.back else []
        problems.append(problem)
    return problems


def baselines(problems: list[Problem]) -> dict[str, Said]:
    """One message per webhook, and Sentry's own limit per issue and rule."""
    per_hook, limited = Said(), Said()
    for problem in problems:
        per_hook.notifications[problem.number] += 1 + (problem.resolved is not None) + (problem.back is not None)
        per_hook.notifications[problem.number] += len(spaced(problem.times, RULE_SPAN))
        limited.notifications[problem.number] += len(spaced(problem.times, SENTRY_SPAN))
    return {"one message per webhook": per_hook, "Sentry's limit, one per issue in 30 min": limited}


def spaced(times: list[float], span: float) -> list[float]:
    """Those times that lie at least `span` after the one taken before."""
    taken: list[float] = []
    for at in sorted(times):
        if not taken or at - taken[-1] >= span:
            taken.append(at)
    return taken


def replay(problems: list[Problem], folder: Path, chance: random.Random) -> tuple[Said, int, Counter[str]]:
    """What our rooms receive."""
    routes = [
        {"rooms": [f"#room{room}"], "match": [f"project=~p({'|'.join(str(n) for n in range(room, PROJECTS, ROOMS))})"]}
        for room in range(ROOMS)
    ]
    world = World(folder, routes, projects=tuple({problem.project for problem in problems}))
    world.at(1)
    happenings = []
    for problem in problems:
        rules = set(spaced(problem.times, RULE_SPAN))
        happenings += [(at, "event", problem, at in rules) for at in problem.times]
        happenings += [(problem.resolved, "resolved", problem, False)] if problem.resolved else []
    begun: dict[int, float] = {}
    for at, kind, problem, rule in sorted(happenings, key=lambda each: (each[0], each[2].number)):
        if rule or kind != "event" or problem.number not in begun:
            world.at(at)
        happen(world, kind, problem, rule, first=problem.number not in begun, chance=chance)
        begun.setdefault(problem.number, at)
    world.at(DAY + 1800)
    return received_by_rooms(world, begun)


def received_by_rooms(world: World, begun: dict[int, float]) -> tuple[Said, int, Counter[str]]:
    """What was said, and when each problem was first sent; a list counts for all that it stands for."""
    said, first, lists = Said(), dict[int, float](), dict[str, list[float]]()
    for message in world.chat.sent:
        named = {int(word.strip("`)").rpartition("-")[2]) for word in message.text.split() if word.startswith("`P")}
        title = message.text.split("\n")[0]
        for number in named:
            first.setdefault(number, message.at)
        if "problems" in title:
            said.notifications[-1] += 1
            lists.setdefault(message.room, []).append(message.at)
        elif title.startswith("**"):
            said.notifications.update(named)
    with world.store.read() as work:
        for room, times in lists.items():
            for each in work.inbox.decided(room, 100_000, ("storm",)):
                number = int(each.alert.issue_id)
                sent = min(at for at in times if at >= begun[number])
                first[number] = min(first.get(number, sent), sent)
    missing = set(begun) - set(first)
    assert not missing, f"never sent: {missing}"
    said.delays = sorted(first[number] - begun[number] for number in begun)
    return said, len(world.chat.sent), Counter(world.flow.status().decided)


def happen(world: World, kind: str, problem: Problem, rule: bool, *, first: bool, chance: random.Random) -> None:
    """One happening on the server, and the webhooks that come of it, if they are not lost."""
    key, slug = str(problem.number), problem.project.slug
    lost = chance.random() < 0.05
    if kind == "resolved":
        world.server.change(key, status=RESOLVED)
        if not lost:
            world.hook(bodies.sentry_issue(key, "resolved", slug))
        return
    back = not first and world.server.by_id[key].status == RESOLVED
    issue = world.server.event(key, problem.project, status=UNRESOLVED)
    fields = {"count": str(issue.events)}
    if (first or back) and not lost:
        action, substatus = ("unresolved", "regressed") if back else ("created", "new")
        world.hook(bodies.sentry_issue(key, action, slug, substatus=substatus, **fields))
    if rule and not lost:
        world.hook(bodies.sentry_event_alert(key, slug, event_id=f"{key}-{issue.events}"), "event_alert")


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    chance = random.Random(20261121)
    problems = make_day(events, chance)
    count = sum(len(problem.times) for problem in problems)
    print(f"{count:,} events, {len(problems)} problems, {PROJECTS} projects, {ROOMS} rooms, seed 20261121")
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        said, messages, decided = replay(problems, Path(folder), chance)
    took = time.perf_counter() - begun
    for name, other in baselines(problems).items():
        print(
            f"{name}: {other.notifications.total():,} messages, "
            f"{other.notifications.total() / len(problems):.2f} per problem"
        )
    notifications = said.notifications.total()
    print(
        f"this plugin: {notifications:,} top-level messages, {notifications / len(problems):.2f} per problem; "
        f"{messages:,} lines in all"
    )
    delays = said.delays
    print(
        f"first notification after: median {statistics.median(delays):.1f} s, "
        f"p95 {delays[int(len(delays) * 0.95)]:.1f} s, worst {delays[-1]:.1f} s, all {len(delays)} sent"
    )
    print("decisions: " + ", ".join(f"{name} {number:,}" for name, number in decided.most_common()))
    print(f"replayed in {took:.0f} s")


if __name__ == "__main__":
    main()
