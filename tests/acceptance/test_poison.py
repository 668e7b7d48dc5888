"""What cannot be done rests in a dead-letter queue with its reason, once, whatever is killed meanwhile."""

from __future__ import annotations

import random
import time

import pytest

from tests.acceptance.poison import Load, Outcome, aim_faults, ordering, send
from tests.acceptance.processes import BusProcess, HostProcess, wait_until

EACH = 100
HOST_KILLS, BUS_KILLS = 10, 5


@pytest.mark.timeout(900)
def test_a_thousand_dead_letters_among_a_thousand_jobs(shop_settings, stock, sandbox, tmp_path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    instants = random.Random(seed)
    load = Load(f"p{seed}", EACH)
    aim_faults(sandbox)
    stock.load(load.article())
    with BusProcess(tmp_path) as bus:
        settings = {
            **shop_settings,
            "AzureWebJobsServiceBus": bus.connection_string,
            "DEVHOST_QUEUE_LEASE": "3",
            "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00",
            "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2",
            "AzureFunctionsJobHost__extensions__serviceBus__sessionIdleTimeout": "00:00:00.2",
            # A kill costs what is under way one delivery, and no good job shall be given up for that. What is hit is
            # hidden for 3 s, so that the next kill seldom finds it again; eight of the ten would have to.
            "AzureFunctionsJobHost__extensions__queues__maxDequeueCount": "8",
        }
        host = HostProcess(tmp_path, settings, "--task-hub", str(tmp_path / "hub.sqlite3"))
        outcome = Outcome(load, settings, bus)
        with host:
            send(load, settings)
            with ordering(load, host):
                kills = [host] * HOST_KILLS + [bus] * BUS_KILLS
                instants.shuffle(kills)
                met = 0
                for victim in kills:
                    time.sleep(instants.uniform(0.1, 1.2))
                    met += bool(outcome.waiting_in_storage())
                    victim.kill()
                    victim.start()
                    if instants.random() < 0.8:  # otherwise the other may die while this one starts
                        victim.wait_ready()
                host.wait_ready()
                bus.wait_ready()
            assert met > len(kills) / 2, f"only {met} kills met work on its way (seed {seed})"
            try:
                wait_until(outcome.has_ended, "nothing waits and all good jobs are done", seconds=500, pause=1)
            except AssertionError as error:
                raise AssertionError(f"{error}; seed {seed}; {outcome}") from None
            letters = outcome.letters()
            assert outcome.sorts() == load.expected, f"seed {seed}"
            assert len({letter.message_id for letter in letters}) == len(letters) == 10 * EACH
