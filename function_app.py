"""The composition root: every function of the app, registered by name."""

import azure.durable_functions as df

from activities import (
    analytics,
    approvals,
    closing,
    imports,
    mail,
    orders,
    parcels,
    payments,
    photos,
    refunds,
    reports,
    stock,
)
from activities import retention as erasing
from orchestrators import approval, decision, order, order_import, photo, refund, retention, sales_report, shipment
from triggers import approvals as approval_doors
from triggers import (
    backlogs,
    blobs,
    dashboard,
    dead_letters,
    health,
    job_list,
    jobs,
    openapi,
    poison,
    queues,
    schedules,
    service_bus,
    timers,
    webhooks,
)

app = df.DFApp()

app.register_functions(jobs.blueprint)
app.register_functions(job_list.blueprint)
app.register_functions(queues.blueprint)
app.register_functions(service_bus.blueprint)
app.register_functions(blobs.blueprint)
app.register_functions(timers.blueprint)
app.register_functions(schedules.blueprint)
app.register_functions(backlogs.blueprint)
app.register_functions(poison.blueprint)
app.register_functions(dead_letters.blueprint)
app.register_functions(dashboard.blueprint)
app.register_functions(health.blueprint)
app.register_functions(approval_doors.blueprint)
app.register_functions(webhooks.blueprint)
app.register_functions(openapi.blueprint)

app.register_functions(approval.blueprint)
app.register_functions(decision.blueprint)
app.register_functions(order.blueprint)
app.register_functions(order_import.blueprint)
app.register_functions(photo.blueprint)
app.register_functions(refund.blueprint)
app.register_functions(retention.blueprint)
app.register_functions(sales_report.blueprint)
app.register_functions(shipment.blueprint)

app.register_functions(approvals.blueprint)
app.register_functions(stock.blueprint)
app.register_functions(payments.blueprint)
app.register_functions(orders.blueprint)
app.register_functions(parcels.blueprint)
app.register_functions(refunds.blueprint)
app.register_functions(imports.blueprint)
app.register_functions(photos.blueprint)
app.register_functions(reports.blueprint)
app.register_functions(erasing.blueprint)
app.register_functions(mail.blueprint)
app.register_functions(analytics.blueprint)
app.register_functions(closing.blueprint)
