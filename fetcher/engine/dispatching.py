"""Dispatching: while the frontier has a job that may start, the crew is sent out for it."""

from __future__ import annotations

import asyncio

from fetcher.policy.frontier import Dispatch, Frontier, WaitUntil
from fetcher.policy.groups import Job, Leave
from fetcher.policy.robots import MAX_BYTES
from fetcher.policy.turns import Send, TurnBack
from fetcher.ports import Clock, Crew, Errand, Step


class Dispatcher:
    """Knows which jobs the crew is out for. One timer wakes it when the next one is due."""

    def __init__(self, frontier: Frontier, crew: Crew, clock: Clock) -> None:
        self._frontier = frontier
        self._crew = crew
        self._clock = clock
        self._out: dict[int, Job] = {}
        """What the crew has not reported the end of, by asset."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._stopped = False

    def pump(self) -> None:
        """Send the crew out for every job that may start now."""
        while not self._stopped:
            decision = self._frontier.next(self._clock.now())
            if isinstance(decision, Dispatch):
                self._send(decision.job)
            elif isinstance(decision, Send):
                self._crew.may_send(decision.job.asset.asset_id)
            elif isinstance(decision, TurnBack):
                self._crew.turn_back(decision.job.asset.asset_id)
            else:
                if isinstance(decision, WaitUntil):
                    self._wake_at(decision.at)
                return

    def stop(self) -> None:
        """Nothing more may start."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def out_for(self, asset_id: int) -> Job:
        """The job that the crew is out for; it stays so."""
        return self._out[asset_id]

    def stepped(self, asset_id: int, step: Step, now: float) -> None:
        """The crew's word on when a request is sent."""
        job = self._out[asset_id]
        if step is Step.SENT:
            self._frontier.sent(job, now)
        elif step is Step.PUT_OFF:
            self._frontier.put_off(job, now)
        else:
            self._frontier.asks_for_leave(job, now)

    def ended(self, asset_id: int) -> Job:
        """The crew is back."""
        return self._out.pop(asset_id)

    def _send(self, job: Job) -> None:
        self._out[job.asset.asset_id] = job
        cut_at = MAX_BYTES if job.is_robots else None
        leave = None if job.leave is Leave.NEEDS_NONE else job.leave is Leave.GIVEN
        self._crew.send(
            Errand(
                job.asset,
                job.url,
                job.group,
                job.memory,
                job.partial,
                cut_at,
                job.method,
                leave,
            )
        )

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        delay = max(0.0, at - self._clock.now())
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.pump()
