"""Mail: sent over SMTP, each with a Message-ID made from its job's key, so that a repeated one is known."""

from email.message import EmailMessage
from hashlib import sha256

import aiosmtplib
import azure.durable_functions as df

from jobs import money
from jobs.call import Call, outcome
from jobs.errors import PermanentError, TransientError
from jobs.inputs import MailInput, OrderInput
from jobs.settings import settings

blueprint = df.Blueprint()


class MailRefusedError(PermanentError):
    """The mail server will not take this mail."""


class MailServerUnavailableError(TransientError):
    """The mail server was busy or could not be reached."""


@blueprint.activity_trigger(input_name="call")
async def mail_confirmation(call: dict) -> dict:
    return await outcome(confirm, call)


async def send(call: Call) -> None:
    """The whole of a `mail` job."""
    mail = await call.job_input(MailInput)
    await deliver(mail.to, mail.subject, mail.text, key=call.key, correlation_id=call.job.correlation_id)


async def confirm(call: Call) -> None:
    """Tell the customer that the order is on its way. Input: `total` in minor units, `currency`."""
    order = await call.job_input(OrderInput)
    currency = call.input["currency"]
    total = f"{money.written(call.input['total'], currency)} {currency}"
    lines = "\n".join(f"{line.quantity:5} x {line.sku}" for line in order.lines)
    text = f"Dear {order.customer.name},\n\nthank you for your order {call.job.id}:\n\n{lines}\n\nTotal: {total}\n"
    subject = f"Your order {call.job.id}"
    await deliver(order.customer.email, subject, text, key=call.key, correlation_id=call.job.correlation_id)


async def deliver(to: str, subject: str, text: str, *, key: str, correlation_id: str) -> None:
    """Send a mail. Servers and readers know a repeated one by its `key`, from which its Message-ID is made.

    Raises MailRefusedError, MailServerUnavailableError. Neither names the recipient: errors end up in logs.
    """
    sender = settings().required("mail_from")
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = f"<{sha256(key.encode()).hexdigest()[:32]}@{sender.partition('@')[2]}>"
    message["X-Correlation-ID"] = correlation_id
    message.set_content(text)
    host, port = settings().required("smtp_host"), settings().smtp_port
    try:
        await aiosmtplib.send(message, hostname=host, port=port, timeout=settings().smtp_timeout)
    except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPResponseException) as error:
        code = _code(error)
        if code >= 500:
            raise MailRefusedError(f"the mail server refused the mail with code {code}") from None
        raise MailServerUnavailableError(f"the mail server answered {code}") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailServerUnavailableError(
            f"no answer from the mail server ({type(error).__name__}): is it running at SMTP_HOST and SMTP_PORT?"
        ) from None


def _code(error: aiosmtplib.SMTPException) -> int:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return max(refused.code for refused in error.recipients)
    return error.code
