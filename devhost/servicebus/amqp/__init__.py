"""A small AMQP 1.0 engine for a server on asyncio: types, frames, connections, sessions, links; no broker rules."""
