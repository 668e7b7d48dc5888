"""The program `python -m jobs`: reads the command line, runs one command, and explains in one line what went wrong."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from pathlib import Path

from azure.core.exceptions import AzureError

from jobs.clients import clients
from jobs.commands import cancel, dead_letters, list, queues, run, send, show, stock, trace, upload, wait
from jobs.commands.options import NOT_DONE
from jobs.errors import JobError, SettingMissingError

COMMANDS = (send, run, upload, list, show, wait, cancel, trace, queues, dead_letters, stock)
INTERRUPTED = 130
"""The exit code that shells give a program which Ctrl-C ended."""

EPILOG = """\
A job is named by its kind and id, order/A-1001, or by the id alone if no other kind has it.
list, show, wait, cancel and queues ask the host: NIGHTSHIFT_URL (http://localhost:7071 unless set), NIGHTSHIFT_KEY (its
function key). trace reads files. The others go to storage and Service Bus: AzureWebJobsStorage, AzureWebJobsServiceBus.
Settings come from the environment, or else from local.settings.json in the working directory.

exit codes:
  0  done; of wait: every job is Completed
  1  not done, or a job is Failed: a line on stderr says why
  2  the command line is wrong; run: the job needs a host
  3  wait, run: a job was Cancelled, and none is Failed
  4  wait: the time is over and a job has not ended
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code (see EPILOG); errors are one line on stderr that says what to do."""
    # Without any handler Python prints the libraries' warnings to stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    options = _parser().parse_args(arguments)
    try:
        _use_local_settings()
        code = asyncio.run(_connected(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever reads has enough, as `head` has; Python would complain of it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_DONE
    except UnicodeEncodeError:
        problem = "what is sent must be text: an argument is not UTF-8"
    except (JobError, OSError) as error:
        problem = str(error)
    except AzureError as error:
        problem = f"storage did not answer ({type(error).__name__}): is Azurite running?"
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"error: {' '.join(problem.split())}", file=sys.stderr)
    return NOT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs",
        description="Send jobs, look after them, and after what could not be done.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


async def _connected(options: argparse.Namespace) -> int:
    try:
        return await options.run(options)
    finally:
        await clients().close()


def _use_local_settings() -> None:
    """Take settings from local.settings.json as the host does: what the environment has already, wins."""
    path = Path("local.settings.json")
    if path.exists():
        try:
            values = dict(json.loads(path.read_text()).get("Values", {}))
        except (ValueError, TypeError, AttributeError) as error:
            raise SettingMissingError(f"local.settings.json cannot be read ({error}): mend it") from None
        for name, value in values.items():
            if value is not None:
                os.environ.setdefault(name, str(value))
