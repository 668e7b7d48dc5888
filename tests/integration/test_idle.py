"""An app that has nothing to do runs nothing, so that a plan which scales to zero can."""

from __future__ import annotations


def test_a_day_without_jobs_is_a_day_without_invocations(shop):
    shop.invocations.clear()
    shop.advance(days=1)
    assert shop.invocations == []


def test_only_timers_run(open_shop, no_alerts):
    shop = open_shop(**{"AzureWebJobs.watchdog.Disabled": "0"})
    shop.invocations.clear()
    shop.advance(minutes=3)
    assert {record.function for record in shop.invocations} == {"watchdog"}
