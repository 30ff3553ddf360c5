"""What a lab can fail with apart from bad manifests: the machine, its rights, its own state."""

from __future__ import annotations


class LabError(Exception):
    """The lab can't do it; the message says what is missing and what to do about it."""


class NamespaceGoneError(LabError):
    """There is no such network namespace, or no longer."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no network namespace {name}")


class LabUsageError(LabError):
    """The user named something that the lab doesn't have; the message says what it has."""


class OutsideAddressError(LabUsageError):
    """An outside client's address can't be used in this lab; `reason` says why."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(f'"{address}" can\'t be an outside client: it {reason}')
