"""The outside world of the sample business: a payment gateway, a parcel carrier and a mailbox that fail on demand."""

from sandbox.in_process import Sandbox

__all__ = ["Sandbox"]
