"""What can go wrong before or beside a user's function, each with its likely cause and its remedy."""

from __future__ import annotations

MEND_JSON = "Mend the file; it must be JSON, without comments."


class DevhostError(Exception):
    """A fault a developer can put right: `message` says what is wrong and why, `remedy` what to do about it.

    `detail` is longer material shown above the message (the app's own traceback, for example).
    """

    def __init__(self, message: str, remedy: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.detail = detail
        if detail:
            self.add_note(detail)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message

    def for_console(self) -> str:
        """The error as the command line prints it: detail, message, remedy."""
        parts = [self.detail.rstrip(), self.message, self.remedy and f"  -> {self.remedy}"]
        return "\n".join(part for part in parts if part)


class ScriptRootError(DevhostError):
    """There is no function app where devhost was told to look."""


class HostJsonError(DevhostError):
    """host.json is missing or cannot be used."""


class LocalSettingsError(DevhostError):
    """local.settings.json cannot be used."""


class MissingConnectionError(DevhostError):
    """A connection that a trigger or binding names is not among the settings."""


class UnresolvedSettingError(DevhostError):
    """A `%NAME%` in a trigger or binding stands for no setting."""


class AppLoadError(DevhostError):
    """function_app.py could not be imported, or holds no usable app."""


class FunctionLoadError(DevhostError):
    """One function cannot be indexed; the others are not touched by it."""

    def __init__(
        self, function_name: str, message: str, remedy: str = "", detail: str = "", *, is_setting: bool = False
    ) -> None:
        """`is_setting`: not the function is wrong but a setting is missing, so the whole app cannot run as meant."""
        super().__init__(f"The '{function_name}' function is in error: {message}", remedy, detail)
        self.function_name = function_name
        self.is_setting = is_setting


class UnsupportedBindingError(DevhostError):
    """A trigger or binding type that devhost does not cover."""


class PortUnavailableError(DevhostError):
    """The port to listen on is taken."""


class ServiceUnavailableError(DevhostError):
    """A service that the app needs (Azurite, for example) does not answer."""
