"""What every job shares, whatever its kind and whichever door it came in by, and what belongs to one kind. Where it is:

- what a job is: catalog, inputs, job, ids, entry, errors
- how it comes in: intake, job_message, hand_over, uploads, bulk, instances, single_activity, hostless
- when it begins: delay, pacing, scheduled_messages
- what is known of it: ledger, ledger_rows, status, timeline, listing, results, dashboard_page
- how its steps are done: call, retry, saga, waiting, wakes, cancellation, claim_check
- how it ends, and who is told: ending, delivery, channels, callbacks, callback_guard, replies, outcome_mail
- events: events, event_stream, cloud_events
- what has failed: failures, dead_letters, letters, mover, relay, bodies
- how it is replayed: replay, replay_count, putting_back
- what happens by the clock: timetable, schedules, schedule_book, schedule_watch
- the watch: watchdog, stragglers, finishing, backlogs, scaling, alerts, alert_channels
- retention: ages, erasing, old_files, old_instances, old_jobs, old_rows, old_thumbnails
- people: approvals, approval_links, approval_page, approval_rounds, approval_votes
- orders: order_book, order_changes, order_events, refunds, money
- parcels: parcels, carrier, carrier_webhooks
- imports: import_book, import_earlier, import_file, import_hand_over, import_header, import_identity, import_report,
  import_rows, import_store
- photos: thumbnails
- the sales report: sales, sales_csv, sales_page, sales_totals
- what all stand on: settings, clients, links, http_service, etags, strict_json, clock, telemetry, log_lines
"""
