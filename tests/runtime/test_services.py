"""Services as supervised trio tasks, in virtual time."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from runtime.random import SeededRandomness
from runtime.services import Service, ServiceTree, ServiceTreeError, open_service_tree
from runtime.supervision import Backoff, ChildSpec, CrashReport, Notice, Quarantine, Strategy, SupervisorSpec
from runtime.supervisor import DynamicSupervisor

TEST_TIMEOUT_S = 1_000.0


class TrioClock:
    """Trio's own time, so that the autojump clock moves it."""

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return trio.current_time()


class Stage:
    """Services that write down what happens to them, and crash on demand."""

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.reports: list[CrashReport | Notice] = []
        self._crash: dict[str, trio.Event] = {}

    def service(self, name: str, **fields: Any) -> ChildSpec:
        async def run(service: Service) -> None:
            crash = self._crash[name] = trio.Event()
            self.trace.append(f"+{name}")
            service.started()
            try:
                await crash.wait()
                raise ValueError(f"{name} broke")
            finally:
                self.trace.append(f"-{name}")

        return ChildSpec(name, run, **fields)

    async def crash(self, name: str) -> None:
        self._crash[name].set()
        await trio.testing.wait_all_tasks_blocked()

    def take(self) -> str:
        text = " ".join(self.trace)
        self.trace.clear()
        return text

    def open(self, strategy: Strategy, *specs: ChildSpec, **rules: Any) -> Any:
        return open_service_tree("test", strategy, specs, TrioClock(), SeededRandomness(1), report=self.reports.append, **rules)


def service_of(run: Callable[[Service], Awaitable[None]], name: str = "service", **fields: Any) -> ChildSpec:
    return ChildSpec(name, run, **fields)


async def test_starts_in_order_and_stops_in_reverse(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with stage.open("one_for_one", *(stage.service(name) for name in "abc")):
        assert stage.take() == "+a +b +c"
    assert stage.take() == "-c -b -a"


async def test_the_next_service_starts_when_the_former_is_ready(autojump_clock: MockClock) -> None:
    stage = Stage()
    starts: list[float] = []

    async def slow(service: Service) -> None:
        starts.append(trio.current_time())
        await trio.sleep(5)
        service.started()
        await trio.sleep_forever()

    before = trio.current_time()
    async with stage.open("one_for_one", service_of(slow, "first"), service_of(slow, "second")):
        assert [at - before for at in starts] == [0, 5]
        assert trio.current_time() - before == 10


async def test_a_crashed_service_comes_back_after_its_backoff(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with stage.open("one_for_one", stage.service("a"), stage.service("b"), backoff=Backoff(2.0, 2.0)) as tree:
        stage.take()
        await stage.crash("a")
        assert stage.take() == "-a +a", "the first restart is immediate"
        await stage.crash("a")
        assert (stage.take(), tree.supervisor.states()["a"]) == ("-a", "waiting")
        await trio.sleep(2.0)
        assert stage.take() == "+a"
    crashes = [report for report in stage.reports if isinstance(report, CrashReport)]
    assert [(report.error, report.decision) for report in crashes] == [("ValueError: a broke", "restart")] * 2
    assert 0 < crashes[1].delay_s <= 2.0


async def test_rest_for_one_restarts_what_depends_on_the_crashed(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with stage.open("rest_for_one", *(stage.service(name) for name in "abc")):
        stage.take()
        await stage.crash("b")
        assert stage.take() == "-b -c +b +c"


async def test_excess_raises_out_of_the_block_and_cancels_it(autojump_clock: MockClock) -> None:
    stage = Stage()
    reached_the_end = False

    async def block() -> None:
        nonlocal reached_the_end
        async with stage.open("one_for_one", stage.service("a"), stage.service("b"), intensity=0):
            await stage.crash("a")
            await trio.sleep(TEST_TIMEOUT_S)
            reached_the_end = True

    with pytest.raises(ServiceTreeError, match=r"'test' ended \(escalated\).*ValueError: a broke") as caught:
        await block()
    assert not reached_the_end
    assert caught.value.end.reason == "escalated"
    assert stage.take() == "+a +b -a -b"


async def test_quarantine_keeps_the_block_running(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with stage.open("one_for_one", stage.service("a"), stage.service("b"), intensity=0, on_excess=Quarantine(30.0)):
        stage.take()
        await stage.crash("a")
        assert stage.take() == "-a -b"
        await trio.sleep(31)
        assert stage.take() == "+a +b"


async def test_a_service_that_fails_to_start_undoes_the_start(autojump_clock: MockClock) -> None:
    stage = Stage()

    async def no_port(service: Service) -> None:
        raise OSError("address in use")

    with pytest.raises(ServiceTreeError, match="'listener' failed to start: OSError: address in use"):
        async with stage.open("one_for_one", stage.service("a"), service_of(no_port, "listener"), stage.service("c")):
            pytest.fail("the block must not be entered")
    assert stage.take() == "+a -a"


async def test_a_service_that_returns_before_it_was_ready_has_failed_to_start(autojump_clock: MockClock) -> None:
    async def hasty(service: Service) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(ServiceTreeError, match="ended before it was ready"):
        async with Stage().open("one_for_one", service_of(hasty)):
            pytest.fail("the block must not be entered")


async def test_an_error_of_the_block_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    stage = Stage()
    with pytest.raises(KeyError, match="mine"):
        async with stage.open("one_for_one", stage.service("a"), stage.service("b")):
            raise KeyError("mine")
    assert stage.take() == "+a +b -b -a"


async def test_cancelling_from_outside_still_stops_in_order(autojump_clock: MockClock) -> None:
    stage = Stage()
    finished: list[float] = []

    async def tidy(service: Service) -> None:
        service.started()
        with service.until_stop():
            await trio.sleep_forever()
        await trio.sleep(1.5)
        stage.trace.append("tidied")
        finished.append(trio.current_time())

    before = trio.current_time()
    with trio.move_on_after(10) as outer:
        async with stage.open("one_for_one", stage.service("a"), service_of(tidy), stage.service("c")):
            await trio.sleep_forever()
    assert outer.cancelled_caught
    assert stage.take() == "+a +c -c tidied -a"
    assert [at - before for at in finished] == [11.5]


async def test_cancelling_during_the_start_stops_what_had_started(autojump_clock: MockClock) -> None:
    stage = Stage()

    async def never_ready(service: Service) -> None:
        await trio.sleep_forever()

    with trio.move_on_after(3) as outer:
        async with stage.open("one_for_one", stage.service("a"), service_of(never_ready)):
            pytest.fail("the block must not be entered")
    assert outer.cancelled_caught
    assert stage.take() == "+a -a"


@pytest.mark.parametrize(("shutdown", "taken_s"), [(3.0, 3.0), ("brutal", 0.0), ("infinity", 50.0)])
async def test_a_draining_service_gets_its_shutdown_time(autojump_clock: MockClock, shutdown: Any, taken_s: float) -> None:
    async def draining(service: Service) -> None:
        service.started()
        with service.until_stop():
            await trio.sleep_forever()
        await trio.sleep(50)

    async with Stage().open("one_for_one", service_of(draining, shutdown=shutdown)):
        before = trio.current_time()
    assert trio.current_time() - before == pytest.approx(taken_s)


async def test_the_shutdown_time_of_a_subtree_limits_the_services_below(autojump_clock: MockClock) -> None:
    async def draining(service: Service) -> None:
        service.started()
        with service.until_stop():
            await trio.sleep_forever()
        await trio.sleep(50)

    subtree = SupervisorSpec("one_for_one", (service_of(draining, shutdown="infinity"),))
    with trio.move_on_after(10):
        async with Stage().open("one_for_one", ChildSpec("subtree", subtree, shutdown=4.0)):
            before = trio.current_time() + 10
            await trio.sleep_forever()
    assert trio.current_time() - before == pytest.approx(4.0)


async def test_a_scope_asked_for_after_the_request_to_stop_is_cancelled_already(autojump_clock: MockClock) -> None:
    rounds = 0

    async def in_rounds(service: Service) -> None:
        nonlocal rounds
        service.started()
        for _ in range(3):
            with service.until_stop():
                await trio.sleep_forever()
            rounds += 1

    async with Stage().open("one_for_one", service_of(in_rounds, shutdown=1.0)):
        pass
    assert rounds == 3


async def test_scopes_that_were_left_are_not_kept(autojump_clock: MockClock) -> None:
    held: list[int] = []

    async def polling(service: Service) -> None:
        service.started()
        for _ in range(100):
            with service.until_stop():
                await trio.sleep(1)
        held.append(len(service._stop_scopes))
        await trio.sleep_forever()

    async with Stage().open("one_for_one", service_of(polling)):
        await trio.sleep(200)
    assert held == [0]


async def test_no_context_variable_of_the_caller_reaches_a_service(autojump_clock: MockClock) -> None:
    request = contextvars.ContextVar("request", default="none")
    seen: list[str] = []

    async def looking(service: Service) -> None:
        seen.append(request.get())
        request.set("of the service")
        service.started()
        await trio.sleep(1)
        raise ValueError("again")

    request.set("of the caller")
    async with Stage().open("one_for_one", service_of(looking)) as tree:
        await trio.sleep(1.001)
        assert tree.supervisor.states() == {"service": "up"}
    assert seen == ["none", "none"]


async def test_a_service_is_a_task_status_for_trio(autojump_clock: MockClock) -> None:
    async def with_nursery(*, task_status: trio.TaskStatus[str]) -> None:
        task_status.started("value")
        await trio.sleep_forever()

    async def run(service: Service) -> None:
        await with_nursery(task_status=service)

    async with Stage().open("one_for_one", service_of(run)) as tree:
        assert tree.supervisor.states() == {"service": "up"}


async def test_saying_twice_that_it_started_is_an_error_of_the_service(autojump_clock: MockClock) -> None:
    stage = Stage()

    async def twice(service: Service) -> None:
        service.started()
        service.started()

    async with stage.open("one_for_one", service_of(twice, restart="temporary")):
        await trio.testing.wait_all_tasks_blocked()
    assert [report.error for report in stage.reports if isinstance(report, CrashReport)] == [
        "RuntimeError: a service may say only once that it has started"
    ]


async def test_an_auto_shutdown_leaves_the_block_without_an_error(autojump_clock: MockClock) -> None:
    async def short(service: Service) -> None:
        service.started()
        await trio.sleep(1)

    before = trio.current_time()
    async with Stage().open(
        "one_for_one", service_of(short, restart="transient", significant=True), auto_shutdown="any_significant"
    ) as tree:
        await trio.sleep(TEST_TIMEOUT_S)
    assert trio.current_time() - before == 1
    assert tree.end is not None
    assert tree.end.reason == "auto_shutdown"


async def test_an_interrupt_in_a_service_ends_the_tree_and_comes_out(autojump_clock: MockClock) -> None:
    stage = Stage()

    class Interrupt(BaseException):
        pass

    async def interrupted(service: Service) -> None:
        service.started()
        await trio.sleep(1)
        raise Interrupt

    with pytest.raises(BaseExceptionGroup) as caught:
        async with stage.open("one_for_one", stage.service("a"), service_of(interrupted, restart="temporary")):
            await trio.sleep(TEST_TIMEOUT_S)
    assert caught.group_contains(Interrupt)
    assert stage.take() == "+a -a"


async def test_services_come_and_go_below_a_dynamic_supervisor(autojump_clock: MockClock) -> None:
    stage = Stage()
    tree: ServiceTree
    async with stage.open("dynamic", intensity=0, on_excess=Quarantine(60.0)) as tree:
        assert isinstance(tree.supervisor, DynamicSupervisor)
        tree.supervisor.add_child(stage.service("a"))
        tree.supervisor.add_child(stage.service("b"))
        await trio.testing.wait_all_tasks_blocked()
        await stage.crash("a")
        assert tree.supervisor.states() == {"a": "quarantined", "b": "up"}
        tree.supervisor.lift("a")
        tree.supervisor.remove_child("b")
        await trio.testing.wait_all_tasks_blocked()
        assert tree.supervisor.states() == {"a": "up"}
    assert not tree._services
    assert not tree._timers
